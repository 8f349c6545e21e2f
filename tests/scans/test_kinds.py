"""One small file of each kind that was read wrong, lost or refused, with what is right."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

import tilekit as tk
import tilekit.scans.frames
from tilekit.errors import InvalidArgument, ScanCorrupt, ScanError, ScanTooLarge, ScanUnsupported

RGB = np.zeros((300, 300, 3), np.uint8)
RGB[:] = (100, 120, 80)
RGB[100:200, 100:200] = (20, 40, 160)
NEAR = np.full((300, 300, 1), 30, np.uint8)
RAMP = np.tile(np.linspace(0, 4095, 300).astype(np.uint16), (300, 1))


def whole(source, **how) -> np.ndarray:
    with tk.open_scan(source, **how) as scan:
        page = scan.read(0, 0, scan.width, scan.height)
        tiles = [tile.pixels for tile in tk.read_tiles(scan, tk.Tiling.parts(1))]
        assert np.array_equal(tiles[0], page)
        return page


def tiff(tmp_path, pixels, **options):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, **options)
    return path


def pillow(picture, form, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize("tile", [None, (128, 128)])
def test_infrared_beside_rgb_is_no_alpha(tmp_path, tile):
    path = tiff(tmp_path, np.dstack([RGB, NEAR]), photometric="rgb", extrasamples=["unspecified"], tile=tile)
    assert np.array_equal(whole(path), RGB)


def test_five_bands_are_refused_until_chosen(tmp_path):
    path = tiff(tmp_path, np.dstack([RGB, NEAR, NEAR]), photometric="minisblack", planarconfig="contig")
    with pytest.raises(ScanUnsupported, match=r"5 bands.*bands=\(0, 1, 2\)"):
        tk.open_scan(path)
    assert np.array_equal(whole(path, bands=(0, 1, 2)), RGB)
    assert np.array_equal(whole(path, bands=(3,)), NEAR)
    with pytest.raises(InvalidArgument, match="from 0 to 4"):
        tk.open_scan(path, bands=(0, 1, 5))
    assert tk.scan_info(path).width == 300


@pytest.mark.parametrize(
    ("pixels", "levels", "words"),
    [
        (RAMP, (0, 4095), r"16-bit samples with values from 0 to 4095.*levels=\(0, 4095\)"),
        ((RAMP / 4095).astype(np.float32), (0, 1), "float samples with values from 0 to 1,"),
        ((RAMP * 2.5).astype(np.float32), (0, 4095 * 2.5), "float samples with values from 0 to 10237.5"),
        ((RAMP.astype(np.int16) - 500), (-500, 3595), "signed 16-bit samples with values from -500 to 3595"),
        ((RAMP // 40).astype(np.int8), (0, 102), "signed 8-bit"),
        (RAMP.astype(np.uint32) * 1000, (0, 4095000), "32-bit samples"),
        (RAMP.astype(np.int32) - 7, (-7, 4088), "signed 32-bit"),
        (RAMP.astype(np.float64) / 4095, (0, 1), "has float samples"),
        (RAMP.astype(np.int64) - 9, (-9, 4086), "has signed 64-bit samples with values from -9 to 4086"),
        (RAMP.astype(np.uint64), (0, 4095), "has 64-bit samples with values from 0 to 4095"),
        ((RAMP / 4095).astype(np.float16), (0, 1), "float"),
    ],
)
def test_values_without_an_8_bit_meaning(tmp_path, pixels, levels, words):
    path = tiff(tmp_path, pixels)
    with pytest.raises(ScanUnsupported, match=words) as refused:
        tk.open_scan(path)
    assert ('"full"' in str(refused.value)) == (pixels.dtype.kind != "f" and pixels.dtype.itemsize < 8)
    values = pixels.astype(np.float32 if pixels.dtype.itemsize == 8 else pixels.dtype).astype(np.float64)
    low, high = levels
    want = np.clip(np.floor((values - low) * (255 / (high - low)) + 0.5), 0, 255).astype(np.uint8)
    assert np.array_equal(whole(path, levels=levels)[..., 0], want)
    ends = whole(path, levels="minmax")
    assert (ends.min(), ends.max()) == (0, 255)
    middle = whole(path, levels="percentile")
    assert (middle.min(), middle.max()) == (0, 255)
    if pixels.dtype.kind == "f" or pixels.dtype.itemsize == 8:
        called = {"f": "float", "i": "signed 64-bit", "u": "64-bit"}[pixels.dtype.kind]
        with pytest.raises(InvalidArgument, match=f"full.*means nothing for {called} samples"):
            tk.open_scan(path, levels="full")
    else:
        kind = np.iinfo(pixels.dtype)
        full = np.clip(np.floor((values - kind.min) * (255 / (float(kind.max) - kind.min)) + 0.5), 0, 255)
        assert np.array_equal(whole(path, levels="full")[..., 0], full.astype(np.uint8))


def test_16_bits_that_use_the_upper_half_keep_their_upper_eight(tmp_path):
    deep = (RAMP * 16).astype(np.uint16)
    assert np.array_equal(whole(tiff(tmp_path, deep))[..., 0], deep >> 8)
    assert not whole(tiff(tmp_path, np.zeros_like(deep))).any()  # nothing but zeros is black by any rule


def test_complex_samples_are_refused(tmp_path):
    for options in ({}, {"levels": (0, 1)}):
        with pytest.raises(ScanUnsupported, match="complex"):
            tk.open_scan(tiff(tmp_path, RAMP.astype(np.complex64)), **options)


@pytest.mark.parametrize(
    "bad",
    [
        {"bands": (0, 1)},
        {"bands": "red"},
        {"bands": (-1,)},
        {"levels": (1, 1)},
        {"levels": "auto"},
        {"levels": (0, float("nan"))},
    ],
)
def test_what_makes_no_sense_is_named(bad):
    with pytest.raises(InvalidArgument, match=next(iter(bad))):
        tk.open_scan(pillow(Image.fromarray(RGB), "PNG"), **bad)
    with pytest.raises(InvalidArgument, match=next(iter(bad))):
        tk.Tiling(64, **bad)


@pytest.mark.parametrize("form", ["PNG", "PDF", "GIF"])
def test_bands_and_levels_of_other_formats(form):
    data = pillow(Image.fromarray(RGB), form)
    plain = whole(data)
    assert np.array_equal(whole(data, bands=(2,))[..., 0], plain[..., 2])
    leveled = np.clip(np.floor(plain.astype(float) * (255 / 160) + 0.5), 0, 255)
    assert np.array_equal(whole(data, levels=(0, 160)), leveled.astype(np.uint8))
    assert whole(data, bands="gray").shape[2] == 1


def test_the_recipe_carries_bands_and_levels(tmp_path):
    path = tiff(tmp_path, RAMP)
    tiling = tk.Tiling(100, levels=(0, 4095))
    assert tk.Tiling.from_json(tiling.to_json()) == tiling
    made = tk.tile_scan(path, tmp_path / "tiles", tiling)
    assert made.index().tiling == tiling
    with tk.open_scan(path, levels=(0, 4095)) as scan:
        made = tk.tile_scan(scan, tmp_path / "others", tk.Tiling(100))
        assert made.index().tiling == tiling  # what the scan was opened with is recorded
        with pytest.raises(InvalidArgument, match="was opened with levels"):
            tk.read_tiles(scan, tk.Tiling(100, levels=(0, 1)))


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("photometric", ["cielab", "icclab"])
def test_lab_of_whole_numbers(tmp_path, depth, photometric):
    kind = np.uint8 if depth == 8 else np.uint16
    lab = np.zeros((64, 64, 3), kind)
    lab[..., 0] = 128 * (1 if depth == 8 else 257)
    if photometric == "icclab":
        lab[..., 1:] = 1 << (depth - 1)
    assert np.abs(whole(tiff(tmp_path, lab, photometric=photometric)).astype(int) - 119).max() <= 1


def test_planes_apart_in_tiles(tmp_path):
    path = tiff(
        tmp_path, np.moveaxis(RGB, 2, 0).copy(), photometric="rgb", planarconfig="separate", tile=(128, 128)
    )
    assert np.array_equal(whole(path), RGB)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_bits_have_the_range_the_file_says(tmp_path, bits):
    deep = (RAMP >> (12 - bits) if bits < 12 else RAMP << (bits - 12)).astype(np.uint16)
    path = tiff(tmp_path, deep, bitspersample=bits, photometric="minisblack")
    want = np.floor(deep * (255 / ((1 << bits) - 1)) + 0.5)
    assert np.array_equal(whole(path)[..., 0], want.astype(np.uint8))


@pytest.mark.parametrize("compression", ["jpeg2000", "lerc", "jpegxl", "png"])
def test_compressions_libtiff_has_not(tmp_path, compression):
    path = tiff(tmp_path, RGB, photometric="rgb", tile=(128, 128), compression=compression)
    assert np.array_equal(whole(path), tifffile.imread(path))


NOISE = np.random.default_rng(5).integers(0, 256, (40, 30, 3), np.uint8)


@pytest.mark.parametrize(
    ("fault", "words"),
    [("stray", "stray bytes"), ("end", "no end mark"), ("after", "bytes after"), ("inside", "")],
)
def test_jpeg_whose_pixels_are_all_there(fault, words):
    data = pillow(Image.fromarray(NOISE), "JPEG", quality=90)
    at = data.index(b"\xff\xdb")
    broken = {
        "stray": data[:at] + b"\x00\x01\x02\x03\x04" + data[at:], "end": data[:-2], "after": data + b"\0" * 50,
        "inside": data[:-2] + bytes(9) + data[-2:],
    }[fault]  # fmt: skip
    with tk.open_scan(broken) as scan:
        assert np.array_equal(scan.read(0, 0, 30, 40), np.asarray(Image.open(io.BytesIO(data))))
        assert np.array_equal(next(scan.bands_of_rows([40])), scan.read(0, 0, 30, 40))
        assert words in " ".join(scan.info.warnings)
        assert bool(words) == bool(scan.info.warnings)


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("ended", [False, True])
def test_jpeg_that_is_cut_short_is_damaged(cut, ended):
    data = pillow(Image.fromarray(NOISE), "JPEG", quality=90)
    start = data.index(b"\xff\xda")
    broken = data[: int(start + (len(data) - start) * cut)] + (b"\xff\xd9" if ended else b"")
    with pytest.raises(ScanCorrupt, match="damaged"), tk.open_scan(broken) as scan:
        list(scan.bands_of_rows([40]))


@pytest.mark.parametrize("form", ["PPM", "PCX", "TGA", "BMP"])
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
def test_pictures_pillow_reads(form, mode):
    picture = Image.fromarray(NOISE).convert(mode)
    if (form, mode) in {("PPM", "P")}:
        picture = picture.convert("RGB")
    data = pillow(picture, form)
    page = whole(data)
    again = Image.open(io.BytesIO(data))
    assert np.array_equal(page.squeeze(), np.asarray(again.convert("L" if page.shape[2] == 1 else "RGB")))


@pytest.mark.parametrize("most", [1, 15, 1023, 4095, 65535])
def test_netpbm_of_any_maxval(most):
    values = np.linspace(0, most, 300).astype(np.uint16)
    body = values.astype(">u2").tobytes() if most > 255 else values.astype(np.uint8).tobytes()
    page = whole(b"P5\n300 1\n%d\n" % most + body)
    want = values >> 8 if most == 65535 else np.floor(values * (255 / most) + 0.5)
    assert np.array_equal(page[0, :, 0], want.astype(np.uint8))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("bmp", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 1000, 0, 0, 54, 40, 30000, 30000, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(946)),
        ("pbm", b"P4\n30000 90000\n" + bytes(900)),
        ("pgm", b"P5\n30000 90000\n255\n" + bytes(900)),
        ("tga", struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 30000, 30000, 24, 0) + bytes(900)),
        ("pcx", bytes([10, 5, 1, 8]) + struct.pack("<HHHH", 0, 0, 60000, 60000) + bytes(900)),
    ],
)  # fmt: skip
def test_headers_that_claim_more_than_the_file_holds(name, data):
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(ScanError):
        tk.open_scan(data)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


def test_a_whole_decode_is_charged_to_the_budget():
    data = pillow(Image.fromarray(NOISE), "PCX")
    with pytest.raises(ScanTooLarge, match="budget"):
        tk.open_scan(data, budget=1000)


def test_formats_that_are_no_scans_are_named():
    for data, words in ((b"\0\0\1\0\1\0" + bytes(40), "icon"), (b"DDS " + bytes(140), "DDS")):
        with pytest.raises(ScanUnsupported, match=words):
            tk.open_scan(data)


PLAIN = (np.arange(64 * 48) % 251).astype(np.uint8)


def plain_tiff(*, drop=(), sort=True, **change) -> bytes:
    """A gray TIFF of 64 x 48 in one strip; `change`: t<number>=(type, count, bytes)."""

    def short(value: int) -> tuple[int, int, bytes]:
        return 3, 1, struct.pack("<H", value)

    pixels = PLAIN.tobytes()
    tags = {256: short(64), 257: short(48), 258: short(8), 259: short(1), 262: short(1),
            273: (4, 1, struct.pack("<I", 8)), 277: short(1), 278: short(48),
            279: (4, 1, struct.pack("<I", len(pixels)))}  # fmt: skip
    tags.update({int(key[1:]): value for key, value in change.items()})
    order = sorted(set(tags) - set(drop), key=None if sort else lambda tag: (tag == 258, tag))
    at = 8 + len(pixels)
    after, table, extra = at + 6 + 12 * len(order), struct.pack("<H", len(order)), b""
    for tag in order:
        kind, count, data = tags[tag]
        inline = struct.pack("<I", after + len(extra)) if len(data) > 4 else data.ljust(4, b"\0")
        extra += data + b"\0" * (len(data) % 2) if len(data) > 4 else b""
        table += struct.pack("<HHI", tag, kind, count) + inline
    return b"II*\0" + struct.pack("<I", at) + pixels + table + bytes(4) + extra


@pytest.mark.parametrize(
    "change",
    [
        {"t305": (2, 6, b"scan 1")}, {"t305": (2, 0, b"")}, {"t306": (2, 19, b"2026:01:01 10:00:00")},
        {"t282": (5, 2, struct.pack("<IIII", 300, 1, 300, 1))}, {"t282": (5, 1, struct.pack("<II", 300, 0))},
        {"t296": (3, 1, b"\0\0")}, {"t274": (3, 1, b"\0\0")}, {"t274": (3, 1, b"\x09\0")},
        {"t297": (3, 1, b"\0\0")}, {"sort": False}, {"drop": (279,)}, {"t279": (4, 1, struct.pack("<I", 9))},
        {"t279": (4, 1, struct.pack("<I", 1 << 30))}, {"t279": (4, 2, struct.pack("<II", 3072, 7))},
        {"t50000": (3, 1, b"\1\0")}, {"t320": (3, 1, b"\1\0")}, {"t700": (99, 5, b"abcde")},
    ],
)  # fmt: skip
def test_harmless_faults_in_tags_are_no_damage(change):
    assert np.array_equal(whole(plain_tiff(**change)).ravel(), PLAIN)


@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits", "zstd", "jpeg2000"])
def test_a_tiff_that_is_cut_short_is_damaged(tmp_path, compression, tile):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, NOISE, compression=compression, tile=tile, photometric="rgb", rowsperstrip=8)
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[0].dataoffsets[-1], file.pages[0].databytecounts[-1]
    data = bytearray(path.read_bytes())
    with tk.open_scan(bytes(data)) as scan:
        right = scan.read(0, 0, 30, 40)
    cut = bytes(data[: offset + count // 2])
    moved = cut if len(cut) > 8 else data
    with pytest.raises(ScanError), tk.open_scan(moved) as scan:
        assert np.array_equal(next(scan.bands_of_rows([40])), right)


@pytest.mark.parametrize(("form", "options"), [("GIF", {"duration": 50}), ("WEBP", {"lossless": True})])
def test_frames_in_one_pass(form, options, monkeypatch):
    frames = [Image.fromarray(np.full((8, 10), n, np.uint8)) for n in range(0, 250, 5)]
    data = pillow(frames[0], form, save_all=True, append_images=frames[1:], **options)
    begun = []
    begin = tilekit.scans.frames._begun
    monkeypatch.setattr("tilekit.scans.frames._begun", lambda ask: begun.append(ask.page) or begin(ask))
    for page in range(50):  # as tiling, detection and archives ask
        with tk.open_scan(data, page=page) as scan:
            assert scan.read(0, 0, 1, 1)[0, 0, 0] == page * 5
    assert begun == [1], "one pass, though each was opened singly"
    seen = [int(scan.read(0, 0, 1, 1)[0, 0, 0]) for scan in tk.scan_pages(data)]
    assert seen == list(range(0, 250, 5))
    with tk.open_scan(data, page=7) as scan:
        assert scan.read(0, 0, 1, 1)[0, 0, 0] == 35
        assert scan.pages == 50


def test_a_slide_is_closed_by_whoever_comes_first(tmp_path):
    path = tmp_path / "tiny.svs"
    tifffile.imwrite(
        path, np.tile(RGB, (2, 2, 1)), tile=(256, 256), photometric="rgb", compression="jpeg",
        description="Aperio Image Library v1\n600x600 |MPP = 0.5", metadata=None,
    )  # fmt: skip
    for scan in tk.scan_pages(path):
        with scan:
            scan.read(0, 0, 5, 5)
        scan.close()
    with pytest.raises(InvalidArgument, match="open"):
        scan.read(0, 0, 5, 5)
