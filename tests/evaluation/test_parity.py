"""The same pages through pycocotools, faster-coco-eval and supervision, ties and crowds among them."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tilekit as tk

A = tk.PageKey("a.png")
BY_SHAPE = tk.EvaluationRules(by="shape")
SIDE = 48
pytestmark = pytest.mark.filterwarnings("ignore")  # pycocotools' and supervision's own
seeds = st.integers(0, 2**32)
overlaps = st.sampled_from([0.2, 1 / 3, 0.5, 0.75])


def crowded(seed: int, kind: str, crowds: bool = False) -> tuple[tk.Annotations, tk.Detections]:
    """Things of 8 px on a lattice of 2 px: overlaps and scores are equal more often than not."""
    rng = np.random.default_rng(seed)

    def things(count: int) -> np.ndarray:
        corner = rng.integers(0, 6, (count, 2)) * 2.0
        return np.hstack([corner, corner + 8])

    truth, found = things(7), things(9)
    ignore = rng.random(7) < 0.3 if crowds else None
    scores = rng.integers(1, 4, 9) / 4

    def shapes(boxes: np.ndarray) -> tk.boxes.Masks | None:
        if kind == "bbox":
            return None
        arrays = [np.ones((8, 8), bool) for _ in boxes]
        for array in arrays[::2]:
            array[:4, :4] = False
        return tk.boxes.Masks.from_arrays(arrays, boxes[:, :2].astype(int))

    return (
        tk.Annotations(truth, None, ["x"], ignore, shapes(truth)),
        tk.Detections(found, scores, None, ["x"], shapes=shapes(found)),
    )


def rows(things: tk.Annotations | tk.Detections, crowd: np.ndarray, text: bool) -> list[dict[str, object]]:
    codes = [None] * len(things) if things.shapes is None else things.shapes.to_rle(SIDE, SIDE)
    made = []
    for place, (box, code) in enumerate(zip(things.boxes.tolist(), codes, strict=True)):
        x0, y0, x1, y1 = box
        row = {"id": place + 1, "image_id": 1, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
        row |= {"area": (x1 - x0) * (y1 - y0), "iscrowd": int(crowd[place])}
        if code is not None:
            row["segmentation"] = code if text else code | {"counts": code["counts"].encode()}
        made.append(row)
    return made


def peer(library: str, kind: str, iou: float, truth: tk.Annotations, found: tk.Detections):
    """Their evaluation of this page, run and accumulated."""
    if library == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval as Run
    else:
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as Run
    with contextlib.redirect_stdout(io.StringIO()):
        real, given = COCO(), COCO()
        frame = {"images": [{"id": 1, "width": SIDE, "height": SIDE}], "categories": [{"id": 1, "name": "x"}]}
        text = library != "pycocotools"
        found_rows = rows(found, np.zeros(len(found)), text)
        for row, score in zip(found_rows, found.scores.tolist(), strict=True):
            row["score"] = score
        real.dataset = frame | {"annotations": rows(truth, truth.ignore, text)}
        given.dataset = frame | {"annotations": found_rows}
        real.createIndex()
        given.createIndex()
        run = Run(real, given, kind)
        run.params.iouThrs = np.array([iou])
        run.params.maxDets = [100]
        run.params.areaRng = [[0, 1e10]]
        run.params.areaRngLbl = ["all"]
        run.evaluate()
        run.accumulate()
    return run


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@settings(max_examples=25)
@given(seeds, overlaps, st.booleans())
def test_every_match_is_the_one_pycocotools_makes(kind, seed, iou, crowds):
    truth, found = crowded(seed, kind, crowds)
    (image,) = peer("pycocotools", kind, iou, truth, found).evalImgs
    ours = tk.match(found, truth, iou, drawn=(), by="shape" if kind == "segm" else "box")
    crowd = {place + 1 for place in np.flatnonzero(truth.ignore).tolist()}
    for number, matched in zip(image["dtIds"], image["dtMatches"][0].astype(int).tolist(), strict=True):
        wanted = -1 if matched in crowd else matched - 1
        assert ours.truth_of[number - 1] == wanted
        assert ours.ignored[number - 1] == (matched in crowd)


@pytest.mark.parametrize("library", ["pycocotools", "faster-coco-eval"])
@pytest.mark.parametrize("kind", ["bbox", "segm"])
@settings(max_examples=15)
@given(seeds, overlaps, st.booleans())
def test_ap_is_theirs_on_ties_and_crowds(library, kind, seed, iou, crowds):
    truth, found = crowded(seed, kind, crowds)
    precision = peer(library, kind, iou, truth, found).eval["precision"][0, :, 0, 0, 0]
    rules = BY_SHAPE if kind == "segm" else None
    ours = tk.evaluate({A: truth}, {A: found}, iou, rules=rules).ap
    if truth.ignore.all():
        assert ours is None
        assert (precision == -1).all()
    else:
        assert ours == pytest.approx(precision.mean())


@pytest.mark.parametrize("kind", ["BOXES", "MASKS", "ORIENTED_BOUNDING_BOXES"])
@settings(max_examples=10)
@given(seeds)
def test_ap_is_what_supervision_says(kind, seed):
    from supervision.metrics import MeanAveragePrecision, MetricTarget

    if kind == "ORIENTED_BOUNDING_BOXES":
        truth, found = turned(seed)
    else:
        truth, found = crowded(seed, "segm" if kind == "MASKS" else "bbox")
    size = {} if kind != "MASKS" else {"size": (SIDE, SIDE)}
    metric = MeanAveragePrecision(getattr(MetricTarget, kind))
    theirs = metric.update([found.to_supervision(**size)], [truth.to_supervision(**size)]).compute()
    rules = None if kind == "BOXES" else BY_SHAPE
    for place in (0, 5):  # IoU 0.5 and 0.75
        ours = tk.evaluate({A: truth}, {A: found}, (0.5, 0.75)[place // 5], rules=rules).ap
        assert ours == pytest.approx(theirs.mAP_scores[place])


def turned(seed: int) -> tuple[tk.Annotations, tk.Detections]:
    """Turned rectangles near one another, found a little off."""
    rng = np.random.default_rng(seed)
    count = 8
    rows = np.column_stack(
        [rng.uniform(10, 60, (count, 2)), rng.uniform(6, 30, (count, 2)), rng.uniform(-180, 180, count)]
    )
    off = rows + rng.normal(0, [1, 1, 1, 1, 4], rows.shape)
    off[:, 2:4] = np.abs(off[:, 2:4])
    off = np.concatenate([off, off[rng.integers(0, count, 3)] + [2, 0, 0, 0, 3]])
    order = rng.permutation(len(off))
    return (
        tk.Annotations.from_shapes(tk.boxes.OrientedBoxes(rows), names=["x"]),
        tk.Detections.from_shapes(tk.boxes.OrientedBoxes(off[order]), rng.random(len(off)), names=["x"]),
    )


def corners(row: list[float]) -> list[tuple[float, float]]:
    cx, cy, w, h, angle = row
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return [
        (cx + c * x - s * y, cy + s * x + c * y)
        for x, y in ((-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2))
    ]


def rotated_iou(one: list[float], other: list[float]) -> float:
    import shapely

    a, b = shapely.Polygon(corners(one)), shapely.Polygon(corners(other))
    both = shapely.intersection(a, b).area
    return both / (a.area + b.area - both)


def dota(truth: list[list[float]], found: list[list[float]], scores: list[float], iou: float):
    """DOTA's rule: by falling score, a hit if the truth that fits best fits enough and is free. Hits, or None where
    a second truth fits enough too: there COCO's rule, which is ours, may take it."""
    taken, hits = set(), []
    for place in sorted(range(len(found)), key=lambda place: -scores[place]):
        shares = [rotated_iou(found[place], real) for real in truth]
        if sum(share >= iou - 1e-9 for share in shares) > 1 or any(abs(s - iou) < 1e-9 for s in shares):
            return None
        best = int(np.argmax(shares))
        hits.append(shares[best] > iou and best not in taken)
        if hits[-1]:
            taken.add(best)
    return hits


@settings(max_examples=25)
@given(seeds, st.sampled_from([0.5, 0.75]))
def test_rotated_ap_is_that_of_a_slow_twin_by_dotas_rule(seed, iou):
    truth, found = turned(seed)
    hits = dota(truth.shapes.rows.tolist(), found.shapes.rows.tolist(), found.scores.tolist(), iou)
    if hits is None:
        return
    best_from = []  # precision at each recall, the best of it and all after
    seen = 0
    for place, hit in enumerate(hits):
        seen += hit
        best_from.append((seen / len(truth), seen / (place + 1)))
    points = [
        max([precision for recall, precision in best_from if recall >= k / 100 - 1e-12], default=0.0)
        for k in range(101)
    ]
    assert tk.evaluate({A: truth}, {A: found}, iou, rules=BY_SHAPE).ap == pytest.approx(np.mean(points))
