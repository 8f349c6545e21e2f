"""Boxes left, lost and false after merging known scenes, beside suppression that knows nothing of tiles."""

from __future__ import annotations

import importlib.util
import json
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


def main():
    rows = measured()
    print(table(rows))
    RECORD.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
