"""Pages of objects of all sizes, and a detector that finds what it can see: half in view, 8 px after the shrink."""

from __future__ import annotations

import numpy as np

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.boxes.merging import MergePolicy, merge
from tilekit.boxes.remap import remap_to_tiles
from tilekit.datasets.planned import widen
from tilekit.detection.combining import unite_scales
from tilekit.rekognition.belonging import Look, SizeRule, fitting
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


KINDS = {"mark": (16, 70, 30), "title": (150, 900, 12), "table": (1500, 7000, 5), "figure": (100, 7000, 4)}
"""Labels as pages mix them: from, to px, objects a page; the last belongs to every scale."""
KIND_NAMES = tuple(KINDS)


def kinds(rng, width, height, stretch=1.0):
    """Boxes and labels of a page of KINDS; `stretch`: sizes reach this much further at both ends."""
    boxes, ids = np.empty((0, 4)), []
    for label, (low, high, count) in enumerate(KINDS.values()):
        while ids.count(label) < count:
            box = objects(rng, width, height, 1, low / stretch, high * stretch)[0]
            shared = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
            area = np.maximum(shared, 0).prod(axis=1)
            union = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - area
            if not (area > 0.1 * union).any():
                boxes = np.concatenate([boxes, box[None]])
                ids.append(label)
    return boxes, np.array(ids)


def taught_by(pages, names, scales: Scales, width, height):
    """The scales with what pages of (boxes, ids) would teach on each."""
    grids = scales.grids(width, height)
    taught = [{} for _ in grids]
    for boxes, ids in pages:
        fits = fitting([Look.on(boxes, grid) for grid in grids], SizeRule())
        for place in range(len(grids)):
            rows = fits[:, place]
            widen(taught[place], Annotations(boxes[rows], ids[rows], names))
    return Scales(scales, taught=taught)


def trained(rng, boxes, ids, names, grid, own, pieces=0.5, alarms=0.02):
    """What a detector gives on a scale that was taught only `own` (n,) of the objects there, merged.

    Own objects: as `detected` has them, 3 % missed. Of objects too large for the scale it finds pieces with good scores,
    of those too small most, with poor boxes and low scores. `alarms` a tile of any label are nothing at all.
    """
    carried = remap_to_tiles(boxes, grid, 0.1)
    source, shown = carried.source_index, carried.boxes[:, 2:] - carried.boxes[:, :2]
    sizes = np.array([(w.width, w.height) for w in grid], float)
    window, look, count = sizes[carried.tile_index], Look.on(boxes, grid), len(source)
    px, large = look.trained[source], look.share[source] > 0.5
    half, mine = carried.visible >= 0.5, own[source]
    chance, corners, scores = np.zeros(count), carried.boxes.copy(), np.zeros(count)
    for kind, likely, low, high in (
        (mine & half & (px >= 8), 0.97, 0.5, 1.0),
        (~mine & large & (shown.prod(axis=1) > 0.1 * window.prod(axis=1)), pieces, 0.4, 1.0),
        (~mine & ~large & half & (px >= 3), np.clip(px / 16, 0, 1), 0.05, 0.5),
    ):
        chance = np.where(kind, likely, chance)
        scores = np.where(kind, rng.uniform(low, high, count), scores)
    piece = ~mine & large
    edges = rng.uniform(-2, 2, (count, 4))
    edges[piece] = (rng.uniform(0, 0.3, (count, 4)) * np.tile(shown, 2) * [1, 1, -1, -1])[piece]
    poor = ~mine & ~large
    edges[poor] = (rng.uniform(-0.35, 0.35, (count, 4)) * shown.min(axis=1)[:, None])[poor]
    corners = np.clip(corners + edges, 0, np.tile(window, 2))
    keep = (rng.random(count) < chance) & (corners[:, 2:] > corners[:, :2] + 1).all(axis=1)
    nothing = rng.poisson(alarms * len(grid))
    tiles = rng.integers(0, len(grid), nothing)
    sides = sizes[tiles].min(axis=1) * np.exp(rng.uniform(np.log(0.02), np.log(0.6), nothing))
    at = rng.uniform(0, 1, (nothing, 2)) * (sizes[tiles] - sides[:, None])
    wrong = rng.integers(0, len(names), nothing)
    every = Detections(
        np.concatenate([corners[keep], np.concatenate([at, at + sides[:, None]], axis=1)]),
        np.concatenate([scores[keep], rng.uniform(0.05, 0.7, nothing)]),
        np.concatenate([ids[source][keep], wrong]),
        names,
        np.concatenate([carried.tile_index[keep], tiles]),
    )
    return merge(every[np.argsort(every.tile_index, kind="stable")], grid, MergePolicy())


def trained_at_scales(rng, boxes, ids, scales: Scales, width, height):
    """What such a detector of KINDS finds on every scale of a page, each by itself, and the grids."""
    grids = dict(enumerate(scales.grids(width, height)))
    fits = fitting([Look.on(boxes, grid) for grid in grids.values()], SizeRule())
    found = {}
    for place, grid in grids.items():
        own = fits[:, place] & np.array([KIND_NAMES[label] in scales.taught[place] for label in ids], bool)
        found[place] = trained(rng, boxes, ids, KIND_NAMES, grid, own)
    return found, grids
