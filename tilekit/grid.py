"""Tiling (a recipe), TileGrid (the recipe bound to a size) and the arithmetic of frames.

The grid alone answers where things are; nobody else does that arithmetic.
Two frames: *base* pixels of the upright scan, in which scan boxes live, and the *reduced*
scan of `max(1, round(size * scale))` pixels, on which windows are integer rectangles.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from tilekit.axes import Axis, Edge, aligned, spread, strided
from tilekit.errors import InvalidArgument
from tilekit.rendition import Bands, Levels, checked_bands, checked_levels

if (
    TYPE_CHECKING
):  # a recipe needs no numpy, and a run of an archive starts its workers before it has loaded it
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

_EDGES = ("shift", "clip", "pad")
_MAX_SIZE = 2**40


class Window(NamedTuple):
    """A tile's rectangle on the reduced scan: half-open integer pixels, origin top left."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.y1 - self.y0


@dataclass(frozen=True, slots=True)
class Tiling:
    """The recipe: how any scan is cut, before a size is known.

    `tile`: px, one number or (width, height). `overlap`: px (int) or a ratio of the tile
    (float, 0 <= r < 1), one or (horizontal, vertical). `edge`: what happens at the right and
    bottom: "shift" moves the last tile inward so all are full size, "clip" lets it be smaller,
    "pad" fills it with the page's background. `align` (px, one or (horizontal, vertical)): tiles begin
    at multiples of it, which lets tiles of a JPEG be cut from its bits (16 suits every JPEG); overlaps
    grow by up to align - 1 px, and with "shift" the last tile is up to as many px smaller. `scale` tiles
    a reduced (or enlarged) scan; `dpi` does so to a physical resolution, for archives of mixed
    resolution; `fit` so that no side of the reduced scan is longer than that many px, whatever the page
    (see `whole`).
    `bands` and `levels`: how samples that are not 8-bit gray or RGB become so, as `open_scan` takes
    them; what opens a page by this recipe opens it so.

    Raises InvalidArgument naming the value that makes no sense.
    """

    tile: int | tuple[int, int] = 1024
    overlap: int | float | tuple[int | float, int | float] = 0
    edge: Edge = "shift"
    scale: float = 1.0
    dpi: float | None = None
    division: int | tuple[int, int] | None = None  # set by parts(): a count, or (cols, rows)
    fit: int | None = None  # set by whole(): px of the longer side, at most
    align: int | tuple[int, int] = 1
    bands: Bands | None = None
    levels: Levels | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "bands", checked_bands(self.bands))
        object.__setattr__(self, "levels", checked_levels(self.levels))
        object.__setattr__(self, "tile", _plain(self.tile))
        object.__setattr__(self, "overlap", _plain(self.overlap))
        object.__setattr__(self, "align", _plain(self.align))
        if self.edge not in _EDGES:
            raise InvalidArgument(f"edge={self.edge!r} is unknown; choose one of {', '.join(_EDGES)}")
        if not _is_number(self.scale) or not 0 < self.scale <= 1e6:
            raise InvalidArgument(f"scale={self.scale!r} must be a number above 0, up to a million")
        if self.dpi is not None and (not _is_number(self.dpi) or not 0 < self.dpi <= 1e6):
            raise InvalidArgument(f"dpi={self.dpi!r} must be a number above 0, up to a million")
        if self.dpi is not None and self.scale != 1.0:
            raise InvalidArgument("scale= and dpi= both set the size of the scan; give one of them")
        if self.fit is not None:
            if not _is_int(self.fit) or self.fit < 1:
                raise InvalidArgument(f"fit={self.fit!r} must be a whole number of at least 1 px")
            if self.dpi is not None or self.scale != 1.0:
                raise InvalidArgument("fit= sets the size of the scan; scale= and dpi= cannot beside it")
        if self.division is None:
            for name, tile, overlap in zip(("width", "height"), self.tile_size, self.overlap_px, strict=True):
                if overlap >= tile:
                    raise InvalidArgument(
                        f"overlap={self.overlap!r} must be smaller than the tile's {name} of {tile} px"
                    )
            for tile, overlap, unit in zip(self.tile_size, self.overlap_px, self.align_px, strict=True):
                if tile - overlap < unit:
                    raise InvalidArgument(
                        f"align={self.align!r} must be at most tile - overlap, {tile - overlap} px here"
                    )
        else:
            _check_division(self.division)
            _pair_of(self.overlap, "overlap", _check_overlap)
            _pair_of(self.align, "align", _check_tile)

    @classmethod
    def parts(
        cls,
        count: int | None = None,
        *,
        rows: int | None = None,
        cols: int | None = None,
        overlap: int | float | tuple[int | float, int | float] = 0,
        scale: float = 1.0,
        dpi: float | None = None,
        align: int | tuple[int, int] = 1,
    ) -> Tiling:
        """Equal parts, any number: `parts(4)`, or `parts(rows=2, cols=3)`.

        A bare count is laid out as rows x columns of exactly that many parts, as square as the
        page allows (a prime gives strips). Without overlap parts differ by at most 1 px and
        share none; with overlap all have the same size and neighbors share at least that much.
        """
        if count is not None and rows is None and cols is None:
            return cls(overlap=overlap, scale=scale, dpi=dpi, division=count, align=align)
        if count is None and rows is not None and cols is not None:
            return cls(overlap=overlap, scale=scale, dpi=dpi, division=(cols, rows), align=align)
        raise InvalidArgument("parts() takes either a count, or both rows= and cols=")

    @classmethod
    def whole(cls, fit: int) -> Tiling:
        """The whole page as one tile, reduced where a side is longer than `fit` px; never enlarged."""
        return cls(division=1, fit=fit)

    @property
    def is_whole(self) -> bool:
        """Whether it is one tile, whatever the page."""
        return self.division in (1, (1, 1))

    @property
    def look(self) -> tuple[Any, ...]:
        """What a detector sees of it, comparable: overlap and edge do not count."""
        size = self.tile_size if self.division is None else None
        return size, self.division, self.scale, self.dpi, self.fit, self.bands, self.levels

    @property
    def shown(self) -> dict[str, Any]:
        """`bands` and `levels`, as `open_scan` takes them."""
        return {"bands": self.bands, "levels": self.levels}

    @property
    def tile_size(self) -> tuple[int, int]:
        """(width, height) of a full tile in px; not meaningful for parts()."""
        return _pair_of(self.tile, "tile", _check_tile)

    @property
    def overlap_px(self) -> tuple[int, int]:
        """(horizontal, vertical) overlap in px, ratios resolved against the tile."""
        overlap = _pair_of(self.overlap, "overlap", _check_overlap)
        width, height = self.tile_size
        return _resolve(overlap[0], width), _resolve(overlap[1], height)

    @property
    def align_px(self) -> tuple[int, int]:
        """(horizontal, vertical) px that tiles begin at multiples of."""
        return _pair_of(self.align, "align", _check_tile)

    def grid(self, width: int, height: int, *, dpi: float | None = None) -> TileGrid:
        """Bind to a scan of `width` x `height` base pixels (and its `dpi`, if the recipe needs it).

        Raises InvalidArgument for sizes below 1 px, or where the recipe says dpi= and the scan has none.
        """
        for name, value in (("width", width), ("height", height)):
            if not _is_int(value) or not 1 <= value <= _MAX_SIZE:
                raise InvalidArgument(f"{name}={value!r} must be a whole number of at least 1 px")
        width, height = int(width), int(height)
        scale = self._scale_for(dpi) if self.fit is None else min(1.0, self.fit / max(width, height))
        reduced = (max(1, round(width * scale)), max(1, round(height * scale)))
        if self.division is not None:
            cols, rows = _layout(self.division, *reduced)
            overlap = _pair_of(self.overlap, "overlap", _check_overlap)
            units = self.align_px
            axes = (
                aligned(spread(reduced[0], cols, overlap[0]), units[0]),
                aligned(spread(reduced[1], rows, overlap[1]), units[1]),
            )
        else:
            tile, overlap_px, units = self.tile_size, self.overlap_px, self.align_px
            axes = (
                strided(reduced[0], tile[0], overlap_px[0], self.edge, units[0]),
                strided(reduced[1], tile[1], overlap_px[1], self.edge, units[1]),
            )
        return TileGrid(self, width, height, axes[0], axes[1])

    def _scale_for(self, dpi: float | None) -> float:
        if self.dpi is None:
            return self.scale
        if dpi is None or not _is_number(dpi) or dpi <= 0:
            raise InvalidArgument(
                f"the tiling asks for {self.dpi:g} dpi but the scan's own resolution is {dpi!r}; "
                "open the scan with dpi=, or use scale="
            )
        return self.dpi / dpi

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, as in tiling.json; `Tiling.from_json` reads them back."""

        def plain(value: Any) -> Any:
            return list(value) if isinstance(value, tuple) else value

        return {
            "tile": plain(self.tile),
            "overlap": plain(self.overlap),
            "edge": self.edge,
            "scale": self.scale,
            "dpi": self.dpi,
            "division": plain(self.division),
            **({} if self.fit is None else {"fit": self.fit}),
            **({} if self.align == 1 else {"align": plain(self.align)}),
            **({} if self.bands is None else {"bands": plain(self.bands)}),
            **({} if self.levels is None else {"levels": plain(self.levels)}),
        }

    @classmethod
    def from_json(cls, value: Any) -> Tiling:
        """Read what `to_json` wrote; raises InvalidArgument on anything else."""
        if not isinstance(value, dict):
            raise InvalidArgument(f"a tiling must be a JSON object, not {type(value).__name__}")
        known = {"tile", "overlap", "edge", "scale", "dpi", "division", "fit", "align", "bands", "levels"}
        if unknown := sorted(set(value) - known):
            raise InvalidArgument(
                f"unknown field {unknown[0]!r} in a tiling; known are {', '.join(sorted(known))}"
            )
        fields: dict[str, Any] = {
            key: tuple(item) if isinstance(item, list) else item for key, item in value.items()
        }
        return cls(**fields)


@dataclass(frozen=True)
class TileGrid(Sequence[Window]):
    """A tiling bound to a scan's size: a sequence of windows in grid order (row by row).

    `base_width`, `base_height` are the upright scan's; `width`, `height` the reduced scan's.
    """

    tiling: Tiling
    base_width: int
    base_height: int
    columns: Axis
    lines: Axis

    @property
    def width(self) -> int:
        """Width of the reduced scan in px."""
        return self.columns.size

    @property
    def height(self) -> int:
        """Height of the reduced scan in px."""
        return self.lines.size

    @property
    def cols(self) -> int:
        """Number of tiles in a row."""
        return self.columns.count

    @property
    def rows(self) -> int:
        """Number of rows of tiles."""
        return self.lines.count

    @cached_property
    def scale_xy(self) -> tuple[float, float]:
        """Exact ratio reduced / base per axis."""
        return self.width / self.base_width, self.height / self.base_height

    @property
    def is_scaled(self) -> bool:
        """Whether reduced and base frame differ."""
        return (self.width, self.height) != (self.base_width, self.base_height)

    def __len__(self) -> int:
        return self.cols * self.rows

    def __repr__(self) -> str:
        return f"<TileGrid {self.cols} x {self.rows} = {len(self)} tiles on {self.width} x {self.height} px>"

    @overload
    def __getitem__(self, index: int) -> Window: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Window]: ...
    def __getitem__(self, index: int | slice) -> Window | Sequence[Window]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"tile {index} is not in a grid of {count}")
        row, col = divmod(index % count, self.cols)
        return self.window(row, col)

    def __iter__(self) -> Iterator[Window]:
        spans = [(self.columns.start(col), self.columns.stop(col)) for col in range(self.cols)]
        for row in range(self.rows):
            top, bottom = self.lines.start(row), self.lines.stop(row)
            for left, right in spans:
                yield Window(left, top, right, bottom)

    def window(self, row: int, col: int) -> Window:
        """The window at a row and column."""
        return Window(
            self.columns.start(col), self.lines.start(row), self.columns.stop(col), self.lines.stop(row)
        )

    def at(self, x: float, y: float) -> list[int]:
        """Indices of the tiles that cover a point given in base pixels, in grid order."""
        across = self.columns.covering(x * self.width / self.base_width)
        down = self.lines.covering(y * self.height / self.base_height)
        return [row * self.cols + col for row in down for col in across]

    def windows(self) -> NDArray[np.int64]:
        """All windows: (n, 4) int64 x0, y0, x1, y1 on the reduced scan, grid order."""
        import numpy as np

        out = np.empty((self.rows, self.cols, 4), np.int64)
        out[:, :, 0] = self.columns.starts()
        out[:, :, 1] = self.lines.starts()[:, None]
        out[:, :, 2] = self.columns.stops()
        out[:, :, 3] = self.lines.stops()[:, None]
        return out.reshape(-1, 4)

    def margins(self, scan_boxes: ArrayLike) -> NDArray[np.float64]:
        """(n,) how many base px each box is away from being cut, in the tile that shows it best.

        Below 0 where no tile shows it whole, infinite where no tile edge lies inside the scan.
        """
        import numpy as np

        boxes = self.to_reduced(scan_boxes)
        best = np.full(len(boxes), np.inf)
        for axis, place in ((self.columns, 0), (self.lines, 1)):
            along = np.full(len(boxes), -np.inf)
            for start, stop in zip(axis.starts().tolist(), axis.stops().tolist(), strict=True):
                before = boxes[:, place] - start if start > 0 else np.inf
                after = stop - boxes[:, place + 2] if stop < axis.size else np.inf
                along = np.maximum(along, np.minimum(before, after))
            best = np.minimum(best, along / self.scale_xy[place])
        return best

    def to_reduced(self, scan_boxes: ArrayLike) -> NDArray[np.float64]:
        """Boxes (n, 4) from base pixels to the reduced scan; a copy, unchanged values at scale 1."""
        return self._stretched(scan_boxes, self.width / self.base_width, self.height / self.base_height)

    def to_base(self, reduced_boxes: ArrayLike) -> NDArray[np.float64]:
        """Boxes (n, 4) from the reduced scan to base pixels; a copy, unchanged values at scale 1."""
        return self._stretched(reduced_boxes, self.base_width / self.width, self.base_height / self.height)

    def _stretched(self, boxes: ArrayLike, across: float, down: float) -> NDArray[np.float64]:
        import numpy as np

        out = np.array(boxes, dtype=np.float64, ndmin=2)
        if out.size == 0:
            return out.reshape(-1, 4)
        if self.is_scaled:
            out[:, 0::2] *= across
            out[:, 1::2] *= down
        return out


def _layout(division: int | tuple[int, int], width: int, height: int) -> tuple[int, int]:
    if isinstance(division, tuple):
        return division
    pairs = [(cols, division // cols) for cols in range(1, division + 1) if division % cols == 0]
    fitting = [pair for pair in pairs if pair[0] <= width and pair[1] <= height]
    if not fitting:
        raise InvalidArgument(f"{division} equal parts do not fit on {width} x {height} px")
    return min(fitting, key=lambda pair: (abs(math.log(width / pair[0]) - math.log(height / pair[1])), pair))


def _is_number(value: object) -> bool:
    return (
        (isinstance(value, (int, float)) or (_is_numpy(value) and isinstance(value, numbers.Real)))
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def _is_int(value: object) -> bool:
    whole = isinstance(value, int) or (_is_numpy(value) and isinstance(value, numbers.Integral))
    return whole and not isinstance(value, bool)


def _is_numpy(value: object) -> bool:
    """Whether it is a number of numpy's."""
    return type(value).__module__ == "numpy" and hasattr(value, "item") and not hasattr(value, "__len__")


