"""One detector over one grid: order, batches, concurrency, asking again, failures."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tilekit.boxes.detections import Detections
from tilekit.boxes.merging import MergePolicy, StreamingMerge, load_kernels
from tilekit.detectors.contract import check_boxes
from tilekit.detectors.protocol import Detector
from tilekit.errors import (
    DetectorError,
    DetectorMistake,
    MissingExtra,
    ModelNotReady,
    QuotaExceeded,
    ScanError,
    ServiceDenied,
    ServiceLost,
)
from tilekit.flow import ordered_map
from tilekit.grid import TileGrid
from tilekit.labels.predictions import FailedTile
from tilekit.tiles.tile import Tile

# Asking again, or for the next tile, cannot help here: the run ends with the error itself.
FATAL = (
    ServiceDenied,
    ServiceLost,
    QuotaExceeded,
    ModelNotReady,
    MissingExtra,
    DetectorMistake,
    MemoryError,
    ScanError,
)
HOPELESS = 8  # tiles that failed before the first success: then the detector is broken, not the tile


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one tile: its detections, or why there are none."""

    index: int
    row: int
    found: Detections | None
    failed: FailedTile | None
    scale: int


@dataclass(frozen=True, slots=True)
class Pass:
    """One scale: who detects on its tiles, and its grid."""

    detector: Detector
    grid: TileGrid


def run_passes(
    tiles: Iterable[Tile],
    passes: Mapping[int, Pass],
    policy: MergePolicy,
    *,
    workers: int,
    retries: int,
    budget: int,
    done: Callable[[int], None],
) -> tuple[dict[int, Detections], tuple[FailedTile, ...]]:
    """All tiles through the detector of their scale and merged there: boxes in base pixels in grid order by
    scale, and what failed.

    Tiles are pulled here, in the caller's thread, those of one scale in grid order, while `workers`
    threads detect; at most `budget` bytes of tiles (or one batch) are in flight. With the first box the
    kernels are loaded in a thread of their own, beside detection. `done(n)` is told how many tiles
    are through. Raises DetectorError where nothing succeeds, and FATAL errors as they are.
    """
    rows = {
        place: _Rows(StreamingMerge(one.grid, policy), one.detector.names) for place, one in passes.items()
    }
    failed: list[FailedTile] = []
    count = 0
    for answer in _answers(tiles, passes, workers=workers, retries=retries, budget=budget):
        count += 1
        if answer.failed is not None:
            failed.append(answer.failed)
            if len(failed) == count and count >= HOPELESS:
                raise DetectorError(_hopeless(failed))
        rows[answer.scale].take(answer)
        done(count)
    if failed and len(failed) == count:
        raise DetectorError(_hopeless(failed))
    return {place: one.finish() for place, one in rows.items()}, tuple(failed)


def _answers(
    tiles: Iterable[Tile], passes: Mapping[int, Pass], *, workers: int, retries: int, budget: int
) -> Iterator[Answer]:
    detectors = {id(one.detector): one.detector for one in passes.values()}
    turns = {key: threading.Semaphore(max(1, one.workers)) for key, one in detectors.items()}

    def ask(batch: list[Tile]) -> list[Answer]:
        detector = passes[batch[0].scale].detector
        if len(detectors) == 1:
            return _ask(detector, batch, retries)
        with turns[id(detector)]:
            return _ask(detector, batch, retries)

    flow = ordered_map(
        ask,
        _batches(tiles, passes),
        workers=workers,
        cost=lambda batch: sum(tile.nbytes for tile in batch),
        budget=budget,
        ahead=max(64, 4 * workers),
        inline=False,
    )
    for answers in flow:
        yield from answers


def _batches(tiles: Iterable[Tile], passes: Mapping[int, Pass]) -> Iterator[list[Tile]]:
    """Tiles in batches as their detector likes them; a batch is of one scale."""
    waiting: dict[int, list[Tile]] = {place: [] for place in passes}
    for tile in tiles:
        batch = waiting[tile.scale]
        batch.append(tile)
        if len(batch) >= max(1, passes[tile.scale].detector.batch):
            waiting[tile.scale] = []
            yield batch
    yield from (batch for batch in waiting.values() if batch)


