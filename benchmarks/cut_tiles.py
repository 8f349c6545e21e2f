"""Tiles cut from the bits of a JPEG or a JPEG-block TIFF, beside libvips' dzsave: `python benchmarks/cut_tiles.py [side] [minutes]`.

Both run interleaved, as whole processes that write files to disk, first with nothing else running, then with every
core kept at work beside them; "within a process" is the second of two tilings in one process, without what starting
costs. Ratios are medians of rounds: wall dzsave / tilekit, CPU seconds tilekit / dzsave. Peak, bytes and PSNR against
the decoded scan (of nine tiles) are told for both. The record is `benchmarks/results/cut-tiles.json`; it takes about
three minutes, and stops adding rounds at `minutes` (3.3).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECORD = Path(__file__).parent / "results" / "cut-tiles.json"
OURS = """
import json, sys, time
import tilekit as tk
def run(out):
    wall, cpu = time.perf_counter(), time.process_time()
    made = tk.tile_scan(sys.argv[1], out, tk.Tiling(1024, 128))
    return time.perf_counter() - wall, time.process_time() - cpu, made.tiles, made.kept, made.bytes
first = run(sys.argv[2] + "/a")
print(json.dumps(run(sys.argv[2] + "/b") if sys.argv[3] == "twice" else first))
"""
PEER = """
import sys, pyvips
image = pyvips.Image.new_from_file(sys.argv[1], access="sequential")
image.dzsave(sys.argv[2] + "/d", depth="one", tile_size=896, overlap=64, suffix=".jpg[Q=90]")
"""
SCANS = """
import sys
import pyvips
from tilekit.testing.scans import write_scan
folder, side = sys.argv[1], int(sys.argv[2])
write_scan(folder + "/page.jpg", side, side)
for quality in (90, 75):
    image = pyvips.Image.new_from_file(folder + "/page.jpg", access="sequential")
    image.tiffsave(f"{folder}/q{quality}.tif", compression="jpeg", Q=quality, tile=True, tile_width=256, tile_height=256)
"""
PSNR = """
import json, sys
from pathlib import Path
import numpy as np
import tilekit as tk
out, found = Path(sys.argv[2]), []
with tk.open_scan(sys.argv[1]) as scan:
    for name, step, back in (("a", 896, 0), ("d_files/0", 896, 64)):
        errors = []
        for row in (1, 2, 3):
            for col in (1, 2, 3):
                x, y = col * step - back, row * step - back
                file = f"{col}_{row}.jpg" if back else f"*.x{x}.y{y}.*.jpg"
                with tk.open_scan(next((out / name).rglob(file))) as tile:
                    pixels = tile.read(0, 0, tile.width, tile.height).astype(float)
                want = scan.read(x, y, x + pixels.shape[1], y + pixels.shape[0])
                errors.append(((pixels - want) ** 2).mean())
        mean = float(np.mean(errors))
        found.append(None if mean == 0 else 10 * float(np.log10(255 ** 2 / mean)))
print(json.dumps(found))
"""
INPUTS = {
    "JPEG 4:4:4": "page.jpg",
    "TIFF of JPEG blocks, RGB 4:4:4": "q90.tif",
    "TIFF of JPEG blocks, 4:2:0": "q75.tif",
}


class Runner:
    """Runs code in processes of their own, with bytecode kept as that of installed packages is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        self._env["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")

    def run(self, code: str, *arguments: str) -> dict:
        """Wall and CPU seconds, peak MB, and what was printed."""
        start = time.perf_counter()
        with tempfile.TemporaryFile() as told:
            command = [sys.executable, "-c", code, *arguments]
            process = subprocess.Popen(command, stdout=told, env=self._env)
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise SystemExit(f"a run failed with {process.returncode}")
            told.seek(0)
            answer = json.loads(told.read() or "null")
        return {
            "wall": wall,
            "cpu": used.ru_utime + used.ru_stime,
            "peak_mb": used.ru_maxrss / 1024,
            "told": answer,
        }

    def tiling(self, code: str, name: str, how: str = "once") -> dict:
        """One tiling to a folder that is gone afterwards."""
        with tempfile.TemporaryDirectory(dir=self.folder) as out:
            return {**self.run(code, str(self.folder / name), out, how), "bytes": _bytes_in(Path(out))}

    def psnr(self, name: str) -> list[float | None]:
        """dB of our and the peer's tiles against the decoded scan; None where nothing differs."""
        with tempfile.TemporaryDirectory(dir=self.folder) as out:
            for code in (OURS, PEER):
                self.run(code, str(self.folder / name), out, "once")
            return self.run(PSNR, str(self.folder / name), out)["told"]


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*.jpg"))


