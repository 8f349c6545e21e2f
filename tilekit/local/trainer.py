"""Training jobs: at most so many at once, each with its own thread here and, when real, its own process.

A job that a killed server left is taken up again at the next start.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tilekit.local.context import Backend
from tilekit.local.preparation import TrainingRefused, collect, told, write_job
from tilekit.local.publication import Predicted, publish_checks, publish_results

_LOG = logging.getLogger("tilekit.local")
Fit = Callable[[Path, Callable[[str], None]], list[Predicted]]


class TrainingQueue:
    """Runs trainings: prepare, fit, publish."""

    def __init__(self, fit: Fit, workers: int, on_close: Callable[[], None] | None = None) -> None:
        self._fit = fit
        self._on_close = on_close
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="training")
        self._backend: Backend | None = None
        self._closing = threading.Event()

    def begin(self, backend: Backend) -> None:
        """Bind the server's parts and take up what an earlier run left."""
        self._backend = backend
        for row in backend.state.rows("SELECT arn FROM versions WHERE status = 'TRAINING_IN_PROGRESS'"):
            self.submit(row["arn"])

    def submit(self, version_arn: str) -> None:
        """Begin the training of a version."""
        self._pool.submit(self._run, version_arn)

    def close(self) -> None:
        """Stop; what runs is taken up again at the next start."""
        self._closing.set()
        if self._on_close is not None:
            self._on_close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, arn: str) -> None:
        backend = self._backend
        assert backend is not None
        row = backend.state.row(
            "SELECT * FROM versions WHERE arn = ? AND status = 'TRAINING_IN_PROGRESS'", arn
        )
        if row is None:
            return
        begun = backend.clock.now()
        result: dict[str, Any] | None = None
        try:
            self._say(backend, arn, "The dataset is being checked and its images copied.")
            material = collect(backend, row)
            result = publish_checks(backend, row, material)
            refusal = material.refusal or _fault_on_demand(backend)
            if refusal:
                raise TrainingRefused(refusal)
            folder = backend.state.model_folder(row["folder"])
            write_job(backend, folder, material, row)
            predicted = self._fit(folder, lambda message: self._say(backend, arn, message))
            result = publish_results(backend, row, material, predicted, result)
            shutil.rmtree(folder / "images", ignore_errors=True)
        except TrainingRefused as refused:
            self._end(backend, arn, "TRAINING_FAILED", refused.message, result, None)
            return
        except Exception as exc:  # noqa: BLE001 - any failure of a job becomes its state
            if not self._closing.is_set():
                _LOG.exception("training of %s failed", arn)
                self._end(backend, arn, "TRAINING_FAILED", f"Training failed: {exc}", result, None)
            return
        billable = math.ceil(backend.clock.now() - begun)
        message = " ".join(["The model is ready to run.", *told(folder)])
        self._end(backend, arn, "TRAINING_COMPLETED", message, result, billable)

    def _say(self, backend: Backend, arn: str, message: str) -> None:
        with backend.state.change() as db:
            db.execute(
                "UPDATE versions SET message = ? WHERE arn = ? AND status = 'TRAINING_IN_PROGRESS'",
                (message, arn),
            )

    def _end(
        self,
        backend: Backend,
        arn: str,
        status: str,
        message: str,
        result: dict[str, Any] | None,
        billable: int | None,
    ) -> None:
        with backend.state.change() as db:
            db.execute(
                "UPDATE versions SET status = ?, message = ?, result = ?, f1 = ?, billable = ?, training_end = ? "
                "WHERE arn = ?",
                (
                    status,
                    message,
                    json.dumps(result) if result else None,
                    result["EvaluationResult"]["F1Score"]
                    if result and "EvaluationResult" in result
                    else None,
                    billable,
                    backend.clock.now(),
                    arn,
                ),
            )


def _fault_on_demand(backend: Backend) -> str | None:
    """The status message of a training that is to fail, or None."""
    rule = backend.faults.next_fault("Training")
    if rule is None:
        return None
    time.sleep(rule.delay)
    return rule.reason if rule.fails else None
