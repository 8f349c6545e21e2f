"""Work in a fresh process, whose wall, CPU and peak memory are its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tilekit.bench.pairing import Cost
from tilekit.errors import TilekitError

_DEADLINE = 600.0


class PeerFailed(TilekitError, RuntimeError):
    """A process ended badly, or gave no answer; the message is its last words."""


def run_task(task: dict[str, Any], *, deadline: float = _DEADLINE, whole: bool = False) -> Cost:
    """Run `tilekit.bench.child` on a task; its answer's `seconds` are the work without imports.

    `whole`: count from the start of the process instead. Raises PeerFailed.
    """
    command = [sys.executable, "-m", "tilekit.bench.child", json.dumps(task)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=deadline, env=_environment())
    except subprocess.TimeoutExpired as exc:
        raise PeerFailed(f"no answer within {deadline:.0f} s") from exc
    if done.returncode:
        raise PeerFailed(_last_words(done.stderr) or f"ended with code {done.returncode}")
    try:
        told = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError) as exc:
        raise PeerFailed(f"gave no answer: {_last_words(done.stdout)}") from exc
    seconds = told["whole"] if whole else told["seconds"]
    return Cost(seconds, told["cpu"], told["peak_mb"], told["answer"])


def _environment() -> dict[str, str]:
    """The peers' own limits on pixels lifted, so that size is no reason to fail."""
    return os.environ | {
        "OPENCV_IO_MAX_IMAGE_PIXELS": str(2**40),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONWARNINGS": "ignore",
    }


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
