"""How fast shapes are suppressed, merged and carried, beside who else does it; and nms of plain boxes beside the peers.

`python -m benchmarks.shapes_speed benchmarks/results/shapes-speed.json` takes about a minute;
`--scale 0.01` is a try at a hundredth of the sizes. Every case is timed in interleaved rounds, wall and CPU seconds.
What a peer would take hours for it does on the first part of the same input, its answer compared there, and its time
is multiplied by the ratio of pairs that overlap (`scaled`): a loop over pairs is linear in them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tilekit as tk
from benchmarks.operator_nms import operator_nms
from benchmarks.peers import SUPPRESSORS
from tilekit.bench.boxes import carry_rate, merge_duel, spread, suppress_duel, tile_merge
from tilekit.bench.machine import machine
from tilekit.bench.pairing import Rounds, interleave
from tilekit.bench.peers import Suppressor

PEERS = ("lsnms", "powerboxes rtree", "OpenCV", "supervision")
OPERATOR = {"torchvision's algorithm": Suppressor("numba", lambda: operator_nms, 10_000)}


def polygons(count: int, seed: int = 0) -> tuple[tk.boxes.Polygons, np.ndarray]:
    """Outlines of 8 to 16 points, each seen twice and a little off, and scores."""
    rng = np.random.default_rng(seed)
    half = count // 2
    centers = rng.random((half, 2)) * 100.0 * half**0.5
    outlines = []
    for center in np.concatenate([centers, centers + rng.uniform(-1.5, 1.5, (half, 2))]):
        points = int(rng.integers(8, 17))
        turn = np.sort(rng.uniform(0, 2 * np.pi, points))
        reach = rng.uniform(12, 40, points)[:, None]
        outlines.append([center + reach * np.stack([np.cos(turn), np.sin(turn)], 1)])
    return tk.boxes.Polygons.of(outlines), rng.random(2 * half)


def oriented(count: int, seed: int = 0) -> tuple[tk.boxes.OrientedBoxes, np.ndarray]:
    """Turned boxes, each seen twice and a little off, and scores."""
    rng = np.random.default_rng(seed)
    half = count // 2
    once = np.column_stack(
        [
            rng.random((half, 2)) * 100.0 * half**0.5,
            rng.uniform(12, 80, (half, 2)),
            rng.uniform(-180, 180, half),
        ]
    )
    twice = np.concatenate([once, once + rng.normal(0, [1, 1, 1, 1, 2], once.shape)])
    return tk.boxes.OrientedBoxes(twice), rng.random(2 * half)


def greedy(first: np.ndarray, second: np.ndarray, share: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """What is kept where these pairs overlap by more than a half: the end of every peer's loop."""
    over = share > 0.5
    beaten_by: dict[int, list[int]] = {}
    for a, b in zip(first[over].tolist(), second[over].tolist(), strict=True):
        beaten_by.setdefault(a, []).append(b)
        beaten_by.setdefault(b, []).append(a)
    kept = np.ones(len(scores), bool)
    for row in np.argsort(-scores, kind="stable").tolist():
        if kept[row]:
            for other in beaten_by.get(row, ()):
                if scores[other] < scores[row]:
                    kept[other] = False
    return np.flatnonzero(kept)


def by_shapely(shapes: tk.boxes.Polygons, scores: np.ndarray) -> np.ndarray:
    """A loop with shapely as people write it: an STRtree, then one pair after the other."""
    import shapely

    outlines = list(shapes.geometries())
    tree = shapely.STRtree(outlines)
    first, second, share = [], [], []
    for row, outline in enumerate(outlines):
        for other in tree.query(outline).tolist():
            if other > row:
                both = outline.intersection(outlines[other]).area
                first.append(row)
                second.append(other)
                share.append(both / (outline.area + outlines[other].area - both))
    return greedy(np.array(first, int), np.array(second, int), np.array(share), scores)


def by_opencv(shapes: tk.boxes.OrientedBoxes, scores: np.ndarray) -> np.ndarray:
    """OpenCV's rotatedRectangleIntersection over the pairs whose boxes touch (those are given for nothing)."""
    import cv2

    pairs = tk.boxes.pairs(shapes.boxes, threshold=0.0)
    rows = [((cx, cy), (w, h), angle) for cx, cy, w, h, angle in shapes.rows.tolist()]
    areas = shapes.areas.tolist()
    share = np.zeros(len(pairs.first))
    for place, (one, other) in enumerate(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)):
        _, points = cv2.rotatedRectangleIntersection(rows[one], rows[other])
        if points is not None and len(points) > 2:
            both = cv2.contourArea(cv2.convexHull(points))
            share[place] = both / (areas[one] + areas[other] - both)
    return greedy(pairs.first, pairs.second, share, scores)


def by_supervision(shapes: tk.boxes.OrientedBoxes, scores: np.ndarray) -> np.ndarray:
    """supervision's own suppression of oriented boxes."""
    from supervision.detection.utils.iou_and_nms import oriented_box_non_max_suppression

    table = np.column_stack([shapes.boxes, scores])
    return np.flatnonzero(oriented_box_non_max_suppression(table, shapes.corners, 0.5))


def told(timed: Rounds, slow: str, fast: str, factor: float = 1.0) -> dict[str, Any]:
    """The ratio of a duel, its range, and what each cost."""
    ratio = timed.ratio(slow, fast)
    cpu = [a.cpu / max(b.cpu, 1e-9) for a, b in zip(timed.costs[slow], timed.costs[fast], strict=False)]
    return {
        "slow": slow,
        "fast": fast,
        "ratio": round(ratio.median * factor, 3),
        "low": round(ratio.low * factor, 3),
        "high": round(ratio.high * factor, 3),
        "cpu_ratio": round(float(np.median(cpu)) * factor, 3),
        "rounds": ratio.rounds,
        "scaled": round(factor, 3),
        "seconds": {name: [round(c.seconds, 5), round(c.cpu, 5)] for name, c in _medians(timed).items()},
    }


