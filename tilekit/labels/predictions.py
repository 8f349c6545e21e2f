"""Predictions: what a detector found on pages, in memory; `prediction_lines` has them as a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument
from tilekit.grid import Tiling, Window
from tilekit.labels.label_set import LabelSet
from tilekit.labels.options import ReadOptions
from tilekit.labels.sources import PathLike
from tilekit.pages import PageKey
from tilekit.rekognition.training_note import TrainingNote, least_trained


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
    (see `ScansOptions.shaping`). `training`: how the model's training ended, where it says so.
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
        if found.tile_index is not None and self.options.get("merged") is False:
            for row, tile in zip(rows, found.tile_index.tolist(), strict=True):
                row["tile"] = tile
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

    def to_fiftyone(self) -> Any:
        """As `fiftyone.Detections`; shapes stay behind."""
        return self.detections.to_fiftyone((self.width, self.height))

    def to_pandas(self) -> Any:
        """As a DataFrame, a row a box, with source, page, width and height."""
        return PredictionSet([self]).to_pandas()

    def to_coco(self) -> dict[str, Any]:
        """A COCO document of this page, with scores."""
        return PredictionSet([self]).to_coco()

    def to_geojson(self) -> dict[str, Any]:
        """A GeoJSON FeatureCollection in image pixels, as QuPath takes it."""
        return PredictionSet([self]).to_geojson()

    @classmethod
    def from_supervision(cls, found: Any, key: PageKey, size: tuple[int, int]) -> Self:
        """From the `supervision.Detections` of a page and its (width, height)."""
        return cls(key, *size, Detections.from_supervision(found))

    @classmethod
    def from_fiftyone(cls, found: Any, key: PageKey, size: tuple[int, int]) -> Self:
        """From the `fiftyone.Detections` of a page and its (width, height)."""
        return cls(key, *size, Detections.from_fiftyone(found, size))

    @classmethod
    def from_pandas(cls, table: Any) -> Self:
        """From a DataFrame of one page, as `to_pandas` gives it."""
        return cls._only(PredictionSet.from_pandas(table))

    @classmethod
    def from_coco(cls, document: Mapping[str, Any] | PathLike, options: ReadOptions | None = None) -> Self:
        """From a COCO document of one page, with scores, as `to_coco` gives it, or a file."""
        return cls._only(PredictionSet.from_coco(document, options))

    @classmethod
    def from_geojson(cls, document: Mapping[str, Any] | PathLike, options: ReadOptions | None = None) -> Self:
        """From a GeoJSON document of one page, with scores, as `to_geojson` gives it, or a file."""
        return cls._only(PredictionSet.from_geojson(document, options))

    @classmethod
    def _only(cls, found: PredictionSet) -> Self:
        if len(found) != 1:
            raise InvalidArgument(f"holds {len(found)} pages, not one; use PredictionSet for several")
        (page,) = found.pages()
        return cls(page.key, page.width, page.height, page.detections)

    def plot(
        self,
        *,
        window: tuple[float, float, float, float] | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> Any:
        """The page with what was found on it, as a matplotlib figure; `window`: only this part of it."""
        from tilekit.labels.showing import plot_page

        return plot_page(self.key, (self.width, self.height), self.detections, window, path)

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

    @classmethod
    def from_supervision(cls, pages: Mapping[PageKey, Any], sizes: Mapping[PageKey, tuple[int, int]]) -> Self:
        """From `supervision.Detections` of pages, as `to_supervision` gives them, and the pages' (width, height)."""
        return cls(
            PageDetections(key, *sizes[key], Detections.from_supervision(found))
            for key, found in pages.items()
        )

    def to_fiftyone(self) -> dict[PageKey, Any]:
        """Each page as `fiftyone.Detections`, for the samples of a FiftyOne data set; shapes stay behind."""
        return {key: page.to_fiftyone() for key, page in self._pages.items()}

    @classmethod
    def from_fiftyone(cls, pages: Mapping[PageKey, Any], sizes: Mapping[PageKey, tuple[int, int]]) -> Self:
        """From `fiftyone.Detections` of pages, as `to_fiftyone` gives them, and the pages' (width, height)."""
        return cls(
            PageDetections(key, *sizes[key], Detections.from_fiftyone(found, sizes[key]))
            for key, found in pages.items()
        )

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
    def from_coco(cls, document: Mapping[str, Any] | PathLike, options: ReadOptions | None = None) -> Self:
        """From a COCO document with scores, as `to_coco` gives it, or a file or folder; shapes too."""
        return cls.from_labels(LabelSet.from_coco(document, options))

    @classmethod
    def from_geojson(cls, document: Mapping[str, Any] | PathLike, options: ReadOptions | None = None) -> Self:
        """From a GeoJSON document with scores and sizes, as `to_geojson` gives it, or a file; shapes too."""
        return cls.from_labels(LabelSet.from_geojson(document, options))

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
