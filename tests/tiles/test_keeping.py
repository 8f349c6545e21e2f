"""quality="keep": tiles of a JPEG scan have its bits where they can, and the right pixels everywhere."""

from __future__ import annotations

import io
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import tilekit as tk
from tests.jpeg.files import SAMPLINGS, jpeg, jpegs
from tilekit.errors import ScanCorrupt
from tilekit.jpeg.markers import CannotCut
from tilekit.scans import blockbits, vips
from tilekit.scans.encoding import decode_image
from tilekit.tiles.keeping import own_tables


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Small scans take the way of large ones."""
    monkeypatch.setattr(vips, "SMALL_BYTES", 0)


def tiles(file, tiling, subsampling=None, **given):
    given.setdefault("options", tk.tiles.EncodeOptions(subsampling=subsampling))
    with tk.open_scan(file) as scan:
        return list(tk.encode_tiles(scan, tiling, **given))


def whole(file):
    with tk.open_scan(file) as scan:
        return next(scan.bands_of_rows([scan.height]))


tilings = st.builds(
    lambda tile, overlap, edge, align: tk.Tiling(tile, overlap, edge=edge, align=align),
    st.sampled_from([32, 48, 50]), st.sampled_from([0, 8, 16]), st.sampled_from(["shift", "clip", "pad"]),
    st.sampled_from([1, 16]),
)  # fmt: skip


@given(jpegs(), tilings, st.sampled_from([1, 2]))
def test_tiles_are_the_scans_windows(file, tiling, workers):
    pixels = whole(file)
    with tk.open_scan(file) as scan:
        plan = tk.tiles.keep_plan(scan, tiling)
        made = list(tk.encode_tiles(scan, tiling, workers=workers))
        upsampled = scan.bits().header.upsampled
    assert plan.reason is None
    assert plan.kept == sum(tile.kept for tile in made) == sum(plan.why(i) is None for i in range(plan.total))
    assert (plan.why_not_all is None) == (plan.kept == plan.total)
    for tile in made:
        x0, y0, x1, y1 = tile.window
        got = decode_image(tile.data)
        assert got.shape[:2] == (tile.window.height, tile.window.width)
        if not tile.kept:
            continue
        rim = 2 if upsampled else 0
        want = pixels[y0:y1, x0:x1]
        assert np.array_equal(
            got[rim : y1 - y0 - rim, rim : x1 - x0 - rim], want[rim : y1 - y0 - rim, rim : x1 - x0 - rim]
        )


@pytest.mark.parametrize(("noise", "most"), [(8.0, 12), (30.0, 28)])
def test_the_rim_differs_by_no_more_than_the_docs_say(noise, most):
    file = jpeg(300, 260, "4:2:0", 90, 5, noise=noise)
    pixels, differing = whole(file), 0
    for tile in tiles(file, tk.Tiling(112, 32, align=16)):
        x0, y0, x1, y1 = tile.window
        off = np.abs(decode_image(tile.data).astype(int) - pixels[y0:y1, x0:x1])
        assert tile.kept
        assert off.max() <= most
        assert not off[2:-2, 2:-2].any()
        differing += int(off.any(axis=2).sum())
    assert differing > 0  # else the rim would be exact, and the docs wrong


def test_a_tile_of_two_columns_of_color_is_decoded():
    file = jpeg(131, 64, "4:2:0", 90, 5)
    with tk.open_scan(file) as scan:
        plan = tk.tiles.keep_plan(scan, tk.Tiling(64, edge="clip"))
    assert "only 3 px" in (plan.why(2) or "")
    assert (plan.kept, plan.total) == (2, 3)
    assert [tile.kept for tile in tiles(file, tk.Tiling(64, edge="clip"))] == [True, True, False]


@given(jpegs(), tilings)
@settings(max_examples=25)
def test_read_gives_the_pixels_of_the_whole(file, tiling):
    pixels = whole(file)
    with tk.open_scan(file) as scan:
        for window in scan.grid(tiling):
            x1, y1 = min(window.x1, scan.width), min(window.y1, scan.height)
            part = scan.read(window.x0, window.y0, x1, y1)
            assert np.array_equal(part, pixels[window.y0 : y1, window.x0 : x1])


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_few_tiles_are_read_without_the_rest(sampling, monkeypatch):
    file = jpeg(500, 410, sampling)
    with tk.open_scan(file) as scan:
        want = {tile.index: tile.pixels for tile in tk.read_tiles(scan, tk.Tiling(100, 7))}
        monkeypatch.setattr(type(scan), "spans_of_rows", None)
        for tile in tk.read_tiles(scan, tk.Tiling(100, 7), only=[0, 13, 29], workers=2):
            assert np.array_equal(tile.pixels, want[tile.index])


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_workers_and_forms_of_source_give_the_same_bytes(tmp_path, sampling):
    file = jpeg(500, 410, sampling, 85, restart_rows=1)
    (tmp_path / "a.jpg").write_bytes(file)
    tiling = tk.Tiling(112, 16)
    one = [tile.data for tile in tiles(file, tiling, workers=1)]
    assert one == [tile.data for tile in tiles(file, tiling, workers=3)]
    assert one == [tile.data for tile in tiles(tmp_path / "a.jpg", tiling, workers=2)]
    some = tiles(file, tiling, only=[3, 7])
    assert [tile.data for tile in some] == [one[3], one[7]]


def test_numbers_are_recorded(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(500, 410))
    made = tk.tile_scan(tmp_path / "a.jpg", tmp_path / "out", tk.Tiling(128, 32))
    kept = [record.kept for record in made.records()]
    assert made.kept == sum(kept) == made.index().pages[0].kept == 12
    assert made.tiles == len(kept) == 20
    assert made.lowered == 0
    assert {record.quality for record in made.records()} == {None}
    aligned = tk.tile_scan(tmp_path / "a.jpg", tmp_path / "aligned", tk.Tiling(128, 32, align=16))
    assert aligned.kept == aligned.tiles == 20


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"quality": 90}, "quality=90"),
        ({"format": "png"}, "png"),
        ({"subsampling": "444"}, "subsampling=444"),
    ],
)
def test_what_is_asked_for_is_made(options, why):
    file = jpeg(200, 200)
    with tk.open_scan(file) as scan:
        plan = tk.tiles.keep_plan(scan, tk.Tiling(64), **options)
    assert why in plan.reason
    assert (plan.kept, plan.why(0), plan.why_not_all) == (0, plan.reason, plan.reason)
    assert not any(tile.kept for tile in tiles(file, tk.Tiling(64), **options))


def changed(picture=None, **options):
    out = io.BytesIO()
    (picture or Image.open(io.BytesIO(jpeg(200, 200)))).save(out, "JPEG", **options)
    return out.getvalue()


def test_reasons_are_told():
    exif = Image.Exif()
    exif[274] = 6
    cases = {
        "progressive": (changed(progressive=True), tk.Tiling(64)),
        "turned": (changed(exif=exif), tk.Tiling(64)),
        "reduced": (jpeg(200, 200), tk.Tiling(64, scale=0.5)),
        "off the grid": (jpeg(200, 200), tk.Tiling(60, 3)),
        "4 components": (changed(Image.new("CMYK", (200, 200))), tk.Tiling(64)),
    }
    for why, (file, tiling) in cases.items():
        with tk.open_scan(file) as scan:
            plan = tk.tiles.keep_plan(scan, tiling)
            made = list(tk.encode_tiles(scan, tiling))
        told = plan.why_not_all or ""
        assert why in told or (why == "4 components" and "converted" in told), told
        assert plan.kept == sum(tile.kept for tile in made)


def test_what_is_not_kept_has_the_scans_own_tables():
    for sampling in ("gray", "4:4:4", "4:2:0"):
        file = jpeg(150, 150, sampling, 63)
        for tile in tiles(file, tk.Tiling(50)):
            header = coefficients_header(tile.data)
            assert own_tables(header) == own_tables(coefficients_header(file))


def coefficients_header(data):
    from tilekit.jpeg.markers import read_header

    return read_header(lambda at, count: data[at : at + count])[0]


def test_density_and_profile_are_kept_and_orientation_is_not():
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[274] = 1
    file = changed(dpi=(300, 300), icc_profile=profile, exif=exif)
    for tile in tiles(file, tk.Tiling(64, align=16)):
        assert tile.kept
        picture = Image.open(io.BytesIO(tile.data))
        assert picture.info["dpi"] == (300, 300)
        assert picture.info["icc_profile"] == profile
        assert not picture.getexif()


def test_max_bytes_is_respected():
    file = jpeg(300, 300, "4:4:4", 95, noise=30.0)
    free = tiles(file, tk.Tiling(64, align=8))
    limit = sorted(len(tile.data) for tile in free)[len(free) // 2]
    made = tiles(file, tk.Tiling(64, align=8), options=tk.tiles.EncodeOptions(max_bytes=limit))
    assert max(len(tile.data) for tile in made) <= limit
    assert [tile.kept for tile in made] == [len(tile.data) <= limit for tile in free]
    assert all(tile.lowered != tile.kept for tile in made)


def test_blank_tiles_are_left_out():
    pixels = np.full((256, 256, 3), 245, np.uint8)
    pixels[:128, :128] = np.random.default_rng(0).integers(0, 255, (128, 128, 3))
    made = tiles(changed(Image.fromarray(pixels), quality=90, subsampling=0), tk.Tiling(64), skip_blank=True)
    assert [tile.blank for tile in made] == [
        not (x < 128 and y < 128) for x, y, _, _ in (t.window for t in made)
    ]
    assert all(tile.kept != tile.blank for tile in made)


@given(st.data())
@settings(max_examples=40)
def test_damage_is_what_it_was_without_keeping(data):
    """Changed or missing bytes: the error of decoding, or tiles with the pixels of decoding."""
    file = bytearray(jpeg(120, 100, data.draw(st.sampled_from(SAMPLINGS)), 80, noise=20.0))
    start = file.index(b"\xff\xda") + 14
    for _ in range(data.draw(st.integers(1, 3))):
        file[data.draw(st.integers(start, len(file) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del file[data.draw(st.integers(start, len(file))) :]
    file = bytes(file)
    pixels, error = None, ""
    try:
        pixels = whole(file)
    except ScanCorrupt as exc:
        error = str(exc)
    if pixels is None:
        with pytest.raises(ScanCorrupt, match=re.escape(error)):
            tiles(file, tk.Tiling(64, align=16))
        return
    for tile in tiles(file, tk.Tiling(64, align=16)):
        x0, y0, x1, y1 = tile.window
        if tile.kept:
            got, want = decode_image(tile.data), pixels[y0:y1, x0:x1]
            assert np.array_equal(got[2:-2, 2:-2], want[2:-2, 2:-2])


def blocks_tiff(path, quality, gray=False, tile=64, size=(300, 260)):
    """A TIFF of JPEG blocks as libvips writes it: RGB 4:4:4 from quality 90 on, YCbCr 4:2:0 below."""
    import pyvips

    picture = Image.open(io.BytesIO(jpeg(*size, "4:4:4", 95, 5)))
    pixels = np.asarray(picture.convert("L") if gray else picture)
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="b-w" if gray else "srgb")
    image.tiffsave(str(path), compression="jpeg", Q=quality, tile=True, tile_width=tile, tile_height=tile)
    return path


@pytest.mark.parametrize(("quality", "gray"), [(95, False), (75, False), (80, True)])
@pytest.mark.parametrize("workers", [1, 3])
def test_tiles_join_the_blocks_of_a_tiff(tmp_path, quality, gray, workers):
    path = blocks_tiff(tmp_path / "a.tif", quality, gray)
    pixels, tiling = whole(path), tk.Tiling(112, 32, align=16)
    with tk.open_scan(path) as scan:
        plan = tk.tiles.keep_plan(scan, tiling)
        upsampled = scan.bits().header.upsampled
        made = list(tk.encode_tiles(scan, tiling, workers=workers))
    assert plan.why_not_all is None
    assert all(tile.kept for tile in made)
    assert upsampled == (quality == 75)
    for tile in made:
        x0, y0, x1, y1 = tile.window
        got, want = decode_image(tile.data).astype(int), pixels[y0:y1, x0:x1].astype(int)
        if not upsampled:
            assert np.array_equal(got, want)
            continue
        away = np.ones(got.shape[:2], bool)  # from block borders and the rim: there the colors are smoothed
        for axis, (first, stop) in enumerate(((y0, y1), (x0, x1))):
            at = np.arange(first, stop)
            near = (at % 64 < 2) | (at % 64 > 61) | (at < first + 2) | (at >= stop - 2)
            away &= ~near[:, None] if axis == 0 else ~near[None, :]
        assert np.array_equal(got[away], want[away])
        assert np.abs(got - want).max() <= 38  # the figure in docs/tiling.md


@pytest.mark.parametrize(("subsampling", "color"), [((1, 1), "ycbcr"), ((2, 2), "ycbcr"), ((1, 1), "rgb")])
def test_tiles_join_the_blocks_of_a_slide(tmp_path, subsampling, color):
    import tifffile

    path = tmp_path / "a.svs"
    pixels = np.asarray(Image.open(io.BytesIO(jpeg(500, 410, "4:4:4", 95, 5))).convert("RGB"))
    tifffile.imwrite(
        path, pixels, tile=(64, 64), compression="jpeg", photometric="rgb", subsampling=subsampling, metadata=None,
        compressionargs={"level": 90, "outcolorspace": color},
        description="Aperio Image Library v1\n500x410 (64x64) JPEG|AppMag = 40|MPP = 0.25",
    )  # fmt: skip
    tiling = tk.Tiling(112, 32)
    with tk.open_scan(path) as scan:
        assert scan.info.kind == "slide"
        plan, upsampled = tk.tiles.keep_plan(scan, tiling), scan.bits().header.upsampled
        want = {tile.index: tile.pixels for tile in tk.read_tiles(scan, tiling)}
        made = [list(tk.encode_tiles(scan, tiling, workers=workers)) for workers in (1, 3)]
    assert made[0] == made[1]
    assert (plan.reason, upsampled) == (None, subsampling == (2, 2))
    assert plan.kept == sum(tile.kept for tile in made[0]) > len(plan.grid) // 2
    for tile in made[0]:
        got = decode_image(tile.data).astype(int)
        if tile.kept:  # with 4:2:0 blocks a decoder of the tile smooths color over their borders
            off = np.abs(got - want[tile.index])
            assert off.mean() < 0.5 if upsampled else not off.any()


def test_a_slide_that_is_no_jpeg_or_has_holes_is_read_the_ordinary_way(tmp_path):
    import tifffile

    options = {"tile": (64, 64), "photometric": "rgb", "metadata": None}
    text = "Aperio Image Library v1\n128x128 (64x64) |MPP = 0.25"
    plain = np.full((128, 128, 3), 200, np.uint8)
    tifffile.imwrite(tmp_path / "a.svs", plain, compression="deflate", description=text, **options)
    tifffile.imwrite(tmp_path / "b.svs", plain, compression="jpeg", description=text, **options)
    with tifffile.TiffFile(tmp_path / "b.svs", mode="r+") as file:
        file.pages[0].tags["TileByteCounts"].overwrite([*file.pages[0].databytecounts[:3], 0])
    for name, why in (("a.svs", "not stored in JPEG"), ("b.svs", "not scanned")):
        with tk.open_scan(tmp_path / name) as scan:
            assert why in tk.tiles.keep_plan(scan, tk.Tiling(64)).reason
            assert len(list(tk.encode_tiles(scan, tk.Tiling(64)))) == 4


def test_a_damaged_block_is_the_error_it_was(tmp_path):
    import tifffile

    path = blocks_tiff(tmp_path / "a.tif", 95)
    with tifffile.TiffFile(path) as file:
        start, size = file.pages[0].dataoffsets[6], file.pages[0].databytecounts[6]
    data = bytearray(path.read_bytes())
    data[start + size // 2 : start + size] = b"\xff" * (size - size // 2)
    path.write_bytes(data)
    with pytest.raises(ScanCorrupt, match=r"a\.tif"):
        tiles(path, tk.Tiling(112, 32, align=16))


@pytest.mark.parametrize("most", [0, 40_000])
def test_threads_that_want_the_same_blocks_cut_the_same_tiles(tmp_path, monkeypatch, most):
    """Also where blocks are let go at once, and with one damaged: only the tiles on it are refused."""
    import tifffile

    monkeypatch.setattr(blockbits, "_KEPT_BYTES", most)
    path = blocks_tiff(tmp_path / "a.tif", 75)
    grid = tk.Tiling(112, 64, align=16).grid(300, 260)
    with tk.open_scan(path) as scan:
        alone = [scan.bits().tile(window, None) for window in grid]
    with tk.open_scan(path) as scan, ThreadPoolExecutor(6) as pool:
        bits = scan.bits()
        for _ in range(3):
            assert list(pool.map(lambda window: bits.tile(window, None), grid)) == alone
        assert bits._kept == sum(batch.nbytes for batch in bits._batches)
    with tifffile.TiffFile(path) as file:
        start, size = file.pages[0].dataoffsets[6], file.pages[0].databytecounts[6]
    data = bytearray(path.read_bytes())
    data[start + size // 2 : start + size] = bytes(size - size // 2)
    path.write_bytes(data)  # block 6 of 5 in a row: column 1, row 1

    def made(window):
        try:
            return bits.tile(window, None)
        except CannotCut:
            return None

    hit = [w.x0 < 128 and w.x1 > 64 and w.y0 < 128 and w.y1 > 64 for w in grid]
    with tk.open_scan(path) as scan, ThreadPoolExecutor(6) as pool:
        bits = scan.bits()
        found = list(pool.map(made, grid))
    assert found == [None if bad else tile for bad, tile in zip(hit, alone, strict=True)]


def test_a_new_process_cuts_without_numba(tmp_path):
    import subprocess
    import sys

    from tilekit.compiled import prepare
    from tilekit.compiled.loading import portable

    prepare("tilekit.jpeg.kernels")
    (tmp_path / "a.jpg").write_bytes(jpeg(500, 410))
    code = (
        "import sys; import tilekit as tk; from tilekit.scans import vips; vips.SMALL_BYTES = 0;"
        "made = tk.tile_scan(sys.argv[1], sys.argv[2], tk.Tiling(128, 32, align=16));"
        "print(made.kept, *sorted({'numba', 'PIL', 'imagecodecs', 'tifffile', 'boto3', 'scipy'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.jpg"), str(tmp_path / "out")]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert told == ["20"] + ["numba"] * (not portable())


@pytest.mark.parametrize(("optimized", "kept"), [("all", 0), ("few", 4), ("none", 4)])
def test_blocks_with_tables_of_their_own_are_told(tmp_path, optimized, kept):
    rng = np.random.default_rng(0)
    pixels = rng.normal(128, np.linspace(1, 60, 256)[:, None], (256, 256)).clip(0, 255).astype(np.uint8)
    own = {"all": range(16), "few": (5, 6, 10), "none": ()}[optimized]

    def blocks():
        for place, (y, x) in enumerate(np.ndindex(4, 4)):
            part = Image.fromarray(pixels[64 * y : 64 * y + 64, 64 * x : 64 * x + 64])
            out = io.BytesIO()
            part.save(out, "JPEG", quality=80, optimize=place in own)
            yield out.getvalue()

    path = tmp_path / "page.tif"
    tifffile.imwrite(path, blocks(), shape=(256, 256), dtype=np.uint8, tile=(64, 64), compression="jpeg", photometric="minisblack")  # fmt: skip
    with tk.open_scan(path) as scan:
        plan = tk.tiles.keep_plan(scan, tk.Tiling(128))
        tiles = list(tk.encode_tiles(scan, tk.Tiling(128)))
        page = scan.read(0, 0, 256, 256)
    assert (plan.kept, plan.total) == (kept, 4)
    told = {"all": "its blocks have tables", "few": "some of its blocks have tables", "none": ""}[optimized]
    assert (plan.why_not_all or "").startswith(told)
    assert bool(plan.why_not_all) == bool(told)
    assert sum(tile.kept for tile in tiles) == {"all": 0, "few": 1, "none": 4}[optimized]
    for tile in tiles:
        x0, y0, x1, y1 = tile.window
        errors = decode_image(tile.data).astype(int) - page[y0:y1, x0:x1]
        assert abs(errors).mean() <= (0 if tile.kept else 1)
