"""Trying again: how long, with which pauses, and what is said meanwhile. The one policy of all calls of the service."""

from __future__ import annotations

import random
import threading
import time

_SILENT = 5.0
_SAY_AGAIN = 60.0


class Trouble:
    """How long calls have been failing without one that came through, and when that was last said. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: float | None = None
        self._say_at = 0.0

    def since(self) -> float:
        """A call has failed: when the first one did (monotonic)."""
        with self._lock:
            if self._since is None:
                self._since = time.monotonic()
                self._say_at = self._since + _SILENT
            return self._since

    def over(self) -> None:
        """A call has come through."""
        with self._lock:
            self._since = None

    def worth_saying(self) -> bool:
        """Whether to tell of it now: after 5 s, then every minute."""
        with self._lock:
            now = time.monotonic()
            if self._since is None or now < self._say_at:
                return False
            self._say_at = now + _SAY_AGAIN
            return True


def pause(attempt: int, longest: float = 20.0) -> float:
    """Seconds to wait before attempt `attempt` + 1: a random share of 0.25, 0.5, 1, ... up to `longest`."""
    return random.uniform(0.5, 1.0) * min(longest, 0.25 * 2.0 ** min(attempt - 1, 16))
