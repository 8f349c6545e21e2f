"""Time on the server: how long the service's states last, and the hours it would bill."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field

# Seconds that the service takes, roughly; AWS promises none. Starting: 5 to 30 minutes in public reports.
NOMINAL = {"create": 5.0, "update": 5.0, "delete": 10.0, "start": 600.0, "stop": 60.0, "copy": 300.0}


@dataclass(slots=True)
class Clock:
    """Wall time, and the scaled length of the service's transitions. `now()` never goes backward."""

    time_scale: float
    _last_id: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> float:
        """Epoch seconds."""
        return time.time()

    def until(self, kind: str) -> float:
        """When a transition that begins now ends."""
        return self.now() + NOMINAL[kind] * self.time_scale

    def stamp(self) -> int:
        """Epoch milliseconds as ARNs end with them; never the same twice."""
        with self._lock:
            self._last_id = max(int(self.now() * 1000), self._last_id + 1)
            return self._last_id


def billed_minutes(seconds: float) -> int:
    """Minutes billed for a run: begun minutes count whole."""
    return math.ceil(max(0.0, seconds) / 60 - 1e-9)


class Throttle:
    """A token bucket: `rate` calls a second, bursts of one second's worth (at least one call)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}

    def allows(self, key: str, rate: float) -> bool:
        """Whether a call under `key` may go on now; takes its token if so."""
        size = max(1.0, rate)
        with self._lock:
            moment = time.monotonic()
            tokens, last = self._buckets.get(key, (size, moment))
            tokens = min(size, tokens + (moment - last) * rate)
            granted = tokens >= 1
            self._buckets[key] = (tokens - 1 if granted else tokens, moment)
            return granted
