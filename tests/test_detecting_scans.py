"""Many scans into one file: what is done, left alone, counted, refused; and the boxes of each tile kept beside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import pyvips

from tests.test_detection import TILING, Perfect, as_set, squares
from tilekit.boxes.merging import MergePolicy, merge
from tilekit.boxes.shapes.polygons import Polygons
from tilekit.detection.batch import anything_left, count_tiles, detect_scans, done_pages
from tilekit.detection.keeping import KeepingDetector, read_kept_tiles
from tilekit.detection.options import ScansOptions
from tilekit.errors import InvalidArgument, ServiceLost
from tilekit.grid import Tiling
from tilekit.labels.prediction_lines import read_predictions
from tilekit.pages import PageKey
from tilekit.scales import Scales

SIZE = (900, 700)
SCALES = Scales(TILING, Tiling(200, 50, scale=0.5))


class AtScales(Perfect):
    """Knows how much smaller the page is at each scale."""

    factors = (1.0, 0.5)

    def look(self, tile):
        self.scale = self.factors[tile.scale]
        return super().look(tile)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A file of two pages, and one of one."""
    folder = tmp_path_factory.mktemp("scans")
    pixels = np.full((SIZE[1], SIZE[0]), 255, np.uint8)
    for x0, y0, x1, y1 in squares().astype(int):
        pixels[y0:y1, x0:x1] = 0
    page = pyvips.Image.new_from_array(pixels)
    pages = page.join(page, "vertical").copy()
    pages.set_type(pyvips.GValue.gint_type, "page-height", SIZE[1])
    pages.write_to_file(str(folder / "two.tif"), compression="deflate")
    page.write_to_file(str(folder / "one.png"))
    return [str(folder / "two.tif"), str(folder / "one.png")]


def keys(scans):
    return [PageKey(scans[0], 0), PageKey(scans[0], 1), PageKey(scans[1], 0)]


def test_every_page_of_every_scan_once_and_a_rerun_leaves_them_alone(scans, tmp_path):
    broken = str(tmp_path / "none.tif")
    out, detector = tmp_path / "new" / "found.jsonl", Perfect()
    seen = []
    options = ScansOptions(on_page=lambda page, scan: seen.append((page.key, scan.width, len(page))))
    result = detect_scans([scans[0], broken, scans[1]], detector, TILING, out, options=options)
    assert (result.done, result.skipped, result.incomplete) == (3, 0, [])
    assert [name for name, _ in result.failed] == [broken]
    assert result.counts == {"square": 3 * len(squares())}
    assert seen == [(key, SIZE[0], len(squares())) for key in keys(scans)]
    pages = list(read_predictions(out).pages())
    assert [page.key for page in pages] == keys(scans)
    assert all(as_set(page.boxes) == as_set(squares()) for page in pages)
    asked, before = sum(detector.asked.values()), out.read_bytes()
    again = detect_scans(scans, detector, TILING, out)
    assert (again.done, again.skipped, again.failed) == (0, 3, [])
    assert sum(detector.asked.values()) == asked
    assert out.read_bytes() == before
    some = detect_scans([keys(scans)[1]], detector, TILING, tmp_path / "some.jsonl")
    assert some.done == 1
    assert sum(detector.asked.values()) == asked + asked // 3


def test_a_page_that_is_not_whole_is_done_again(scans, tmp_path):
    out = tmp_path / "found.jsonl"
    first = detect_scans(scans, Perfect(broken={7}), TILING, out, options=ScansOptions(retries=0))
    assert first.incomplete == keys(scans)
    assert (first.done, done_pages(out, TILING)) == (3, set())
    second = detect_scans(scans[:1], Perfect(), TILING, out)
    assert (second.done, second.skipped, second.incomplete) == (2, 0, [])
    assert done_pages(out, TILING) == set(keys(scans)[:2])
    detect_scans([keys(scans)[1]], Perfect(broken={7}), TILING, tmp_path / "torn.jsonl")
    worse = out.read_text() + (tmp_path / "torn.jsonl").read_text()
    out.write_text(worse)  # the last line of a page is what holds
    assert done_pages(out, TILING) == set(keys(scans)[:1])
    assert anything_left(scans[:1], done_pages(out, TILING))
    assert not anything_left([keys(scans)[0], str(tmp_path / "none.png")], done_pages(out, TILING))


def test_without_a_tiling_each_page_is_sent_whole(scans, tmp_path):
    detector = Perfect()
    detect_scans(scans, detector, None, tmp_path / "whole.jsonl")
    assert dict(detector.asked) == {0: 3}
    (page,) = {page.tilings for page in read_predictions(tmp_path / "whole.jsonl").pages()}
    assert page[0].is_whole


