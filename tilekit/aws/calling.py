"""Many small calls of one kind: one retry layer, one rate for all threads, failures that name the tile."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tilekit.aws.errors import is_answer, is_passing, is_throttle, service_error
from tilekit.aws.rate import RateLimiter
from tilekit.aws.service import detect_client
from tilekit.aws.trying import Trouble, pause
from tilekit.aws.waiting import Note, silent
from tilekit.boxes.detections import Detections
from tilekit.errors import (
    DetectorError,
    InvalidArgument,
    ModelNotReady,
    QuotaExceeded,
    ServiceDenied,
    ServiceLost,
    TilekitError,
)
from tilekit.rekognition.limits import LIMITS
from tilekit.rekognition.pricing import duration
from tilekit.storage.s3 import Access
from tilekit.tiles.tile import Tile

_AT_ONCE = (ServiceDenied, ModelNotReady, QuotaExceeded, ServiceLost)


_OF_THIS_PROCESS = ("_client", "_lock", "_trouble", "note")


class TileFailures(DetectorError):
    """Tiles without a result; `failed` maps a tile's index to its error."""

    def __init__(self, failed: Mapping[int, TilekitError]) -> None:
        self.failed = dict(failed)
        shown = ", ".join(str(index) for index in list(self.failed)[:10])
        more = f" and {len(self.failed) - 10} more" if len(self.failed) > 10 else ""
        first = next(iter(self.failed.values()))
        super().__init__(f"{len(self.failed)} tiles have no result ({shown}{more}); the first: {first}")


class TileCaller(ABC):
    """What the service's detectors share. `names` grow where the service gives a label not known before.

    `workers` threads may call `detect` at once; all share one rate. Throttled calls wait for their next turn;
    lost connections, timeouts and 5xx are tried `attempts` times; `patience` seconds bound all tries of a tile
    together, and also how long all tiles together may go without an answer: then ServiceLost ends the run. This is
    the one layer of retries: `detect_tiles` sees `retries_itself` and asks once. Denied calls, expired logins and a
    model that is not running are raised at once, since no other tile would fare better. `calls`, `retried` and
    `throttles` count; `note` hears what calls wait for where that takes more than 5 s.
    """

    operation = ""
    batch = 1
    retries_itself = True
    strict = False  # its boxes are made of the service's shares here

    def __init__(
        self,
        *,
        names: Sequence[str] = (),
        workers: int = 16,
        access: Access | None = None,
        limiter: RateLimiter | None = None,
        max_rate: float = LIMITS.detect_tps,
        attempts: int = 5,
        patience: float = 120.0,
        client: Any = None,
    ) -> None:
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise InvalidArgument(f"workers={workers!r} must be a whole number of at least 1")
        if attempts < 1:
            raise InvalidArgument(f"attempts={attempts!r} must be at least 1")
        self.workers = workers
        self.access = access or Access()
        self.limiter = limiter or RateLimiter(min(5.0, max_rate), highest=max_rate)
        self.attempts = attempts
        self.patience = patience
        self.calls = self.retried = self.throttles = 0
        self.note: Note = silent
        self._trouble = Trouble()
        self._client = client
        self._lock = threading.Lock()
        self._places = {name: place for place, name in enumerate(names)}
        self._names = tuple(names)

    def __getstate__(self) -> dict[str, Any]:
        """Without client, lock and note, which another process makes anew; each process finds its own rate."""
        return {key: value for key, value in self.__dict__.items() if key not in _OF_THIS_PROCESS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _client=None, _lock=threading.Lock(), _trouble=Trouble(), note=silent)

    @property
    def names(self) -> tuple[str, ...]:
        """Labels; a class_id is the place in it."""
        return self._names

    @property
    def client(self) -> Any:
        """The boto3 client, made at the first call, with a socket for each worker."""
        with self._lock:
            if self._client is None:
                self._client = detect_client(self.access, self.workers)
            return self._client

    def detect(self, tiles: Sequence[Tile]) -> list[Detections]:
        """One Detections per tile, tile frame, same order.

        Raises TileFailures (a DetectorError) naming
        the tiles without a result, or at once ServiceDenied, ModelNotReady, QuotaExceeded, ServiceLost.
        """
        results: list[Detections | None] = [None] * len(tiles)
        failed: dict[int, TilekitError] = {}
        for place, tile in enumerate(tiles):
            try:
                results[place] = self.detect_tile(tile)
            except TilekitError as exc:
                if isinstance(exc, _AT_ONCE):
                    raise
                failed[tile.index] = exc
        if failed:
            first = next(iter(failed.values()))
            raise TileFailures(failed) from first
        return [result for result in results if result is not None]

    @abstractmethod
    def detect_tile(self, tile: Tile) -> Detections:
        """The detections of one tile; one call, tried again as the class says."""

    def call(self, subject: str, request: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """One call through the shared rate: `request(client)`, tried again as the class says."""
        import botocore.exceptions

        client = self.client
        tries = 0
        began = time.monotonic()
        while True:
            sent = self.limiter.acquire()
            try:
                answer = request(client)
            except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as exc:
                throttled = is_throttle(exc)
                self._count(throttled=throttled)
                if throttled:
                    self.limiter.throttled(sent)
                else:
                    tries += 1
                wait = self._wait(exc, subject, began, tries)
                if wait is None:
                    raise service_error(exc, self.operation, subject) from exc
                self._count(retried=True)
                time.sleep(wait)
                continue
            self.limiter.succeeded()
            self._trouble.over()
            self._count()
            return answer

    def _wait(self, exc: Exception, subject: str, began: float, tries: int) -> float | None:
        """Seconds until the call is tried again, None where it is not; ServiceLost where none comes through any more."""
        throttled = is_throttle(exc)
        if not (throttled or is_passing(exc)):
            if is_answer(exc):
                self._trouble.over()
            return None
        now, since = time.monotonic(), self._trouble.since()
        if 0 < self.patience <= now - since:
            raise ServiceLost(
                f"{service_error(exc, self.operation, subject)}; no call has come through for "
                f"{duration(now - since)}: run again when the service answers, what is done is kept",
                operation=self.operation,
            ) from exc
        left = min(began, since) + self.patience - now
        if left <= 0 or not (throttled or tries < self.attempts):
            return None
        if self._trouble.worth_saying():
            self.note(f"{subject}: {self.operation}: {exc}; trying again for up to {duration(left)}")
        return 0.0 if throttled else min(left, pause(tries, 5.0))  # a throttled one waits for its turn

    def class_ids(self, labels: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
        """Places of labels in `names`, which grow by labels not known before."""
        with self._lock:
            for label in labels:
                if label not in self._places:
                    self._places[label] = len(self._places)
                    self._names = (*self._names, label)
            return [self._places[label] for label in labels], self._names

    def _count(self, *, throttled: bool = False, retried: bool = False) -> None:
        with self._lock:
            self.calls += not retried
            self.retried += retried
            self.throttles += throttled


def subject_of(tile: Tile) -> str:
    """How errors name a tile."""
    x, y, right, bottom = tile.window
    return f"tile {tile.index} (row {tile.row}, column {tile.col}, x {x}-{right}, y {y}-{bottom})"
