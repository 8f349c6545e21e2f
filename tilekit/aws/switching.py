"""Starting and stopping a model, and waiting for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tilekit.aws.service import Service
from tilekit.aws.waiting import Note, Polling, poll, silent
from tilekit.errors import ModelNotReady, ServiceError
from tilekit.rekognition.arns import parse_version_arn

STARTABLE = frozenset({"TRAINING_COMPLETED", "STOPPED", "COPYING_COMPLETED", "FAILED"})
STOPPED = frozenset(
    {"STOPPING", "STOPPED", "TRAINING_COMPLETED", "COPYING_COMPLETED", "FAILED", "DELETING", "GONE"}
)
STOP_PATIENCE = 900.0
_STALE = 120.0


@dataclass(frozen=True)
class Switch:
    """Turns one model on and off. Safe to call again after anything."""

    service: Service
    project_arn: str
    arn: str
    polling: Polling = field(default_factory=Polling)
    note: Note = silent

    @property
    def name(self) -> str:
        """`project/version`."""
        parsed = parse_version_arn(self.arn)
        return f"{parsed.project}/{parsed.version}"

    def describe(self, *, patience: float | None = None) -> dict[str, Any]:
        """The service's description; Status `GONE` where there is no such model any more."""
        version = parse_version_arn(self.arn).version
        for item in self.service.pages(
            "DescribeProjectVersions",
            "ProjectVersionDescriptions",
            self.name,
            ProjectArn=self.project_arn,
            VersionNames=[version],
            expect=("ResourceNotFoundException",),
            patience=patience,
        ):
            if item["ProjectVersionArn"] == self.arn:
                found: dict[str, Any] = item
                return found
        return {"ProjectVersionArn": self.arn, "Status": "GONE"}

    def start(self, units: int = 1, max_units: int | None = None) -> bool:
        """Ask for the start; False where the model is starting, running or stopping already."""
        answer = self.service.call(
            "StartProjectVersion",
            self.name,
            expect=("ResourceInUseException",),
            ProjectVersionArn=self.arn,
            MinInferenceUnits=units,
            MaxInferenceUnits=max_units,
        )
        return "expected" not in answer

    def wait_running(self) -> None:
        """Wait until the model runs, however long; ModelNotReady where it does not get there."""
        began, seen = time.monotonic(), False

        def done(status: str) -> bool:
            nonlocal seen
            seen = seen or status == "STARTING"
            if status in STARTABLE - {"FAILED"}:  # not yet seen to start, or stopped by somebody meanwhile
                return seen or time.monotonic() - began > _STALE
            return status != "STARTING"

        found = self._wait(done)
        if found["Status"] != "RUNNING":
            reason = found.get("StatusMessage", "").strip()
            raise ModelNotReady(
                f"{self.name}: did not start but is {_plain(found['Status'])}{': ' + reason if reason else ''}; "
                "start it again, or look at it in the console",
                code=found["Status"],
                operation="StartProjectVersion",
            )

    def wait_stopped(self) -> None:
        """Wait until a stopping model has stopped."""
        self._wait(lambda status: status not in {"STOPPING"})

    def stop(self, *, patience: float = STOP_PATIENCE) -> None:
        """Stop the model and wait until the service acknowledges it; from any state, also while starting.

        Trouble on the way is tried again for `patience` seconds; after that the ServiceError says that the
        model still runs and how to stop it.
        """
        try:
            while True:
                status = self.describe(patience=patience)["Status"]
                if status in STOPPED:
                    break
                if status == "RUNNING":
                    self.service.call(
                        "StopProjectVersion",
                        self.name,
                        expect=("ResourceInUseException", "ResourceNotFoundException"),
                        patience=patience,
                        ProjectVersionArn=self.arn,
                    )
                elif status == "STARTING":  # the service stops only what runs
                    self.note(f"{self.name}: is still starting; it is stopped as soon as it runs")
                    self._wait(lambda found: found != "STARTING", patience=patience)
                else:
                    break
        except ServiceError as exc:
            raise ServiceError(
                f"{self.name}: COULD NOT BE STOPPED AND MAY STILL BE BILLED ({exc}); "
                f"stop it with `tilekit stop {self.arn}`",
                code=exc.code,
                operation="StopProjectVersion",
            ) from exc
        self.note(f"{self.name}: {_plain(status)}")

    def _wait(self, done: Callable[[str], bool], *, patience: float | None = None) -> dict[str, Any]:
        return poll(
            lambda: self.describe(patience=patience),
            lambda found: done(found["Status"]),
            every=self.polling.running,
            words=lambda found: f"{self.name}: {_plain(found['Status'])}",
            note=self.note,
        )


def _plain(status: str) -> str:
    return status.lower().replace("_", " ")
