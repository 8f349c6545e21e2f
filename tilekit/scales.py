"""Scales: one scan cut at several sizes, the finest first, the whole page last.

A `Tiling` is the case of one. What takes a recipe takes either: `as_scales` makes both one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

from tilekit.errors import InvalidArgument
from tilekit.grid import TileGrid, Tiling

_PAGE = "page@"
_ONE_MORE = (
    "give each scale once, the finest first (Scales(fine, coarse, Tiling.whole(1280)); --at, --scales)"
)

Taught = Mapping[str, tuple[float, float]]
"""What belongs to a scale: label -> the smallest and largest size of its objects, px of the page (square root of the
area)."""


@dataclass(frozen=True, init=False, eq=True)
class Scales(Sequence[Tiling]):
    """How a scan is cut at several scales: an ordered set of tilings, finest first, the whole page last.

    `Scales(Tiling(1024, 96), Tiling(1280, 96, scale=0.25), Tiling.whole(1280))`, or any iterable of them.
    A finer scale shows less of the page in a tile. Of several, none may enlarge the scan.
    `taught`: what belongs to each scale, as a plan or a dataset knows it and a model carries it; none: every label of
    every size. It is no part of equality, which is about how a scan is cut.

    Raises InvalidArgument where two are the same, the order is another, or `taught` does not fit.
    """

    tilings: tuple[Tiling, ...]
    taught: tuple[Taught, ...] = field(default=(), compare=False)

    def __init__(self, *tilings: Tiling | Iterable[Tiling], taught: Iterable[Taught] = ()) -> None:
        found: list[Any] = []
        for item in tilings:
            found += [item] if isinstance(item, Tiling) or not isinstance(item, Iterable) else list(item)
        object.__setattr__(self, "tilings", tuple(found))
        _check(self.tilings)
        object.__setattr__(self, "taught", _checked_taught(taught, len(found)))

    def __len__(self) -> int:
        return len(self.tilings)

    @overload
    def __getitem__(self, index: int) -> Tiling: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Tiling, ...]: ...
    def __getitem__(self, index: int | slice) -> Tiling | tuple[Tiling, ...]:
        return self.tilings[index]

    def __iter__(self) -> Iterator[Tiling]:
        return iter(self.tilings)

    def __repr__(self) -> str:
        return f"Scales({', '.join(words_of(one) for one in self.tilings)})"

    def grids(self, width: int, height: int, *, dpi: float | None = None) -> tuple[TileGrid, ...]:
        """The grid of each scale on a page of `width` x `height` base pixels.

        Raises InvalidArgument where a scale beside another makes no sense on this page: finer than the
        scan, or so coarse that the page does not fill half a tile.
        """
        grids = tuple(one.grid(width, height, dpi=dpi) for one in self.tilings)
        for place, grid in enumerate(grids[1:], 1):
            if reason := _unfit(grid):
                raise InvalidArgument(
                    f"scale {place + 1}, {words_of(grid.tiling)}: {reason}; leave it out (--at, --scales)"
                )
        return grids

    def on(self, width: int, height: int, *, dpi: float | None = None) -> tuple[int, ...]:
        """Places of the scales that a page of this size is cut at: the first always.

        On a small page a coarse scale may repeat what a finer one shows, or be coarser than the page.
        """
        kept: list[int] = []
        grids: list[TileGrid] = []
        for place, one in enumerate(self.tilings):
            grid = one.grid(width, height, dpi=dpi)
            if not grids or not (_unfit(grid) or _repeats(grids, grid)):
                kept.append(place)
                grids.append(grid)
        return tuple(kept)

    def part(self, places: Iterable[int]) -> Scales:
        """Some of the scales, with what was taught there."""
        kept = list(places)
        return Scales(
            (self.tilings[place] for place in kept),
            taught=[self.taught[place] for place in kept] if self.taught else (),
        )

    def changed(self, change: Callable[[Tiling], Tiling]) -> Scales:
        """Each tiling changed, what was taught there kept."""
        return Scales(map(change, self.tilings), taught=self.taught)

    def knowing(self, *models: Any) -> Scales:
        """The same scales with what the `tiling` of models says was taught there, unless they say it themselves.

        A scale is known by what is seen of it (`Tiling.look`). Where one of them is not known, none is."""
        if self.taught:
            return self
        known = [one for one in models if isinstance(one, Scales) and one.taught]
        by_look = {
            one.look: taught
            for scales in reversed(known)
            for one, taught in zip(scales.tilings, scales.taught, strict=True)
        }
        if not by_look or any(one.look not in by_look for one in self.tilings):
            return self
        return Scales(self.tilings, taught=[by_look[one.look] for one in self.tilings])

    def looks_for(self) -> list[str]:
        """What each scale looks for, in words: `1024/96: valve (12 to 40 px), title (90 to 400 px)`."""
        if not self.taught:
            return [f"{words_of(one)}: every label" for one in self.tilings]
        return [
            f"{words_of(one)}: {', '.join(f'{name} ({_range(*ends)})' for name, ends in taught.items()) or 'nothing'}"
            for one, taught in zip(self.tilings, self.taught, strict=True)
        ]

    def to_json(self) -> list[dict[str, Any]]:
        """Plain JSON values, a list of tilings, with `taught` where it is known; `from_json` reads them back."""
        if not self.taught:
            return [one.to_json() for one in self.tilings]
        return [
            one.to_json() | {"taught": taught_json(taught)}
            for one, taught in zip(self.tilings, self.taught, strict=True)
        ]

    @classmethod
    def from_json(cls, value: Any) -> Scales:
        """Read what `to_json` wrote; also a tiling's JSON, the JSON of a plan, or a dataset's tiling.json."""
        if isinstance(value, dict):
            if "scales" in value:
                return cls.from_json(value["scales"])
            if "tiling" in value:
                return cls.from_json(value["tiling"])
            value = [value]
        if not isinstance(value, list) or not value:
            raise InvalidArgument("scales must be a JSON list of tilings, finest first")
        known = [isinstance(item, dict) and item.get("taught") is not None for item in value]
        if any(known) and not all(known):
            raise InvalidArgument(
                f"scale {known.index(False) + 1} lacks taught, which others have: say it of every scale, or of none"
            )
        return cls(
            (_tiling_of(item) for item in value),
            taught=[_taught_of(item["taught"], place) for place, item in enumerate(value)]
            if all(known)
            else (),
        )


AnyTiling = Tiling | Scales | Sequence[Tiling]


def as_scales(tiling: AnyTiling, name: str = "tiling") -> Scales:
    """One recipe or several as Scales; raises InvalidArgument for anything else."""
    if isinstance(tiling, Scales):
        return tiling
    if isinstance(tiling, Tiling):
        return Scales(tiling)
    if isinstance(tiling, (list, tuple)) and all(isinstance(one, Tiling) for one in tiling):
        return Scales(tiling)
    raise InvalidArgument(f"{name}={tiling!r} must be a Tiling, such as Tiling(1024, 128), or Scales of them")


def tiling_from_json(value: Any) -> Tiling | Scales:
    """What `to_json` of a Tiling or of Scales wrote: a Tiling where it is one, Scales where it is several."""
    found = Scales.from_json(value)
    return found[0] if len(found) == 1 else found


def words_of(tiling: Tiling) -> str:
    """A scale as the command line writes it: `1024/128`, `1280/96@0.25`, `page@1280`."""
    if tiling.is_whole:
        at = tiling.fit if tiling.fit is not None else f"{tiling.scale:g}x" if tiling.scale != 1 else "full"
        return f"{_PAGE}{at}"
    at = f"@{tiling.scale:g}" if tiling.scale != 1 else f"@{tiling.dpi:g}dpi" if tiling.dpi else ""
    if tiling.division is not None:
        return f"parts {tiling.division}{at}"
    (width, height), (across, down) = tiling.tile_size, tiling.overlap_px
    tile = str(width) if width == height else f"{width}x{height}"
    return f"{tile}/{across if across == down else f'{across}x{down}'}{at}"


def called(cut: Sequence[str]) -> str:
    """What detection on pages cut so (`words_of`) is called: whole pages, tiles or scales; "" where it is not known."""
    if all(words.startswith(_PAGE) for words in cut):
        return "whole pages" if cut else ""
    return "tiles" if len(cut) == 1 else "scales"


def told_apart(first: Sequence[str], second: Sequence[str]) -> tuple[str, str]:
    """What two such detections are called side by side; of two alike each says how pages were cut."""
    names = called(first) or "whole pages", called(second) or "tiles"
    if names[0] != names[1]:
        return names
    said = [f"{name} {' and '.join(cut)}" for name, cut in zip(names, (first, second), strict=True)]
    return (said[0], said[1]) if said[0] != said[1] else (f"first {names[0]}", f"second {names[1]}")


def _check(tilings: tuple[Any, ...]) -> None:
    if not tilings:
        raise InvalidArgument(f"Scales() holds no tiling; {_ONE_MORE}")
    for one in tilings:
        if not isinstance(one, Tiling):
            raise InvalidArgument(f"Scales: {one!r} must be a Tiling, such as Tiling(1024, 128)")
    if len(tilings) == 1:
        return
    for place, one in enumerate(tilings):
        if one.shown != tilings[0].shown:
            raise InvalidArgument(
                f"scale {place + 1} shows bands={one.bands} and levels={one.levels}, the first bands="
                f"{tilings[0].bands} and levels={tilings[0].levels}; a page is read one way for all scales"
            )
        if one.scale > 1:
            raise InvalidArgument(
                f"scale {place + 1}, {words_of(one)}, is finer than the scan: it only enlarges it; "
                "use scale 1 or below (--at TILE/OVERLAP@SCALE)"
            )
        if place == 0:
            continue
        before = tilings[place - 1]
        if any(one.look == other.look for other in tilings[:place]):
            raise InvalidArgument(f"scale {place + 1}, {words_of(one)}, is given twice; {_ONE_MORE}")
        if before.is_whole or (_comparable(before, one) and _view(before) > _view(one)):
            raise InvalidArgument(
                f"scale {place + 1}, {words_of(one)}, is finer than {words_of(before)} before it; {_ONE_MORE}"
            )


def _comparable(one: Tiling, other: Tiling) -> bool:
    """Whether the order shows before a page is known."""
    both = one, other
    return all(item.division is None and item.fit is None for item in both) and (
        (one.dpi is None) == (other.dpi is None)
    )


def _view(tiling: Tiling) -> float:
    """Side of what a tile shows: base px, or inches where the recipe says dpi."""
    return max(tiling.tile_size) / (tiling.dpi or tiling.scale)


def _repeats(finer: Sequence[TileGrid], grid: TileGrid) -> bool:
    """Whether it shows the whole page as a finer scale does already."""
    size = grid.width, grid.height
    return len(grid) == 1 and any(len(other) == 1 and (other.width, other.height) == size for other in finer)


def _unfit(grid: TileGrid) -> str:
    """Why a scale beside others makes no sense on this page, or nothing."""
    if grid.width > grid.base_width or grid.height > grid.base_height:
        return f"is finer than the scan of {grid.base_width} x {grid.base_height} px"
    tiling = grid.tiling
    if tiling.division is None and max(grid.width, grid.height) <= max(tiling.tile_size) / 2:
        return (
            f"is coarser than the page, which would be {grid.width} x {grid.height} px in a tile "
            f"of {max(tiling.tile_size)}"
        )
    return ""


def taught_json(taught: Taught) -> dict[str, list[float | None]]:
    """What was taught on a scale as plain JSON values: label -> [smallest, largest], null for no upper end."""
    return {name: [low, None if math.isinf(high) else high] for name, (low, high) in taught.items()}


def _taught_of(value: Any, place: int) -> Taught:
    """Read `taught_json`, or just a list of labels: of any size."""
    if isinstance(value, list):
        value = dict.fromkeys(value) if all(isinstance(name, str) for name in value) else None
    if not isinstance(value, dict):
        raise InvalidArgument(_NOT_TAUGHT.format(place + 1, value))
    found = {}
    for name, sizes in value.items():
        low, high = sizes if isinstance(sizes, (list, tuple)) and len(sizes) == 2 else (0.0, sizes)
        found[name] = (0.0 if low is None else low, math.inf if high is None else high)
    return found


_NOT_TAUGHT = (
    "scale {}: taught={!r} must be label -> [smallest, largest] in px of the page, or a list of labels"
)


def _checked_taught(taught: Iterable[Any], scales: int) -> tuple[Taught, ...]:
    every = tuple(taught)
    if every and len(every) != scales:
        raise InvalidArgument(f"taught says what {len(every)} scales were taught, and there are {scales}")
    for place, one in enumerate(every):
        pairs = one.values() if isinstance(one, Mapping) else [None]
        if not all(
            isinstance(pair, (tuple, list))
            and len(pair) == 2
            and all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in pair)
            and 0 <= pair[0] <= pair[1]
            for pair in pairs
        ):
            raise InvalidArgument(_NOT_TAUGHT.format(place + 1, one))
    return tuple({str(name): (float(low), float(high)) for name, (low, high) in one.items()} for one in every)


def _range(low: float, high: float) -> str:
    if math.isinf(high):
        return f"from {low:.0f} px" if low else "any size"
    return f"{low:.0f} px" if round(low) == round(high) else f"{low:.0f} to {high:.0f} px"


def _tiling_of(value: Any) -> Tiling:
    """A scale of a list: a tiling's JSON, or tile, overlap and scale as a plan writes them."""
    if isinstance(value, dict) and "taught" in value:
        value = {name: item for name, item in value.items() if name != "taught"}
    if isinstance(value, dict) and isinstance(value.get("tiling"), dict):
        return Tiling.from_json(value["tiling"])
    if isinstance(value, dict) and "tiles_a_page" in value:
        value = {name: value[name] for name in ("tile", "overlap", "scale") if name in value}
    return Tiling.from_json(value)


