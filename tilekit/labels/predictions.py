"""Predictions: what a detector found on pages, in memory and as `detections.jsonl`.

One JSON object a line, one line a page, UTF-8. Fields:

| field | type | meaning |
| --- | --- | --- |
| `source` | string | the scan's path or URL, as given |
| `page` | integer | zero-based page in it; absent means 0 |
| `width`, `height` | integers | base pixels of the upright page |
| `names` | list of strings | every label the detector knows, found or not |
| `detections` | list of objects | `label` string, `score` 0..1, `box` [x0, y0, x1, y1] in base pixels (floats, half-open edges), `cut` boolean (absent: not known), `scale` integer, the place in `tiling` of the recipe whose tiles showed it (absent: the only one), `shape` object (absent: only a box): `polygon` with rings of points and `holes` naming those that are holes, `oriented` [cx, cy, w, h, degrees clockwise], `mask` with COCO's code and the `origin` of its box, or `keypoints` [[x, y, visibility], ...] |
| `complete` | boolean | false where a tile failed: the page may hold more than was found; absent means true |
| `tiling` | list of objects | the recipes used, as in `tiling.json`; empty or absent: not known |
| `model` | string | what found them; may be absent |
| `options` | object | what else shaped the boxes, where it was not the default: `thresholds`, `decoy`, `policy`, `dpi` |
| `training` | object | how the model's training ended, where the trainer says so: `converged` boolean, `sentence`, `ended_by` string, `steps`, `views`, `seconds` numbers; may be absent |
| `failed` | list of objects | `index`, `window` [x0, y0, x1, y1] on the reduced scan, `reason`, `scale` where not the first; absent when complete |

Unknown fields are kept out of the way and ignored. Where a page has several lines the last one counts,
so a page that was incomplete is mended by adding a line. Detections stand in grid order.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.boxes.shapes.reading import from_json
from tilekit.errors import InvalidArgument, LabelError
from tilekit.grid import Tiling, Window
from tilekit.labels.label_set import LabelSet
from tilekit.pages import PageKey
from tilekit.rekognition.training_note import TrainingNote, least_trained
from tilekit.storage.local import part_path, storage_errors


@dataclass(frozen=True, slots=True)
class FailedTile:
    """A tile on which the detector failed, also when asked again: place, rectangle, reason, scale."""

    index: int
    window: Window
    reason: str
    scale: int = 0


@dataclass(frozen=True, eq=False)
class PageDetections:
    """What was found on one page, in base pixels.

    `complete` is False where a tile failed (`failed` says which): there may be more on the page.
    `tilings` are the recipes used; of several, `scale` (n,) is the place of the one that found each box. `model` names what found it, `options` what else shaped the boxes
    (see `page_options`). `training`: how the model's training ended, where it says so.
    """

    key: PageKey
    width: int
    height: int
    detections: Detections
    tilings: tuple[Tiling, ...] = ()
    failed: tuple[FailedTile, ...] = ()
    complete: bool = True
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    scale: NDArray[np.int64] | None = None
    training: TrainingNote | None = None

    def __post_init__(self) -> None:
        if self.failed and self.complete:
            object.__setattr__(self, "complete", False)

    def __len__(self) -> int:
        return len(self.detections)

    def __repr__(self) -> str:
        state = "" if self.complete else f", INCOMPLETE ({len(self.failed)} tiles failed)"
        return f"<PageDetections {self.key} {self.width} x {self.height} px: {len(self)} boxes{state}>"

    @property
    def boxes(self) -> NDArray[np.float64]:
        """(n, 4) float64 xyxy in base pixels."""
        return self.detections.boxes

    @property
    def scores(self) -> NDArray[np.float64]:
        """(n,) float64 in 0..1."""
        return self.detections.scores

    @property
    def class_ids(self) -> NDArray[np.int64]:
        """(n,) int64, places in `names`."""
        return self.detections.class_ids

    @property
    def names(self) -> tuple[str, ...]:
        """Every label the detector knows."""
        return self.detections.names

    @property
    def labels(self) -> list[str]:
        """The label of each box."""
        return self.detections.labels

    @property
    def cut(self) -> NDArray[np.bool_] | None:
        """(n,) whether a tile edge inside the scan touches the box, or None where not known."""
        return self.detections.cut

    @property
    def counts(self) -> dict[str, int]:
        """How many boxes of each label, in the order of `names`, zeros included."""
        found = np.bincount(self.class_ids, minlength=len(self.names))
        return {name: int(count) for name, count in zip(self.names, found, strict=True)}

    def to_json(self) -> dict[str, Any]:
        """The page's line of `detections.jsonl` as plain JSON values."""
        found = self.detections
        rows: list[dict[str, Any]] = [
            {"label": found.names[label], "score": score, "box": box}
            for label, score, box in zip(
                found.class_ids.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True
            )
        ]
        if found.cut is not None:
            for row, cut in zip(rows, found.cut.tolist(), strict=True):
                row["cut"] = cut
        if self.scale is not None:
            for row, scale in zip(rows, self.scale.tolist(), strict=True):
                row["scale"] = scale
        if found.shapes is not None:
            for row, shape in zip(rows, found.shapes.to_json(), strict=True):
                if shape is not None:
                    row["shape"] = shape
        line: dict[str, Any] = {
            "source": self.key.source,
            "page": self.key.page,
            "width": self.width,
            "height": self.height,
            "complete": self.complete,
            "names": list(found.names),
            "tiling": [tiling.to_json() for tiling in self.tilings],
        }
        if self.model:
            line["model"] = self.model
        if self.options:
            line["options"] = dict(self.options)
        if self.training is not None:
            line["training"] = self.training.to_json()
        if self.failed:
            line["failed"] = [
                {"index": tile.index, "window": list(tile.window), "reason": tile.reason}
                | ({"scale": tile.scale} if tile.scale else {})
                for tile in self.failed
            ]
        line["detections"] = rows
        return line

    def to_supervision(self) -> Any:
        """As `supervision.Detections`, shapes too."""
        return self.detections.to_supervision((self.width, self.height))

    def to_pandas(self) -> Any:
        """As a DataFrame, a row a box, with source, page, width and height."""
        return PredictionSet([self]).to_pandas()

    def to_coco(self) -> dict[str, Any]:
        """A COCO document of this page, with scores."""
        return PredictionSet([self]).to_coco()

    def to_geojson(self) -> dict[str, Any]:
        """A GeoJSON FeatureCollection in image pixels, as QuPath takes it."""
        return PredictionSet([self]).to_geojson()

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(
            f"<tr><td>{escape(name)}</td><td style='text-align:right'>{count}</td></tr>"
            for name, count in self.counts.items()
        )
        state = "" if self.complete else f" <strong>incomplete: {len(self.failed)} tiles failed</strong>"
        return (
            f"<table><caption>{escape(str(self.key))}, {self.width} x {self.height} px{state}</caption>"
            f"<thead><tr><th>label</th><th>found</th></tr></thead><tbody>{rows}</tbody></table>"
        )


