"""One page of the report: its pyramid, its boxes as a script, its viewer, its crops."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.grid import Tiling
from tilekit.pages import PageKey
from tilekit.report.matches import Matches, PageBoxes, page_json
from tilekit.scans.encoding import decode_image, encode_image
from tilekit.scans.scan import Scan
from tilekit.storage.local import write_bytes, write_text
from tilekit.tiles.pyramid import Pyramid, write_pyramid

LAYERS = (
    {"kind": "truth", "text": "truth", "key": "t", "on": False},
    {"kind": "hit", "text": "hits", "key": "h", "on": True},
    {"kind": "miss", "text": "missed", "key": "m", "on": True},
    {"kind": "false", "text": "false alarms", "key": "f", "on": True},
    {"kind": "ignore", "text": "ignored", "key": "i", "on": False},
    {"kind": "grid", "text": "tile grid", "key": "g", "on": False},
)
_MOST_WINDOWS = 4000  # a grid finer than this is noise on any screen


@dataclass(frozen=True)
class Crop:
    """A picture of one error: run's place, "miss" or "false", box, label, score, file name."""

    run: int
    kind: str
    box: tuple[float, float, float, float]
    label: str
    score: float | None
    page: int
    file: str


@dataclass(frozen=True)
class Around:
    """File names of the pages before and after, and of the next ones there with an error; None at the ends."""

    before: str | None
    after: str | None
    error_before: str | None
    error_after: str | None

    @classmethod
    def of(cls, place: int, errors: Sequence[bool]) -> Around:
        """The neighbors of a page; `errors`: whether any run has one, a page each."""
        earlier = [at for at in range(place) if errors[at]]
        later = [at for at in range(place + 1, len(errors)) if errors[at]]
        return cls(
            _file(place - 1) if place else None,
            _file(place + 1) if place + 1 < len(errors) else None,
            _file(earlier[-1]) if earlier else None,
            _file(later[0]) if later else None,
        )


def _file(place: int) -> str:
    return f"{page_number(place)}.html"


def page_number(place: int) -> str:
    """The page's file name stem."""
    return f"{place + 1:05d}"


@dataclass(frozen=True)
class PageWriter:
    """Writes pages of one report: their pyramids, boxes, viewers, crops.

    `runs`: their names, and `tilings` what their pages were cut by. `open_page` opens a page's scan; `tile` and
    `quality` are the pyramids'.
    """

    root: Path
    matches: Matches
    runs: Sequence[str]
    tilings: Sequence[Tiling | None]
    open_page: Callable[[PageKey], Scan]
    template: Any
    tile: int
    quality: int

    def write(self, place: int, crops: Sequence[Crop], around: Around) -> None:
        """Write everything that belongs to one page; a finished page is left as it is on a rerun."""
        number, page, title = page_number(place), self.matches.pages[place], self.matches.titles[place]
        tiles = self.root / "tiles" / number
        with self.open_page(page.key) as scan:
            pyramid = _pyramid(scan, tiles, self.tile, self.quality)
            windows = _grid(scan, self.tilings)
        data = self._data(page, title, number, pyramid) | {"grid": windows}
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
        write_text(self.root / "data" / f"{number}.js", f"window.TILEKIT_PAGE={text};\n")
        html = self.template.render(
            name=title,
            runs=list(self.runs),
            labels=list(self.matches.names),
            layers=LAYERS,
            data=f"../data/{number}.js",
            around=around,
        )
        write_text(self.root / "pages" / f"{number}.html", html)
        for crop in crops:
            pixels = _cut(tiles, crop.box)
            encoded = encode_image(pixels, "jpeg", quality=88, subsampling="444")
            write_bytes(self.root / "crops" / crop.file, encoded.data)

    def _data(self, page: PageBoxes, title: str, number: str, pyramid: Pyramid) -> dict[str, Any]:
        """What the viewer's script reads."""
        boxes, matches = page_json(page, self.matches.names), self.matches
        return {
            "name": title,
            "width": pyramid.width,
            "height": pyramid.height,
            "pyramid": pyramid.to_json(),
            "tiles": f"../tiles/{number}",
            "names": list(matches.names) or ["-"],
            "truth": boxes["truth"],
            "runs": [
                {"name": name, "thresholds": list(floors), "boxes": found, "scales": list(scales)}
                for name, floors, found, scales in zip(
                    self.runs, matches.thresholds, boxes["runs"], matches.scales, strict=True
                )
            ],
        }