def measured(runner: Runner, name: str, rounds: int, until: float, *, warm: bool) -> dict:
    """Medians of rounds of both; rounds end where the time does, the first one is always whole."""
    found: list[tuple[dict, dict, dict | None]] = []
    while not found or (len(found) < rounds and time.monotonic() < until):
        ours, peer = runner.tiling(OURS, name), runner.tiling(PEER, name)
        found.append((ours, peer, runner.tiling(OURS, name, "twice") if warm else None))
    middle = statistics.median
    ours, peer, _ = found[-1]
    row = {
        "rounds": len(found),
        "wall_ratio": middle(peer["wall"] / ours["wall"] for ours, peer, _ in found),
        "cpu_ratio": middle(ours["cpu"] / peer["cpu"] for ours, peer, _ in found),
        "tiles": ours["told"][2],
        "cut": ours["told"][3],
        "bytes": {"tilekit": ours["bytes"], "dzsave": peer["bytes"]},
    }
    for what in ("wall", "cpu", "peak_mb"):
        row[what] = {
            who: middle(pair[place][what] for pair in found)
            for place, who in enumerate(("tilekit", "dzsave"))
        }
    if warm:
        row["within_wall_ratio"] = middle(
            peer["wall"] / again["told"][0] for _, peer, again in found if again
        )
        row["within_cpu_ratio"] = middle(again["told"][1] / peer["cpu"] for _, peer, again in found if again)
    return row


def line(name: str, how: str, row: dict) -> str:
    """One row of the table."""
    within = (
        f"{row['within_wall_ratio']:5.2f} {row['within_cpu_ratio']:5.2f}"
        if "within_wall_ratio" in row
        else " " * 11
    )
    psnr = "/".join("exact" if db is None else f"{db:.1f}" for db in row.get("psnr", ())) or ""
    peaks, sizes = row["peak_mb"], row["bytes"]
    behind = "" if row["wall_ratio"] > 1.05 else "  dzsave is level or ahead"
    return (
        f"{name:32} {how:5} {row['wall_ratio']:5.2f} {row['cpu_ratio']:5.2f}  {within}"
        f"  {peaks['tilekit']:4.0f}/{peaks['dzsave']:4.0f} {sizes['tilekit'] / 1e6:6.1f}/{sizes['dzsave'] / 1e6:6.1f}"
        f"  {psnr:12} {row['cut']}/{row['tiles']}{behind}"
    )


def main(side: int, minutes: float) -> None:
    """Measure, print the table, write the record."""
    end = time.monotonic() + 60 * minutes
    rows: dict[str, dict[str, dict]] = {name: {} for name in INPUTS}
    print(
        f"{'tilekit / dzsave':32} load   wall   CPU  within a pr.   peak MB     written MB   PSNR dB      cut"
    )
    with tempfile.TemporaryDirectory() as place:
        runner = Runner(Path(place))
        runner.run(SCANS, place, str(side))
        for name, file in INPUTS.items():
            rows[name]["psnr"] = runner.psnr(file)  # the first run of each, which also writes the bytecode
        for how, rounds, warm in (("idle", 4, True), ("busy", 2, False)):
            loads = [
                subprocess.Popen([sys.executable, "-c", "while True: pass"])
                for _ in range(os.cpu_count() or 1)
                if how == "busy"
            ]
            try:
                for place_of, (name, file) in enumerate(INPUTS.items()):
                    left = len(INPUTS) - place_of + (len(INPUTS) if how == "idle" else 0)
                    until = time.monotonic() + (end - time.monotonic()) / left
                    row = measured(runner, file, rounds, until, warm=warm)
                    row["psnr"] = rows[name]["psnr"]
                    rows[name][how] = row
                    print(line(name, how, row), flush=True)
            finally:
                for load in loads:
                    load.kill()
    for found in rows.values():
        found.pop("psnr")
    RECORD.write_text(json.dumps({"side": side, "cores": os.cpu_count(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12_000, float(sys.argv[2]) if len(sys.argv) > 2 else 3.3)
