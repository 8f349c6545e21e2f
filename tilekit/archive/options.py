"""How an archive is run, beside what is done with each page."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tilekit.errors import InvalidArgument
from tilekit.storage.identity import HOWS, How
from tilekit.storage.leasing import LEASE_SECONDS


@dataclass(frozen=True)
class ArchiveOptions:
    """Settings of a run. None of them shapes an output.

    `max_failures`: stop when more pages than this have failed. `retry_failed`: try pages again that failed before
    and have not changed. `memory`: bytes all running pages may take (default half of the machine's); a page that
    needs more than its share waits, or runs alone. `staging`: bytes of scans on S3 that may lie on this disk,
    downloaded ahead of the workers here (default 8 GB, at most a quarter of what is free). `state`: folder of
    ledger, locks and log (default `.tilekit` in the output, on S3 too). `identity`: how an input is known to be
    unchanged, see `tilekit.storage.identity`. `join`: share the archive with other machines (always so where the
    records are on S3); `lease`: seconds without a sign of life after which what a machine had taken is free again; `parts`: how
    many the archive is shared out in, a few for each machine (fixed by the first run).
    `drop`: remove results whose scans are gone also where that is most of them.
    """

    max_failures: int | None = None
    retry_failed: bool = False
    memory: int | None = None
    staging: int | None = None
    state: str | os.PathLike[str] | None = None
    identity: How = "sample"
    join: bool = False
    lease: float = LEASE_SECONDS
    parts: int = 64
    drop: bool = False

    def __post_init__(self) -> None:
        for name, value, least in (
            ("max_failures", self.max_failures, 0),
            ("memory", self.memory, 1),
            ("staging", self.staging, 1),
            ("parts", self.parts, 1),
        ):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise InvalidArgument(f"{name}={value!r} must be a whole number of at least {least}")
        if self.identity not in HOWS:
            raise InvalidArgument(f"identity={self.identity!r} must be one of {', '.join(HOWS)}")
        if self.lease <= 0:
            raise InvalidArgument(f"lease={self.lease!r} must be above 0 seconds")