def _ask(detector: Detector, batch: Sequence[Tile], retries: int) -> list[Answer]:
    """A batch through the detector; where it fails, each of its tiles alone, `retries` times over."""
    try:
        return _call(detector, batch)
    except FATAL:
        raise
    except Exception as exc:  # noqa: BLE001 - a detector is anyone's code; its failure is reported
        error: Exception = exc
    once = getattr(detector, "retries_itself", False) and len(batch) == 1
    answers: list[Answer] = []
    for tile in batch:
        for _ in range(0 if once else retries):
            try:
                answers += _call(detector, [tile])
                break
            except FATAL:
                raise
            except Exception as exc:  # noqa: BLE001 - as above
                error = exc
        else:
            reason = f"{type(error).__name__}: {error}"
            failed = FailedTile(tile.index, tile.window, reason, tile.scale)
            answers.append(Answer(tile.index, tile.row, None, failed, tile.scale))
    return answers


def _call(detector: Detector, batch: Sequence[Tile]) -> list[Answer]:
    results = detector.detect(batch)
    if len(results) != len(batch):
        raise DetectorError(f"the detector gave {len(results)} results for {len(batch)} tiles")
    for result in results:
        if not isinstance(result, Detections):
            raise DetectorError(f"the detector gave {type(result).__name__}, not Detections, for a tile")
    if getattr(detector, "strict", True):
        for tile, result in zip(batch, results, strict=True):
            check_boxes(result, tile.window.width, tile.window.height)
    return [
        Answer(tile.index, tile.row, found, None, tile.scale)
        for tile, found in zip(batch, results, strict=True)
    ]


class _Rows:
    """Rows of tiles on their way into the merge; they wait while its kernels are loaded beside detection.

    Rows without a box ask nothing of the kernels, so a page without one never loads them.
    """

    def __init__(self, merging: StreamingMerge, names: tuple[str, ...]) -> None:
        self._merging, self._names = merging, names
        self._final: list[Detections] = [Detections.empty(names)]
        self._waiting: list[tuple[int, Detections]] = []
        self._loading: threading.Thread | None = None
        self._row, self._answers = 0, list[Answer]()

    def take(self, answer: Answer) -> None:
        """Take a tile's answer; a row is given to the merge when the next begins."""
        if answer.row != self._row:
            self._add(self._row, self._answers)
            self._row, self._answers = answer.row, []
        if answer.found is not None:
            self._answers.append(answer)
            if len(answer.found):
                self._prepare()

    def _prepare(self) -> None:
        """Boxes will come: load the kernels, once."""
        if self._loading is None:
            self._loading = threading.Thread(target=_load_kernels, name="tilekit-kernels", daemon=True)
            self._loading.start()

    def _add(self, row: int, answers: Sequence[Answer]) -> None:
        """Take a row of tiles, and merge what waits unless the kernels are still being loaded."""
        self._waiting.append((row, _row(answers, self._names)))
        if self._loading is None or not self._loading.is_alive():
            self._merge()

    def finish(self) -> Detections:
        """Everything merged."""
        self._add(self._row, self._answers)
        if self._loading is not None:
            self._loading.join()
        self._merge()
        self._final.append(self._merging.finish())
        return Detections.concat(self._final)

    def _merge(self) -> None:
        for row, found in self._waiting:  # in order, so that the order of labels does not hang on timing
            self._final.append(self._merging.add(row, found) if len(found) else found)
        self._waiting.clear()


def _load_kernels() -> None:
    with contextlib.suppress(Exception):  # what is wrong with them comes up again where they are used
        load_kernels()


def _row(answers: Sequence[Answer], names: tuple[str, ...]) -> Detections:
    """The tile-frame detections of one row of tiles, with the tile of each; none for no answers."""
    parts = [answer.found for answer in answers if answer.found is not None]
    every = Detections.concat([Detections.empty(names), *parts])
    index = np.repeat([answer.index for answer in answers], [len(part) for part in parts]).astype(np.int64)
    return every.replaced(tile_index=index)


def _hopeless(failed: Sequence[FailedTile]) -> str:
    return f"the detector failed on every one of the first {len(failed)} tiles, also when asked again: {failed[0].reason}"
