"""Tiles cut from the bits, whole processes to files on disk, beside dzsave: alone, and with every core at work."""

from __future__ import annotations

import math

import pytest

from benchmarks.cut_tiles import Runner, busy, measured, words
from benchmarks.targets.targets import CUT_KINDS, LOADS


@pytest.mark.parametrize("kind", CUT_KINDS)
@pytest.mark.parametrize("load", LOADS)
def test_cut(frame, kind, load):
    scan = frame.scan(kind, frame.pick(12_000, 5000))
    folder = frame.cache / "cutting"
    folder.mkdir(exist_ok=True)
    runner = Runner(folder)
    if f"psnr.{kind}" not in frame.known:  # the first runs of both, which also write the bytecode
        frame.known[f"psnr.{kind}"] = runner.psnr(str(scan.path))
    with busy(load == "busy"):
        row = measured(runner, str(scan.path), 1, math.inf, warm=False)
    row["psnr"] = frame.known[f"psnr.{kind}"]
    cost = {
        who: {
            "seconds": row["wall"][who],
            "cpu": row["cpu"][who],
            "peak_mb": row["peak_mb"][who],
            "bytes": row["bytes"][who],
            "psnr": db,
        }
        for who, db in zip(("tilekit", "dzsave"), row["psnr"], strict=True)
    }
    frame.record(f"tiling.cut.{kind}.{load}", row["wall_ratio"], words(row), cost=cost)