class PredictionSet(Mapping[PageKey, Detections]):
    """Predictions of many pages: a mapping PageKey -> Detections, with what is known of each page.

    `sizes`: (width, height) in base pixels; `incomplete`: pages where a tile failed; `names`: all labels.
    Pages keep the order in which they came; a page given again replaces the earlier one.
    """

    def __init__(self, pages: Iterable[PageDetections] = ()) -> None:
        self._pages: dict[PageKey, PageDetections] = {}
        for page in pages:
            self._pages[page.key] = page

    def __getitem__(self, key: PageKey) -> Detections:
        return self._pages[key].detections

    def __iter__(self) -> Iterator[PageKey]:
        return iter(self._pages)

    def __len__(self) -> int:
        return len(self._pages)

    def __repr__(self) -> str:
        boxes = sum(len(page) for page in self._pages.values())
        return f"<PredictionSet {len(self)} pages, {boxes} boxes, {len(self.names)} labels>"

    def page(self, key: PageKey) -> PageDetections:
        """Everything known of one page; KeyError where it is not in the set."""
        return self._pages[key]

    def pages(self) -> Iterator[PageDetections]:
        """All pages in order."""
        return iter(self._pages.values())

    @property
    def sizes(self) -> dict[PageKey, tuple[int, int]]:
        """(width, height) of each page in base pixels."""
        return {key: (page.width, page.height) for key, page in self._pages.items()}

    @property
    def incomplete(self) -> tuple[PageKey, ...]:
        """Pages on which a tile failed."""
        return tuple(key for key, page in self._pages.items() if not page.complete)

    @property
    def names(self) -> tuple[str, ...]:
        """All labels, in order of first appearance."""
        return tuple(dict.fromkeys(name for page in self._pages.values() for name in page.names))

    @property
    def tilings(self) -> tuple[Tiling, ...]:
        """The recipes used, each once."""
        return tuple(dict.fromkeys(tiling for page in self._pages.values() for tiling in page.tilings))

    @property
    def models(self) -> tuple[str, ...]:
        """The models used, each once."""
        return tuple(dict.fromkeys(page.model for page in self._pages.values() if page.model))

    @property
    def training(self) -> TrainingNote | None:
        """How the training of what found them ended: of several, one that did not converge; None: not known."""
        return least_trained(page.training for page in self._pages.values())

    def to_supervision(self) -> dict[PageKey, Any]:
        """Each page as `supervision.Detections`, shapes too."""
        return {key: page.to_supervision() for key, page in self._pages.items()}

    def to_pandas(self) -> Any:
        """A DataFrame, a row a box, with source, page, width and height; `from_pandas` reads it."""
        return self.to_labels().to_pandas()

    @classmethod
    def from_pandas(cls, table: Any) -> Self:
        """From a DataFrame as `to_pandas` gives it."""
        return cls.from_labels(LabelSet.from_pandas(table))

    def to_coco(self) -> dict[str, Any]:
        """A COCO document with scores, shapes as segmentation or keypoints."""
        return self.to_labels().to_coco()

    def to_geojson(self) -> dict[str, Any]:
        """A GeoJSON FeatureCollection in image pixels, as QuPath takes it."""
        return self.to_labels().to_geojson()

    @classmethod
    def from_labels(cls, labels: LabelSet) -> Self:
        """From labels with scores, as label formats keep what a detector found: COCO, GeoJSON, CSV and others.

        Raises InvalidArgument for a page without scores or without its size.
        """
        pages = []
        for key, page in labels.items():
            if len(page) and key not in labels.scores:
                raise InvalidArgument(f"{key}: its boxes have no scores, so they are no detections")
            found = Detections(
                page.boxes,
                labels.scores.get(key, np.empty(0)),
                page.class_ids,
                page.names,
                shapes=page.shapes,
            )
            pages.append(PageDetections(key, *labels.size(key), found))
        return cls(pages)

    def to_labels(self) -> LabelSet:
        """The boxes as labels with their scores, for review and correction, or any label format."""
        names = self.names
        pages = {
            key: Annotations(
                page.boxes,
                np.array([names.index(name) for name in page.names], np.int64)[page.class_ids]
                if len(page)
                else None,
                names,
                None,
                page.detections.shapes,
            )
            for key, page in self._pages.items()
        }
        scores = {key: page.scores for key, page in self._pages.items() if len(page)}
        return LabelSet(pages, sizes=self.sizes, names=names, scores=scores)


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
        data = msgspec.json.encode(page.to_json()) + b"\n"
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
                yield _page(decoder.decode(raw))
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
    places_of = [row.scale for row in line.detections if row.scale is not None]
    found = Detections(
        np.array([row.box for row in line.detections], dtype=np.float64).reshape(-1, 4),
        np.array([row.score for row in line.detections], dtype=np.float64),
        np.array(ids, dtype=np.int64),
        tuple(places),
        None,
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
        msgspec.json.decode(start + file.readline(), type=_Line)
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
