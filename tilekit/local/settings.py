"""What a local server is told at its start."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tilekit.errors import InvalidArgument
from tilekit.local.gate import bucket_problem


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the server behaves. Durations in seconds, sides in pixels.

    `limit`: images with a longer side are shrunk before training, and before inference too when
    `shrink_inference`. `latency`: added to each detection. `tps_per_unit`: detections a second one
    inference unit takes before ProvisionedThroughputExceeded; None for no limit. `control_tps`: the same
    for each other operation (5 on the service). `time_scale`: wall seconds per second that the service
    takes to start, stop, copy and delete. `canned`: no training; detections are the same box each time.
    `seed`, `threads`: of training. `steps`, `minutes`: caps of it (None for none); it ends before them when it
    no longer gets better, and says so where it did not.
    `max_...`: quotas, as the service sets them for a new account. `bucket`: made at the start, "" for none.
    `hosts`: further names by which clients reach the server, such as a container's.
    """

    limit: int = 1280
    shrink_inference: bool = True
    latency: float = 0.0
    tps_per_unit: float | None = None
    control_tps: float | None = None
    time_scale: float = 0.001
    canned: bool = False
    seed: int = 0
    steps: int | None = None
    minutes: float | None = 60.0
    threads: int = 1
    max_running: int = 2
    max_training: int = 2
    max_units: int = 5
    max_projects: int = 100
    max_models: int = 100
    bucket: str = "tilekit-local"
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.limit < 64:
            raise InvalidArgument(f"limit={self.limit}: must be at least 64 px")
        for name in ("latency", "time_scale"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InvalidArgument(f"{name}={getattr(self, name)}: must be 0 or more")
        for name in ("tps_per_unit", "control_tps"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InvalidArgument(f"{name}={value}: must be above 0, or None for no limit")
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise InvalidArgument(f"minutes={self.minutes}: must be above 0, or None for no cap")
        if self.steps is not None and self.steps < 1:
            raise InvalidArgument(f"steps={self.steps}: must be at least 1, or None for as many as it takes")
        for name in (
            "threads",
            "max_running",
            "max_training",
            "max_units",
            "max_projects",
            "max_models",
        ):
            if getattr(self, name) < 1:
                raise InvalidArgument(f"{name}={getattr(self, name)}: must be at least 1")
        if self.bucket and bucket_problem(f"/{self.bucket}", None):
            raise InvalidArgument(
                f"bucket={self.bucket!r}: 3 to 63 lower-case letters, digits, dots and hyphens make a bucket's name"
            )

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> ServerSettings:
        """The settings of what `dataclasses.asdict` gave, by way of JSON."""
        return cls(**{**fields, "hosts": tuple(fields["hosts"])})
