"""Boxes: nms against the fastest peer of each case, bad surprises, memory, growth, fusion, carrying, merging."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.operator_nms import operator_nms
from benchmarks.peers import FUSERS, SUPPRESSORS
from tilekit.bench.boxes import (
    carry_rate,
    fusion_duel,
    merge_duel,
    spread,
    suppress_duel,
    surprises,
    tile_merge,
)
from tilekit.bench.peers import Suppressor
from tilekit.bench.processes import PeerFailed, run_task
from tilekit.boxes.fusion import soft_nms, wbf
from tilekit.boxes.suppression import nms

SPREAD = 100_000
CASES = {
    "spread.1000000": (lambda: spread(10**6, SPREAD), 3),
    "tile-merge.1000000": (lambda: tile_merge(10**6, SPREAD), 3),
    "spread.100000": (lambda: spread(10**5, SPREAD), 5),
    "tile-merge.100000": (lambda: tile_merge(10**5, SPREAD), 5),
    "cluster.100000": (lambda: spread(10**5, 6000), 5),
    "heap.100000": (lambda: spread(10**5, 1000), 3),
    "spread.1000": (lambda: spread(1000, SPREAD), 9),
    "spread.10": (lambda: spread(10, SPREAD), 9),
}
PEERS = ("lsnms", "powerboxes rtree", "powerboxes", "OpenCV", "supervision")
OPERATOR = {"torchvision's algorithm": Suppressor("numba", lambda: operator_nms, 10_000)}
NAMES = ("one page-sized box", "identical", "in a line", "six decades of size", "10,000 labels")


@pytest.mark.parametrize("case", CASES)
def test_nms(frame, case):
    make, rounds = CASES[case]
    made = make()
    if frame.quick and len(made.boxes) > 10**5:
        frame.record(f"nms.{case}", None, "left out of the quick run")
        return
    peers = [*PEERS]
    if len(made.boxes) <= frame.pick(10**5, 10**4) and not case.startswith(
        ("heap", "cluster")
    ):  # it takes minutes there
        peers.append("SAHI")
    them = {name: SUPPRESSORS[name] for name in peers} | OPERATOR
    fight = suppress_duel(made, them, rounds=rounds, budget=frame.seconds(), least=1)
    best = fight.fastest()
    left = "; ".join(f"{name}: {why}" for name, why in fight.left_out.items() if "not tried" not in why)
    note = f"fastest peer: {best}" + (f" ({left})" if left else "")
    frame.record(f"nms.{case}", fight.ratio(), note, cost=fight.rounds)


@pytest.mark.parametrize("name", NAMES)
def test_surprises(frame, name):
    count = frame.pick(10**6, 10**4)
    case, labels = surprises(count)[name]
    plain = spread(count, 100.0 * count**0.5)
    works = {
        "odd": lambda: nms(case.boxes, case.scores, labels),
        "spread": lambda: nms(plain.boxes, plain.scores),
    }
    timed = frame.pair(works, rounds=3)
    frame.record(f"nms.surprise.{name}", timed.ratio("odd", "spread"), cost=timed)


@pytest.mark.parametrize("name", ["spread", *NAMES])
def test_memory(frame, name):
    if not frame.first:
        return
    task = {"do": "benchmarks.targets.works:suppressed", "case": name, "count": frame.pick(10**6, 10**5)}
    try:
        told = run_task(task, deadline=60).answer
    except PeerFailed as exc:
        frame.record(f"nms.memory.{name}", None, str(exc))
        return
    frame.record(f"nms.memory.{name}", told["bytes"], exact=True)


def test_growth(frame):
    large, small = frame.pick(10**7, 10**6), frame.pick(10**6, 10**5)
    cases = {"large": spread(large, 316_000 * (large / 10**7) ** 0.5), "small": spread(small, 100_000 * (small / 10**6) ** 0.5)}  # fmt: skip
    works = {name: (lambda case=case: nms(case.boxes, case.scores)) for name, case in cases.items()}
    timed = frame.pair(works, rounds=2, warm=False)
    frame.record("nms.ten-million", timed.ratio("large", "small"), cost=timed)


def test_threads(frame):
    count = frame.pick(10**6, 10**5)
    halves = [spread(count // 2, SPREAD, seed) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as pool:

        def together():
            list(pool.map(lambda case: nms(case.boxes, case.scores), halves))

        def apart():
            for case in halves:
                nms(case.boxes, case.scores)

        timed = frame.pair({"apart": apart, "together": together}, rounds=5)
    frame.record("nms.threads", timed.ratio("apart", "together"), cost=timed)


def test_fusion(frame):
    fuser, count = FUSERS["ensemble-boxes"], frame.pick(10_000, 1000)
    timed = fusion_duel(fuser, count, rounds=3, budget=frame.seconds(), least=1)
    for name in ("soft_nms", "wbf"):
        found = timed.get(name)
        if found is None or not found.ok("peer"):
            why = "not installed" if found is None else found.failed["peer"]
            frame.record(f"{name}.10000", None, f"ensemble-boxes: {why}")
        else:
            frame.record(f"{name}.10000", found.ratio("peer", "tilekit"), cost=found)


@pytest.mark.parametrize(("name", "function"), [("soft_nms", soft_nms), ("wbf", wbf)])
def test_fusion_growth(frame, name, function):
    counts = frame.pick((10**5, 10**4), (10**4, 10**3))
    cases = {str(count): spread(count, 100.0 * count**0.5) for count in counts}
    works = {key: (lambda case=case: function(case.boxes, case.scores)) for key, case in cases.items()}
    timed = frame.pair(works, rounds=3)
    large, small = (str(count) for count in counts)
    frame.record(f"{name}.growth", timed.ratio(large, small), cost=timed)


def test_carry(frame):
    outputs, timed = carry_rate(frame.pick(10**6, 10**5), rounds=3)
    pairs = timed.pairs("carry", "memory")
    note = f"copying as many bytes in memory: {outputs / timed.seconds('memory') / 1e6:.0f} million/s"
    frame.record("remap.rate", [outputs / 1e6 / ours for ours, _ in pairs], note, outputs=outputs, cost=timed)
    frame.record("remap.memory", [plain / ours for ours, plain in pairs])


def test_merge(frame):
    count, timed = merge_duel(frame.pick(10**6, 10**5), rounds=2)
    frame.record("merge.nms", timed.ratio("merge", "nms"), f"{count:,} detections", cost=timed)
