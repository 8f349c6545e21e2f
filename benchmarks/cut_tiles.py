"""Tiles cut from the bits of a JPEG or a JPEG-block TIFF, beside libvips' dzsave: `python benchmarks/cut_tiles.py [side] [rounds] [busy]`.

Each round runs both, interleaved, as whole processes that write files; `busy` keeps every core at work beside
them. Wall and CPU seconds are told as medians of ratios (dzsave / tilekit), with bytes written and how many tiles
were cut. In-process: the second of two tilings in one process, without what starting costs.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OURS = """
import json, sys, time
import tilekit as tk
def run(out):
    wall, cpu = time.perf_counter(), time.process_time()
    made = tk.tile_scan(sys.argv[1], out, tk.Tiling(1024, 128))
    return time.perf_counter() - wall, time.process_time() - cpu, made.tiles, made.kept, made.bytes
first = run(sys.argv[2] + "/a")
again = run(sys.argv[2] + "/b") if sys.argv[3] == "twice" else None
print(json.dumps([first, again]))
"""
PEER = """
import sys, pyvips
image = pyvips.Image.new_from_file(sys.argv[1], access="sequential")
image.dzsave(sys.argv[2] + "/d", depth="one", tile_size=896, overlap=64, suffix=".jpg[Q=90]")
"""


def whole(code: str, path: Path, how: str = "once") -> tuple[float, float, list]:
    """Wall and CPU seconds of a process of its own, and what it printed."""
    with tempfile.TemporaryDirectory(dir=path.parent) as out:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code, str(path), out, how], check=True, capture_output=True
        )
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, json.loads(done.stdout or "[]")


def scans(folder: Path, side: int) -> dict[str, Path]:
    """The inputs: a JPEG, and its pixels in JPEG blocks, RGB 4:4:4 and YCbCr 4:2:0."""
    import pyvips

    from tilekit.testing.scans import write_scan

    made = {"JPEG 4:4:4": folder / "page.jpg"}
    write_scan(made["JPEG 4:4:4"], side, side)
    for name, quality in (("TIFF 4:4:4", 90), ("TIFF 4:2:0", 75)):
        made[name] = folder / f"q{quality}.tif"
        image = pyvips.Image.new_from_file(str(made["JPEG 4:4:4"]), access="sequential")
        image.tiffsave(
            str(made[name]), compression="jpeg", Q=quality, tile=True, tile_width=256, tile_height=256
        )
    return made


def main(side: int, rounds: int, busy: bool) -> None:
    """Print one line a scan."""
    loads = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
        if busy
    ]
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name, path in scans(Path(folder), side).items():
                ratios, inside = [], []
                for _ in range(rounds):
                    ours, peer, warm = whole(OURS, path), whole(PEER, path), whole(OURS, path, "twice")
                    ratios.append((peer[0] / ours[0], ours[1] / peer[1]))
                    inside.append((peer[0] / warm[2][1][0], warm[2][1][1] / peer[1]))
                wall, cpu = (statistics.median(column) for column in zip(*ratios, strict=True))
                within, work = (statistics.median(column) for column in zip(*inside, strict=True))
                tiles, kept, size = ours[2][0][2:]
                print(
                    f"{name}: {kept} of {tiles} tiles cut, {size / 1e6:.1f} MB; whole process {wall:.2f} x as fast,"
                    f" {cpu:.2f} of the CPU seconds; in-process {within:.2f} x, {work:.2f}"
                )
    finally:
        for load in loads:
            load.kill()


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 12_000,
        int(sys.argv[2]) if len(sys.argv) > 2 else 3,
        "busy" in sys.argv,
    )
