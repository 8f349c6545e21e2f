"""Which task may start now: by bytes, so that small scans fill the machine and large ones get their turn."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tilekit.archive.working import Task


@dataclass
class Waiting:
    """A task that has not ended. `cost` None: unknown yet, admitted at a worker's share."""

    task: Task
    cost: int | None = None
    attempts: int = 0


class Admission:
    """The queue of a run. `memory`: bytes in all; `size`: tasks that run at once."""

    def __init__(self, memory: int, size: int) -> None:
        self.memory, self.size = memory, size
        self.share = max(1, memory // size)
        self.large: deque[Waiting] = deque()
        self.again: deque[Waiting] = deque()
        self.more: deque[Iterator[Task]] = deque()

    def next(self, fresh: Iterator[Task], flying: Iterable[Waiting]) -> Waiting | None:
        """The next task that may start now: lost ones first, then large ones, then new ones.

        While a large one waits no new one starts, so that small scans cannot starve it.
        """
        queue = self.again or self.large
        if queue:
            return queue.popleft() if self.fits(queue[0].cost, flying) else None
        if not self.fits(None, flying):
            return None
        while self.more:
            task = next(self.more[0], None)
            if task is not None:
                return Waiting(task)
            self.more.popleft()
        task = next(fresh, None)
        return None if task is None else Waiting(task)

    def fits(self, cost: int | None, flying: Iterable[Waiting]) -> bool:
        """Whether one more task of this cost (None: a share) keeps what can run at once within memory."""
        others = list(flying)
        if not others:
            return True
        large = sum(w.cost for w in others if w.cost is not None)
        small = sum(1 for w in others if w.cost is None)
        if cost is None:
            return large + min(small + 1, self.size) * self.share <= self.memory
        return large + cost + min(small, self.size - 1) * self.share <= self.memory


def usable_memory() -> int:
    """Half of the memory this machine (or its control group) has, in bytes."""
    return machine_memory() // 2


def machine_memory() -> int:
    """Bytes of memory of this machine or its control group; assumed to be 8 GiB where the system has no way to ask (Windows)."""
    total = 8 * 2**30
    with contextlib.suppress(ValueError, OSError):
        if hasattr(os, "sysconf"):
            total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total
