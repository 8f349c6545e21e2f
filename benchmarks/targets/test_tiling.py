"""Tiling: dzsave on five kinds of scan, clean and noisy; other peers; blank pages; the limit; small scans."""

from __future__ import annotations

import shutil
from functools import partial

import pytest

from benchmarks.pages import blank_page
from benchmarks.peers.tilers import TILERS
from benchmarks.targets.targets import KINDS, PAPERS
from tilekit.bench.inputs import PAPER, PHOTO
from tilekit.bench.processes import run_task
from tilekit.bench.tiling import TILEKIT, Setting, duel, limit_of, run_once

NOISE = {"clean": PAPER, "noisy": PHOTO}


def fight(frame, fresh, target, scan, setting, peer):
    """One round with a peer, its output checked in the first pass."""
    found = duel(scan, setting, {peer: TILERS[peer]}, fresh, rounds=1, known=frame.known)
    checks = {
        name: {key: told[key] for key in ("tiles", "bytes", "psnr")} for name, told in found.checks.items()
    }
    frame.record(target, found.ratio(peer), found.left_out.get(peer, ""), cost=found.rounds, output=checks)


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("kind", KINDS)
def test_dzsave(frame, fresh, kind, paper):
    if frame.quick and (paper == "noisy" or kind.endswith("strips")):
        frame.record(f"tiling.dzsave.{kind}.{paper}", None, "left out of the quick run")
        return
    scan = frame.scan(kind, frame.pick(12_000, 3000), noise=NOISE[paper])
    fight(frame, fresh, f"tiling.dzsave.{kind}.{paper}", scan, Setting(), "dzsave")


@pytest.mark.parametrize(
    ("peer", "kind", "setting"),
    [
        ("sahi", "jpeg", Setting(quality=75, sub="420")),
        ("image_slicer", "jpeg", Setting(overlap=0, quality=75, sub="420")),
        ("opencv", "jpeg", Setting()),
        ("pillow", "jpeg", Setting()),
        ("tifffile", "tiled-jpeg", Setting()),
        ("large_image", "tiled-jpeg", Setting()),
    ],
)
def test_others(frame, fresh, peer, kind, setting):
    fight(frame, fresh, f"tiling.{peer}", frame.scan(kind, frame.pick(12_000, 3000)), setting, peer)


def test_webp(frame, fresh):
    fight(
        frame,
        fresh,
        "tiling.webp",
        frame.scan("jpeg", frame.pick(5000, 2000)),
        Setting(format="webp"),
        "dzsave",
    )


def test_blank(frame, fresh):
    """A page whose top tenth is drawn, the rest paper with its noise: blank tiles written, or left out."""
    path = blank_page(frame.cache, frame.pick(12_000, 3000))

    def tiled(skip):
        out = fresh()
        try:
            return run_task(
                {"do": "benchmarks.targets.works:skipped", "path": str(path), "out": out, "skip": skip}
            )
        finally:
            shutil.rmtree(out, ignore_errors=True)

    works = {"all": partial(tiled, False), "drawn": partial(tiled, True)}
    timed = frame.pair(works, rounds=2, warm=False)
    assert not timed.failed, timed.failed
    every, drawn = (timed.costs[name][0].answer for name in works)
    note = f"{drawn['written']} of {every['written']} tiles hold something"
    frame.record("tiling.blank", timed.ratio("all", "drawn"), note, cost=timed)


@pytest.mark.parametrize("kind", KINDS)
def test_limit(frame, fresh, kind):
    if frame.quick and kind != "jpeg":
        frame.record(f"tiling.limit.{kind}", None, "left out of the quick run")
        return
    scan = frame.scan(kind, frame.pick(12_000, 3000))
    ours = run_once(TILEKIT, scan, Setting(), fresh).seconds
    limit = limit_of(scan, Setting(), fresh, ours, rounds=1)
    note = f"bound by {limit['bound']}; decode {limit['decode']:.2f} s by {limit['by']}, encode {limit['encode']:.2f} s"
    frame.record(f"tiling.limit.{kind}", limit["share"], note, **limit)


def test_small_scans(frame, fresh):
    scan = frame.scan("jpeg", 1024)
    count = frame.pick(100, 30)
    base = {"path": scan.path, "out": fresh(), "count": count}
    works = {
        name: partial(run_task, {"do": f"benchmarks.targets.works:{name}", **base})
        for name in ("small_tiled", "small_plain")
    }
    timed = frame.pair(works, rounds=3, warm=False)
    assert not timed.failed, timed.failed
    ratio = timed.ratio("small_tiled", "small_plain")
    frame.record(
        "tiling.small", ratio, f"{1e3 * timed.seconds('small_tiled') / count:.1f} ms a scan", cost=timed
    )
