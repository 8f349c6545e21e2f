"""Every page's boxes with what each one is: hit, false alarm, missed, ignored."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.shapes import Shapes
from tilekit.evaluation.matching import find_overlaps, match_pages
from tilekit.evaluation.pages import FlatPages, Missing, Predictions, Truth, flatten
from tilekit.evaluation.result import Evaluation
from tilekit.pages import PageKey


@dataclass(frozen=True, eq=False)
class RunBoxes:
    """One page's predictions of one run.

    `boxes` (n, 4) float64, `labels` (n,) places in the report's names, `scores` (n,); `match` (n,):
    place of the true box among the page's that count, -1 false alarm, -2 in an ignore region; `scale` (n,): which of the
    run's scales found it, where there are several; `shapes`: beside the boxes.
    """

    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    match: NDArray[np.int64]
    scale: NDArray[np.int64] | None = None
    shapes: Shapes | None = None


@dataclass(frozen=True, eq=False)
class PageBoxes:
    """One page: its true boxes that count, those to ignore, and each run's predictions."""

    key: PageKey
    truth: Annotations
    ignored: Annotations
    runs: tuple[RunBoxes, ...]


@dataclass(frozen=True, eq=False)
class Matches:
    """All pages in the truth's order; `names`: labels united; `thresholds`: run -> one a name.

    `titles`: what each page is called for people, without the folder that all pages share. `scales`: run -> the
    scales it was cut at in words, finest first; none for one.
    """

    names: tuple[str, ...]
    pages: tuple[PageBoxes, ...]
    thresholds: tuple[tuple[float, ...], ...]
    titles: tuple[str, ...]
    scales: tuple[tuple[str, ...], ...]


def match_runs(
    truth: Truth, runs: dict[str, Predictions], evaluations: dict[str, Evaluation], missing: Missing = "error"
) -> Matches:
    """What every run found, as its evaluation counted it."""
    flats = [_flat(truth, run, evaluations[name], missing) for name, run in runs.items()]
    places: dict[str, int] = {}
    for flat in flats:
        for name in flat.names:
            places.setdefault(name, len(places))
    names = tuple(places)
    keys = flats[0].pages if flats else tuple(truth)
    counted = _counted(truth, keys, flats)
    parts = [
        _run_boxes(flat, evaluations[name], places, counted) for name, flat in zip(runs, flats, strict=True)
    ]
    pages = tuple(
        PageBoxes(
            key,
            _named(truth[key][counted[key]], names),
            _named(truth[key][~counted[key]], names),
            tuple(part[key] for part in parts),
        )
        for key in keys
    )
    thresholds = tuple(tuple(evaluations[run].thresholds.get(name, 0.5) for name in names) for run in runs)
    scales = tuple(() if flat.seen_at is None else flat.seen_at.scales for flat in flats)
    return Matches(names, pages, thresholds, _titles(keys), scales)


def _flat(truth: Truth, run: Predictions, evaluation: Evaluation, missing: Missing) -> FlatPages:
    """The boxes that the evaluation looked at: all, or those of the labels that it was asked for."""
    flat = flatten(truth, run, missing=missing)
    asked = [name for name in flat.names if name in evaluation.curves]
    return flat if len(asked) in (0, len(flat.names)) else flatten(truth, run, missing=missing, labels=asked)


def _counted(
    truth: Truth, keys: Sequence[PageKey], flats: Sequence[FlatPages]
) -> dict[PageKey, NDArray[Any]]:
    """Of each page's true boxes, those that count in any run: not ignored, in a part of the page that counts."""
    counted = {key: np.zeros(len(truth[key]), np.bool_) for key in keys}
    for flat in flats:
        assert flat.truth_row is not None
        for key, rows in zip(flat.pages, _by_page(flat.truth_row, flat.truth_page, flat), strict=True):
            counted[key][rows] = True
    return counted


def _by_page(column: NDArray[Any], page: NDArray[np.int64], flat: FlatPages) -> list[NDArray[Any]]:
    return np.split(column, np.searchsorted(page, np.arange(1, len(flat.pages))))


