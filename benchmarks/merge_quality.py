"""Boxes left, lost and false after merging known scenes, beside suppression that knows nothing of tiles.

`python -m benchmarks.merge_quality` prints and records the table of docs/boxes.md, `... hard` the scenes with edges that
are off and views that are missed: there each peer has its best settings, chosen by lost + extra on the scenes themselves.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np

import tilekit as tk
from tests.boxes.scenes import detect, scene

RECORD = Path(__file__).parent / "results" / "merge-quality.json"


def counts(merged, truth):
    """(left, lost, false): truths without a box within 6 px on every side are lost, boxes without one false."""
    if not len(merged):
        return 0, len(truth), 0
    gaps = np.abs(merged[:, None] - truth[None]).max(axis=2) <= 6
    return len(merged), int((~gaps.any(axis=0)).sum()), int((~gaps.any(axis=1)).sum())


def peers(found, grid):
    """Merged boxes by each way."""
    boxes = tk.remap_to_scan(found.boxes, found.tile_index, grid)
    keep = found.scores >= 0.05
    boxes, scores, ids = boxes[keep], found.scores[keep], found.class_ids[keep]
    ways = {
        "tilekit merge": tk.merge(found, grid).boxes,
        "NMS, IoU": boxes[tk.nms(boxes, scores, ids)],
        "NMS, IoS": boxes[tk.nms(boxes, scores, ids, metric="ios")],
        "greedy NMM, IoS": tk.nmm(boxes, scores, ids).boxes,
    }
    rows = np.column_stack([boxes, scores, ids])
    if importlib.util.find_spec("sahi"):
        from sahi.postprocess.combine import batched_greedy_nmm

        kept = batched_greedy_nmm(rows, "IOS", 0.5)
        hulls = [
            np.concatenate([boxes[[k, *m]][:, :2].min(axis=0), boxes[[k, *m]][:, 2:].max(axis=0)])
            for k, m in kept.items()
        ]
        ways["SAHI greedy NMM, IoS"] = np.array(hulls).reshape(-1, 4)
    if importlib.util.find_spec("supervision"):
        import supervision as sv

        ways["supervision NMS"] = boxes[sv.box_non_max_suppression(rows, 0.5)]
    return ways


def measured():
    """Rows of (scene, way, true boxes, left, lost, false), summed over five seeds a scene."""
    rows = []
    for layout in ("spread", "rows", "touching"):
        totals, true = {}, 0
        for seed in range(5):
            truth, labels = scene(1500, 1200, seed=seed, sizes=(12, 55), layout=layout)
            grid = tk.Tiling(512, 64).grid(1500, 1200)
            found = detect(grid, truth, labels, seed=seed, jitter=1.5, noise=200, floor=0.05)
            true += len(truth)
            for way, boxes in peers(found, grid).items():
                totals[way] = totals.get(way, 0) + np.array(counts(boxes, truth))
        rows += [[layout, way, true, *total.tolist()] for way, total in totals.items()]
    return rows


def table(rows):
    """The rows as the table of docs/boxes.md."""
    lines = ["| scene | way | true boxes | left | lost | false |", "|---|---|---|---|---|---|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def views(grid, truth, rng, *, sigma=0.0, share=0.0, miss=0.0, least=0.02):
    """What tiles say of what they show: edges inside a tile off by a normal error of `sigma` px or the `share` of
    the side, each view missed by itself. Random scores, one label."""
    carried = tk.remap_to_tiles(truth, grid, least)
    windows = grid.windows()[carried.tile_index]
    ends = np.tile(windows[:, 2:] - windows[:, :2], 2)
    limits = ends * [0, 0, 1, 1]
    sides = np.tile(carried.boxes[:, 2:] - carried.boxes[:, :2], 2)
    off = rng.normal(0, 1, carried.boxes.shape) * np.maximum(sigma, share * sides)
    if not share:  # a detector that knows where its tile ends
        off[carried.boxes == limits] = 0
    boxes = np.clip(carried.boxes + off, 0, ends)
    kept = (rng.random(len(boxes)) >= miss) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    scores = rng.uniform(0.1, 1, int(kept.sum()))
    return tk.Detections(boxes[kept], scores, None, ("a",), carried.tile_index[kept])


def of_all_sizes(seed, count=500, size=(9000, 7000)):
    """Boxes of 12 to 400 px a side that keep 4 px between them."""
    rng = np.random.default_rng(seed)
    boxes = np.empty((0, 4))
    while len(boxes) < count:
        w, h = rng.uniform(12, 400, 2)
        x, y = rng.uniform(0, size[0] - w), rng.uniform(0, size[1] - h)
        apart = (boxes[:, 0] > x + w + 4) | (boxes[:, 2] < x - 4) | (boxes[:, 1] > y + h + 4)
        if (apart | (boxes[:, 3] < y - 4)).all():
            boxes = np.vstack([boxes, [x, y, x + w, y + h]])
    return boxes, tk.Tiling(1024, 128).grid(*size)


def of_rows(seed, layout="touching"):
    """Boxes of 12 to 55 px in rows, sharing edges or 4 px apart."""
    boxes, _ = scene(1500, 1200, seed=seed, sizes=(12, 55), layout=layout)
    return boxes, tk.Tiling(512, 64).grid(1500, 1200)


# name: scenes, what is wrong with the views
HARD = {
    "40 scenes, edges 1 px off": (
        [(kind, seed) for seed in range(10) for kind in ("sizes", "rows", "touching", "spread")],
        {"sigma": 1.0},
    ),
    "touching rows, edges 2 px off": ([("touching", seed) for seed in range(4)], {"sigma": 2.0}),
    "all sizes, edges 2 % of the side off": (
        [("sizes", seed) for seed in range(4)],
        {"sigma": 1.0, "share": 0.02},
    ),
    "all sizes, edges 2 px off, 10 % missed": (
        [("sizes", seed) for seed in range(4)],
        {"sigma": 2.0, "miss": 0.1, "least": 0.1},
    ),
}
SETTINGS = [("IOU", 0.3), ("IOU", 0.5), ("IOS", 0.3), ("IOS", 0.5), ("IOS", 0.7)]


def made(kind, seed):
    """A scene's true boxes and its grid."""
    return of_all_sizes(seed) if kind == "sizes" else of_rows(seed, kind)


