"""Truth and predictions of many pages laid flat: one row a box, so that all pages are matched at once."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.boxes.shapes import Shapes
from tilekit.errors import EvaluationError, InvalidArgument
from tilekit.evaluation.recipes import SeenAt, seen_at
from tilekit.labels.prediction_lines import read_predictions
from tilekit.labels.predictions import PageDetections, PredictionSet
from tilekit.pages import PageKey
from tilekit.rekognition.training_note import TrainingNote
from tilekit.scales import words_of

Missing = Literal["error", "empty", "skip"]
Truth = Mapping[PageKey, Annotations]
Region = tuple[float, float, float, float]
Predictions = (
    Mapping[PageKey, Detections]
    | Mapping[PageKey, PageDetections]
    | Sequence[PageDetections]
    | str
    | os.PathLike[str]
)

ANY_LABEL = -1


@dataclass(frozen=True)
class FlatPages:
    """All boxes of all evaluated pages, one row each, sorted by page.

    `names`: labels of truth and predictions united; `pages`: the evaluated pages, truth's keys.
    `truth_*`: boxes that count, (n, 4) float64, with page and label places. `ignore_*`: boxes that
    count neither way; label ANY_LABEL where the region's label is none that anything else carries.
    `boxes`, `scores`, `page`, `label`: predictions, page by page in their own order.
    `cut`: (n,) bool, or None where some page does not say. `notes`: sentences a reader should see.
    `*_shapes`: those beside the boxes. `seen_at`: what the recipes of the predictions say, None where not known.
    `regions`: where the truth says that only parts of pages count, the place of the page and the rectangle of each
    unit that figures are drawn by: a region, or a page that counts whole (None). `truth_unit`, `unit`: of each row
    the place among them, -1 for a prediction beyond all regions. None, all three, where all pages count whole.
    `truth_row`: of each true box the place on its page, among all that the truth has there.
    """

    names: tuple[str, ...]
    pages: tuple[PageKey, ...]
    truth_boxes: NDArray[np.float64]
    truth_page: NDArray[np.int64]
    truth_label: NDArray[np.int64]
    ignore_boxes: NDArray[np.float64]
    ignore_page: NDArray[np.int64]
    ignore_label: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    page: NDArray[np.int64]
    label: NDArray[np.int64]
    cut: NDArray[np.bool_] | None
    notes: tuple[str, ...] = ()
    truth_shapes: Shapes | None = None
    ignore_shapes: Shapes | None = None
    shapes: Shapes | None = None
    seen_at: SeenAt | None = None
    regions: tuple[tuple[int, Region | None], ...] | None = None
    truth_unit: NDArray[np.int64] | None = None
    unit: NDArray[np.int64] | None = None
    training: TrainingNote | None = None
    cut_at: tuple[str, ...] = ()
    truth_row: NDArray[np.int64] | None = None

    @property
    def units(self) -> list[tuple[PageKey, Region | None]]:
        """What figures are drawn by: pages, or regions of them."""
        if self.regions is None:
            return [(key, None) for key in self.pages]
        return [(self.pages[place], region) for place, region in self.regions]

    @property
    def truth_units(self) -> NDArray[np.int64]:
        """(t,) the place of each true box among the units."""
        return self.truth_page if self.truth_unit is None else self.truth_unit

    @property
    def found_units(self) -> NDArray[np.int64]:
        """(n,) the place of each prediction among the units, -1 beyond all."""
        return self.page if self.unit is None else self.unit

    @property
    def outside(self) -> NDArray[np.bool_] | None:
        """(n,) bool: predictions beyond the parts that count, or None where all counts."""
        return None if self.unit is None else self.unit < 0


def flatten(
    truth: Truth, predictions: Predictions, *, missing: Missing = "error", labels: Sequence[str] | None = None
) -> FlatPages:
    """Pair the pages of truth and predictions and lay their boxes flat.

    `missing`: what a page of truth without predictions means: "error", "empty" (its symbols are
    missed) or "skip". `labels` keeps only these labels. Pages are paired by key, what is left over
    by file name where that is unique on both sides. Predicted pages without truth are left out, and
    said. Where the truth is a LabelSet with `regions`, only these parts of their pages count, by the center of a box.
    Raises EvaluationError where no page is common, or sizes of a page differ.
    """
    if missing not in ("error", "empty", "skip"):
        raise InvalidArgument(f"missing={missing!r} is unknown; choose error, empty or skip")
    if not isinstance(truth, Mapping) or not all(isinstance(page, Annotations) for page in truth.values()):
        raise InvalidArgument(
            f"truth={reprlib.repr(truth)} must be a LabelSet or a mapping PageKey -> Annotations; see read_labels"
        )
    found = as_prediction_set(predictions)
    if not truth:
        raise EvaluationError("the truth has no pages; nothing can be evaluated")
    notes: list[str] = []
    pairs = _paired(tuple(truth), tuple(found), notes)
    absent = [key for key in truth if key not in pairs]
    if absent and missing == "error":
        raise EvaluationError(
            f"{len(absent)} of {len(truth)} pages have truth but no predictions, the first is {absent[0]}; "
            "detect on them too, or say missing='empty' (--missing empty: their symbols count as missed) or missing='skip' (--missing skip)"
        )
    if absent:
        verb = "left out" if missing == "skip" else "counted as if nothing was found on them"
        notes.append(f"{len(absent)} pages have truth but no predictions; {verb}")
    keys = tuple(key for key in truth if key in pairs or missing == "empty")
    if not keys:
        raise EvaluationError(
            f"truth ({len(truth)} pages, such as {next(iter(truth))}) and predictions "
            f"({len(found)} pages{_such_as(found)}) have no page in common"
        )
    _check_sizes(truth, found, pairs)
    _check_merged(found, [pairs[key] for key in keys if key in pairs])
    broken = [key for key in keys if key in pairs and not _is_complete(found, pairs[key])]
    if broken:
        notes.append(
            f"{len(broken)} pages are incomplete (tiles failed), the first is {broken[0]}; what is missing there counts as missed"
        )
    return _flat(truth, found, keys, pairs, labels, notes)


def as_prediction_set(predictions: Predictions) -> Mapping[PageKey, Detections]:
    """A mapping PageKey -> Detections from a mapping, page results, or the path of a file."""
    if isinstance(predictions, (str, os.PathLike)):
        return read_predictions(predictions)
    if isinstance(predictions, Mapping):
        if not any(isinstance(page, PageDetections) for page in predictions.values()):
            return cast(Mapping[PageKey, Detections], predictions)
        return PredictionSet(_named(predictions))
    return PredictionSet(predictions)


def _named(predictions: Mapping[PageKey, Any]) -> Iterator[PageDetections]:
    """What detect_tiles gave for each page, under the key it is given."""
    for key, page in predictions.items():
        if not isinstance(page, PageDetections):
            raise InvalidArgument(
                f"predictions[{key}] is a {type(page).__name__}, others are PageDetections; give one kind"
            )
        yield replace(page, key=key)


def acting_labels(
    truth_labels: NDArray[np.int64], ignore: NDArray[np.bool_], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The label each truth acts on as a region: its own, or ANY_LABEL where nothing else carries it.

    `truth_labels`, `ignore` (t,): of all truths; `labels` (p,): of all predictions.
    """
    carried = np.concatenate([labels, truth_labels[~ignore]])
    return np.where(np.isin(truth_labels, carried), truth_labels, ANY_LABEL)


