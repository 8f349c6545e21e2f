"""Waiting for the service: own polling, with reasons and the time gone by. No time limit of our own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tilekit.rekognition.pricing import duration

T = TypeVar("T")
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Polling:
    """Seconds between looks at a dataset, a training, a start or stop."""

    dataset: float = 5.0
    training: float = 60.0
    running: float = 10.0

    def scaled(self, factor: float) -> Polling:
        """The same, faster or slower."""
        return Polling(self.dataset * factor, self.training * factor, self.running * factor)


def silent(_: str) -> None:
    """A note nobody wants."""


def poll(
    look: Callable[[], T],
    done: Callable[[T], bool],
    *,
    every: float,
    words: Callable[[T], str],
    note: Note = silent,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Look every `every` seconds until `done`; a note at each change and every ten minutes.

    The first looks come quicker, so that what is done at once costs no wait.
    """
    began = time.monotonic()
    last, said_at = "", began
    gap = min(every, 0.5)
    while True:
        found = look()
        now = time.monotonic()
        said = words(found)
        if said != last or now - said_at >= 600:
            note(f"{said} ({duration(now - began)})" if now - began >= 1 else said)
            last, said_at = said, now
        if done(found):
            return found
        sleep(gap)
        gap = min(every, gap * 1.5)
