"""One task in this process: `python -m tilekit.bench.child JSON` prints its cost as a JSON line.

A task names `do`, "module:function", and holds whatever keywords that function takes. The function
does its imports, then gives a callable that is timed.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

_BEGAN = time.perf_counter()


def peak_mb() -> float:
    """Peak of this process, MB: the high-water mark of its own memory, not of who started it."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    peak = 0.0
    if sys.platform != "win32":
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return peak


def cpu_seconds() -> float:
    """CPU seconds of this process and of those it has waited for."""
    spent = time.process_time()
    if sys.platform != "win32":
        import resource

        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent += ended.ru_utime + ended.ru_stime
    return spent


def main(text: str) -> str:
    """Do the task and tell what it cost."""
    task: dict[str, Any] = json.loads(text)
    module, _, name = task.pop("do").partition(":")
    work = getattr(import_module(module), name)(**task)
    wall, cpu = time.perf_counter(), cpu_seconds()
    answer = work()
    told = {
        "seconds": time.perf_counter() - wall,
        "cpu": cpu_seconds() - cpu,
        "whole": time.perf_counter() - _BEGAN,
        "peak_mb": round(peak_mb(), 1),
        "answer": answer,
    }
    return json.dumps(told)


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1]) + "\n")
