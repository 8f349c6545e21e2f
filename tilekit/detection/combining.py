"""What is done with merged boxes of a page: passes united, decoys and weak boxes dropped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.detections import Detections
from tilekit.boxes.merging import MergePolicy
from tilekit.boxes.suppression import nms


def unite_passes(passes: Sequence[Detections], policy: MergePolicy) -> Detections:
    """One box per object from several passes over one page (base pixels), in order of passes.

    As in merging: whole boxes win over cut ones, IoU decides, and a cut box also goes where it lies
    in a better one. One pass is given back as it is; of several, `tile_index` means nothing and is dropped.
    """
    if len(passes) == 1:
        return passes[0]
    every = Detections.concat(passes)
    cut = np.zeros(len(every), np.bool_) if every.cut is None else every.cut
    labels = None if policy.class_agnostic else every.class_ids
    priority = every.scores / 2 + np.where(cut, 0.0, 0.5)
    kept = _mask(nms(every.boxes, priority, labels, threshold=policy.threshold), len(every))
    rows = np.flatnonzero(kept)
    held = None if labels is None else labels[rows]
    contained = _mask(
        nms(every.boxes[rows], priority[rows], held, threshold=policy.threshold, metric="ios"), len(rows)
    )
    kept[rows[cut[rows] & ~contained]] = False
    return every.replaced(tile_index=None, cut=cut)[kept]


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
