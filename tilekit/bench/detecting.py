"""How fast tiles are detected: a detector that only waits, a detector of one's own, or an endpoint."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilekit.bench.inputs import Input
from tilekit.detection.detecting import detect_tiles
from tilekit.detection.options import DetectionOptions
from tilekit.detectors.callables import CallableDetector
from tilekit.grid import Tiling
from tilekit.scans.opening import open_scan

_ENOUGH = 0.95


class Watched:
    """A detector that remembers when each call ran. Calls may overlap."""

    def __init__(self, inner: Any) -> None:
        self.names, self.batch, self.workers = inner.names, inner.batch, inner.workers
        self._inner = inner
        self._lock = threading.Lock()
        self.spans: list[tuple[float, float]] = []
        self.failures = 0

    def detect(self, tiles: Sequence[Any]) -> Any:
        """The inner detector's answer, timed."""
        start = time.perf_counter()
        try:
            return self._inner.detect(tiles)
        except BaseException:
            with self._lock:
                self.failures += 1
            raise
        finally:
            with self._lock:
                self.spans.append((start, time.perf_counter()))

    def busy(self, workers: int) -> float:
        """Share of the time between the first and the last answer that `workers` calls were running."""
        first, last = min(end for _, end in self.spans), max(end for _, end in self.spans)
        inside = sum(end - max(start, first) for start, end in self.spans if end > first)
        return min(1.0, inside / max(1e-9, (last - first) * workers))

    def call_seconds(self) -> list[float]:
        """How long each call took."""
        return sorted(end - start for start, end in self.spans)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A callable detector that takes `seconds` a tile and finds nothing: what the pipeline itself costs."""

    seconds: float

    def __call__(self, pixels: Any) -> Any:
        """No box, after the wait."""
        time.sleep(self.seconds)
        return np.empty((0, 5))


def waiting_detector(seconds: float, workers: int) -> CallableDetector:
    """`Waiting` as a detector that allows `workers` calls at once."""
    return CallableDetector(Waiting(seconds), names=["object"], workers=workers)


def detect_rows(
    scan: Input, detector: Any, tiling: Tiling, workers: Sequence[int], *, force: bool = False
) -> list[dict[str, Any]]:
    """One row for each number of workers: seconds, tiles/s, how busy the detector was, what bounds."""
    rows = []
    how = DetectionOptions(force=force)
    for count in sorted(set(workers)):
        watched = Watched(detector)
        watched.workers = min(count, detector.workers)
        if watched.workers < count:
            continue
        with open_scan(scan.path, max_pixels=2**62) as page:
            start, cpu = time.perf_counter(), time.process_time()
            found = detect_tiles(page, watched, tiling, workers=count, options=how)
            spent, used = time.perf_counter() - start, time.process_time() - cpu
            tiles = len(page.grid(tiling))
        calls, busy = watched.call_seconds(), watched.busy(count)
        rows.append(
            {
                "scan": scan.name,
                "workers": count,
                "seconds": round(spent, 4),
                "cpu": round(used, 4),
                "tiles": tiles,
                "tiles_s": round(tiles / spent, 2),
                "busy": round(busy, 4),
                "call_ms": round(1e3 * calls[len(calls) // 2], 2),
                "call_p95_ms": round(1e3 * calls[int(0.95 * (len(calls) - 1))], 2),
                "found": len(found),
                "retried": watched.failures,
                "bound": "the detector (or the network to it)"
                if busy >= _ENOUGH
                else "reading and encoding tiles",
            }
        )
    return rows
