"""What a run of an archive comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_SHOWN = 100


@dataclass
class ArchiveSummary:
    """Counts of one run, kept while it goes on.

    `done` and `failed` pages of this run, `skipped` pages proven done before, `set_aside` pages
    that failed in an earlier run and have not changed since; `tiles`, `pixels` made by this run;
    `seconds` of wall clock; `failures`: the first reasons (at most 100), key -> sentence. `dropped`: pages whose
    results were removed since their scan or page is gone, `drops` the first 100 of them by name. `left_aside`: files
    below the inputs that do not end as scans do, ending -> count; named themselves they are taken. `stopped`: why
    the run did not go to the end; where that was the place's fault, the same command goes on from there.
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
    dropped: int = 0
    drops: dict[str, str] = field(default_factory=dict)
    left_aside: dict[str, int] = field(default_factory=dict)

    def fail(self, key: str, reason: str) -> None:
        """Keep a reason, while there are few."""
        if len(self.failures) < _SHOWN:
            self.failures[key] = reason

    def drop(self, dropped: dict[str, str]) -> None:
        """Count what was dropped, and name the first."""
        self.dropped += len(dropped)
        for key, reason in dropped.items():
            if len(self.drops) < _SHOWN:
                self.drops[key] = reason

    def add(self, other: ArchiveSummary) -> None:
        """What another part of the same run came to."""
        for name in ("done", "failed", "skipped", "set_aside", "retried", "tiles", "pixels", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for key, reason in other.failures.items():
            self.fail(key, reason)
        self.dropped += other.dropped
        self.drops |= other.drops
        self.left_aside = other.left_aside or self.left_aside  # each part goes through all inputs
        self.stopped = self.stopped or other.stopped

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
            "dropped": self.dropped,
            "drops": self.drops,
            "left_aside": self.left_aside,
        }
