"""Pages of objects of all sizes, and a detector that finds what it can see: half in view, 8 px after the shrink."""

from __future__ import annotations

import numpy as np

from tilekit.boxes.detections import Detections
from tilekit.boxes.merging import MergePolicy, merge
from tilekit.boxes.remap import remap_to_tiles
from tilekit.detection.combining import unite_scales
from tilekit.scales import Scales


def objects(rng, width, height, count, low=16, high=8000):
    """Boxes of log-uniform size; of like ones none covers a tenth of another (a detector would see one)."""
    found = np.empty((0, 4))
    while len(found) < count:
        size = np.exp(rng.uniform(np.log(low), np.log(min(high, 0.8 * min(width, height)))))
        sides = np.clip(size * np.exp(rng.uniform(-0.3, 0.3, 2)), 4, [width - 1, height - 1])
        at = rng.uniform(0, 1, 2) * ([width, height] - sides)
        box = np.concatenate([at, at + sides])
        shared = np.maximum(np.minimum(found[:, 2:], box[2:]) - np.maximum(found[:, :2], box[:2]), 0).prod(
            axis=1
        )
        other = (found[:, 2:] - found[:, :2]).prod(axis=1)
        union = other + sides.prod() - shared
        if not (shared > 0.1 * union).any():
            found = np.concatenate([found, box[None]])
    return found


def detected(rng, boxes, ids, names, grid, off=2.0, seen=8.0):
    """What the detector gives on a scale, merged there; edges are up to `off` px of the image off."""
    carried = remap_to_tiles(boxes, grid, 0.5)
    found = carried.boxes + rng.uniform(-off, off, carried.boxes.shape)
    image = max(grid.columns.tile, grid.lines.tile)
    window = np.array([(w.width, w.height) for w in grid], float)[carried.tile_index]
    found = np.clip(found, 0, np.concatenate([window, window], axis=1))
    whole = grid.to_reduced(boxes)[carried.source_index]
    px = np.sqrt((whole[:, 2:] - whole[:, :2]).prod(axis=1)) * min(1, 1280 / image)
    keep = (px >= seen) & (found[:, 2:] > found[:, :2] + 1).all(axis=1)
    found, source = found[keep], carried.source_index[keep]
    scores = rng.uniform(0.5, 1, len(found))
    tile_frame = Detections(found, scores, ids[source], names, carried.tile_index[keep])
    return merge(tile_frame, grid, MergePolicy())


def at_scales(rng, boxes, ids, names, scales: Scales, width, height, off=2.0, seen=8.0):
    """What all scales find, as one."""
    grids = {place: scales[place].grid(width, height) for place in scales.on(width, height)}
    found = {place: detected(rng, boxes, ids, names, grid, off, seen) for place, grid in grids.items()}
    return unite_scales(found, grids, MergePolicy())


def lost_and_extra(boxes, ids, found):
    """Objects that no find of their label meets (IoU 0.5, each find once), and finds that meet none."""
    taken = np.zeros(len(found), bool)
    lost = 0
    for box, label in zip(boxes, ids, strict=True):
        low, high = np.maximum(found.boxes[:, :2], box[:2]), np.minimum(found.boxes[:, 2:], box[2:])
        shared = np.maximum(high - low, 0).prod(axis=1)
        area = (found.boxes[:, 2:] - found.boxes[:, :2]).prod(axis=1)
        iou = shared / (area + (box[2:] - box[:2]).prod() - shared)
        iou[taken | (found.class_ids != label)] = 0
        best = int(iou.argmax()) if len(iou) else -1
        if best >= 0 and iou[best] > 0.5:
            taken[best] = True
        else:
            lost += 1
    return lost, int((~taken).sum())