def _pyramid(scan: Scan, tiles: Path, tile: int, quality: int) -> Pyramid:
    """Written once: its last file says that the others are there, and of what they are."""
    mark = tiles / "pyramid.json"
    wanted = {
        "width": scan.width,
        "height": scan.height,
        "tile": tile,
        "page": str(scan.key),
        "quality": quality,
    }
    if mark.exists():
        found = json.loads(mark.read_text(encoding="utf-8"))
        if {name: found.get(name) for name in wanted} == wanted:
            return Pyramid(scan.width, scan.height, tile, found["top"])
    pyramid = write_pyramid(scan, tiles, tile=tile, quality=quality, workers=1)
    write_text(mark, json.dumps({**wanted, "top": pyramid.top}))
    return pyramid


def _grid(scan: Scan, tilings: Sequence[Tiling | None]) -> list[list[float]]:
    for tiling in reversed(tilings):
        if tiling is None:
            continue
        grid = tiling.grid(scan.width, scan.height, dpi=scan.dpi)
        if len(grid) <= _MOST_WINDOWS:
            boxes = grid.to_base(grid.windows().astype(np.float64))
            return [[round(float(v), 1) for v in box] for box in boxes]
    return []


def inner(pixels: NDArray[np.uint8], box: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    """The box itself and a little around it, out of its crop as PageWriter writes it."""
    side = max(box[2] - box[0], box[3] - box[1], 12.0) * 1.5
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    left, top = max(0, int(x - side)), max(0, int(y - side))
    step = 1.0 if 2 * side < 2048 else max(1.0, 2 * side / max(pixels.shape[:2]))  # see _cut
    reach = max(box[2] - box[0], box[3] - box[1], 4.0) * 0.58 / step
    across, down = (x - left) / step, (y - top) / step
    x0, x1 = max(0, round(across - reach)), max(1, round(across + reach))
    y0, y1 = max(0, round(down - reach)), max(1, round(down + reach))
    part = pixels[y0:y1, x0:x1]
    return part if part.size else pixels


def _cut(tiles: Path, box: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    """The box with as much around it."""
    side = max(box[2] - box[0], box[3] - box[1], 12.0) * 1.5
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    left, top = max(0, int(x - side)), max(0, int(y - side))
    return cut_window(tiles, (left, top, int(x + side) + 1, int(y + side) + 1))


def cut_window(tiles: Path, window: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """A window of the page (cut off at its right and bottom), from the full level of its pyramid."""
    mark = json.loads((tiles / "pyramid.json").read_text(encoding="utf-8"))
    left, top, right, bottom = window
    right, bottom = min(mark["width"], right), min(mark["height"], bottom)
    step = max(1, max(right - left, bottom - top) // 1024)  # a huge object's crop needs no more
    out: NDArray[np.uint8] | None = None
    size = mark["tile"]
    for row in range(top // size, (bottom - 1) // size + 1):
        for col in range(left // size, (right - 1) // size + 1):
            path = tiles / str(mark["top"]) / f"{col}_{row}.jpg"
            pixels = decode_image(path.read_bytes())
            if out is None:
                out = np.full((bottom - top, right - left, pixels.shape[2]), 255, np.uint8)
            x0, y0 = max(left, col * size), max(top, row * size)
            x1, y1 = min(right, col * size + pixels.shape[1]), min(bottom, row * size + pixels.shape[0])
            part = pixels[y0 - row * size : y1 - row * size, x0 - col * size : x1 - col * size]
            out[y0 - top : y1 - top, x0 - left : x1 - left] = part
    assert out is not None  # the range holds at least one tile
    return np.ascontiguousarray(out[::step, ::step])
