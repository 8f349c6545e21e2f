"""The training process as the server sees it: started, listened to, started again once when killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tilekit.local.publication import Predicted

_TRIES = 2
# Threads that spin while they wait starve each other on a busy machine.
_PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}


class TrainingProcesses:
    """Trains jobs, each in a process of its own; `close` ends those under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._closed = False

    def fit(self, folder: Path, say: Callable[[str], None]) -> list[Predicted]:
        """Train the job of `folder`; gives the test predictions.

        Raises RuntimeError with the last words of a process that failed.
        """
        for _ in range(_TRIES):
            code, last = self._run(folder, say)
            if code == 0:
                return _predicted(folder)
            if code > 0 or self._closed:
                break
            say("The training process was killed; it begins again.")
        raise RuntimeError(last or f"the training process ended with code {code}")

    def close(self) -> None:
        """End what runs; it is taken up again at the next start of the server."""
        with self._lock:
            self._closed = True
            for process in self._running:
                process.kill()

    def _run(self, folder: Path, say: Callable[[str], None]) -> tuple[int, str]:
        log = folder / "training.log"
        with log.open("wb") as errors:
            process = self._start(folder, errors)
            try:
                with process:
                    assert process.stdout is not None
                    for line in process.stdout:
                        say(json.loads(line)["message"])
            finally:
                with self._lock:
                    self._running.discard(process)
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return process.returncode, lines[-1] if lines else ""

    def _start(self, folder: Path, errors: IO[bytes]) -> subprocess.Popen[str]:
        with self._lock:
            if self._closed:
                raise RuntimeError("the server is closing")
            process = subprocess.Popen(
                [sys.executable, "-m", "tilekit.local.training", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={
                    **os.environ,
                    **_PATIENT,
                    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                },
            )
            self._running.add(process)
            return process


def _predicted(folder: Path) -> list[Predicted]:
    rows = json.loads((folder / "predictions.json").read_text(encoding="utf-8"))
    return [Predicted(row[0], row[1], row[2], (row[3], row[4], row[5], row[6])) for row in rows]
