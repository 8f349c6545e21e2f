"""Finding the rate a model takes and keeping just under it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from tilekit.errors import InvalidArgument

_SHORTEST = 1.0
_CALLS_A_PERIOD = 20
_RAMP = 2.0
_BACK = 0.97
_PROBE = 1.03
_BUSY = 0.8
_WAIT_FIRST = 4.0
_WAIT_LONGEST = 32.0


class RateLimiter:
    """Spaces calls evenly and learns how fast they may come. Shared by all threads of a detector.

    Time is cut into periods (one second, or 20 calls where those take longer). A period that was busy and
    saw no throttle doubles the rate until the first throttle; one with throttles shows what really came
    through, and the rate goes to 97 % of that. After a quiet time, 4 s growing to 32 s with each failed
    try, it probes 3 % higher, with growing steps while nothing is throttled, so that raised limits are found too.
    Heavy throttling ends a period at once, so a halved limit is met within a fraction of a second.

    `start`, `lowest`, `highest`: calls a second.
    """

    def __init__(
        self,
        start: float = 5.0,
        *,
        lowest: float = 0.2,
        highest: float = 50.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < lowest <= start <= highest:
            raise InvalidArgument(
                f"lowest={lowest!r} <= start={start!r} <= highest={highest!r} must hold, above 0"
            )
        self._clock = clock
        self._low, self._high = lowest, highest
        self._rate = start
        self._turn = threading.Lock()
        self._changed = threading.Condition()
        self._slot = 0.0
        self._ramping = True
        self._step = _PROBE
        self._wait = _WAIT_FIRST
        self._quiet_since = clock()
        self._begin(clock())

    def __reduce__(self) -> tuple[Any, ...]:
        return _limiter, (self._rate, self._low, self._high)

    @property
    def rate(self) -> float:
        """Calls a second that are let through now."""
        return self._rate

    def acquire(self) -> float:
        """Wait for a turn; gives the time it came, to be handed to `throttled`."""
        with self._turn:
            while True:
                with self._changed:
                    now = self._clock()
                    due = self.due()
                    if due <= now:
                        return self.take(due)
                    self._changed.wait(min(due - now, 0.5))

    def due(self) -> float:
        """When the next call may go; up to 50 ms late it makes up for the delay."""
        gap = 1.0 / self._rate
        return max(self._slot + gap, self._clock() - min(gap, 0.05))

    def take(self, due: float) -> float:
        """Take the turn that is `due`; gives the time."""
        self._slot = due
        self._sent += 1
        return self._clock()

    def succeeded(self) -> None:
        """A call came back with an answer."""
        with self._changed:
            self._judge()

    def throttled(self, sent: float) -> None:
        """A call that was let through at `sent` was refused for coming too fast."""
        with self._changed:
            if sent < self._began:  # a late echo of a rate already given up
                return
            self._refused += 1
            heavy = self._refused >= max(3.0, 0.25 * self._rate * _SHORTEST)
            self._judge(early=heavy)

    def _begin(self, now: float) -> None:
        self._began = now
        self._sent = self._refused = 0

    def _judge(self, *, early: bool = False) -> None:
        now = self._clock()
        spent = now - self._began
        length = max(_SHORTEST, _CALLS_A_PERIOD / self._rate)
        if self._ramping and not self._refused:
            length = max(0.5, 4 / self._rate)
        if spent < length and not early:
            return
        before = self._rate
        if self._refused:
            self._cut(spent, now)
        elif self._sent >= _BUSY * before * spent:
            self._grow(now)
        self._rate = min(self._high, max(self._low, self._rate))
        self._begin(now)
        self._changed.notify_all()

    def _cut(self, spent: float, now: float) -> None:
        # Refusals come back faster than answers, so what is still open counts as let through.
        through = (self._sent - self._refused) / max(spent, 1.0 / self._rate)
        self._rate = max(_BACK * min(self._rate, through), 0.4 * self._rate)
        if not self._ramping:
            self._wait = min(_WAIT_LONGEST, 2 * self._wait)
        self._ramping = False
        self._step = _PROBE
        self._quiet_since = now

    def _grow(self, now: float) -> None:
        if self._ramping:
            self._rate *= _RAMP
        elif now - self._quiet_since >= self._wait:
            self._rate *= self._step
            self._step = min(1.5, 1 + (self._step - 1) * 1.5)
            self._wait = max(_WAIT_FIRST, self._wait / 2) if self._step > 1.2 else self._wait


def _limiter(start: float, lowest: float, highest: float) -> RateLimiter:
    return RateLimiter(start, lowest=lowest, highest=highest)
