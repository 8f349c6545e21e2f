"""How many tiles wait for the detector: as many as the budget says, and enough to keep every worker busy."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tilekit.detection import detecting
from tilekit.detection.options import DetectionOptions
from tilekit.detectors.callables import CallableDetector
from tilekit.grid import Tiling
from tilekit.scales import Scales
from tilekit.scans.encoding import encode_image
from tilekit.scans.opening import open_scan

TILE = 16
NOTHING = np.empty((0, 5))


@pytest.fixture
def scan(tmp_path: Path):
    path = tmp_path / "page.png"
    path.write_bytes(encode_image(np.zeros((TILE * 8, TILE * 8), np.uint8), "png").data)
    with open_scan(path) as opened:
        yield opened


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"look_ahead": TILE * TILE}, 1),
        ({"look_ahead": 3 * TILE * TILE}, 3),
        ({}, detecting.AHEAD_TILES + 2 * 2),  # two batches a worker beside what waits
    ],
)
def test_no_more_tiles_are_in_flight(scan, monkeypatch, options, most):
    pulled, answered, held = 0, 0, []
    read = detecting.read_tiles

    def counted(*given, **more):
        nonlocal pulled
        for tile in read(*given, **more):
            pulled += 1
            yield tile

    def find(pixels):
        nonlocal answered
        time.sleep(0.002)
        held.append(pulled - answered)
        answered += 1
        return NOTHING

    monkeypatch.setattr(detecting, "read_tiles", counted)
    detecting.detect_tiles(
        scan,
        CallableDetector(find, names=["a"], workers=2),
        Tiling(TILE, 0),
        workers=2,
        options=DetectionOptions(**options),
    )
    assert answered == 64
    assert max(held) <= most + 1, "one more may stand before the door"
    assert max(held) >= min(most, 2)


def test_by_default_every_worker_has_a_tile(scan):
    gate = threading.Barrier(4, timeout=60)

    def find(pixels):
        gate.wait()  # goes on only when four tiles are with the detector at once
        return NOTHING

    detector = CallableDetector(find, names=["a"], workers=4)
    found = detecting.detect_tiles(
        scan, detector, Tiling(TILE, 0), workers=4, options=DetectionOptions(retries=0)
    )
    assert found.complete


def test_detectors_of_two_scales_are_each_asked_by_as_many_as_they_bear(scan):
    """Four threads for both: neither has more calls at once than its own `workers`."""
    lock, now, most = threading.Lock(), Counter(), Counter()

    def finder(name):
        def find(pixels):
            with lock:
                now[name] += 1
                most[name] = max(most[name], now[name])
            time.sleep(0.002)
            with lock:
                now[name] -= 1
            return NOTHING

        return find

    pair = [
        CallableDetector(finder(name), names=["a"], workers=count)
        for name, count in (("one", 1), ("four", 4))
    ]
    scales = Scales([Tiling(TILE, 0), Tiling(2 * TILE, 0, scale=0.5)])
    found = detecting.detect_tiles(scan, pair, scales)
    assert found.complete
    assert most["one"] == 1
    assert 1 <= most["four"] <= 4