def foreign(found, grid):
    """Merged boxes by SAHI's and supervision's ways, each at each setting."""
    import supervision as sv
    from sahi.postprocess.combine import batched_greedy_nmm, batched_nms

    boxes = tk.remap_to_scan(found.boxes, found.tile_index, grid)
    rows = np.column_stack([boxes, found.scores, found.class_ids])
    for metric, threshold in SETTINGS:
        kept = batched_greedy_nmm(rows, metric, threshold)
        hulls = [
            np.concatenate([boxes[[k, *m]][:, :2].min(axis=0), boxes[[k, *m]][:, 2:].max(axis=0)])
            for k, m in kept.items()
        ]
        yield ("SAHI", f"greedy NMM {metric} {threshold}"), np.array(hulls).reshape(-1, 4)
        yield ("SAHI", f"NMS {metric} {threshold}"), boxes[batched_nms(rows, metric, threshold)]
        overlap = sv.OverlapMetric[metric]
        yield (
            ("supervision", f"NMS {metric} {threshold}"),
            boxes[sv.box_non_max_suppression(rows, threshold, overlap_metric=overlap)],
        )
        groups = sv.box_non_max_merge(rows, threshold, overlap_metric=overlap)
        hulls = [np.concatenate([boxes[g][:, :2].min(axis=0), boxes[g][:, 2:].max(axis=0)]) for g in groups]
        yield ("supervision", f"NMM {metric} {threshold}"), np.array(hulls).reshape(-1, 4)


def lost_and_extra(boxes, truth):
    """Truths that no box finds (IoU 0.5, one each), boxes that find none."""
    found = tk.Detections(boxes, np.ones(len(boxes)), None, ("a",))
    hits = int((tk.match(found, tk.Annotations(truth, None, ("a",)), 0.5).truth_of >= 0).sum())
    return np.array([len(truth) - hits, len(boxes) - hits])


def hard():
    """Rows of (scenes, way, settings, true boxes, lost, extra); tilekit as it is and with a policy fitted to
    other scenes, each peer with the settings that leave the least of both."""
    rows: list = []
    for name, (scenes, wrong) in HARD.items():
        print(name, flush=True)
        tune = []
        for kind in sorted({kind for kind, _ in scenes}):
            truth, grid = made(kind, 900)
            rng = np.random.default_rng(900)
            tune.append(
                tk.evaluation.TunePage(
                    views(grid, truth, rng, **wrong), grid, tk.Annotations(truth, None, ("a",))
                )
            )
        policy = tk.evaluation.fit_merge(tune)
        totals, true = {}, 0
        for kind, seed in scenes:
            truth, grid = made(kind, seed)
            if not len(truth):
                continue
            found = views(grid, truth, np.random.default_rng(seed), **wrong)
            true += len(truth)
            ways = [
                (("tilekit", "as it is"), tk.merge(found, grid).boxes),
                (("tilekit", "fitted"), tk.merge(found, grid, policy).boxes),
                *foreign(found, grid),
            ]
            for way, boxes in ways:
                totals[way] = totals.get(way, 0) + lost_and_extra(boxes, truth)
        for tool in ("SAHI", "supervision"):
            own = [way for way in totals if way[0] == tool]
            for way in sorted(own, key=lambda way: totals[way].sum())[1:]:
                del totals[way]
        rows += [[name, *way, true, *total.tolist()] for way, total in totals.items()]
    return rows


def hard_table(rows):
    """The rows as the second table of docs/boxes.md."""
    lines = ["| scenes | way | settings | true boxes | lost | extra |", "|---|---|---|---|---|---|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def main(which="known"):
    rows = hard() if which == "hard" else measured()
    print(hard_table(rows) if which == "hard" else table(rows))
    record = RECORD.with_stem("merge-quality-hard") if which == "hard" else RECORD
    record.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