def _seen_at(
    found: Mapping[PageKey, Detections], pairs: dict[PageKey, PageKey], marked: dict[PageKey, Annotations]
) -> SeenAt | None:
    """What the recipes of the predictions say, where every page says its recipe."""
    if not isinstance(found, PredictionSet) or any(key not in pairs for key in marked):
        return None
    return seen_at([found.page(pairs[key]) for key in marked], list(marked.values()))


def _flat(
    truth: Truth,
    found: Mapping[PageKey, Detections],
    keys: tuple[PageKey, ...],
    pairs: dict[PageKey, PageKey],
    labels: Sequence[str] | None,
    notes: list[str],
) -> FlatPages:
    # Long because each column is made once and in an order: the later ones are cut by what the earlier ones say.
    chosen = {key: truth[key] for key in keys}
    marked = list(chosen.values())
    seen_by = _seen_at(found, pairs, chosen)
    given = [found[pairs[key]] if key in pairs else Detections.empty() for key in keys]
    every = Annotations.concat(marked)
    seen = Detections.concat(given)
    places = {name: place for place, name in enumerate(every.names)}
    relabel = np.array([places.setdefault(name, len(places)) for name in seen.names], dtype=np.int64)
    truth_page = np.repeat(np.arange(len(keys)), [len(part) for part in marked])
    page = np.repeat(np.arange(len(keys)), [len(part) for part in given])
    label = relabel[seen.class_ids] if len(seen) else np.empty(0, np.int64)
    units = _units(truth, keys)
    ignore = every.ignore
    truth_unit = unit = None
    if units is not None:
        truth_unit, unit = _unit_of(units, truth_page, every.boxes), _unit_of(units, page, seen.boxes)
        ignore = ignore | (truth_unit < 0)
        parts = sum(region is not None for _, region in units)
        of = len({place for place, region in units if region is not None})
        notes.append(f"only {parts} regions of {of} pages count; figures are drawn by region")
    counted = ~ignore
    ignore_label = acting_labels(every.class_ids, ignore, label)
    keep_truth, keep_found, names, remap = _selection(tuple(places), labels, every, label)
    if len(keep_found) and remap is not None:
        label = remap[label]
    truth_label = every.class_ids if remap is None else remap[every.class_ids]
    if remap is not None:
        ignore_label = np.where(ignore_label < 0, ANY_LABEL, remap[np.maximum(ignore_label, 0)])
    counted &= keep_truth
    ignored = ignore & (keep_truth | (ignore_label == ANY_LABEL))
    unknown = sorted(set(label[keep_found].tolist()) - set(truth_label[counted].tolist()))
    if unknown:
        listed = ", ".join(repr(names[place]) for place in unknown[:5])
        notes.append(f"predicted labels that no true box carries count as false alarms: {listed}")
    return FlatPages(
        names,
        keys,
        every.boxes[counted],
        truth_page[counted],
        truth_label[counted],
        every.boxes[ignored],
        truth_page[ignored],
        ignore_label[ignored],
        seen.boxes[keep_found],
        seen.scores[keep_found],
        page[keep_found],
        label[keep_found],
        None if seen.cut is None else seen.cut[keep_found],
        tuple(notes),
        None if every.shapes is None else every.shapes[counted],
        None if every.shapes is None else every.shapes[ignored],
        None if seen.shapes is None else seen.shapes[keep_found],
        _kept(seen_by, counted, keep_found),
        units,
        None if truth_unit is None else truth_unit[counted],
        None if unit is None else unit[keep_found],
        found.training if isinstance(found, PredictionSet) else None,
        tuple(map(words_of, found.tilings)) if isinstance(found, PredictionSet) else (),
        (np.arange(len(every)) - np.searchsorted(truth_page, truth_page))[counted],
    )


