"""Boxes: nms against the fastest peer of each case, bad surprises, memory, growth, fusion, carrying, merging."""

from __future__ import annotations

import statistics
from concurrent.futures import ThreadPoolExecutor

import pytest

from tilekit.bench.boxes import (
    carry_rate,
    fusion_duel,
    merge_duel,
    spread,
    suppress_duel,
    surprises,
    tile_merge,
)
from tilekit.bench.processes import PeerFailed, run_task
from tilekit.boxes.fusion import soft_nms, wbf
from tilekit.boxes.suppression import nms

SPREAD = 100_000
CASES = {
    "spread.1000000": (lambda: spread(10**6, SPREAD), 3, 22),
    "tile-merge.1000000": (lambda: tile_merge(10**6, SPREAD), 3, 22),
    "spread.100000": (lambda: spread(10**5, SPREAD), 5, 6),
    "tile-merge.100000": (lambda: tile_merge(10**5, SPREAD), 5, 6),
    "cluster.100000": (lambda: spread(10**5, 6000), 5, 6),
    "heap.100000": (lambda: spread(10**5, 1000), 3, 10),
    "spread.1000": (lambda: spread(1000, SPREAD), 15, 4),
    "spread.10": (lambda: spread(10, SPREAD), 15, 3),
}
NAMES = ("one page-sized box", "identical", "in a line", "six decades of size", "10,000 labels")


@pytest.mark.parametrize("case", CASES)
def test_nms(frame, case):
    make, rounds, seconds = CASES[case]
    made = make()
    if frame.quick and len(made.boxes) > 10**5:
        frame.record(f"nms.{case}", None, "left out of the quick run")
        return
    peers = ["torchvision", "lsnms", "powerboxes rtree", "powerboxes", "OpenCV", "supervision"]
    if len(made.boxes) <= 10**5 and not case.startswith(("heap", "cluster")):  # it takes minutes there
        peers.append("SAHI")
    fight = suppress_duel(made, peers, rounds=frame.pick(rounds, 3), budget=frame.seconds(seconds))
    best = fight.fastest()
    left = "; ".join(f"{name}: {why}" for name, why in fight.left_out.items() if "not tried" not in why)
    note = f"fastest peer: {best}" + (f" ({left})" if left else "")
    times = {name: fight.rounds.seconds(name) for name in fight.rounds.costs}
    frame.record(f"nms.{case}", fight.ratio(), note, seconds=times)


@pytest.mark.parametrize("name", NAMES)
def test_surprises(frame, name):
    count = frame.pick(10**6, 10**4)
    case, labels = surprises(count)[name]
    plain = spread(count, 100.0 * count**0.5)
    works = {
        "odd": lambda: nms(case.boxes, case.scores, labels),
        "spread": lambda: nms(plain.boxes, plain.scores),
    }
    timed = frame.pair(works, 8, rounds=3)
    frame.record(f"nms.surprise.{name}", timed.ratio("odd", "spread"), seconds=timed.seconds("odd"))


@pytest.mark.parametrize("name", ["spread", *NAMES])
def test_memory(frame, name):
    task = {"do": "benchmarks.targets.works:suppressed", "case": name, "count": frame.pick(10**6, 10**5)}
    try:
        told = run_task(task, deadline=60).answer
    except PeerFailed as exc:
        frame.record(f"nms.memory.{name}", None, str(exc))
        return
    frame.record(f"nms.memory.{name}", told["bytes"])


def test_growth(frame):
    large, small = frame.pick(10**7, 10**6), frame.pick(10**6, 10**5)
    cases = {"large": spread(large, 316_000 * (large / 10**7) ** 0.5), "small": spread(small, 100_000 * (small / 10**6) ** 0.5)}  # fmt: skip
    works = {name: (lambda case=case: nms(case.boxes, case.scores)) for name, case in cases.items()}
    timed = frame.pair(works, 15, rounds=3, warm=False)
    frame.record("nms.ten-million", timed.ratio("large", "small"), seconds=timed.seconds("large"))


def test_threads(frame):
    count = frame.pick(10**6, 10**5)
    halves = [spread(count // 2, SPREAD, seed) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as pool:

        def together():
            list(pool.map(lambda case: nms(case.boxes, case.scores), halves))

        def apart():
            for case in halves:
                nms(case.boxes, case.scores)

        timed = frame.pair({"apart": apart, "together": together}, 5, rounds=5)
    frame.record("nms.threads", timed.ratio("apart", "together"))


def test_fusion(frame):
    timed = fusion_duel(frame.pick(10_000, 1000), rounds=3, budget=frame.seconds(15))
    for name in ("soft_nms", "wbf"):
        found = timed.get(name)
        if found is None or not found.ok("ensemble-boxes"):
            why = "not installed" if found is None else found.failed["ensemble-boxes"]
            frame.record(f"{name}.10000", None, f"ensemble-boxes: {why}")
        else:
            frame.record(f"{name}.10000", found.ratio("ensemble-boxes", "tilekit"))


@pytest.mark.parametrize(("name", "function"), [("soft_nms", soft_nms), ("wbf", wbf)])
def test_fusion_growth(frame, name, function):
    counts = frame.pick((10**5, 10**4), (10**4, 10**3))
    cases = {str(count): spread(count, 100.0 * count**0.5) for count in counts}
    works = {key: (lambda case=case: function(case.boxes, case.scores)) for key, case in cases.items()}
    timed = frame.pair(works, 5, rounds=3)
    large, small = (str(count) for count in counts)
    frame.record(f"{name}.growth", timed.ratio(large, small), seconds=timed.seconds(large))


def test_carry(frame):
    rates = [carry_rate(frame.pick(10**6, 10**5), rounds=3) for _ in range(frame.pick(3, 1))]
    rate = statistics.median(one["rate"] for one in rates) / 1e6
    memory = statistics.median(one["memory_rate"] for one in rates) / 1e6
    note = f"copying as many bytes in memory: {memory:.0f} million/s"
    frame.record("remap.rate", rate, note, outputs=rates[0]["outputs"])


def test_merge(frame):
    count, timed = merge_duel(frame.pick(10**6, 10**5), rounds=3)
    frame.record("merge.nms", timed.ratio("merge", "nms"), f"{count:,} detections")
