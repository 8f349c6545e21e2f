"""Tiling: dzsave on five kinds of scan, clean and noisy; SAHI, image_slicer and others; the limit; small scans."""

from __future__ import annotations

import math
from functools import partial

import pytest

from benchmarks.targets.targets import KINDS, PAPERS
from tilekit.bench.inputs import PAPER, PHOTO
from tilekit.bench.pairing import Ratio
from tilekit.bench.processes import run_task
from tilekit.bench.tiling import Setting, duel, limit_of

NOISE = {"clean": PAPER, "noisy": PHOTO}
RATIOS: dict[str, list[Ratio]] = {}
SECONDS: dict[str, float] = {}


def told(fight, peer):
    rows = {row["who"]: row for row in fight.to_json()}
    ours, theirs = rows["tilekit"], rows.get(peer, {})
    return {
        "ours_s": ours["seconds"], "peer_s": theirs.get("seconds"), "ours_cpu": ours["cpu"],
        "peer_cpu": theirs.get("cpu"), "ours_mb": ours["peak_mb"], "peer_mb": theirs.get("peak_mb"),
        "ours_psnr": ours["psnr"], "peer_psnr": theirs.get("psnr"), "tiles": ours["tiles"],
    }  # fmt: skip


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("kind", KINDS)
def test_dzsave(frame, fresh, kind, paper):
    scan = frame.scan(kind, frame.pick(12_000, 3000), noise=NOISE[paper])
    rounds = frame.pick(6, 2)
    budget = frame.seconds(14)
    fight = duel(scan, Setting(), ["dzsave"], fresh, rounds=rounds, budget=budget)
    ratio = fight.ratio("dzsave")
    frame.record(
        f"tiling.dzsave.{kind}.{paper}", ratio, fight.left_out.get("dzsave", ""), **told(fight, "dzsave")
    )
    if ratio is not None:
        RATIOS.setdefault(paper, []).append(ratio)
    if paper == "clean":
        SECONDS[kind] = fight.rounds.seconds("tilekit")


@pytest.mark.parametrize("paper", PAPERS)
def test_dzsave_mean(frame, paper):
    found = RATIOS.get(paper, [])
    if len(found) < len(KINDS):
        frame.record(f"tiling.dzsave.mean.{paper}", None, f"{len(found)} of {len(KINDS)} were timed")
        return

    def mean(values):
        return math.exp(sum(map(math.log, values)) / len(values))

    ratio = Ratio(*(mean([getattr(one, end) for one in found]) for end in ("median", "low", "high")),
                  min(one.rounds for one in found))  # fmt: skip
    frame.record(f"tiling.dzsave.mean.{paper}", ratio)


@pytest.mark.parametrize(
    ("peer", "kind", "setting"),
    [
        ("sahi", "jpeg", Setting(quality=75, sub="420")),
        ("image_slicer", "jpeg", Setting(overlap=0, quality=75, sub="420")),
        ("opencv", "jpeg", Setting()),
        ("pillow", "jpeg", Setting()),
        ("tifffile", "tiled-jpeg", Setting()),
    ],
)
def test_others(frame, fresh, peer, kind, setting):
    scan = frame.scan(kind, frame.pick(12_000, 3000))
    fight = duel(scan, setting, [peer], fresh, rounds=frame.pick(5, 2), budget=frame.seconds(12))
    frame.record(f"tiling.{peer}", fight.ratio(peer), fight.left_out.get(peer, ""), **told(fight, peer))


@pytest.mark.parametrize("kind", KINDS)
def test_limit(frame, fresh, kind):
    scan = frame.scan(kind, frame.pick(12_000, 3000))
    ours = SECONDS.get(kind)
    limit = limit_of(scan, Setting(), fresh, ours, rounds=frame.pick(2, 1))
    note = f"bound by {limit['bound']}; decode {limit['decode']:.2f} s by {limit['by']}, encode {limit['encode']:.2f} s"
    frame.record(f"tiling.limit.{kind}", limit["share"], note, **limit)


def test_small_scans(frame, fresh):
    scan = frame.scan("jpeg", 1024)
    count = frame.pick(200, 30)
    works = {
        name: partial(
            run_task,
            {
                "do": f"benchmarks.targets.works:{name}",
                "path": scan.path,
                "out": fresh(),
                "count": count,
            },
        )
        for name in ("small_tiled", "small_plain")
    }
    timed = frame.pair(works, 15, rounds=frame.pick(5, 2), warm=False)
    assert not timed.failed, timed.failed
    ratio = timed.ratio("small_tiled", "small_plain")
    frame.record("tiling.small", ratio, ms=1e3 * timed.seconds("small_tiled") / count)
