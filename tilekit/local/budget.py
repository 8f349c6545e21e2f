"""How long a training goes on: caps in steps, views and minutes, and what is left of them.

The budget follows the data: each box is to be seen so many times, whole pages and tiles alike. It is a cap; a
training ends before it when it no longer gets better. Time is counted by steps' own durations, so a clock that
jumps, or a machine that slept, neither ends a training nor makes its estimate absurd.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

VIEWS = 120.0
"""Times each box is seen at most, on average, before a training has to settle."""
LEAST_STEPS = 4800
"""A cap in views is never fewer steps than these: a small set is seen often, and still needs them."""
MOST_STEPS = 18000
_FIRST = 20  # steps before views and seconds a step are known
_JUMP = 60.0  # a step that took this many times the usual did not work all that time


@dataclass(frozen=True, slots=True)
class Caps:
    """What may not be passed; None where there is no such cap. `views` of each box, on average."""

    steps: int | None = None
    minutes: float | None = None
    views: float = VIEWS


@dataclass(slots=True)
class Budget:
    """Counts a training's steps, views and seconds against its caps."""

    caps: Caps
    boxes: int
    clock: Callable[[], float] = time.monotonic
    steps: int = 0
    views: int = 0
    seconds: float = 0.0
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=60))
    _last: float | None = None

    def begin(self) -> None:
        """What came before the first step is counted from here."""
        self._last = self.clock()

    def step(self, views: int) -> None:
        """One step more, in which `views` boxes were seen."""
        now = self.clock()
        took = max(0.0, now - (self._last if self._last is not None else now))
        self._last = now
        usual = median(self._recent) if len(self._recent) >= _FIRST else None
        if usual is not None and took > max(_JUMP * usual, 30.0):
            took = usual
        self._recent.append(took)
        self.seconds += took
        self.steps += 1
        self.views += views

    @property
    def pace(self) -> float:
        """Seconds a step, of late; reviews that fell into it are in it."""
        return sum(self._recent) / len(self._recent) if self._recent else 0.0

    def most_steps(self) -> int:
        """Steps that the caps allow in all, by what is known now."""
        return self._first_cap()[0]

    def first_cap(self) -> str:
        """Which cap comes first, in words."""
        return self._first_cap()[1]

    def _first_cap(self) -> tuple[int, str]:
        if self.caps.steps is not None:
            caps = [(self.caps.steps, f"{self.caps.steps} steps")]
        else:
            caps = [(MOST_STEPS, f"{MOST_STEPS} steps")]
            if self.steps >= _FIRST and self.views:
                steps = round(self.caps.views * self.boxes / (self.views / self.steps))
                caps.append((max(LEAST_STEPS, steps), f"{self.caps.views:g} views of each box"))
        if self.caps.minutes is not None and self.pace > 0:
            left = 60 * self.caps.minutes - self.seconds
            caps.append((self.steps + max(0, int(left / self.pace)), f"{self.caps.minutes:g} minutes"))
        return max((1, ""), min(caps))

    def seconds_for(self, steps: int) -> float:
        """Seconds that so many steps will take."""
        return max(0, steps) * self.pace