def test_fresh_keeps_the_old_results_until_there_are_new_ones(scans, tmp_path):
    out = tmp_path / "found.jsonl"
    detect_scans(scans, Perfect(), TILING, out)
    before = out.read_bytes()

    class Away(Perfect):
        def detect(self, tiles):
            assert out.read_bytes() == before
            raise ServiceLost("away")

    with pytest.raises(ServiceLost):
        detect_scans(scans, Away(), Tiling(300, 64), out, fresh=True)
    assert out.read_bytes() == before
    detect_scans(scans[1:], Perfect(), Tiling(300, 64), out, fresh=True)
    assert [page.key for page in read_predictions(out).pages()] == keys(scans)[2:]


@pytest.mark.parametrize("before", [None, "folder", "file"])
def test_a_run_that_wrote_no_page_leaves_nothing_it_made(tmp_path, before):
    out = tmp_path / "new" / "found.jsonl"
    if before is not None:
        out.parent.mkdir()
    if before == "file":
        out.touch()
    result = detect_scans([str(tmp_path / "none.png")], Perfect(), TILING, out)
    assert len(result.failed) == 1
    assert out.exists() == (before == "file")
    assert out.parent.exists() == (before is not None)


CHANGED = {
    "thresholds": {"thresholds": 0.3},
    "decoy": {"options": ScansOptions(decoy=("square",))},
    "policy": {"options": ScansOptions(policy=MergePolicy(threshold=0.6))},
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_run_that_goes_on_is_as_the_one_before(scans, tmp_path, what):
    out = tmp_path / "found.jsonl"
    detect_scans(scans[1:], Perfect(), TILING, out)
    with pytest.raises(
        InvalidArgument, match=rf"was detected with {what}=the default, not .*start over \(--fresh\)"
    ):
        detect_scans(scans, Perfect(), TILING, out, **CHANGED[what])
    detect_scans(scans[1:], Perfect(), TILING, out, fresh=True, **CHANGED[what])
    with pytest.raises(InvalidArgument, match=f"was detected with {what}=.*, not the default"):
        detect_scans(scans, Perfect(), TILING, out)
    assert detect_scans(scans, Perfect(), TILING, out, **CHANGED[what]).skipped == 1


def test_a_run_that_goes_on_has_the_same_tiles_and_model(scans, tmp_path):
    out = tmp_path / "found.jsonl"
    detect_scans(scans[1:], AtScales(), SCALES, out)
    for tiling in (TILING, Tiling(300, 64), Scales(Tiling(300, 64), SCALES[1])):
        with pytest.raises(
            InvalidArgument, match=r"by another model on [^{]*, not by this one on [^{]*; give"
        ):
            detect_scans(scans, AtScales(), tiling, out)
    edge = Scales(replace(TILING, edge="pad"), SCALES[1])  # in short it is written as the other
    with pytest.raises(
        InvalidArgument, match=r"on Tiling\(.*edge='shift'.*, not by this one on .*edge='pad'"
    ):
        detect_scans(scans, AtScales(), edge, out)
    with pytest.raises(InvalidArgument, match=r"was detected by another model on .*, not by mine on"):
        detect_scans(scans, AtScales(), SCALES, out, options=ScansOptions(model="mine"))
    assert detect_scans(scans, AtScales(), SCALES, out).skipped == 1


def test_what_shapes_boxes_is_told_where_it_is_not_the_default():
    plain = ScansOptions(retries=3, workers=2, look_ahead=5, force=True, model="m", untrusted=True)
    assert plain.shaping() == ScansOptions(policy=MergePolicy()).shaping() == {}
    policy = MergePolicy(join=False)
    told = ScansOptions(decoy=("b", "a", "b"), policy=policy, dpi=300.0).shaping({"x": 0.5})
    assert told == {"thresholds": {"x": 0.5}, "decoy": ["a", "b"], "policy": policy.to_json(), "dpi": 300.0}
    page = plain.of_a_page()
    assert (page.retries, page.look_ahead, page.force, page.model) == (3, 5, True, "m")


@pytest.mark.parametrize("retries", [-1, True, 1.5])
def test_retries_are_a_count(retries):
    with pytest.raises(InvalidArgument, match="retries="):
        ScansOptions(retries=retries)
    assert ScansOptions(retries=0).retries == 0


@pytest.mark.parametrize("tiling", [TILING, SCALES, Tiling(256, 64, edge="clip")])
def test_counting_says_what_detecting_goes_through(scans, tmp_path, tiling):
    broken = str(tmp_path / "none.tif")
    sent = []

    class Counting(AtScales):
        def look(self, tile):
            sent.append(tile.pixels.shape[0] * tile.pixels.shape[1])
            return super().look(tile)

    count = count_tiles([scans[0], broken, scans[1]], tiling)
    detect_scans(scans, Counting(), tiling, tmp_path / "found.jsonl")
    assert (count.pages, count.tiles, count.pixels) == (3, len(sent), sum(sent))
    assert [name for name, _ in count.failed] == [broken]
    assert count.kept == 0
    assert count.why


def kept(scans, tmp_path, detector, scales, **more):
    """Pages as merged, and what was kept of their tiles."""
    found = []
    with KeepingDetector(detector, tmp_path / "kept.jsonl") as keeper:
        options = ScansOptions(
            on_page=lambda page, scan: (found.append(page), keeper.write(page, scan)), **more
        )
        detect_scans(scans, keeper, scales, tmp_path / "found.jsonl", options=options)
    return found, list(read_kept_tiles(tmp_path / "kept.jsonl"))


@pytest.mark.parametrize("scales", [TILING, SCALES, Tiling(200, 50, scale=0.5)])
def test_what_is_kept_of_each_tile_is_what_the_detector_said(scans, tmp_path, scales):
    detector = AtScales()
    if isinstance(scales, Tiling) and scales.scale != 1:
        detector.factors = (0.5,)
    said = {}

    def look(tile, real=detector.look):
        found = real(tile)
        said.setdefault((tile.scale, tile.index), found)
        return found

    detector.look = look
    pages, tiles = kept(scans[1:], tmp_path, detector, scales)
    assert len(tiles) == len(pages[0].tilings)
    for place, (key, found, grid) in enumerate(tiles):
        assert key == keys(scans)[2]
        assert (grid.base_width, grid.base_height) == SIZE
        for index in range(len(grid)):
            mine = found[found.tile_index == index]
            want = said[place, index]
            assert as_set(np.hstack([mine.boxes, mine.scores[:, None]])) == as_set(
                np.hstack([want.boxes, want.scores[:, None]])
            )
        if len(tiles) == 1:
            again = merge(found, grid)
            assert as_set(again.boxes) == as_set(pages[0].boxes)


def test_a_tile_that_failed_is_not_kept_and_each_page_has_its_own(scans, tmp_path):
    detector = Perfect(broken={7})
    pages, tiles = kept(scans, tmp_path, detector, TILING, retries=0)
    assert [key for key, _, _ in tiles] == keys(scans)
    for _, found, _ in tiles:
        assert 7 not in found.tile_index
        assert {6, 8} <= set(found.tile_index.tolist())
    assert all(not page.complete for page in pages)


def test_a_page_without_a_box_is_kept_as_such(scans, tmp_path):
    _, tiles = kept(scans[1:], tmp_path, Perfect(boxes=np.empty((0, 4))), SCALES)
    assert [(len(found), found.names) for _, found, _ in tiles] == [(0, ("square",))] * 2


def test_what_is_kept_goes_on_or_starts_over(scans, tmp_path):
    path = tmp_path / "kept.jsonl"
    for fresh, count in ((False, 1), (False, 2), (True, 1)):
        with KeepingDetector(Perfect(), path, fresh=fresh) as keeper:
            options = ScansOptions(on_page=keeper.write)
            detect_scans(scans[1:], keeper, TILING, tmp_path / "found.jsonl", fresh=True, options=options)
        assert len(path.read_text().splitlines()) == count


def test_merged_boxes_are_not_taken_for_those_of_tiles(scans, tmp_path):
    detect_scans(scans[1:], Perfect(), TILING, tmp_path / "found.jsonl")
    with pytest.raises(InvalidArgument, match="holds merged boxes"):
        list(read_kept_tiles(tmp_path / "found.jsonl"))
    _, _ = kept(scans[1:], tmp_path / "more", Perfect(), TILING)
    path = tmp_path / "more" / "kept.jsonl"
    path.write_text(path.read_text().replace('"tile":19', '"tile":20'))
    with pytest.raises(InvalidArgument, match="has a box of tile 20; its grid has 20"):
        list(read_kept_tiles(path))


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_shapes_are_kept_with_their_boxes(scans, tmp_path, scale):
    class Drawing(AtScales):
        factors = (scale,)

        def look(self, tile):
            found = super().look(tile)
            corners = found.boxes[:, [0, 1, 2, 1, 2, 3]].reshape(-1, 3, 2)
            return found.replaced(shapes=Polygons.of([[triangle] for triangle in corners]))

    pages, ((_, found, grid),) = kept(scans[1:], tmp_path, Drawing(), Tiling(256, 64, scale=scale))
    assert found.shapes is not None
    np.testing.assert_allclose(found.shapes.boxes, found.boxes, atol=1e-6)
    assert merge(found, grid).shapes is not None
    assert as_set(merge(found, grid).boxes) == as_set(pages[0].boxes)
