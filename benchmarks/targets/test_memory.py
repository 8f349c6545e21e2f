"""Peak memory of fresh processes: 1 and 10 Gpx tiled TIFF, a scanline JPEG against its bound, dzsave."""

from __future__ import annotations

from functools import partial

from benchmarks.peers.tilers import TILERS
from tilekit.archive.jobs import PROCESS
from tilekit.bench.processes import run_task
from tilekit.bench.tiling import TILEKIT, Setting, cores, run_once
from tilekit.grid import Tiling
from tilekit.scans.opening import open_scan

FLAT = "tilekit.bench.tilers:tilekit_flat"


def flat(scan):
    task = {"do": FLAT, "path": scan.path, "tile": 1024, "overlap": 128, "workers": cores()}
    return run_task(task, deadline=300)


def test_scanline(frame, fresh):
    scan = frame.scan("jpeg", frame.pick(12_000, 3000))
    with open_scan(scan.path) as opened:
        bound = (PROCESS + opened.cost(opened.grid(Tiling(1024, 128)))) / 2**20
    peak = run_once(TILEKIT, scan, Setting(), fresh).peak_mb
    frame.record("memory.scanline", peak / bound, f"{peak:.0f} MB of {bound:.0f}", exact=True, peak_mb=peak)


def test_tiled(frame, fresh):
    small = frame.scan("tiled-jpeg", frame.pick(32_768, 4096))
    one = flat(small)
    theirs = run_once(TILERS["dzsave"], small, Setting(), fresh)
    ratio = theirs.peak_mb / run_once(TILEKIT, small, Setting(), fresh).peak_mb
    frame.record("memory.dzsave", ratio, exact=True, peer_mb=theirs.peak_mb)
    large = frame.scan("tiled-jpeg", frame.pick(131_072, 8192), frame.pick(76_800, 8192))
    ten = flat(large)
    sizes = f"{small.mpx:,.0f} Mpx: {one.peak_mb:.0f} MB, {large.mpx:,.0f} Mpx: {ten.peak_mb:.0f} MB"
    curve = {"mpx": [small.mpx, large.mpx], "mb": [one.peak_mb, ten.peak_mb]}
    frame.record("memory.growth", ten.peak_mb / one.peak_mb, sizes, exact=True, **curve)
    frame.record("memory.large", ten.peak_mb, exact=True)
    frame.record("rate.large", large.mpx / ten.seconds, cpu=ten.cpu, seconds=ten.seconds)


def test_all_fresh_processes_are_alike(frame):
    scan = frame.scan("jpeg", 1024)
    peaks = [partial(flat, scan)().peak_mb for _ in range(2)]
    assert max(peaks) < 1.2 * min(peaks)
