"""Detection pipelines as whole processes, with imports: the same 20 ms detector, the same tiles, the same boxes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.pages import NAP, described, run, squares, squares_page
from tilekit.bench.pairing import Cost
from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.evaluation.evaluating import evaluate
from tilekit.pages import PageKey

SLICERS = ("supervision-array", "supervision-raster")


def page(frame, side):
    path = squares_page(frame.cache, side)
    frame.used(described(path, side))
    return path


def timed(who, path, workers):
    found = run(who, path, workers)
    return Cost(found["wall"], found["cpu"], found["peak"], found)


@pytest.mark.parametrize("workers", [1, 4])
def test_speed(frame, workers):
    path = page(frame, frame.pick(12_000, 2000))
    names = ("tilekit", *(() if workers > 1 else ("sahi",)), *SLICERS)  # SAHI has no workers
    works = {name: (lambda name=name: timed(name, path, workers)) for name in names}
    rounds = frame.pair(works, rounds=1, warm=False)
    assert rounds.ok("tilekit"), rounds.failed
    best = rounds.best_peer(list(SLICERS))
    ratio = None if best is None else rounds.ratio(best, "tilekit")
    frame.record(f"detect.slicer.{workers}", ratio, f"against {best}", cost=rounds)
    if workers > 1:
        return
    frame.record(
        "detect.busy", [cost.answer["busy"] for cost in rounds.costs["tilekit"]], exact=True, nap=NAP
    )
    sahi = rounds.ratio("sahi", "tilekit") if rounds.ok("sahi") else None
    frame.record("detect.sahi.1", sahi, rounds.failed.get("sahi", ""))
    peaks = {name: rounds.peak_mb(name) for name in rounds.costs}
    least = min((peak for name, peak in peaks.items() if name != "tilekit"), default=None)
    share = None if least is None else peaks["tilekit"] / least
    frame.record("detect.memory", share, exact=True, mb=peaks)


def test_growth(frame):
    if not frame.first:
        return
    sides = frame.pick((5000, 12_000, 20_000), (1000, 2000))
    for who, target in (
        ("tilekit", "detect.growth"),
        ("sahi", "detect.growth.sahi"),
        ("supervision-raster", "detect.growth.slicer"),
    ):
        peaks = [run(who, page(frame, side), nap=0.0)["peak"] for side in sides]
        note = ", ".join(f"{side * side // 10**6} Mpx: {peak:.0f} MB" for side, peak in zip(sides, peaks, strict=True))  # fmt: skip
        curve = {"mpx": [side * side / 1e6 for side in sides], "mb": peaks, "who": who}
        frame.record(target, peaks[-1] / peaks[0], note, exact=True, **curve)


def test_exactness(frame):
    if not frame.first:
        return
    side = frame.pick(5000, 2000)
    key = PageKey("page")
    truth = {key: Annotations(squares(side).astype(float), None, ("square",))}
    for who, target in (
        ("tilekit", "detect.wrong"),
        ("sahi", "detect.wrong.sahi"),
        ("supervision-array", "detect.wrong.slicer"),
    ):
        boxes = np.array(run(who, page(frame, side), nap=0.0, finds=True)["boxes"]).reshape(-1, 4)
        found = {key: Detections(boxes, np.full(len(boxes), 0.9), None, ("square",))}
        counts = evaluate(truth, found, 0.75, thresholds=0.5).micro
        note = f"{counts.tp} right, {counts.fp} too many, {counts.fn} lost"
        frame.record(target, float(counts.fp + counts.fn), note, exact=True)
