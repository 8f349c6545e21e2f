"""Start-up: import, help, the first suppression with and without compiled kernels on disk."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time

from tilekit.bench.pairing import Cost


def python(*words, **environment):
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, capture_output=True, env=os.environ | environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.perf_counter() - start, cpu)


def over(timed, name, base, scale=1.0):
    """What one takes over another, round by round."""
    return [scale * (one - other) for one, other in timed.pairs(name, base)]


def test_import(frame):
    works = {
        "empty": lambda: python("-c", "pass"),
        "import": lambda: python("-c", "import tilekit"),
        "help": lambda: python("-m", "tilekit", "--help"),
    }
    timed = frame.pair(works, rounds=frame.pick(10, 3))
    note = f"empty Python {1e3 * timed.seconds('empty'):.0f} ms"
    frame.record("startup.import", over(timed, "import", "empty", 1e3), note, cost=timed)
    frame.record("startup.help", over(timed, "help", "empty", 1e3))


def test_first_nms(frame, fresh):
    code = "from benchmarks.targets.works import first_nms; first_nms()()"
    few = "import numpy as np, tilekit as tk; tk.nms(np.array([[0, 0, 9, 9.0]]), np.ones(1))"
    works = {"warm": lambda: python("-c", code), "empty": lambda: python("-c", "import numpy")}
    warm = frame.pair(works, rounds=5)
    frame.record("startup.kernel.warm", over(warm, "warm", "empty"), cost=warm)
    cold = python("-c", code, NUMBA_CACHE_DIR=fresh()).seconds - warm.seconds("empty")
    first = python("-c", few, NUMBA_CACHE_DIR=fresh()).seconds - warm.seconds("empty")
    frame.record("startup.kernel.cold", cold, f"2,000 boxes; {first:.2f} s where a call has up to 48 boxes")
