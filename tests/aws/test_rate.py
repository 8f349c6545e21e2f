from __future__ import annotations

import heapq
import random
import threading
import time
from collections.abc import Callable

import pytest

from tilekit.aws.rate import RateLimiter
from tilekit.errors import InvalidArgument


class Model:
    """A service that allows `limit(t)` calls a second with bursts of `burst` seconds' worth, on a made-up clock.

    `workers` threads are simulated as events; each call takes `latency` seconds, a refusal 10 ms.
    """

    def __init__(
        self, limit: Callable[[float], float], burst: float, workers: int = 24, latency: float = 0.3
    ):
        self.limit, self.burst, self.workers, self.latency = limit, burst, workers, latency
        self.now = 0.0
        self.log: list[tuple[float, bool]] = []

    def run(self, seconds: float, seed: int = 1) -> RateLimiter:
        draw = random.Random(seed)
        limiter = RateLimiter(clock=lambda: self.now)
        tokens, last = self.burst * self.limit(0), 0.0
        free, pending = self.workers, []
        while self.now < seconds:
            due = limiter.due()
            if free and due <= self.now:
                sent = limiter.take(due)
                allowed = self.limit(self.now)
                tokens = min(max(1.0, self.burst * allowed), tokens + (self.now - last) * allowed)
                last = self.now
                fine = tokens >= 1
                tokens -= fine
                free -= 1
                self.log.append((self.now, fine))
                spent = self.latency * draw.uniform(0.8, 1.2) if fine else 0.01
                heapq.heappush(pending, (self.now + spent, len(self.log), sent, fine))
                continue
            ahead = [pending[0][0]] if pending else []
            self.now = max(self.now + 1e-6, min([*ahead, due] if free else ahead))
            while pending and pending[0][0] <= self.now:
                _, _, sent, fine = heapq.heappop(pending)
                free += 1
                if fine:
                    limiter.succeeded()
                else:
                    limiter.throttled(sent)
        return limiter

    def share(self, start: float, stop: float) -> tuple[float, float]:
        """Of the allowed calls, how many came through; of the calls, how many were refused."""
        part = [fine for at, fine in self.log if start <= at < stop]
        return sum(part) / (stop - start) / self.limit((start + stop) / 2), 1 - sum(part) / len(part)


@pytest.mark.parametrize("burst", [0.5, 1.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_finds_the_rate_and_stays_just_under_it(burst: float, seed: int) -> None:
    fast = Model(lambda _: 50.0, burst)
    fast.run(40, seed)
    reached, refused = fast.share(10, 40)
    assert reached >= 0.95
    assert refused <= 0.02
    middle = Model(lambda _: 20.0, burst)
    middle.run(60, seed)
    assert middle.share(20, 60)[0] >= 0.9
    slow = Model(lambda _: 5.0, burst)
    slow.run(120, seed)
    reached, refused = slow.share(30, 120)
    assert reached >= 0.85
    assert refused <= 0.05


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_follows_a_limit_that_changes(seed: int) -> None:
    halved = Model(lambda now: 40.0 if now < 30 else 20.0, 1.0)
    halved.run(60, seed)
    assert halved.share(35, 60)[0] >= 0.9
    assert halved.share(35, 60)[1] <= 0.05
    raised = Model(lambda now: 10.0 if now < 30 else 40.0, 1.0)
    raised.run(100, seed)
    assert raised.share(80, 100)[0] >= 0.85


def test_it_does_not_grow_while_nobody_asks() -> None:
    idle = Model(lambda _: 50.0, 1.0, workers=1, latency=1.0)
    assert idle.run(30).rate <= 10


def test_threads_are_spaced() -> None:
    limiter = RateLimiter(100.0, highest=100.0)
    times: list[float] = []
    lock = threading.Lock()

    def work() -> None:
        for _ in range(10):
            sent = limiter.acquire()
            with lock:
                times.append(sent)
            limiter.succeeded()

    began = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(times) == 50
    assert time.monotonic() - began >= 0.4
    assert times == sorted(times)


def test_settings_are_checked() -> None:
    for wrong in ({"start": 0.0}, {"start": 60.0}, {"lowest": 10.0}):
        with pytest.raises(InvalidArgument):
            RateLimiter(**wrong)