def _kept(seen: SeenAt | None, truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> SeenAt | None:
    if seen is None:
        return None
    return replace(
        seen,
        margins=seen.margins[truth],
        trained=seen.trained[truth],
        truth_scale=None if seen.truth_scale is None else seen.truth_scale[truth],
        found_scale=None if seen.found_scale is None else seen.found_scale[found],
    )


def _units(truth: Truth, keys: tuple[PageKey, ...]) -> tuple[tuple[int, Region | None], ...] | None:
    """The place of the page and the region of each unit, or None where all pages count whole."""
    regions: Mapping[PageKey, NDArray[np.float64]] = getattr(truth, "regions", {})
    if not any(key in regions for key in keys):
        return None
    units: list[tuple[int, Region | None]] = []
    for place, key in enumerate(keys):
        for x0, y0, x1, y1 in regions[key].tolist() if key in regions else ():
            units.append((place, (x0, y0, x1, y1)))
        if key not in regions:
            units.append((place, None))
    return tuple(units)


def _unit_of(
    units: tuple[tuple[int, Region | None], ...], page: NDArray[np.int64], boxes: NDArray[np.float64]
) -> NDArray[np.int64]:
    """(n,) the unit that holds the center of each box, -1 for none."""
    found = np.full(len(boxes), -1, np.int64)
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    starts = np.searchsorted(page, np.arange(units[-1][0] + 2))  # rows are sorted by page
    for number, (place, region) in enumerate(units):
        rows = np.arange(starts[place], starts[place + 1])
        if region is not None:
            x0, y0, x1, y1 = region
            rows = rows[(x[rows] >= x0) & (x[rows] < x1) & (y[rows] >= y0) & (y[rows] < y1)]
        found[rows] = number
    return found


def _selection(
    names: tuple[str, ...], labels: Sequence[str] | None, every: Annotations, label: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], tuple[str, ...], NDArray[np.int64] | None]:
    """Masks of rows whose label is asked for, the labels then, and the map old place -> new place."""
    if labels is None:
        return np.ones(len(every), np.bool_), np.ones(len(label), np.bool_), names, None
    unknown = [name for name in labels if name not in names]
    if unknown:
        raise EvaluationError(
            f"label {unknown[0]!r} is in neither truth nor predictions; known are {', '.join(names)}"
        )
    remap = np.full(max(1, len(names)), -2, dtype=np.int64)
    chosen = tuple(dict.fromkeys(labels))
    for place, name in enumerate(chosen):
        remap[names.index(name)] = place
    return remap[every.class_ids] >= 0, remap[label] >= 0, chosen, remap


