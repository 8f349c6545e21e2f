"""evaluate: predictions against truth, per label and overall, at page level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument
from tilekit.evaluation.confusing import confusion
from tilekit.evaluation.grouping import by_border, by_cut, by_scale, count_sizes, table
from tilekit.evaluation.matching import FREE, IGNORED, Criterion, Overlaps, find_overlaps, match_pages
from tilekit.evaluation.metrics import Counts, average_precision, curve, mean
from tilekit.evaluation.pages import FlatPages, Predictions, Truth, flatten
from tilekit.evaluation.result import Counting, Evaluation, LabelResult, PageCounts, Side
from tilekit.evaluation.rules import EvaluationRules
from tilekit.labels.thresholds import Thresholds, check_thresholds, threshold_of
from tilekit.verdicts.recall import Expected, by_label


def evaluate(
    truth: Truth,
    predictions: Predictions,
    iou: Criterion = 0.5,
    *,
    fit: tuple[Truth, Predictions] | None = None,
    thresholds: Thresholds | None = None,
    rules: EvaluationRules | None = None,
    name: str = "",
) -> Evaluation:
    """Predictions against truth: per label and overall, counts, precision, recall, F1, AP, curves.

    `truth`: LabelSet, or any mapping PageKey -> Annotations. `predictions`: PredictionSet, mapping,
    page results, or the path of a detections.jsonl. `iou`: overlap that makes a hit, or "center".
    Thresholds are, in this order: `thresholds` (one number, or label -> number), those fitted on
    `fit=(truth, predictions)` of other pages (as `fit_thresholds` does), or else the best F1 of each label on these very pages,
    as the service does it (flatters; the result says which). A label for which none of these gives
    a threshold (no true box, no hit) uses 0.5.
    `rules`: boxes or shapes, which labels, missing pages, groups; see EvaluationRules.

    Greedy match by score per page and label, one true box once. Boxes marked `ignore` count neither
    way; where the truth has `regions` (a dataset split by region), only these count. Raises EvaluationError where pages or sizes do not fit, InvalidArgument for wrong values.
    Memory: all boxes, plus one bounded chunk of pairs.
    """
    # Long because an evaluation is all of its parts, each a line made once from what stands above it.
    _check_criterion(iou)
    rules = rules or EvaluationRules()
    if fit is not None and thresholds is not None:
        raise InvalidArgument("fit= and thresholds= both set the thresholds; give one of them")
    flat = flatten(truth, predictions, missing=rules.missing, labels=rules.labels)
    source, known = "assumed: best F1 on these same pages", None
    if fit is not None:
        source, known = _fitted(fit, iou, rules, flat)
    elif thresholds is not None:
        source, known = "given", check_thresholds(thresholds)
    overlaps = find_overlaps(flat, rules.by)
    matched = match_pages(flat, overlaps, iou)
    parts = _rows_by_label(flat, matched)
    curves = {
        label: curve(flat.scores[rows], matched[rows] != FREE, truths)
        for label, (rows, truths) in parts.items()
    }
    assumed = {label: None if line.best is None else line.best[0] for label, line in curves.items()}
    used = {label: threshold_of(_given(assumed) if known is None else known, label) for label in flat.names}
    floors = np.array(list(used.values()) or [0.0])
    kept = flat.scores >= floors[flat.label]
    results = [
        LabelResult(
            label,
            counts,
            truths,
            used[label],
            assumed[label],
            average_precision(flat.scores[rows], matched[rows] != FREE, truths),
        )
        for counts, (label, (rows, truths)) in zip(
            _counts_by(flat, matched, kept), parts.items(), strict=True
        )
    ]
    pages = _page_counts(flat, matched, kept)
    return Evaluation(
        name=name,
        iou=iou,
        threshold_source=source,
        labels=tuple(results),
        sides=_sides(flat, overlaps, kept, iou, results),
        curves=curves,
        pages=tuple(key for key, _ in flat.units),
        page_counts=pages,
        counting=_counting(pages),
        sizes=count_sizes(flat, matched, kept, tuple(rules.size_edges)),
        by_cut=by_cut(flat, matched, kept),
        by_border=by_border(flat, matched, kept, tuple(rules.border_edges)),
        by_scale=by_scale(flat, matched, kept, tuple(rules.size_edges)),
        confusion=confusion(flat, matched, kept, iou, rules.by),
        by=rules.by,
        ignored=int(np.count_nonzero((matched == IGNORED) & kept & ~_outside(flat))),
        notes=flat.notes,
        regions=None if flat.regions is None else tuple(region for _, region in flat.regions),
        training=flat.training,
        cut_at=flat.cut_at,
        expected=_expected(flat),
    )


def _fitted(
    fit: tuple[Truth, Predictions], iou: Criterion, rules: EvaluationRules, flat: FlatPages
) -> tuple[str, Thresholds]:
    """Where thresholds fitted on other pages come from, in words, and they."""
    found = evaluate(fit[0], fit[1], iou, rules=replace(rules, labels=None))
    thresholds = _given({label: line.middle for label, line in found.curves.items()})
    shared = len(set(found.units) & set(flat.units))
    if shared:
        return f"fitted on {len(found.pages)} pages, {shared} of them among these", thresholds
    return f"fitted on {len(found.pages)} other pages", thresholds


def _expected(flat: FlatPages) -> dict[str, Expected]:
    """The recall to expect of each label by its px as trained on, where the recipe is known."""
    return {} if flat.seen_at is None else by_label(flat.seen_at.trained, flat.truth_label, flat.names)


def _outside(flat: FlatPages) -> NDArray[np.bool_]:
    return np.zeros(len(flat.boxes), np.bool_) if flat.outside is None else flat.outside


def _rows_by_label(flat: FlatPages, matched: NDArray[np.int64]) -> dict[str, tuple[NDArray[np.int64], int]]:
    """Label -> (rows of the predictions that count, number of true boxes)."""
    truths = np.bincount(flat.truth_label, minlength=len(flat.names))
    order = np.argsort(flat.label, kind="stable")
    order = order[matched[order] != IGNORED]
    bounds = np.searchsorted(flat.label[order], np.arange(len(flat.names) + 1))
    return {
        label: (order[bounds[place] : bounds[place + 1]], int(truths[place]))
        for place, label in enumerate(flat.names)
    }


def _given(values: dict[str, float | None]) -> dict[str, float]:
    return {label: value for label, value in values.items() if value is not None}


def _counts_by(flat: FlatPages, matched: NDArray[np.int64], kept: NDArray[np.bool_]) -> list[Counts]:
    size = len(flat.names)
    tp = np.bincount(flat.label[kept & (matched >= 0)], minlength=size)
    fp = np.bincount(flat.label[kept & (matched == FREE)], minlength=size)
    truths = np.bincount(flat.truth_label, minlength=size)
    return [
        Counts(int(hit), int(wrong), int(there - hit))
        for hit, wrong, there in zip(tp, fp, truths, strict=True)
    ]


def _sides(
    flat: FlatPages,
    overlaps: Overlaps,
    kept: NDArray[np.bool_],
    iou: Criterion,
    results: Sequence[LabelResult],
) -> tuple[Side, ...]:
    """The same thresholds under the other criteria, side by side."""
    criteria = list(dict.fromkeys([iou, 0.5, 0.3, "center"]))
    sides = []
    for criterion in criteria:
        if criterion == iou:
            counts = [result.counts for result in results]
        else:
            counts = _counts_by(flat, match_pages(flat, overlaps, criterion), kept)
        macro = [part for part, result in zip(counts, results, strict=True) if result.truths]
        micro = Counts(sum(c.tp for c in counts), sum(c.fp for c in counts), sum(c.fn for c in counts))
        sides.append(
            Side(
                criterion,
                mean(part.precision for part in macro),
                mean(part.recall for part in macro),
                mean(part.f1 for part in macro),
                micro,
            )
        )
    return tuple(sides)


def _page_counts(flat: FlatPages, matched: NDArray[np.int64], kept: NDArray[np.bool_]) -> PageCounts:
    shape = (len(flat.units), len(flat.names))
    hit, wrong = kept & (matched >= 0), kept & (matched == FREE)
    tp = table(
        flat.truth_units[matched[hit]], flat.label[hit], shape
    )  # where the object is, not what found it
    fp = table(flat.found_units[wrong], flat.label[wrong], shape)
    return PageCounts(tp, fp, table(flat.truth_units, flat.truth_label, shape) - tp)


def _counting(pages: PageCounts) -> Counting:
    there = (pages.tp + pages.fn).sum(axis=1)
    error = (pages.tp + pages.fp).sum(axis=1) - there
    bare = there == 0
    return Counting(
        pages=len(there),
        truths=int(there.sum()),
        found=int((there + error).sum()),
        mean_absolute=float(np.abs(error).mean()),
        mean_signed=float(error.mean()),
        exact_pages=int(np.count_nonzero(error == 0)),
        bare_pages=int(np.count_nonzero(bare)),
        bare_false_alarms=int(pages.fp[bare].sum()),
    )


def _check_criterion(iou: Any) -> None:
    if iou == "center":
        return
    if isinstance(iou, bool) or not isinstance(iou, (int, float)) or not 0 < iou <= 1:
        raise InvalidArgument(f"iou={iou!r} must be a number above 0 and up to 1, or 'center'")