def _medians(timed: Rounds) -> dict[str, Any]:
    return {
        name: sorted(costs, key=lambda cost: cost.seconds)[len(costs) // 2]
        for name, costs in timed.costs.items()
        if costs
    }


def shape_duel(
    shapes: tk.boxes.Shapes,
    scores: np.ndarray,
    part: int,
    peers: dict[str, Callable[[Any, np.ndarray], np.ndarray]],
    rounds: int,
) -> dict[str, Any]:
    """nms of all rows by tilekit, of the first `part` rows by each peer; the answers of the part are compared."""
    few, few_scores = _compact(shapes, scores, part)
    wanted = np.sort(tk.nms(few, few_scores))
    works: dict[str, Callable[[], Any]] = {"tilekit": lambda: tk.nms(shapes, scores)}
    differs = {}
    for name, peer in peers.items():
        kept = np.sort(peer(few, few_scores))
        differs[name] = len(np.setxor1d(kept, wanted))
        works[name] = lambda peer=peer: peer(few, few_scores)
    factor = _touching(shapes) / max(1, _touching(few))
    timed = interleave(works, rounds=rounds, warm=False)
    best = timed.best_peer(list(peers))
    assert best is not None
    return told(timed, best, "tilekit", factor) | {
        "rows": len(shapes),
        "part": len(few),
        "kept_otherwise": differs,
    }


def _touching(shapes: tk.boxes.Shapes) -> int:
    """How many pairs have boxes that overlap."""
    return len(tk.boxes.pairs(shapes.boxes, threshold=0.0).first)


def _compact(shapes: Any, scores: np.ndarray, part: int) -> tuple[Any, np.ndarray]:
    """The objects of a corner of the page, both sights of each: as dense as all of it."""
    half = len(shapes) // 2
    hulls = shapes.boxes[:half]
    rows = np.argsort(hulls.max(axis=1), kind="stable")[: max(1, part // 2)]
    both = np.sort(np.concatenate([rows, rows + half]))
    return shapes[both], scores[both]


def merge_shapes(count: int, rounds: int) -> dict[str, Any]:
    """merge of polygons cut by tiles beside nms of the same, and carrying them."""
    shapes, _ = polygons(count)
    half = shapes[: len(shapes) // 2].moved(60, 60)
    side = int(half.boxes.max()) + 60
    grid = tk.Tiling(1024, 128).grid(side, side)
    truth = tk.Annotations.from_shapes(half, names=["x"])
    carried = tk.remap_to_tiles(truth, grid, min_visible=0.1)
    scores = np.random.default_rng(1).random(len(carried))
    found = tk.Detections(carried.boxes, scores, None, ("x",), carried.tile_index, shapes=carried.shapes)
    page = tk.remap_to_scan(carried.shapes, carried.tile_index, grid)
    works = {
        "merge": lambda: tk.merge(found, grid),
        "nms": lambda: tk.nms(page, scores),
        "carry": lambda: tk.remap_to_tiles(truth, grid, min_visible=0.1),
    }
    timed = interleave(works, rounds=rounds, warm=False)
    return told(timed, "merge", "nms") | {
        "rows": len(found),
        "carried_per_second": round(len(found) / timed.seconds("carry")),
    }


def measure(scale: float) -> dict[str, Any]:
    """All cases at this share of their sizes."""

    def size(count: int) -> int:
        return max(200, int(count * scale))

    out: dict[str, Any] = {}

    def note(name: str, row: dict[str, Any], began: float) -> None:
        out[name] = row | {"took": round(time.perf_counter() - began, 1)}
        print(name, json.dumps(out[name]), flush=True)

    began = time.perf_counter()
    count, timed = merge_duel(size(10**6), rounds=3)
    note("merge of boxes over nms", told(timed, "merge", "nms") | {"rows": count}, began)
    began = time.perf_counter()
    outputs, timed = carry_rate(size(10**6), rounds=3)
    rate = {"million_per_second": round(outputs / timed.seconds("carry") / 1e6, 2), "outputs": outputs}
    note("carrying boxes", told(timed, "carry", "memory") | rate, began)
    began = time.perf_counter()
    shapes, scores = polygons(size(10**5))
    row = shape_duel(shapes, scores, size(10**4), {"shapely loop": by_shapely}, 3)
    note("nms of polygons", row, began)
    began = time.perf_counter()
    note("merge of polygons over nms", merge_shapes(size(10**5), 2), began)
    began = time.perf_counter()
    turned, scores = oriented(size(10**5))
    peers = {"OpenCV loop": by_opencv, "supervision": by_supervision}
    note("nms of oriented boxes", shape_duel(turned, scores, size(2000), peers, 3), began)
    for name, case, rounds in (
        ("nms tile-merge 100,000", tile_merge(size(10**5), 100_000 * scale**0.5), 5),
        ("nms 1,000", spread(1000, 100_000), 9),
        ("nms 10", spread(10, 100_000), 9),
    ):
        began = time.perf_counter()
        them = {peer: SUPPRESSORS[peer] for peer in PEERS} | OPERATOR
        fight = suppress_duel(case, them, rounds=rounds, budget=15, least=3)
        best = fight.fastest()
        if best is not None:
            note(name, told(fight.rounds, best, "tilekit") | {"left_out": fight.left_out}, began)
    return out


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full sizes")
    options = parser.parse_args()
    made = {"machine": machine(), "scale": options.scale}
    made["cases"] = measure(options.scale)
    options.results.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
