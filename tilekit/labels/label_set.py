"""LabelSet: what people say is on which page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.boxes import checks, interop
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.checks import unite
from tilekit.errors import InvalidArgument, LabelError
from tilekit.labels import documents
from tilekit.labels.options import ReadOptions
from tilekit.labels.sources import PathLike
from tilekit.labels.tally import Tally
from tilekit.pages import PageKey

Size = tuple[int, int]
REGIONS_KEY = (
    "tilekit-regions"  # in `extra`: the parts of a page that alone count, as [x0, y0, x1, y1] in base px
)


@dataclass(frozen=True)
class ImageLabel:
    """A label of a page as a whole; `confidence` 0..1 as the tool wrote it."""

    name: str
    confidence: float = 1.0


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a label file: which file, line (from one, 0 = none), field, what, and the fix.

    `entries`: how many entries of the file it takes with it (see `Tally`).
    """

    file: str
    line: int
    field: str
    message: str
    entries: int = 1

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"


class BadLabel(LabelError):
    """A label file is wrong at one place; `problem` says where and how."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem,)


@dataclass(frozen=True)
class Reading:
    """What reading a label file came to.

    `tally`: every entry accounted for (None: the pages were changed since). `problems`: what was left out, by
    `strict=False`. `notes`: what a person should know and nothing is wrong with. `splits`: page -> the side the
    file puts it on, as the file calls it (train, val, test). `shapes`: kind -> how many were drawn so.
    """

    format: str = ""
    tally: Tally | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    splits: Mapping[PageKey, str] = field(default_factory=dict)
    shapes: Mapping[str, int] = field(default_factory=dict)


class LabelSet(Mapping[PageKey, Annotations]):
    """Pages and their annotations, all of them with the same `names`; a read-only mapping.

    `pages`: PageKey -> Annotations, boxes in base pixels of the upright page. `names` comes first in the
    united names. `sizes`: (width, height) px where known. `image_labels`: labels of whole pages. `unlabeled`:
    pages that were listed but nobody labeled (failed or waiting), with the reason; they are not in the mapping,
    since no boxes there does not mean nothing to see. `extra`: what else the file said of a page. `scores`:
    0..1 of each box of a page, where a detector found them. `reading`: what reading the file came to, of which
    `problems`, `notes`, `format` and `tally` are at hand here too. Order of pages is kept.
    """

    def __init__(
        self,
        pages: Mapping[PageKey, Annotations],
        *,
        sizes: Mapping[PageKey, Size] | None = None,
        names: tuple[str, ...] | list[str] = (),
        image_labels: Mapping[PageKey, tuple[ImageLabel, ...]] | None = None,
        unlabeled: Mapping[PageKey, str] | None = None,
        extra: Mapping[PageKey, Mapping[str, Any]] | None = None,
        scores: Mapping[PageKey, ArrayLike] | None = None,
        reading: Reading | None = None,
    ) -> None:
        for key in pages:
            if not isinstance(key, PageKey):
                raise InvalidArgument(
                    f"pages: {key!r} must be a PageKey; PageKey.parse reads 'file.pdf#page=3'"
                )
        self.names = _united(pages, names)
        self._pages = {key: renamed(value, self.names) for key, value in pages.items()}
        self.sizes: dict[PageKey, Size] = {key: _size(key, size) for key, size in (sizes or {}).items()}
        self.image_labels = {key: tuple(value) for key, value in (image_labels or {}).items() if value}
        self.unlabeled = dict(unlabeled or {})
        self.extra = {key: dict(value) for key, value in (extra or {}).items() if value}
        self.scores = {
            key: checks.scores(value, len(self._pages[key]), f"scores[{key}]")
            for key, value in (scores or {}).items()
            if key in self._pages
        }
        self.reading = reading if reading is not None else Reading()
        if self.tally is not None:
            self._hold(self.tally)

    def _hold(self, tally: Tally) -> None:
        """The tally says what is here, or there is no LabelSet."""
        boxes = self.boxes
        ignored = (
            sum(int(np.count_nonzero(page.ignore)) for page in self._pages.values()) if tally.ignored else 0
        )
        said = sum(problem.entries for problem in self.problems)
        marks = sum(map(len, self.image_labels.values()))
        found = (boxes, ignored, said, marks)
        told = (tally.boxes + tally.ignored, tally.ignored, tally.problems, tally.page_labels)
        if found != told or tally.unlabeled > len(self.unlabeled):
            raise InvalidArgument(f"{tally}, but the labels hold {found}; this is a fault of tilekit")

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What reading left out (`strict=False`)."""
        return self.reading.problems

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the file, and nothing is wrong with."""
        return self.reading.notes

    @property
    def format(self) -> str:
        """The format it was read from."""
        return self.reading.format

    @property
    def tally(self) -> Tally | None:
        """Every entry of the file accounted for; None where the pages were changed since it was read."""
        return self.reading.tally

    def __getitem__(self, key: PageKey) -> Annotations:
        return self._pages[key]

    def __iter__(self) -> Iterator[PageKey]:
        return iter(self._pages)

    def __len__(self) -> int:
        return len(self._pages)

    def __eq__(self, other: object) -> bool:
        """Same pages with the same boxes in the same order under the same labels; sizes and labels too."""
        if not isinstance(other, LabelSet):
            return NotImplemented
        return (
            set(self.names) == set(other.names)
            and self._pages.keys() == other._pages.keys()
            and self.sizes == other.sizes
            and self.image_labels == other.image_labels
            and all(_same(self[key], other[key]) for key in self)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<LabelSet {len(self)} pages, {self.boxes} boxes, {len(self.names)} labels>"

    def plot(
        self,
        key: PageKey | None = None,
        *,
        window: Sequence[float] | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> Any:
        """A matplotlib figure: the sizes of all boxes, or with `key` that page with its boxes.

        `window` (x0, y0, x1, y1): only this part of the page. `path`: also write it there.
        """
        if key is None:
            from tilekit.labels.stats import plot_stats

            return plot_stats(self, path)
        from tilekit.labels.showing import plot_page

        return plot_page(key, self.sizes.get(key), self[key], window, path)

    def _repr_html_(self) -> str:
        from tilekit.figures import as_html

        return as_html(self.plot, repr(self))

    @property
    def boxes(self) -> int:
        """Boxes on all pages, ignored ones too."""
        return sum(len(page) for page in self._pages.values())

    @property
    def regions(self) -> dict[PageKey, NDArray[np.float64]]:
        """The parts of pages that alone count, (n, 4) base px; a page that is not here counts whole.

        Written by `tile_dataset` with `split_by="region"`. Raises LabelError where they are no rectangles.
        """
        return {
            key: _rectangles(key, more[REGIONS_KEY])
            for key, more in self.extra.items()
            if REGIONS_KEY in more
        }

    def pages(self) -> list[PageKey]:
        """The labeled pages, in the file's order."""
        return list(self._pages)

    def size(self, key: PageKey) -> Size:
        """(width, height) px of a page; InvalidArgument where no one said."""
        try:
            return self.sizes[key]
        except KeyError:
            raise InvalidArgument(
                f"{key}: the labels do not say its size; take it from the scan with resolve_scans() (--scans ROOT)"
            ) from None

    def replace(self, **changes: Any) -> LabelSet:
        """A copy with some of the constructor's arguments changed; a change of what was counted ends the tally."""
        values: dict[str, Any] = {
            "pages": self._pages,
            "sizes": self.sizes,
            "names": self.names,
            "image_labels": self.image_labels,
            "unlabeled": self.unlabeled,
            "extra": self.extra,
            "scores": self.scores,
            "reading": self.reading,
        }
        if "reading" not in changes and {"pages", "image_labels", "unlabeled"} & changes.keys():
            values["reading"] = replace(self.reading, tally=None)
        if "pages" in changes and "scores" not in changes:
            pages = changes["pages"]
            values["scores"] = {
                key: value for key, value in self.scores.items() if len(pages.get(key, ())) == len(value)
            }
        return LabelSet(**{**values, **changes})

    def subset(self, keys: list[PageKey] | tuple[PageKey, ...]) -> LabelSet:
        """Only these pages, in this order; names stay."""
        chosen = dict.fromkeys(keys)
        return self.replace(
            pages={key: self._pages[key] for key in chosen if key in self._pages},
            sizes={key: self.sizes[key] for key in chosen if key in self.sizes},
            image_labels={key: self.image_labels[key] for key in chosen if key in self.image_labels},
            unlabeled={key: self.unlabeled[key] for key in chosen if key in self.unlabeled},
            extra={key: self.extra[key] for key in chosen if key in self.extra},
            scores={key: self.scores[key] for key in chosen if key in self.scores},
        )

    def to_pandas(self) -> Any:
        """A DataFrame, a row a box, with source, page, width and height; `from_pandas` reads it."""
        return documents.table(self)

    @classmethod
    def from_pandas(cls, table: Any) -> LabelSet:
        """From a DataFrame with source, x0, y0, x1, y1 and label; page, width, height, score, ignore, shape may be there."""
        return cls(**documents.table_fields(table))

    def to_coco(self) -> dict[str, Any]:
        """A COCO document, shapes as segmentation or keypoints; every page needs its size. `write_labels` writes files."""
        found: dict[str, Any] = documents.plain(documents.coco_document(self))
        return found

    @classmethod
    def from_coco(
        cls, document: Mapping[str, Any] | PathLike, options: ReadOptions | None = None
    ) -> LabelSet:
        """From a COCO document, as `to_coco` gives it, or a file or folder; shapes too, unless `options` say otherwise.

        File names of a document count from the working folder. Raises LabelError where an entry is wrong.
        """
        return documents.coco_labels(document, options)

    def to_geojson(self) -> dict[str, Any]:
        """A GeoJSON FeatureCollection in image pixels, as QuPath takes it."""
        return documents.geojson_document(self)

    @classmethod
    def from_geojson(
        cls, document: Mapping[str, Any] | PathLike, options: ReadOptions | None = None
    ) -> LabelSet:
        """From a GeoJSON document in image pixels, as `to_geojson` gives it, or a file; as `from_coco` otherwise."""
        return documents.geojson_labels(document, options)

    def to_supervision(self) -> dict[PageKey, Any]:
        """Each page as `supervision.Detections`, with scores where they are known."""
        out = {}
        for key, page in self._pages.items():
            out[key] = page.to_supervision(self.sizes.get(key))
            out[key].confidence = self.scores.get(key)
        return out

    @classmethod
    def from_supervision(
        cls, pages: Mapping[PageKey, Any], sizes: Mapping[PageKey, Size] | None = None
    ) -> LabelSet:
        """From `supervision.Detections` of pages, as `to_supervision` gives them; `sizes`: the pages' (width, height)."""
        read, scores = (lambda one, key: Annotations.from_supervision(one)), (lambda one: one.confidence)
        return cls(**documents.pages_of(pages, sizes or {}, read, scores))

    def to_fiftyone(self) -> dict[PageKey, Any]:
        """Each page as `fiftyone.Detections`, with scores where they are known; every page needs its size."""
        return {
            key: interop.to_fiftyone(page, self.size(key), self.scores.get(key))
            for key, page in self._pages.items()
        }

    @classmethod
    def from_fiftyone(cls, pages: Mapping[PageKey, Any], sizes: Mapping[PageKey, Size]) -> LabelSet:
        """From `fiftyone.Detections` of pages, as `to_fiftyone` gives them, and the pages' (width, height)."""
        read = lambda one, key: Annotations.from_fiftyone(one, sizes[key])  # noqa: E731
        return cls(**documents.pages_of(pages, sizes, read, documents.confidences))

    def ignoring(self, names: tuple[str, ...] | list[str]) -> LabelSet:
        """Boxes of these labels become ignore regions; the other boxes stay as they are."""
        wanted = set(names)
        if not wanted:
            return self
        pages, moved = {}, 0
        for key, page in self._pages.items():
            marked = np.array([name in wanted for name in page.names], dtype=np.bool_)
            ignore = page.ignore | marked[page.class_ids] if len(page) else page.ignore
            moved += int((ignore & ~page.ignore).sum())
            pages[key] = page.replaced(ignore=ignore)
        tally = None if self.tally is None else self.tally.changed(boxes=-moved, ignored=moved)
        return self.replace(pages=pages, reading=replace(self.reading, tally=tally))


