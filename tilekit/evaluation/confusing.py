"""Which label was taken for which: the confusion matrix."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilekit.evaluation.matching import FREE, By, Criterion, find_overlaps, match_pages
from tilekit.evaluation.pages import FlatPages


def confusion(
    flat: FlatPages, matched: NDArray[np.int64], kept: NDArray[np.bool_], criterion: Criterion, by: By
) -> NDArray[np.int64]:
    """(labels + 1, labels + 1) int64: truth down, predictions across; the last row false alarms, the last column misses.

    Hits are those of the evaluation. What they leave on both sides is matched again whatever its label: those pairs are
    mistaken for each other.
    """
    size = len(flat.names) + 1
    hits = np.flatnonzero(kept & (matched >= 0))
    free = np.ones(len(flat.truth_boxes), np.bool_)
    free[matched[hits]] = False
    rows, truths = np.flatnonzero(kept & (matched == FREE)), np.flatnonzero(free)
    rest = replace(
        flat,
        truth_boxes=flat.truth_boxes[truths],
        truth_page=flat.truth_page[truths],
        truth_label=np.zeros(len(truths), np.int64),
        ignore_boxes=flat.ignore_boxes[:0],
        ignore_page=flat.ignore_page[:0],
        ignore_label=flat.ignore_label[:0],
        boxes=flat.boxes[rows],
        scores=flat.scores[rows],
        page=flat.page[rows],
        label=np.zeros(len(rows), np.int64),
        truth_shapes=None if flat.truth_shapes is None else flat.truth_shapes[truths],
        shapes=None if flat.shapes is None else flat.shapes[rows],
        ignore_shapes=None,
        regions=None,
        truth_unit=None,
        unit=None,
    )
    again = match_pages(rest, find_overlaps(rest, by), criterion)
    truth = np.append(flat.truth_label, size - 1)
    of_row = np.full(len(flat.boxes), -1, np.int64)
    of_row[hits] = matched[hits]
    taken = again >= 0
    of_row[rows[taken]] = truths[again[taken]]
    out = np.zeros((size, size), np.int64)
    counted = np.concatenate([hits, rows])
    np.add.at(out, (truth[of_row[counted]], flat.label[counted]), 1)
    missed = np.setdiff1d(truths, truths[again[taken]])
    out[:, -1] += np.bincount(flat.truth_label[missed], minlength=size)
    return out
