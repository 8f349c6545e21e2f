"""tiles.jsonl and tiling.json: what a folder of tiles holds.

`tiles.jsonl`: one JSON object a line, in order of page, then grid:
    source, page   the scan's path or URL as given, zero-based page
    tile, row, col place in the grid
    x, y, width, height   the window on the reduced scan, px
    file           the tile's name relative to the folder; null for a blank tile left out
    bytes          size of the file; 0 where there is none
    crc32          checksum of its bytes, as zip files have it; 0 where there is none
    quality        JPEG quality it was made with; null for lossless formats, blank tiles, and the scan's own tables
    blank          true where it was left out as blank
    kept           true, and only there, where its bits are the scan's own (quality "keep")
`tiling.json`: version, pixels (versions of what made them, `tilekit.scans.versions`), tiling (the recipe, as Tiling.to_json), format, quality, subsampling,
skip_blank, max_bytes, and pages: source, page, stem, width, height (base px), dpi, bands, tiles
(files written), blank (left out), lowered (quality lowered for max_bytes), kept (bits of the scan), bytes, and identity (of the scan, by
which stale tiles are known: see `tilekit.storage.identity`).
Both appear when a run has succeeded, never before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tilekit.errors import InvalidArgument, StorageError, StorageNotFound
from tilekit.grid import TileGrid, Tiling, Window
from tilekit.pages import PageKey
from tilekit.scans.versions import pixel_versions
from tilekit.storage.local import storage_errors
from tilekit.tiles.recipe import TilesRecipe

TILES_FILE = "tiles.jsonl"
TILING_FILE = "tiling.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class TileRecord:
    """A line of tiles.jsonl. `file` is None where the tile was left out as blank;
    `size` is the file's bytes."""

    key: PageKey
    tile: int
    row: int
    col: int
    window: Window
    file: str | None
    size: int
    quality: int | None
    blank: bool
    crc: int | None = None
    kept: bool = False

    def to_line(self) -> bytes:
        """The JSON line, with its line end."""
        x0, y0, x1, y1 = self.window
        value = {
            "source": self.key.source,
            "page": self.key.page,
            "tile": self.tile,
            "row": self.row,
            "col": self.col,
            "x": x0,
            "y": y0,
            "width": x1 - x0,
            "height": y1 - y0,
            "file": self.file,
            "bytes": self.size,
            "crc32": self.crc,
            "quality": self.quality,
            "blank": self.blank,
        }
        if self.kept:
            value["kept"] = True
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"

    @classmethod
    def from_line(cls, line: bytes | str) -> TileRecord:
        """Read a line; raises ValueError, KeyError or TypeError where it is not one."""
        text = line.decode("utf-8", "surrogateescape") if isinstance(line, bytes) else line
        v = json.loads(text)
        x, y = int(v["x"]), int(v["y"])
        return cls(
            PageKey(str(v["source"]), int(v["page"])),
            int(v["tile"]),
            int(v["row"]),
            int(v["col"]),
            Window(x, y, x + int(v["width"]), y + int(v["height"])),
            None if v["file"] is None else str(v["file"]),
            int(v["bytes"]),
            None if v["quality"] is None else int(v["quality"]),
            bool(v["blank"]),
            v.get("crc32"),
            bool(v.get("kept", False)),
        )


@dataclass(frozen=True, slots=True)
class PageRecord:
    """A page in tiling.json: base size in px, resolution, what was written, left out, lowered, kept."""

    source: str
    page: int
    stem: str
    width: int
    height: int
    dpi: float | None
    bands: int
    tiles: int = 0
    blank: int = 0
    lowered: int = 0
    bytes: int = 0
    identity: str = ""
    kept: int = 0

    @property
    def key(self) -> PageKey:
        """Which page."""
        return PageKey(self.source, self.page)

    def grid(self, tiling: Tiling) -> TileGrid:
        """The grid its tiles were cut by."""
        return tiling.grid(self.width, self.height, dpi=self.dpi)


@dataclass(frozen=True)
class TileIndex:
    """What `read_index` finds: the recipe, the pages, and (streamed) the tiles."""

    folder: Path
    recipe: TilesRecipe
    pages: tuple[PageRecord, ...]

    @property
    def tiling(self) -> Tiling:
        """The recipe's tiling."""
        return self.recipe.tiling

    def page(self, key: PageKey | None = None) -> PageRecord:
        """A page by its key, or the only one there is; raises InvalidArgument otherwise."""
        found = [page for page in self.pages if key is None or page.key == key]
        if len(found) == 1:
            return found[0]
        if key is None:
            names = ", ".join(str(page.key) for page in self.pages[:5])
            raise InvalidArgument(
                f"{self.folder}: holds tiles of {len(self.pages)} pages ({names}); say which page"
            )
        raise InvalidArgument(f"{self.folder}: holds no tiles of {key}")

    def tiles(self, key: PageKey | None = None) -> Iterator[TileRecord]:
        """The lines of tiles.jsonl, of one page or all; raises StorageError naming a bad line."""
        path = self.folder / TILES_FILE
        with storage_errors(path), path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    record = TileRecord.from_line(line)
                except (ValueError, KeyError, TypeError) as exc:
                    raise StorageError(
                        f"{path}, line {number}: is not a tile's record ({exc}); run the tiling again"
                    ) from exc
                if key is None or record.key == key:
                    yield record


def read_index(folder: str | Path) -> TileIndex:
    """Read a folder's tiling.json; raises StorageNotFound, StorageError."""
    root = Path(folder)
    path = root / TILING_FILE
    if not path.is_file():
        raise StorageNotFound(
            f"{root}: has no {TILING_FILE}; it is not a folder of tiles, or its tiling was never finished"
        )
    with storage_errors(path):
        data = path.read_bytes()
    try:
        value = json.loads(data)
        if value["version"] != _VERSION:
            raise ValueError(f"version {value['version']!r}, this release reads {_VERSION}")
        recipe = TilesRecipe(
            Tiling.from_json(value["tiling"]),
            **{f.name: value[f.name] for f in fields(TilesRecipe) if f.name != "tiling"},
        )
        known = {f.name for f in fields(PageRecord)}
        pages = tuple(PageRecord(**{k: v for k, v in page.items() if k in known}) for page in value["pages"])
    except (ValueError, KeyError, TypeError) as exc:
        raise StorageError(f"{path}: is not a description of tiles ({exc}); run the tiling again") from exc
    return TileIndex(root, recipe, pages)


def tiling_json(recipe: TilesRecipe, pages: Iterable[PageRecord]) -> bytes:
    """The content of tiling.json."""
    value: dict[str, Any] = {
        "version": _VERSION,
        "pixels": pixel_versions(),
        "tiling": recipe.tiling.to_json(),
    }
    value |= {f.name: getattr(recipe, f.name) for f in fields(TilesRecipe) if f.name != "tiling"}
    value["pages"] = [asdict(page) for page in sorted(pages, key=lambda page: page.key)]
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def merged_lines(old: Iterable[bytes], new: Mapping[PageKey, Iterable[bytes]]) -> Iterator[bytes]:
    """Lines of an old index with the pages of `new` put in their places, replacing what was there."""
    waiting = sorted(new)
    for line in old:
        key = TileRecord.from_line(line).key
        while waiting and waiting[0] <= key:
            yield from new[waiting.pop(0)]
        if key not in new:
            yield line
    for key in waiting:
        yield from new[key]