def shown(tiling: AnyTiling) -> dict[str, Any]:
    """The bands and levels a page is opened with, which all scales share."""
    return as_scales(tiling)[0].shown


def as_aligned(tiling: Tiling | Scales, align: int) -> Tiling | Scales:
    """The same recipe whose tiles at full size begin at multiples of `align` px; 1 leaves it as it is.

    Raises InvalidArgument where all of it is reduced: there no bits can be kept, which is what it is for.
    """
    if align == 1:
        return tiling
    scales = as_scales(tiling)
    full = [not one.is_whole and one.scale == 1 and one.dpi is None for one in scales]
    if not any(full):
        raise InvalidArgument(f"align={align}: is for tiles at full size, and here are none (--align)")
    made = [replace(one, align=align) if here else one for one, here in zip(scales, full, strict=True)]
    return made[0] if isinstance(tiling, Tiling) else Scales(made, taught=scales.taught)


def as_shown(tiling: Tiling | Scales, bands: Any, levels: Any) -> Tiling | Scales:
    """The same recipe with these bands and levels, where they are given."""
    given = {name: value for name, value in (("bands", bands), ("levels", levels)) if value is not None}
    if not given:
        return tiling
    if isinstance(tiling, Tiling):
        return replace(tiling, **given)
    return tiling.changed(lambda one: replace(one, **given))
