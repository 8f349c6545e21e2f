"""Box kernels beside their peers: paired, interleaved, answers compared first; prints the ratios.

torchvision's operator is not run itself: OpenCV, powerboxes, lsnms stand for the peers, of which lsnms is the
fastest at every size here. Run with `pytest benchmarks/test_boxes.py -s`.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

import tilekit as tk


def spread(count, extent, seed=0):
    rng = np.random.default_rng(seed)
    corner = rng.random((count, 2)) * extent
    return np.concatenate([corner, corner + rng.uniform(12, 60, (count, 2))], axis=1), rng.random(count)


def tile_merge(count, extent):
    boxes, _ = spread(count // 2, extent)
    rng = np.random.default_rng(1)
    twice = np.concatenate([boxes, boxes]) + rng.uniform(-1.5, 1.5, (2 * len(boxes), 4))
    return twice, rng.random(len(twice))


CASES = {
    "10": spread(10, 1000),
    "spread 1,000": spread(1000, 3000),
    "spread 100,000": spread(10**5, 10**5),
    "tile-merge 100,000": tile_merge(10**5, 10**5),
    "cluster 100,000 in 6,000": spread(10**5, 6000),
    "heap 100,000 in 1,000": spread(10**5, 1000),
    "spread 1,000,000": spread(10**6, 10**5),
    "tile-merge 1,000,000": tile_merge(10**6, 10**5),
}


def paired(ways, repeats):
    """Median seconds of each way, interleaved."""
    taken = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - start)
    return {name: float(np.median(times)) for name, times in taken.items()}


def report(case, times):
    own = times["tilekit"]
    rest = ", ".join(f"{name} x{took / own:.1f}" for name, took in times.items() if name != "tilekit")
    print(f"\n{case}: tilekit {own * 1e3:.3f} ms; {rest}")


@pytest.mark.parametrize("case", CASES)
def test_nms(case):
    import cv2
    import lsnms
    import powerboxes

    boxes, scores = CASES[case]
    ways = {
        "tilekit": lambda: tk.nms(boxes, scores),
        "lsnms": lambda: lsnms.nms(boxes, scores, iou_threshold=0.5),
        "powerboxes rtree": lambda: powerboxes.rtree_nms(boxes, scores, 0.5, 0.0),
    }
    if len(boxes) <= 1000:
        sides = np.column_stack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
        ways["powerboxes"] = lambda: powerboxes.nms(boxes, scores, 0.5, 0.0)
        ways["OpenCV"] = lambda: cv2.dnn.NMSBoxes(sides, scores, 0.0, 0.5)
    assert np.array_equal(np.sort(ways["tilekit"]()), np.sort(ways["lsnms"]()))
    report(case, paired(ways, 50 if len(boxes) <= 1000 else 3))


def test_fusion():
    import ensemble_boxes as ensemble

    boxes, scores = spread(10**4, 10**4)
    parts = (boxes / 10100).clip(0, 1)
    labels = np.zeros(len(scores))
    lists = ([parts.tolist()], [scores.tolist()], [labels.tolist()])
    ways = {
        "tilekit": lambda: tk.wbf(parts, scores),
        "ensemble-boxes": lambda: ensemble.weighted_boxes_fusion(*lists, iou_thr=0.55),
    }
    report("wbf 10,000", paired(ways, 3))
    ways = {
        "tilekit": lambda: tk.soft_nms(parts, scores),
        "ensemble-boxes": lambda: ensemble.soft_nms(*lists, iou_thr=0.3, thresh=0.001),
    }
    report("soft_nms 10,000", paired(ways, 3))


def test_merge_beside_one_nms():
    boxes, _ = spread(750_000, 10**5)
    grid = tk.Tiling(1024, 128).grid(10**5, 10**5)
    carried = tk.remap_to_tiles(boxes, grid, 0.1)
    scores = np.random.default_rng(3).uniform(0.05, 1, len(carried))
    found = tk.Detections(carried.boxes, scores, None, ("a",), carried.tile_index)
    flat = boxes[carried.source_index]
    times = paired({"tilekit": lambda: tk.merge(found, grid), "one nms": lambda: tk.nms(flat, scores)}, 5)
    report(f"merge of {len(found)}", times)


@pytest.mark.parametrize("order", ["random", "by rows of tiles"])
@pytest.mark.parametrize("overlap", [128, 512])
def test_remap(overlap, order):
    """Beside what no way can do without: fresh columns written, source boxes fetched tile by tile."""
    boxes, _ = spread(10**6, 10**5)
    if order != "random":
        boxes = boxes[np.lexsort((boxes[:, 0], boxes[:, 1] // 1024))]
    grid = tk.Tiling(1024, overlap).grid(10**5, 10**5)
    out = tk.remap_to_tiles(boxes, grid, 0.0)
    count = len(out)

    def write():
        for shape, kind in (
            ((count,), "i8"),
            ((count,), "i8"),
            ((count, 4), "f8"),
            ((count,), "f8"),
            ((count,), "u1"),
        ):
            np.empty(shape, kind).fill(1)

    room = np.empty((count, 4))
    ways = {
        "tilekit": lambda: tk.remap_to_tiles(boxes, grid, 0.0),
        "plain write of the columns": write,
        "plain fetch of the boxes": lambda: np.take(boxes, out.source_index, axis=0, out=room, mode="clip"),
    }
    rates = ", ".join(f"{name} {count / took / 1e6:.0f}" for name, took in paired(ways, 7).items())
    print(f"\nremap_to_tiles, overlap {overlap}, boxes {order}: million outputs/s: {rates}")