def _plain(value: Any) -> Any:
    """Python numbers for numpy's, tuples for lists, so that recipes compare and serialize."""
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item) for item in value)
    return value.item() if _is_numpy(value) else value


def _pair_of(value: Any, name: str, check: Any) -> tuple[Any, Any]:
    pair = value if isinstance(value, tuple) else (value, value)
    if len(pair) != 2:
        raise InvalidArgument(f"{name}={value!r} must be one number, or two: (width, height)")
    for item in pair:
        check(item, name, value)
    return pair[0], pair[1]


def _check_tile(item: Any, name: str, value: Any) -> None:
    if not _is_int(item) or not 1 <= item <= _MAX_SIZE:
        raise InvalidArgument(f"{name}={value!r} must be a whole number of at least 1 px")


def _check_overlap(item: Any, name: str, value: Any) -> None:
    if not _is_number(item) or item < 0:
        raise InvalidArgument(f"{name}={value!r} must be px (a whole number >= 0) or a ratio 0 <= r < 1")
    if isinstance(item, float) and not item < 1:
        raise InvalidArgument(
            f"{name}={value!r}: a float is a ratio and must be below 1; use a whole number for px"
        )


def _check_division(division: Any) -> None:
    counts = division if isinstance(division, tuple) else (division,)
    if len(counts) not in (1, 2) or any(not _is_int(item) or not 1 <= item <= 10**7 for item in counts):
        raise InvalidArgument(f"parts: {division!r} must be whole numbers from 1 to 10,000,000")


def _resolve(overlap: int | float, tile: int) -> int:
    return round(overlap * tile) if isinstance(overlap, float) else int(overlap)
