"""What is done with merged boxes of a page: scales united, decoys and weak boxes dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.detections import Detections
from tilekit.boxes.merging import MergePolicy
from tilekit.boxes.overlap import pairs
from tilekit.boxes.suppression import nms
from tilekit.grid import TileGrid
from tilekit.rekognition.belonging import Look, SizeRule, WeightRule, fitting, size_of, weights
from tilekit.scales import Taught


def unite_scales(
    found: Mapping[int, Detections],
    grids: Mapping[int, TileGrid],
    policy: MergePolicy,
    rule: SizeRule | None = None,
    taught: Sequence[Taught] = (),
    weighing: WeightRule | None = None,
) -> Detections:
    """One box per object from what every scale of one page found (base pixels), finest scale first.

    One scale is given back as it is. Of several, a box is *sure* where no tile cuts it and it has a size
    of its scale (`SizeRule`). The finer of two sure boxes wins, a sure one before others, the
    better score within a scale; IoU decides. A box that is not sure also goes where a kept one of its
    label covers most of it, or it most of a kept one. The winner takes the best score of those it replaces.
    Boxes of other labels never suppress each other, unless `policy.class_agnostic`, and then by IoU
    alone: what lies inside another object stays. `tile_index` of the result is the place of the scale.

    `taught`: what was taught on every scale that `found` may name a place of (`Scales.taught`). A find of a label that
    other scales of the page were taught, and this one not, or of a size far from those taught, counts less
    (`WeightRule`) and is not sure; the former comes after all others, so that it never costs a find on its own scale.
    """
    places = sorted(found)
    if len(places) == 1:
        return found[places[0]]
    every = Detections.concat([found[place] for place in places])
    column = np.repeat(np.arange(len(places)), [len(found[place]) for place in places])
    cut = np.zeros(len(every), np.bool_) if every.cut is None else every.cut
    fits = fitting([Look.on(every.boxes, grids[place]) for place in places], rule or SizeRule())
    sure = ~cut & fits[np.arange(len(every)), column]
    level = np.where(cut, 1, 2)
    if taught:
        counted = weights(
            size_of(every.boxes),
            every.class_ids,
            column,
            every.names,
            [taught[place] for place in places],
            weighing or WeightRule(),
        )
        every = every.replaced(scores=every.scores * counted.weight)
        sure &= counted.weight == 1
        level[counted.foreign] = 0
    finer = len(places) - 1 - column
    top = max(1.0, float(every.scores.max(initial=0)))
    rank = np.where(sure, 3, level) * len(places) + np.where(cut, 0, finer)
    priority = (rank + 0.5 * every.scores / top) / (4 * len(places))
    kept = _kept(every, priority, sure, policy)
    scores = _best_scores(every, kept, policy.threshold)
    scale = np.array(places, np.int64)[column]
    return Detections(
        every.boxes[kept], scores[kept], every.class_ids[kept], every.names, scale[kept], cut[kept]
    )


def _kept(
    every: Detections, priority: NDArray[np.float64], sure: NDArray[np.bool_], policy: MergePolicy
) -> NDArray[np.bool_]:
    """(n,) what stays: the first by priority of those that share much; what is not sure and is covered goes too."""
    labels = None if policy.class_agnostic else every.class_ids
    kept = _mask(nms(every.boxes, priority, labels, threshold=policy.threshold), len(every))
    rows = np.flatnonzero(kept)
    own, first, same = every.boxes[rows], priority[rows], every.class_ids[rows]
    alone = _mask(nms(own, first, same, threshold=policy.threshold, metric="ios"), len(rows))
    kept[rows[~sure[rows] & ~alone]] = False
    return kept


def _best_scores(every: Detections, kept: NDArray[np.bool_], threshold: float) -> NDArray[np.float64]:
    """Scores, a kept box with the best of its own label that it shares more than `threshold` with."""
    scores = every.scores.copy()
    one, other, _ = pairs(every.boxes, threshold=threshold)
    same = every.class_ids[one] == every.class_ids[other]
    for winner, loser in ((one, other), (other, one)):
        taken = same & kept[winner] & ~kept[loser]
        np.maximum.at(scores, winner[taken], every.scores[loser[taken]])
    return scores


def drop_decoys(found: Detections, decoys: Sequence[str], threshold: float) -> Detections:
    """Without the boxes of decoy labels, and without what a better decoy box covers (IoU > threshold)."""
    drop = {name for name in decoys if name in found.names}
    if not drop:
        return found
    is_decoy = np.array([name in drop for name in found.names])[found.class_ids]
    keep = ~is_decoy
    if is_decoy.any():
        for label in np.unique(found.class_ids[keep]):
            rows = np.flatnonzero(is_decoy | (found.class_ids == label))
            kept = _mask(nms(found.boxes[rows], found.scores[rows], threshold=threshold), len(rows))
            keep[rows[~kept & ~is_decoy[rows]]] = False
    return select(found, keep, [name for name in found.names if name not in drop])


def select(found: Detections, keep: NDArray[np.bool_], names: Sequence[str]) -> Detections:
    """Rows of a mask, under fewer names."""
    rows = found[keep]
    places = np.array([names.index(name) if name in names else 0 for name in found.names] or [0])
    return rows.replaced(class_ids=places[rows.class_ids], names=tuple(names))


def _mask(kept: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    mask = np.zeros(count, np.bool_)
    mask[kept] = True
    return mask
