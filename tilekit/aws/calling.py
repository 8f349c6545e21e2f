"""Many small calls of one kind: one retry layer, one rate for all threads, failures that name the tile."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tilekit.aws.errors import error_code, is_passing, is_throttle, service_error
from tilekit.aws.rate import RateLimiter
from tilekit.aws.service import detect_client, pause
from tilekit.boxes.detections import Detections
from tilekit.errors import (
    DetectorError,
    InvalidArgument,
    ModelNotReady,
    QuotaExceeded,
    ServiceDenied,
    ServiceError,
    ServiceThrottled,
    TilekitError,
)
from tilekit.flow import ordered_map
from tilekit.rekognition.limits import LIMITS
from tilekit.storage.s3 import Access
from tilekit.tiles.tile import Tile

_AT_ONCE = (ServiceDenied, ModelNotReady, QuotaExceeded)
_KEPT_TILES = 64


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
    together. This is the one layer of retries: `detect_tiles` sees `retries_itself` and asks once. Denied calls, expired logins and a model that
    is not running are raised at once, since no other tile would fare better.
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
        self.calls = 0
        self.throttles = 0
        self._client = client
        self._lock = threading.Lock()
        self._places = {name: place for place, name in enumerate(names)}
        self._names = tuple(names)

    def __getstate__(self) -> dict[str, Any]:
        """Without client and lock, which another process makes anew; each process finds its own rate."""
        return {key: value for key, value in self.__dict__.items() if key not in ("_client", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _client=None, _lock=threading.Lock())

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
        the tiles without a result, or at once ServiceDenied, ModelNotReady, QuotaExceeded.
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

    def detect_stream(self, tiles: Iterator[Tile] | Sequence[Tile]) -> Iterator[tuple[int, Detections]]:
        """(tile index, Detections) of many tiles on `workers` threads, in the tiles' order.

        Tiles that fail are set aside (at most 64 with their pixels), the rest goes on, and they come again at
        the end, out of order; those that fail again are raised together as TileFailures, after everything
        else was given. Memory: flow's budget of 256 MB of pixels, plus 64 tiles.
        """
        aside: dict[int, Tile] = {}
        failed: dict[int, TilekitError] = {}

        def one(tile: Tile) -> tuple[Tile, Detections | TilekitError]:
            try:
                return tile, self.detect_tile(tile)
            except TilekitError as exc:
                if isinstance(exc, _AT_ONCE):
                    raise
                return tile, exc

        for tile, found in ordered_map(one, tiles, workers=self.workers, cost=lambda tile: tile.nbytes):
            if isinstance(found, Detections):
                yield tile.index, found
                continue
            failed[tile.index] = found
            if _worth_again(found) and len(aside) < _KEPT_TILES:
                aside[tile.index] = tile
        for index, tile in aside.items():
            _, found = one(tile)
            if isinstance(found, Detections):
                del failed[index]
                yield index, found
        if failed:
            raise TileFailures(failed)

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
                left = began + self.patience - time.monotonic()
                if is_throttle(exc):
                    self.limiter.throttled(sent)
                    self._count(throttled=True)
                    if left > 0:
                        continue
                elif is_passing(exc):
                    self._count()
                    tries += 1
                    if tries < self.attempts and left > 0:
                        time.sleep(min(left, pause(tries, 5.0)))
                        continue
                raise service_error(exc, self.operation, subject) from exc
            self.limiter.succeeded()
            self._count()
            return answer

    def class_ids(self, labels: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
        """Places of labels in `names`, which grow by labels not known before."""
        with self._lock:
            for label in labels:
                if label not in self._places:
                    self._places[label] = len(self._places)
                    self._names = (*self._names, label)
            return [self._places[label] for label in labels], self._names

    def _count(self, *, throttled: bool = False) -> None:
        with self._lock:
            self.calls += 1
            self.throttles += throttled


def subject_of(tile: Tile) -> str:
    """How errors name a tile."""
    x, y, right, bottom = tile.window
    return f"tile {tile.index} (row {tile.row}, column {tile.col}, x {x}-{right}, y {y}-{bottom})"


def _worth_again(exc: TilekitError) -> bool:
    """Whether trouble on the way, not the tile, was the cause."""
    return isinstance(exc, ServiceThrottled) or (
        isinstance(exc, ServiceError)
        and error_code_of(exc) in {"", "InternalServerError", "ServiceUnavailable"}
    )


def error_code_of(exc: ServiceError) -> str:
    """The service's code, or that of the cause."""
    cause = exc.__cause__
    return exc.code or (error_code(cause) if isinstance(cause, Exception) else "")
