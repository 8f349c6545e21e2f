"""The first call of a fresh process: `python -m benchmarks.first_call` prints a table and writes results/first-call.json.

Three states of the kernels: as the wheel ships them, with an empty cache (after `pip install`); compiled once, in the
user's cache (a source checkout from its second process on); nothing anywhere (a source checkout's first). Each call is
a process of its own; all are interleaved, and what an empty Python, or one with numpy, takes is told beside, not taken off.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import tilekit
from tilekit.bench.machine import today
from tilekit.testing.scans import write_scan

RECORD = Path(__file__).parent / "results" / "first-call.json"
ROUNDS, COLD_ROUNDS = 7, 2
BOXES = "import numpy as np; r = np.random.default_rng(0); c = r.random((%d, 2)) * 5000; b = np.hstack([c, c + 30]); s = r.random(%d); "
CALLS = {
    "empty Python": "pass",
    "import numpy": "import numpy",
    "import tilekit": "import tilekit",
    "nms of 10": BOXES % (10, 10) + "import tilekit as tk; tk.nms(b, s)",
    "nms of 2,000": BOXES % (2000, 2000) + "import tilekit as tk; tk.nms(b, s)",
    "tile of a PNG": "import tilekit as tk; next(iter(tk.read_tiles(tk.open_scan('page.png'), tk.Tiling(512, 64))))",
    "tiles of a JPEG": "import tilekit as tk; tk.tile_scan(tk.open_scan('page.jpg'), 'out', tk.Tiling(512, 64))",
}
TARGETS = (
    "import under 0.03 s over an empty Python; nms at most 0.25 s with kernels in the cache, 1 s as shipped"
)


def call(code: str, package: Path, folder: Path, cache: Path) -> tuple[float, float]:
    """Seconds and CPU seconds of a fresh process."""
    path = {"PYTHONPATH": str(package), "NUMBA_CACHE_DIR": str(cache)}
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, env=os.environ | path)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def prepare(folder: Path) -> dict[str, Path]:
    """Pages, and a copy of the package without and with the kernels that a wheel has."""
    write_scan(folder / "page.png", 2480, 3508, "png")
    write_scan(folder / "page.jpg", 2480, 3508)
    packages = {"source": folder / "source", "shipped": folder / "wheel"}
    for place in packages.values():
        shutil.copytree(
            Path(tilekit.__file__).parent, place / "tilekit", ignore=shutil.ignore_patterns("__pycache__")
        )
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(place)], check=True)
    code = "import pathlib; from tilekit.compiled.packages import build; build(pathlib.Path('tilekit/compiled/machine_code'))"
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        cwd=packages["shipped"],
        env=os.environ | {"PYTHONPATH": "."},
    )
    return packages


def measure(folder: Path) -> list[dict[str, object]]:
    """One line a call and state."""
    packages = prepare(folder)
    kept = folder / "kept"
    for code in CALLS.values():
        call(code, packages["source"], folder, kept)
    took: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for turn in range(ROUNDS):
        for what, code in CALLS.items():
            states = [("shipped", "shipped", None), ("cached", "source", kept)]
            if what.startswith("nms") and turn < COLD_ROUNDS:
                states.append(("nothing", "source", None))
            for state, package, cache in states:
                empty = Path(tempfile.mkdtemp(dir=folder)) if cache is None else cache
                shutil.rmtree(folder / "out", ignore_errors=True)
                took.setdefault((what, state), []).append(call(code, packages[package], folder, empty))
    return [
        {
            "what": what,
            "kernels": state,
            "seconds": _middle(found, 0),
            "cpu": _middle(found, 1),
            "rounds": len(found),
        }
        for (what, state), found in took.items()
    ]


def _middle(found: list[tuple[float, float]], place: int) -> float:
    return round(median(one[place] for one in found), 4)


def table(lines: list[dict[str, object]]) -> str:
    """As Markdown."""
    rows = ["| first call | kernels | s | CPU s |", "| --- | --- | --- | --- |"]
    rows += [
        f"| {line['what']} | {line['kernels']} | {line['seconds']:.3f} | {line['cpu']:.3f} |"
        for line in lines
    ]
    return "\n".join(rows)


def main() -> None:
    """Measure, print and record."""
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(Path(folder).resolve())
    RECORD.write_text(json.dumps({"date": today(), "targets": TARGETS, "lines": lines}, indent=1) + "\n")
    print(table(lines))


if __name__ == "__main__":
    main()
