"""What a run of an archive comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ArchiveSummary:
    """Counts of one run, kept while it goes on.

    `done` and `failed` pages of this run, `skipped` pages proven done before, `set_aside` pages
    that failed in an earlier run and have not changed since; `tiles`, `pixels` made by this run;
    `seconds` of wall clock; `failures`: the first reasons (at most 100), key -> sentence.
    """

    done: int = 0
    failed: int = 0
    skipped: int = 0
    set_aside: int = 0
    retried: int = 0
    tiles: int = 0
    pixels: int = 0
    seconds: float = 0.0
    stopped: str = ""
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing failed, now or earlier, and the run went to the end."""
        return not (self.failed or self.set_aside or self.stopped)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "done": self.done,
            "failed": self.failed,
            "skipped": self.skipped,
            "set_aside": self.set_aside,
            "retried": self.retried,
            "tiles": self.tiles,
            "megapixels": round(self.pixels / 1e6, 3),
            "seconds": round(self.seconds, 3),
            "stopped": self.stopped,
            "failures": self.failures,
        }