def _paired(
    truth: tuple[PageKey, ...], found: tuple[PageKey, ...], notes: list[str]
) -> dict[PageKey, PageKey]:
    """Truth key -> predictions key: by equality, then what is left by unique file name and page."""
    known = set(found)
    pairs = {key: key for key in truth if key in known}
    left = [key for key in found if key not in pairs]
    waiting = [key for key in truth if key not in pairs]
    if left and waiting:
        here, there = _by_name(waiting), _by_name(left)
        close = {
            key: there[name] for name, key in here.items() if key is not None and there.get(name) is not None
        }
        matched = {key: other for key, other in close.items() if other is not None}
        pairs.update(matched)
        if matched:
            notes.append(f"{len(matched)} pages were paired by file name, since their folders differ")
        taken = set(matched.values())
        left = [key for key in left if key not in taken]
    if left and pairs:
        notes.append(f"{len(left)} predicted pages have no truth and are left out, the first is {left[0]}")
    return pairs


def _by_name(keys: Sequence[PageKey]) -> dict[tuple[str, int], PageKey | None]:
    """File name and page -> key; None where two keys share them."""
    names: dict[tuple[str, int], PageKey | None] = {}
    for key in keys:
        name = (PurePosixPath(key.source.replace("\\", "/")).name, key.page)
        names[name] = None if name in names else key
    return names


def _check_sizes(truth: Truth, found: Mapping[PageKey, Detections], pairs: dict[PageKey, PageKey]) -> None:
    ours: dict[PageKey, Any] = dict(getattr(truth, "sizes", {}))
    theirs: dict[PageKey, Any] = dict(getattr(found, "sizes", {}))
    for key, other in pairs.items():
        one, two = ours.get(key), theirs.get(other)
        if one is not None and two is not None and tuple(one[:2]) != tuple(two[:2]):
            raise EvaluationError(
                f"{key}: the truth was drawn on {one[0]} x {one[1]} px, the predictions are on "
                f"{two[0]} x {two[1]} px; open the scan the same way (dpi) for both"
            )


def _check_merged(found: Mapping[PageKey, Detections], keys: Sequence[PageKey]) -> None:
    apart = isinstance(found, PredictionSet) and next(
        (key for key in keys if found.page(key).options.get("merged") is False), None
    )
    if apart:
        raise EvaluationError(
            f"the predictions of {apart} are those of its tiles, not merged (a file of --keep-tiles); "
            "evaluate what `detect --out` wrote, or give the file to tune-merge"
        )


def _is_complete(found: Mapping[PageKey, Detections], key: PageKey) -> bool:
    return not isinstance(found, PredictionSet) or found.page(key).complete


def _such_as(found: Mapping[PageKey, Detections]) -> str:
    return f", such as {next(iter(found))}" if found else ""