def renamed(page: Annotations, names: tuple[str, ...]) -> Annotations:
    """The same boxes with ids into `names`, which holds every label they use."""
    if page.names == names:
        return page
    places = {name: place for place, name in enumerate(names)}
    mapping: NDArray[np.int64] = np.array([places.get(name, -1) for name in page.names], dtype=np.int64)
    ids = mapping[page.class_ids] if len(page) else page.class_ids
    return page.replaced(class_ids=ids, names=names)


def _united(pages: Mapping[PageKey, Annotations], names: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    each = {id(page.names): page.names for page in pages.values()}  # mostly one and the same
    distinct = dict.fromkeys([tuple(names), *each.values()])
    return unite(list(distinct))[0]


def _size(key: PageKey, size: Size) -> Size:
    width, height = int(size[0]), int(size[1])
    if width < 1 or height < 1:
        raise InvalidArgument(f"{key}: size {size!r} must be (width, height), both at least 1 px")
    return width, height


def _rectangles(key: PageKey, value: Any) -> NDArray[np.float64]:
    try:
        found = np.array(value, dtype=np.float64).reshape(-1, 4)
    except (TypeError, ValueError, OverflowError) as exc:
        raise LabelError(f"{key}: {REGIONS_KEY!r} must be a list of rectangles [x0, y0, x1, y1]") from exc
    if not len(found) or not np.isfinite(found).all() or (found[:, 2:] <= found[:, :2]).any():
        raise LabelError(f"{key}: {REGIONS_KEY!r} holds a rectangle without area, or none at all")
    return found


def _same(one: Annotations, other: Annotations) -> bool:
    return (
        len(one) == len(other)
        and np.array_equal(one.boxes, other.boxes)
        and np.array_equal(one.ignore, other.ignore)
        and one.labels == other.labels
    )
