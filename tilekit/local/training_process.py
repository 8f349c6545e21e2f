"""The training process as the server sees it: started, listened to, started again once when killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tilekit.local.publication import Predicted

_TRIES = 2
_PATIENT = {
    "OMP_WAIT_POLICY": "PASSIVE"
}  # threads that spin while they wait starve each other on a busy machine


def fit_in_process(folder: Path, say: Callable[[str], None]) -> list[Predicted]:
    """Train the job of `folder` in a process of its own; gives the test predictions.

    Raises RuntimeError with the last words of a process that failed.
    """
    for _ in range(_TRIES):
        code, last = _run(folder, say)
        if code == 0:
            return _predicted(folder)
        if code > 0:
            break
        say("The training process was killed; it begins again.")
    raise RuntimeError(last or f"the training process ended with code {code}")


def _run(folder: Path, say: Callable[[str], None]) -> tuple[int, str]:
    log = folder / "training.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tilekit.local.training", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **_PATIENT, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                say(json.loads(line)["message"])
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return process.returncode, lines[-1] if lines else ""


def _predicted(folder: Path) -> list[Predicted]:
    rows = json.loads((folder / "predictions.json").read_text(encoding="utf-8"))
    return [Predicted(row[0], row[1], row[2], (row[3], row[4], row[5], row[6])) for row in rows]
