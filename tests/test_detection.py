from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest

from tilekit.boxes.detections import Detections
from tilekit.boxes.merging import MergePolicy
from tilekit.detection.detecting import detect_tiles, detect_whole, whole_page
from tilekit.detection.options import DetectionOptions
from tilekit.errors import DetectorError, InvalidArgument, ModelNotReady, RecipeMismatch
from tilekit.grid import Tiling
from tilekit.scales import Scales
from tilekit.scans.encoding import encode_image
from tilekit.scans.opening import open_scan

SIZE = (900, 700)
TILING = Tiling(256, 64)


def squares():
    """Truth: 20 px squares every 45 px, so that many are cut by tile edges."""
    xs, ys = np.meshgrid(np.arange(10, 870, 45), np.arange(10, 670, 45))
    corner = np.stack([xs.ravel(), ys.ravel()], axis=1).astype(float)
    return np.hstack([corner, corner + 20])


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A white page with a black square at every true box."""
    pixels = np.full((SIZE[1], SIZE[0], 1), 255, np.uint8)
    for x0, y0, x1, y1 in squares().astype(int):
        pixels[y0:y1, x0:x1] = 0
    path = tmp_path_factory.mktemp("scan") / "page.png"
    path.write_bytes(encode_image(pixels, "png").data)
    return path


class Perfect:
    """Knows the truth: gives what of it is inside the tile, scores by place, so that ties never matter."""

    names = ("square",)

    def __init__(self, batch=1, workers=1, boxes=None, broken=(), mends=False, naps=False, scale=1.0):
        self.batch, self.workers = batch, workers
        self.boxes = squares() if boxes is None else np.asarray(boxes, float)
        self.broken, self.mends, self.naps, self.scale = set(broken), mends, naps, scale
        self.asked = Counter()
        self.sizes = []
        self.running = self.most = 0
        self.lock = threading.Lock()

    def detect(self, tiles):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.sizes.append(len(tiles))
            self.asked.update(tile.index for tile in tiles)
        try:
            if self.naps:
                time.sleep(0.002 * (tiles[0].index % 3))
            return [self.look(tile) for tile in tiles]
        finally:
            with self.lock:
                self.running -= 1

    def look(self, tile):
        if tile.index in self.broken and not (self.mends and self.asked[tile.index] > 1):
            raise OSError(f"no answer for {tile.index}")
        x0, y0, x1, y1 = tile.window
        boxes = self.boxes * self.scale
        shifted = boxes - (x0, y0, x0, y0)
        clipped = np.clip(shifted, 0, (x1 - x0, y1 - y0, x1 - x0, y1 - y0))
        seen = (clipped[:, 2] - clipped[:, 0] > 1) & (clipped[:, 3] - clipped[:, 1] > 1)
        scores = 0.5 + 0.4 * np.random.default_rng(tile.index).random(len(boxes))
        return Detections(clipped[seen], scores[seen], None, self.names)


def run(path, detector, tiling=TILING, **more):
    with open_scan(path) as scan:
        return detect_tiles(scan, detector, tiling, **more)


def as_set(boxes):
    return {tuple(row) for row in np.round(boxes, 6).tolist()}


def test_every_object_once_and_in_place(page):
    result = run(page, Perfect())
    assert len(result) == len(squares())
    assert as_set(result.boxes) == as_set(squares())
    assert result.complete
    assert result.tilings == (TILING,)
    assert (result.width, result.height) == SIZE
    home = result.detections.tile_index
    assert (np.diff(home // 5) >= 0).all()


@pytest.mark.parametrize(("workers", "batch"), [(1, 3), (4, 1), (3, 4)])
def test_workers_and_batches_change_nothing(page, workers, batch):
    alone = run(page, Perfect())
    many = run(page, Perfect(batch=batch, workers=workers, naps=True))
    assert many.detections == alone.detections


def test_declared_workers_are_respected(page):
    single = Perfect(workers=1, naps=True)
    run(page, single, workers=8)
    assert single.most == 1
    several = Perfect(workers=3, naps=True)
    run(page, several)
    assert 1 < several.most <= 3


def test_batches_are_as_large_as_asked(page):
    detector = Perfect(batch=4)
    run(page, detector)
    assert set(detector.sizes[:-1]) == {4}
    assert sum(detector.sizes) == 20


def test_a_failed_tile_is_asked_again(page):
    detector = Perfect(broken={7}, mends=True)
    result = run(page, detector)
    assert result.complete
    assert detector.asked[7] == 2
    assert as_set(result.boxes) == as_set(squares())


@pytest.mark.parametrize("batch", [1, 4])
def test_a_tile_that_keeps_failing_is_reported_and_the_page_is_incomplete(page, batch):
    detector = Perfect(broken={7}, batch=batch)
    result = run(page, detector, options=DetectionOptions(retries=2))
    assert not result.complete
    assert [tile.index for tile in result.failed] == [7]
    assert "no answer for 7" in result.failed[0].reason
    assert detector.asked[7] == 3
    assert detector.asked[6] == (2 if batch > 1 else 1)
    with open_scan(page) as scan:
        x0, y0, x1, y1 = scan.grid(TILING)[7]
    inside = ((squares()[:, :2] >= (x0, y0)) & (squares()[:, 2:] <= (x1, y1))).all(axis=1)
    assert as_set(squares()[~inside]) <= as_set(result.boxes)


@pytest.mark.parametrize(("batch", "asked"), [(1, 1), (2, 4)])
def test_a_detector_that_retries_itself_is_not_asked_for_the_same_again(page, batch, asked):
    """A batch that failed is asked for tile by tile all the same."""
    detector = Perfect(broken={7}, batch=batch)
    detector.retries_itself = True
    result = run(page, detector, options=DetectionOptions(retries=3))
    assert [tile.index for tile in result.failed] == [7]
    assert detector.asked[7] == asked


def test_a_broken_detector_ends_the_run_early(page):
    detector = Perfect(broken=range(100))
    with pytest.raises(DetectorError, match=r"first 8 tiles.*no answer for 0"):
        run(page, detector)
    with pytest.raises(DetectorError, match="every one"):
        run(page, lambda pixels: 1 / 0, Tiling(1024))


def test_what_asking_again_cannot_mend_is_raised_at_once(page):
    def stopped(pixels):
        raise ModelNotReady("the model is stopped")

    with pytest.raises(ModelNotReady):
        run(page, stopped)


def test_an_answer_of_another_length_is_a_failure(page):
    class Short(Perfect):
        def detect(self, tiles):
            return []

    with pytest.raises(DetectorError, match="0 results"):
        run(page, Short())


def test_progress_counts_all_tiles(page):
    seen = []
    run(page, Perfect(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 20) for n in range(1, 21)]


def test_other_tiles_than_trained_on_are_refused(page):
    detector = Perfect()
    detector.tiling = Tiling(512, 64)
    with pytest.raises(RecipeMismatch, match="512 x 512"):
        run(page, detector)
    assert len(run(page, detector, options=DetectionOptions(force=True))) == len(squares())
    detector.tiling = Tiling(256, 100, edge="pad")
    assert len(run(page, detector)) == len(squares())
    detector.tiling = Tiling(256, 64, scale=0.5)
    with pytest.raises(RecipeMismatch, match=r"scale 0\.5"):
        run(page, detector)


def test_scaled_tiles_give_boxes_in_base_pixels(page):
    result = run(page, Perfect(scale=0.5), Tiling(256, 64, scale=0.5))
    assert len(result) == len(squares())
    assert as_set(result.boxes) == as_set(squares())


def test_whole_page(page):
    with open_scan(page) as scan:
        result = detect_whole(scan, Perfect(scale=0.5), whole_side=450)
        assert len(scan.grid(whole_page(450))) == len(scan.grid(whole_page(5000))) == 1
        assert not scan.grid(whole_page(5000)).is_scaled
    assert as_set(result.boxes) == as_set(squares())


def test_the_whole_page_adds_what_is_larger_than_a_tile(page):
    big = [[100.0, 100, 800, 600]]
    scales = Scales(TILING, Tiling.whole(450))
    result = run(page, [Perfect(), Perfect(boxes=big, scale=0.5)], scales)
    assert result.scale.tolist() == [0] * len(squares()) + [1]
    assert as_set(result.boxes) == as_set([*squares(), *big])
    assert len(result.tilings) == 2


def test_several_tilings_find_each_object_once(page):
    result = run(page, [Perfect(), Perfect(scale=0.5)], [TILING, Tiling(200, 50, scale=0.5)])
    assert len(result) == len(squares())
    with pytest.raises(InvalidArgument, match="one detector for each scale"):
        run(page, [Perfect()], [TILING, Tiling(200, 50, scale=0.5)])


class Named(Perfect):
    """Calls every second square a decoy, and each decoy also a square, less surely."""

    names = ("square", "look-alike")

    def look(self, tile):
        found = super().look(tile)
        odd = (np.round(found.boxes[:, 0] + tile.window[0] - 10) // 45 % 2 == 1) & (found.boxes[:, 0] > 0)
        both = np.concatenate([found.boxes, found.boxes[odd]])
        scores = np.concatenate([np.full(len(found), 0.6), np.full(odd.sum(), 0.9)])
        ids = np.concatenate([np.zeros(len(found), int), np.ones(odd.sum(), int)])
        return Detections(both, scores, ids, self.names)


def test_decoys_take_what_they_cover_with_them(page):
    result = run(page, Named(), options=DetectionOptions(decoy=("look-alike",)))
    even = (squares()[:, 0] - 10) // 45 % 2 == 0
    assert result.names == ("square",)
    assert as_set(result.boxes) == as_set(squares()[even])
    detector = Named()
    detector.decoys = ("look-alike",)
    assert as_set(run(page, detector).boxes) == as_set(squares()[even])


def test_thresholds_apply_after_merging(page):
    everything = run(page, Perfect())
    result = run(page, Perfect(), thresholds={"square": 0.7})
    assert len(result) == int((everything.scores >= 0.7).sum())
    assert len(run(page, Perfect(), thresholds=0.95)) == 0


def test_policy_floor(page):
    assert len(run(page, Perfect(), policy=MergePolicy(score_floor=1.0))) == 0


def test_tiles_in_flight_are_bounded(page):
    """With a slow detector no more tiles are read than the look-ahead holds, read_tiles' own included."""
    read = []

    class Slow(Perfect):
        def look(self, tile):
            time.sleep(0.01)
            read.append(tile.index)
            return super().look(tile)

    result = run(page, Slow(), options=DetectionOptions(look_ahead=1))
    assert read == list(range(20))
    assert len(result) == len(squares())


@pytest.mark.parametrize(
    ("change", "said"),
    [({"workers": 0}, "workers"), ({"thresholds": 2}, "thresholds")],
)
def test_bad_arguments(page, change, said):
    with pytest.raises(InvalidArgument, match=said):
        run(page, Perfect(), **change)


def test_bad_detector_and_tiling(page):
    with pytest.raises(InvalidArgument, match="detector="):
        run(page, 3)
    with pytest.raises(InvalidArgument, match="tiling="):
        run(page, Perfect(), 1024)


def test_a_page_without_a_box_loads_no_numba(tmp_path):
    code = (
        "import sys, numpy, tilekit as tk\n"
        "scan = tk.open_scan(sys.argv[1])\n"
        "found = tk.detect_tiles(scan, lambda pixels: numpy.empty((0, 5)), tk.Tiling(64, 16))\n"
        "assert len(found) == 0 and found.complete\n"
        "assert 'numba' not in sys.modules\n"
    )
    path = tmp_path / "page.png"
    path.write_bytes(encode_image(np.full((200, 300, 1), 255, np.uint8), "png").data)
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