def _run_boxes(
    flat: FlatPages,
    evaluation: Evaluation,
    places: Mapping[str, int],
    counted: Mapping[PageKey, NDArray[Any]],
) -> dict[PageKey, RunBoxes]:
    """One run's predictions, page by page."""
    assert flat.truth_row is not None
    matched = match_pages(flat, find_overlaps(flat, evaluation.by), evaluation.iou)
    shown = [
        np.cumsum(counted[key]) - 1 for key in flat.pages
    ]  # the place of each true box among those shown
    place_of = np.concatenate(
        [shown[page][rows] for page, rows in enumerate(_by_page(flat.truth_row, flat.truth_page, flat))]
    )
    local = np.where(matched >= 0, place_of[np.maximum(matched, 0)], matched) if len(place_of) else matched
    to_names = np.array([places[name] for name in flat.names] or [0], dtype=np.int64)
    scale = None if flat.seen_at is None else flat.seen_at.found_scale
    return {
        key: RunBoxes(
            flat.boxes[rows],
            to_names[flat.label[rows]],
            flat.scores[rows],
            local[rows],
            None if scale is None else scale[rows],
            None if flat.shapes is None else flat.shapes[rows],
        )
        for key, rows in zip(flat.pages, _by_page(np.arange(len(flat.page)), flat.page, flat), strict=True)
    }


def _titles(keys: Sequence[PageKey]) -> tuple[str, ...]:
    folders = {os.path.dirname(key.source) for key in keys}
    try:
        shared = os.path.commonpath(folders) if folders and "" not in folders else ""
    except ValueError:  # absolute and relative paths mixed
        shared = ""
    return tuple(str(key).removeprefix(shared).lstrip("/") if shared else str(key) for key in keys)


def _named(page: Annotations, names: tuple[str, ...]) -> Annotations:
    """The same boxes with ids into `names`; a label that counts nowhere is put at the end."""
    wanted = (*names, *(name for name in page.names if name not in names))
    to_names = np.array([wanted.index(name) for name in page.names], dtype=np.int64)
    ids = to_names[page.class_ids] if len(page) else page.class_ids
    return page.replaced(class_ids=ids, names=wanted)


def page_json(page: PageBoxes, names: tuple[str, ...]) -> dict[str, Any]:
    """The boxes as the viewer reads them: truth [x0, y0, x1, y1, label, ignore], runs with match; where a row has a
    shape its outline comes last: rings of x, y, x, y (keypoints: rings of one point).
    """
    truth = _with([[*box, int(label), 0] for box, label in _rounded(page.truth)], page.truth.shapes)
    ignored = _with(
        [[*box, min(int(label), len(names) - 1), 1] for box, label in _rounded(page.ignored)],
        page.ignored.shapes,
    )
    runs = [
        _with(
            [
                [*(round(float(v), 2) for v in box), int(label), float(score), int(match), *scale]
                for box, label, score, match, scale in zip(
                    run.boxes, run.labels, run.scores, run.match, _scales(run), strict=True
                )
            ],
            run.shapes,
        )
        for run in page.runs
    ]
    return {"truth": truth + ignored, "runs": runs}


def _rounded(page: Annotations) -> list[tuple[list[float], int]]:
    return [
        ([round(float(v), 2) for v in box], int(label))
        for box, label in zip(page.boxes, page.class_ids, strict=True)
    ]


def _with(rows: list[list[Any]], shapes: Shapes | None) -> list[list[Any]]:
    """The rows, each with the outline of its shape at the end where it has one."""
    if shapes is None or not len(rows):
        return rows
    if shapes.kind == "keypoints":
        outlines = [
            [] if row is None else [point[:2] for point in row["keypoints"] if point[2]]
            for row in shapes.to_json()
        ]
    else:
        outlines = [
            [] if row is None else [[value for point in ring for value in point] for ring in row["polygon"]]
            for row in shapes.to_polygons().to_json()
        ]
    return [
        [*row, [[round(value, 1) for value in ring] for ring in rings]] if rings else row
        for row, rings in zip(rows, outlines, strict=True)
    ]


def _scales(run: RunBoxes) -> list[list[int]]:
    """What stands after the match: the scale of each box, or nothing."""
    return [[]] * len(run.boxes) if run.scale is None else [[scale] for scale in run.scale.tolist()]
