"""`detections.jsonl`: predictions written and read line by line.

One JSON object a line, one line a page, UTF-8 (bytes of a name that are not: `\\udcXX`, see docs/formats.md). Fields:

| field | type | meaning |
| --- | --- | --- |
| `source` | string | the scan's path or URL, as given |
| `page` | integer | zero-based page in it; absent means 0 |
| `width`, `height` | integers | base pixels of the upright page |
| `names` | list of strings | every label the detector knows, found or not |
| `detections` | list of objects | `label` string, `score` 0..1, `box` [x0, y0, x1, y1] in base pixels (floats, half-open edges), `cut` boolean (absent: not known), `scale` integer, the place in `tiling` of the recipe whose tiles showed it (absent: the only one), `tile` integer, the place in the grid of the tile that showed it, where boxes are not merged, `shape` object (absent: only a box): `polygon` with rings of points and `holes` naming those that are holes, `oriented` [cx, cy, w, h, degrees clockwise], `mask` with COCO's code and the `origin` of its box, or `keypoints` [[x, y, visibility], ...] |
| `complete` | boolean | false where a tile failed: the page may hold more than was found; absent means true |
| `tiling` | list of objects | the recipes used, as in `tiling.json`; empty or absent: not known |
| `model` | string | what found them; may be absent |
| `options` | object | what else shaped the boxes, where it was not the default: `thresholds`, `decoy`, `policy`, `dpi`; `merged` false where boxes are those of single tiles, then `page_dpi` as well |
| `training` | object | how the model's training ended, where the trainer says so: `converged` boolean, `sentence`, `ended_by` string, `steps`, `views`, `seconds` numbers; may be absent |
| `failed` | list of objects | `index`, `window` [x0, y0, x1, y1] on the reduced scan, `reason`, `scale` where not the first; absent when complete |

Unknown fields are kept out of the way and ignored. Where a page has several lines the last one counts,
so a page that was incomplete is mended by adding a line. Detections stand in grid order.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import msgspec
import numpy as np

from tilekit.boxes.detections import Detections
from tilekit.boxes.shapes.reading import from_json
from tilekit.errors import InvalidArgument, LabelError
from tilekit.grid import Tiling, Window
from tilekit.labels.predictions import FailedTile, PageDetections, PredictionSet
from tilekit.pages import PageKey
from tilekit.rekognition.training_note import TrainingNote
from tilekit.storage import json_names
from tilekit.storage.local import part_path, storage_errors


class PredictionWriter:
    """Write `detections.jsonl` line by line; a context manager.

    `append=False`: the file appears whole when the block ends well, or not at all; with `only_if_any` set, only
    where a page was written.
    `append=True`: lines go to the file as they come, each in one write, so a killed run keeps what is
    done; half a line left by a killed run is cut off first. Memory: one page.
    Raises StorageError naming the file, LabelError where it is there and holds something else.
    """

    def __init__(self, path: str | os.PathLike[str], *, append: bool = False) -> None:
        self.path = Path(path)
        self._target = self.path if append else part_path(self.path)
        self._append = append
        self._file: IO[bytes] | None = None
        self._written = 0
        self.only_if_any = False

    def __enter__(self) -> Self:
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self._append:
                _trim_half_line(self.path)
            self._file = self._target.open("ab", buffering=0)
        return self

    def write(self, page: PageDetections) -> None:
        """Add a page."""
        if self._file is None:
            raise InvalidArgument("PredictionWriter must be used in a with block")
        data = json_names.encoded(page.to_json()) + b"\n"
        with storage_errors(self.path):
            done = 0
            while done < len(data):
                done += self._file.write(data[done:]) or 0
        self._written += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._append:
            return
        with storage_errors(self.path):
            if kind is None and (self._written or not self.only_if_any):
                os.replace(self._target, self.path)
            else:
                self._target.unlink(missing_ok=True)


def write_predictions(pages: Iterable[PageDetections], path: str | os.PathLike[str]) -> int:
    """Write pages to `path` as `detections.jsonl`; it appears whole or not at all. Gives the page count."""
    count = 0
    with PredictionWriter(path) as writer:
        for page in pages:
            writer.write(page)
            count += 1
    return count


_START = b'{"source":'  # of every line that PredictionWriter writes


class _Box(msgspec.Struct):
    label: str
    score: float
    box: tuple[float, float, float, float]
    cut: bool | None = None
    scale: int | None = None
    shape: dict[str, Any] | None = None
    tile: int | None = None


class _Failed(msgspec.Struct):
    index: int
    window: tuple[int, int, int, int]
    reason: str = ""
    scale: int = 0


class _Line(msgspec.Struct):
    source: str
    width: int
    height: int
    detections: list[_Box]
    page: int = 0
    complete: bool = True
    names: list[str] = msgspec.field(default_factory=list)
    tiling: list[dict[str, Any]] = msgspec.field(default_factory=list)
    model: str = ""
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    training: TrainingNote | None = None
    failed: list[_Failed] = msgspec.field(default_factory=list)


def iter_predictions(path: str | os.PathLike[str]) -> Iterator[PageDetections]:
    """Stream the pages of a `detections.jsonl`, one by one; blank lines are passed over.

    Raises StorageNotFound, or LabelError naming file, line and field. Memory: one line.
    """
    decoder = msgspec.json.Decoder(_Line)
    with storage_errors(path), open(path, "rb") as file:
        for number, raw in enumerate(file, start=1):
            if raw.isspace():
                continue
            try:
                yield _page(json_names.decoded(decoder, raw))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
                what = "is not a line of detections.jsonl"
                if not raw.endswith(b"\n"):
                    what = "is cut short (the run that wrote it was stopped; detect again to go on)"
                raise LabelError(f"{path}, line {number}: {what}: {exc}") from exc
            except InvalidArgument as exc:
                raise LabelError(f"{path}, line {number}: {exc}") from exc


def read_predictions(path: str | os.PathLike[str]) -> PredictionSet:
    """Read a whole `detections.jsonl`; errors as in `iter_predictions`. Memory: all boxes."""
    return PredictionSet(iter_predictions(path))


def _page(line: _Line) -> PageDetections:
    for name, value in (("width", line.width), ("height", line.height)):
        if value < 1:
            raise InvalidArgument(f"{name} is {value}; a page has at least 1 px")
    if line.page < 0:
        raise InvalidArgument(f"page is {line.page}; pages count from 0 here")
    for row in line.detections:
        if row.scale is not None and not 0 <= row.scale < len(line.tiling):
            raise InvalidArgument(
                f"scale is {row.scale}; the page has {len(line.tiling)} recipe(s) in tiling"
            )
    places = {name: place for place, name in enumerate(dict.fromkeys(line.names))}
    ids = [places.setdefault(row.label, len(places)) for row in line.detections]
    cuts = [row.cut for row in line.detections]
    tiles = [row.tile for row in line.detections if row.tile is not None]
    places_of = [row.scale for row in line.detections if row.scale is not None]
    found = Detections(
        np.array([row.box for row in line.detections], dtype=np.float64).reshape(-1, 4),
        np.array([row.score for row in line.detections], dtype=np.float64),
        np.array(ids, dtype=np.int64),
        tuple(places),
        np.array(tiles, np.int64) if tiles and len(tiles) == len(ids) else None,
        np.array(cuts, dtype=np.bool_) if cuts and None not in cuts else None,
        from_json([row.shape for row in line.detections]),
    )
    return PageDetections(
        PageKey(line.source, line.page),
        line.width,
        line.height,
        found,
        tuple(Tiling.from_json(value) for value in line.tiling),
        tuple(FailedTile(tile.index, Window(*tile.window), tile.reason, tile.scale) for tile in line.failed),
        line.complete,
        line.model,
        line.options,
        np.array(places_of, np.int64) if places_of and len(places_of) == len(ids) else None,
        line.training,
    )


def check_replaceable(path: str | os.PathLike[str]) -> None:
    """Raise LabelError where `path` is there and holds anything but predictions."""
    if os.path.exists(path):
        with storage_errors(path), open(path, "rb") as file:
            _check_ours(file, Path(path))


def _check_ours(file: IO[bytes], path: Path) -> None:
    """The first bytes, or else the first line, must be a line of `detections.jsonl`; nothing at all is one too."""
    start = file.read(len(_START))
    if _START.startswith(start):
        return
    try:
        json_names.decoded(msgspec.json.Decoder(_Line), start + file.readline())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise LabelError(f"{path}: is there and is no detections.jsonl; give another file to write") from exc


def _trim_half_line(path: Path) -> None:
    """Cut off what follows the last line end; a run killed while writing leaves such a tail.

    Raises LabelError, and changes nothing, where the file is none of ours.
    """
    if not path.exists():
        return
    with path.open("r+b") as file:
        _check_ours(file, path)
        end = file.seek(0, os.SEEK_END)
        keep = end
        while keep > 0:
            start = max(0, keep - 65536)
            file.seek(start)
            found = file.read(keep - start).rfind(b"\n")
            if found >= 0:
                keep = start + found + 1
                break
            keep = start
        if keep != end:
            file.truncate(keep)
