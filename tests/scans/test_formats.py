"""Every reader against another library; bands against rectangles, at full and reduced size."""

from __future__ import annotations

import io

import glymur
import numpy as np
import openslide
import pillow_heif
import pytest
import pyvips
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import tilekit as tk
from tilekit.errors import ScanError, ScanNotFound, ScanTooLarge, ScanUnsupported
from tilekit.scans.scan import Scan

NOISE = np.random.default_rng(5).integers(0, 256, (411, 307, 3), np.uint8)


def whole(scan: Scan) -> np.ndarray:
    return next(scan.bands_of_rows([scan.height]))


def check_ways(scan: Scan) -> np.ndarray:
    """Bands, rectangles and repeats agree, also at a reduced size; gives the page."""
    page = whole(scan)
    for size in [(scan.width, scan.height), (max(1, scan.width * 3 // 7), max(1, scan.height // 3))]:
        width, height = size
        first = max(1, height // 3)
        heights = [first] if first == height else [first, height - first]
        bands = np.concatenate(list(scan.bands_of_rows(heights, scale=size)))
        assert bands.shape == (height, width, scan.bands)
        window = (width // 5, height // 4, max(width // 5 + 1, width * 4 // 5), height)
        part = scan.read(*window, scale=size)
        assert np.array_equal(part, bands[window[1] : window[3], window[0] : window[2]])
        assert not part.flags.writeable
    assert np.array_equal(page, scan.read(0, 0, scan.width, scan.height))
    return page


def pillow(picture: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, format, **options)
    return out.getvalue()


@pytest.mark.parametrize("size", [(411, 307), (1, 90), (90, 1), (1, 1)])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "PPM", "TIFF"])
@pytest.mark.parametrize("gray", [False, True])
def test_against_pillow(format, gray, size):
    pixels = NOISE[: size[0], : size[1]]
    picture = Image.fromarray(pixels[..., 0] if gray else pixels)
    data = pillow(picture, format, **({"lossless": True} if format == "WEBP" else {}))
    with tk.open_scan(data) as scan:
        page = check_ways(scan)
    oracle = np.asarray(Image.open(io.BytesIO(data)).convert("L" if page.shape[2] == 1 else "RGB"))
    assert page.shape[:2] == size
    if format == "AVIF":  # two decoders of chroma
        assert np.abs(page.squeeze().astype(int) - oracle.squeeze()).mean() < 20
    else:
        assert np.array_equal(page.squeeze(), oracle.squeeze())


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "deflate", "lzw", "packbits", "jpeg", "webp", "zstd", "lzma"])
def test_tiff_compressions(tmp_path, compression, planar, tiled):
    if planar == "separate" and compression in ("jpeg", "webp"):
        planar = "contig"
    pixels = NOISE if planar == "contig" else np.ascontiguousarray(NOISE.transpose(2, 0, 1))
    path = tmp_path / "a.tif"
    layout = {"tile": (64, 48)} if tiled else {"rowsperstrip": 16}
    args = {"compressionargs": {"level": 90}} if compression == "jpeg" else {}
    if compression == "webp":
        args = {"compressionargs": {"lossless": True}}
    tifffile.imwrite(
        path, pixels, compression=compression, planarconfig=planar, photometric="rgb", **layout, **args
    )
    with tk.open_scan(path) as scan:
        page = check_ways(scan)
    oracle = tifffile.imread(path)
    if planar == "separate":
        oracle = oracle.transpose(1, 2, 0)
    assert np.array_equal(page, oracle)


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_depths_and_byte_orders(tmp_path, order, big, predictor):
    path = tmp_path / "a.tif"
    deep = NOISE.astype(np.uint16) * 257
    for compression in ("lzw", "zstd"):
        tifffile.imwrite(
            path, deep, byteorder=order, bigtiff=big, compression=compression, predictor=predictor,
            photometric="rgb", rowsperstrip=9,
        )  # fmt: skip
        with tk.open_scan(path) as scan:
            assert np.array_equal(check_ways(scan), NOISE)
            assert not scan.as_stored


@pytest.mark.parametrize("compression", ["group3", "group4", "raw", "tiff_lzw"])
def test_one_bit_archive_scans(compression):
    ink = NOISE[..., 0] > 128
    with tk.open_scan(pillow(Image.fromarray(ink), "TIFF", compression=compression)) as scan:
        assert np.array_equal(check_ways(scan)[..., 0], np.where(ink, 255, 0))


def test_min_is_white_and_palette(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, NOISE[..., 0], photometric="miniswhite")
    with tk.open_scan(path) as scan:
        assert np.array_equal(check_ways(scan)[..., 0], 255 - NOISE[..., 0])
    picture = Image.fromarray(NOISE).quantize(64)
    for format in ("TIFF", "PNG", "GIF"):
        with tk.open_scan(pillow(picture, format)) as scan:
            assert np.array_equal(check_ways(scan), np.asarray(picture.convert("RGB")))


def test_alpha_lies_over_white():
    alpha = np.dstack([NOISE, np.repeat(np.arange(411) % 256, 307).reshape(411, 307)]).astype(np.uint8)
    with tk.open_scan(pillow(Image.fromarray(alpha), "PNG")) as scan:
        page = check_ways(scan)
    share = alpha[..., 3:] / 255
    assert np.abs(page - (NOISE * share + 255 * (1 - share))).max() <= 1.01
    gray = Image.fromarray(np.dstack([NOISE[..., 0], alpha[..., 3]]))
    with tk.open_scan(pillow(gray, "PNG")) as scan:
        assert scan.bands == 1
        assert np.abs(whole(scan) - (NOISE[..., :1] * share + 255 * (1 - share))).max() <= 1.01


def test_cmyk_and_lab_and_float_become_srgb(tmp_path):
    white = Image.new("CMYK", (20, 10), (0, 0, 0, 0))
    black = Image.new("CMYK", (20, 10), (0, 0, 0, 255))
    for format in ("JPEG", "TIFF"):
        with tk.open_scan(pillow(white, format)) as scan:
            assert scan.bands == 3
            assert check_ways(scan).min() > 245
        with tk.open_scan(pillow(black, format)) as scan:
            assert check_ways(scan).max() < 60
    lab = pyvips.Image.black(20, 10, bands=3).linear([1, 1, 1], [53.2, 80.1, 67.2])
    lab.copy(interpretation="lab").cast("float").tiffsave(str(tmp_path / "lab.tif"))
    with tk.open_scan(tmp_path / "lab.tif") as scan:
        assert np.abs(check_ways(scan)[0, 0].astype(int) - (255, 0, 0)).max() <= 3
    tifffile.imwrite(tmp_path / "f.tif", np.full((10, 20, 3), 1.0, np.float32), photometric="rgb")
    with pytest.raises(ScanUnsupported, match=r"float samples.*levels="):
        tk.open_scan(tmp_path / "f.tif")
    with tk.open_scan(tmp_path / "f.tif", levels=(0, 2)) as scan:
        assert (check_ways(scan) == 128).all()


def test_a_profile_is_followed():
    from PIL import ImageCms

    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = pillow(Image.fromarray(NOISE), "PNG", icc_profile=lab)
    with tk.open_scan(plain) as scan:  # sRGB itself changes nothing
        assert scan.as_stored
        assert np.array_equal(whole(scan), NOISE)
    p3 = pyvips.Image.profile_load("p3")
    image = pyvips.Image.new_from_memory(NOISE, 307, 411, 3, "uchar").copy(interpretation="srgb")
    image.set_type(
        pyvips.GValue.blob_type, "icc-profile-data", bytes(p3.get_value() if hasattr(p3, "get_value") else p3)
    )
    with tk.open_scan(image.pngsave_buffer()) as scan:
        assert not scan.as_stored
        page = check_ways(scan)
    assert 1 < np.abs(page.astype(int) - NOISE).mean() < 40


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_is_applied(format, orientation):
    from PIL import ImageOps

    picture = Image.fromarray(NOISE)
    exif = picture.getexif()
    exif[274] = orientation
    options = {"tiffinfo": {274: orientation}} if format == "TIFF" else {"exif": exif}
    if format == "WEBP":
        options["lossless"] = True
    data = pillow(picture, format, **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    with tk.open_scan(data) as scan:
        assert np.array_equal(check_ways(scan), np.asarray(upright))
        assert scan.as_stored == (orientation == 1)


def test_pages_of_a_tiff_are_not_its_pyramid(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for shift in range(3):
            options = {"tile": (64, 64), "photometric": "rgb", "compression": "deflate"}
            writer.write(np.roll(NOISE, shift, 0), **options)
            writer.write(NOISE[::2, ::2], subfiletype=1, **options)
    pages = [whole(scan) for scan in tk.scan_pages(path)]
    assert len(pages) == 3
    assert all(np.array_equal(page, np.roll(NOISE, shift, 0)) for shift, page in enumerate(pages))
    assert tk.scan_info(path, 2).pages == 3
    with pytest.raises(ScanNotFound, match=r"#page=4.*3 page"):
        tk.open_scan(path, page=3)


@pytest.mark.parametrize("options", [{}, {"tilesize": (128, 100)}, {"cratios": [8]}])
@pytest.mark.parametrize("gray", [False, True])
def test_jpeg_2000(tmp_path, options, gray):
    path = tmp_path / "a.jp2"
    glymur.Jp2k(path, data=NOISE[..., 0] if gray else NOISE, **options)
    for source in (path, path.read_bytes()):
        with tk.open_scan(source) as scan:
            page = check_ways(scan)
        assert np.array_equal(page.squeeze(), glymur.Jp2k(path)[:])


def test_a_slide(tmp_path):
    path = tmp_path / "slide.svs"
    text = "Aperio Image Library v1\n307x411 (64x64) JPEG|AppMag = 40|MPP = 0.25"
    tifffile.imwrite(
        path, NOISE, tile=(64, 64), compression="jpeg", description=text, photometric="rgb", metadata=None
    )
    with tk.open_scan(path) as scan:
        assert (scan.info.kind, scan.info.access, scan.info.mpp) == ("slide", "block", 0.25)
        page = check_ways(scan)
    with openslide.OpenSlide(path) as slide:
        assert np.array_equal(page, np.asarray(slide.read_region((0, 0), 0, (307, 411)))[..., :3])


def test_heic(tmp_path):
    pixels = np.asarray(Image.fromarray(NOISE).resize((64, 50)).resize((640, 500)))
    pillow_heif.from_bytes("RGB", (640, 500), pixels.tobytes()).save(tmp_path / "a.jpg", quality=95)
    with tk.open_scan(tmp_path / "a.jpg") as scan:
        assert scan.info.kind == "heif"
        assert np.abs(check_ways(scan).astype(int) - pixels).mean() < 5


@settings(max_examples=40)
@given(
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    target=st.tuples(st.integers(1, 500), st.integers(1, 500)),
    bands=st.sampled_from([1, 3]),
    data=st.data(),
)
def test_a_rectangle_of_a_reduced_scan_is_cut_from_the_whole(width, height, target, bands, data):
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, bands), np.uint8)
    x0, y0 = data.draw(st.integers(0, target[0] - 1)), data.draw(st.integers(0, target[1] - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, target[0])), data.draw(st.integers(y0 + 1, target[1]))
    with tk.open_scan(pillow(Image.fromarray(pixels.squeeze(2) if bands == 1 else pixels), "PNG")) as scan:
        page = next(scan.bands_of_rows([target[1]], scale=target))
        assert np.array_equal(scan.read(x0, y0, x1, y1, scale=target), page[y0:y1, x0:x1])


def test_sources_of_all_kinds(tmp_path):
    data = pillow(Image.fromarray(NOISE), "PNG")
    path = tmp_path / "wrong extension.pdf"
    path.write_bytes(data)
    for source in (str(path), path, data, bytearray(data), io.BytesIO(data)):
        with tk.open_scan(source) as scan:
            assert np.array_equal(whole(scan), NOISE)
    with path.open("rb") as file, tk.open_scan(file) as scan:
        assert scan.key.source == str(path)


def test_svg_and_limits_are_asked_for():
    svg = (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="90" height="50"><rect width="45" height="50"/></svg>'
    )
    with pytest.raises(ScanUnsupported, match="untrusted=True"):
        tk.open_scan(svg)
    with tk.open_scan(svg, untrusted=True, dpi=144) as scan:
        assert (scan.width, scan.height) == (180, 100)
        assert check_ways(scan)[:, 100:].min() == 255
    with pytest.raises(ScanTooLarge, match="max_pixels"):
        tk.open_scan(pillow(Image.fromarray(NOISE), "PNG"), max_pixels=1000)


def test_a_changed_file_is_not_remembered(tmp_path):
    path = tmp_path / "a.png"
    for shift in range(2):
        path.write_bytes(pillow(Image.fromarray(np.roll(NOISE, shift, 0)), "PNG"))
        with tk.open_scan(path) as scan:
            assert np.array_equal(whole(scan), np.roll(NOISE, shift, 0))


def test_closing_early_stops_the_decoder():
    import threading

    before = set(threading.enumerate())
    with tk.open_scan(pillow(Image.fromarray(NOISE), "PNG")) as scan:
        bands = scan.bands_of_rows([1] * 411)
        next(bands)
        bands.close()
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"Dear sir,\nplease find", "text"),
        (b"\xff\x0a\0\0\0", "JPEG XL"),
        (b"\0" * 100, "no format"),
        (b"\xff\xd8\xff\xe0", "damaged"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"P6\n10 0\n255\n", "at least one pixel"),
        (b"P6\n10 10\n255\nabc", "cut short"),
        (b"\0\0\0\x1cftypqt  \0\0\0\0qt  ", "video"),
    ],
)
def test_what_is_no_scan_is_told_in_a_sentence(tmp_path, data, words):
    path = tmp_path / "scan.png"
    path.write_bytes(data)
    with pytest.raises(ScanError, match=words) as caught:
        tk.open_scan(path)
    assert str(path) in str(caught.value)


def test_places_that_are_no_files(tmp_path):
    with pytest.raises(ScanNotFound, match="no such file"):
        tk.open_scan(tmp_path / "none.tif")
    with pytest.raises(ScanUnsupported, match="folder"):
        tk.open_scan(tmp_path)
