"""Start-up: import, help, the first suppression with and without compiled kernels on disk."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from tilekit.bench.pairing import Cost


def python(*words, **environment):
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True, env=os.environ | environment)
    return Cost(time.perf_counter() - start)


def test_import(frame):
    works = {
        "empty": lambda: python("-c", "pass"),
        "import": lambda: python("-c", "import tilekit"),
        "help": lambda: python("-m", "tilekit.cli", "--help"),
    }
    timed = frame.pair(works, 10, rounds=frame.pick(15, 3))
    empty = timed.seconds("empty")
    frame.record(
        "startup.import", 1e3 * (timed.seconds("import") - empty), f"empty Python {1e3 * empty:.0f} ms"
    )
    frame.record("startup.help", 1e3 * (timed.seconds("help") - empty))


def test_first_nms(frame, fresh):
    code = "from benchmarks.targets.works import first_nms; first_nms()()"
    few = "import numpy as np, tilekit as tk; tk.nms(np.array([[0, 0, 9, 9.0]]), np.ones(1))"
    warm = frame.pair({"warm": lambda: python("-c", code), "empty": lambda: python("-c", "import numpy")}, 8, rounds=5)  # fmt: skip
    frame.record("startup.kernel.warm", warm.seconds("warm") - warm.seconds("empty"))
    cold = python("-c", code, NUMBA_CACHE_DIR=fresh()).seconds - warm.seconds("empty")
    first = python("-c", few, NUMBA_CACHE_DIR=fresh()).seconds - warm.seconds("empty")
    frame.record("startup.kernel.cold", cold, f"2,000 boxes; {first:.2f} s where a call has up to 48 boxes")
