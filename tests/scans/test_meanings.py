"""What a file says of its samples decides what is seen: no header is passed over, no contradiction read."""

from __future__ import annotations

import io
import struct

import imagecodecs
import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

import tilekit as tk
from tests.scans.test_kinds import PLAIN, pillow, plain_tiff, tiff, whole
from tilekit.errors import ScanCorrupt, ScanUnsupported

H, W = 29, 37
CHANCE = np.random.default_rng(11)
RGB = CHANCE.integers(0, 256, (H, W, 3), np.uint8)
FOUR = CHANCE.integers(0, 256, (H, W, 4), np.uint8)
DEEP = CHANCE.integers(0, 65536, (H, W), np.uint16)
Y, X = np.mgrid[:H, :W]
SMOOTH = np.dstack([X * 6, Y * 8, X + Y]).astype(np.uint8)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF>'
    b"</x:xmpmeta>"
)


def by_vips(pixels: np.ndarray, space: str) -> np.ndarray:
    image = pyvips.Image.new_from_array(pixels).copy(interpretation=space)
    return image.colourspace("srgb").cast("uchar").numpy()


def psd(mode: int, depth: int, planes: np.ndarray, table: bytes = b"") -> bytes:
    """A flattened Photoshop document, not compressed; `planes`: (channels, rows) of whole bytes."""
    head = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", len(planes), H, W, depth, mode)
    return head + struct.pack(">I", len(table)) + table + struct.pack(">IIH", 0, 0, 0) + planes.tobytes()


def test_jpeg2000_says_what_its_components_are():
    four = imagecodecs.jpeg2k_encode(FOUR, codecformat="jp2", level=0)
    assert b"cdef" not in four
    assert np.array_equal(whole(four), FOUR[..., :3])  # a component of no stated meaning is no alpha
    out = pillow(Image.fromarray(FOUR), "JPEG2000")
    assert b"cdef" in out
    alpha = FOUR[..., 3:].astype(int)
    over = (FOUR[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    assert np.array_equal(whole(out), over)


def test_jpeg2000_in_sycc():
    stored = np.asarray(Image.fromarray(SMOOTH).convert("YCbCr"))
    data = bytearray(imagecodecs.jpeg2k_encode(stored, codecformat="jp2", level=0, mct=False))
    at = data.index(b"colr")
    data[at + 7 : at + 11] = (18).to_bytes(4, "big")
    right = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.abs(whole(bytes(data)).astype(int) - right).max() <= 1
    data[at + 7 : at + 11] = (12).to_bytes(4, "big")
    with pytest.raises(ScanUnsupported, match="space 12"):
        tk.open_scan(bytes(data))


@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_inks_that_are_not_cmyk(tmp_path, tile):
    path = tiff(tmp_path, FOUR, photometric="separated", extratags=[(332, "H", 1, 2, True)], tile=tile)
    with pytest.raises(ScanUnsupported, match=r"4 inks that are not CMYK; .*bands=\(0,\)"):
        tk.open_scan(path)
    assert np.array_equal(whole(path, bands=(3, 1, 0)), FOUR[..., [3, 1, 0]])


def test_volumes_are_refused(tmp_path):
    path = tiff(
        tmp_path,
        np.zeros((4, 64, 64), np.uint8),
        photometric="minisblack",
        volumetric=True,
        tile=(16, 16, 16),
    )
    with pytest.raises(ScanUnsupported, match="volumes 16 px deep"):
        tk.open_scan(path)


@pytest.mark.parametrize(
    "change",
    [
        {"t277": (3, 1, b"\1\0"), "t262": (3, 1, b"\2\0")},
        {"t262": (3, 1, b"\5\0")},
        {"t262": (3, 1, b"\x08\0")},
    ],
)
def test_fewer_samples_than_colors(change):
    with pytest.raises(ScanUnsupported, match="colors and that they have 1 sample"):
        tk.open_scan(plain_tiff(**change))


@pytest.mark.parametrize("drop", [(258,), ()])
def test_blocks_that_hold_more_than_was_told(drop):
    change = {} if drop else {"t256": (3, 1, b"\x20\0")}  # half the width
    with pytest.raises(ScanCorrupt, match="its blocks have"):
        tk.open_scan(plain_tiff(drop=drop, **change))


def test_samples_are_counted_by_their_bits(tmp_path):
    path = tiff(tmp_path, RGB, photometric="rgb", metadata=None)
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack("<HHI", 277, 3, 1))
    data[at : at + 2] = struct.pack("<H", 276)
    assert np.array_equal(whole(bytes(data)), RGB)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_that_only_xmp_has(tmp_path, form):
    picture, turned = Image.fromarray(SMOOTH), np.rot90(SMOOTH, -1)
    if form == "TIFF":
        data = tiff(
            tmp_path, SMOOTH, photometric="rgb", extratags=[(700, "B", len(XMP), XMP, True)]
        ).read_bytes()
    elif form == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        data = pillow(picture, form, pnginfo=info)
    else:
        data = pillow(picture, form, xmp=XMP, **({"lossless": True} if form == "WEBP" else {"quality": 95}))
    if form == "JPEG":
        turned = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert np.array_equal(whole(data), turned)


def test_exif_goes_before_xmp():
    exif = Image.Exif()
    exif[274] = 1
    data = pillow(Image.fromarray(SMOOTH), "WEBP", xmp=XMP, exif=exif, lossless=True)
    assert np.array_equal(whole(data), SMOOTH)


def test_infrared_declared_as_alpha_is_said(tmp_path):
    near = np.full((H, W, 1), 90, np.uint8)
    path = tiff(tmp_path, np.dstack([RGB, near]), photometric="rgb", extrasamples=["unassalpha"])
    with tk.open_scan(path) as scan:
        assert "bands=(0, 1, 2) leaves it out" in scan.info.warnings[0]
    assert np.array_equal(whole(path, bands=(0, 1, 2)), RGB)
    half = np.where(X[..., None] > 9, 255, 0).astype(np.uint8)
    path = tiff(tmp_path, np.dstack([RGB, half]), photometric="rgb", extrasamples=["unassalpha"])
    with tk.open_scan(path) as scan:
        assert scan.info.warnings == ()


def test_pictures_without_a_directory_are_said(tmp_path):
    words = "ImageJ=1.54f\nimages=5\nslices=5\n"
    path = tiff(tmp_path, RGB[..., 0].copy(), description=words, metadata=None)
    assert "holds 5 pictures" in tk.scan_info(path).warnings[0]


@pytest.mark.parametrize(("bits", "lossless"), [(12, False), (16, True)])
def test_jpegs_of_more_bits_are_named(bits, lossless):
    data = imagecodecs.jpeg8_encode(DEEP >> (16 - bits), bitspersample=bits, lossless=lossless)
    with pytest.raises(ScanUnsupported, match="JPEG of a kind"):
        whole(data)


def test_photoshop():
    planes = np.moveaxis(FOUR, 2, 0)
    assert np.array_equal(whole(psd(3, 8, planes[:3])), FOUR[..., :3])
    assert np.array_equal(whole(psd(3, 8, planes)), FOUR[..., :3])  # flattened over white already
    assert np.array_equal(whole(psd(1, 8, planes[:2]))[..., 0], planes[0])
    assert np.array_equal(whole(psd(4, 8, 255 - planes)), by_vips(FOUR, "cmyk"))
    lab = np.dstack([FOUR[..., :1] * (100 / 255), FOUR[..., 1:3].astype(float) - 128]).astype(np.float32)
    assert np.array_equal(whole(psd(9, 8, planes[:3])), by_vips(lab, "lab"))
    bits = planes[:1] > 128
    assert np.array_equal(whole(psd(0, 1, np.packbits(bits, axis=2)))[..., 0], np.where(bits[0], 0, 255))
    for mode, depth in ((3, 16), (7, 8), (3, 32)):
        with pytest.raises(ScanUnsupported, match=f"mode {mode} with {depth} bits"):
            tk.open_scan(psd(mode, depth, np.zeros((3, H, W * depth // 8), np.uint8)))


@pytest.mark.parametrize("most", [1, 6, 255, 1023, 65535])
@pytest.mark.parametrize("bands", [1, 3])
def test_text_netpbm_is_as_binary(most, bands):
    values = CHANCE.integers(0, most + 1, (5, 7, bands))
    kind = ">u2" if most > 255 else "u1"
    head = b"\n# a\n# b\n7 5 # c\n%d\n" % most
    binary = (b"P5" if bands == 1 else b"P6") + head + values.astype(kind).tobytes()
    text = (b"P2" if bands == 1 else b"P3") + head + b"\n".join(b"%d" % v for v in values.ravel()) + b" # end"
    assert np.array_equal(whole(text), whole(binary))
    with pytest.raises(ScanCorrupt, match="short"):
        tk.open_scan(text[: text.rindex(b"\n")])
    with pytest.raises(ScanCorrupt, match="numbers"):
        tk.open_scan(text + b"\nx")


def test_bits_as_text():
    bits = RGB[..., 0] > 128
    text = b"P1\n%d %d\n" % (W, H) + b"\n".join(b"".join(b"%d" % bit for bit in row) for row in bits)
    assert np.array_equal(whole(text)[..., 0], np.where(bits, 0, 255))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bands", [1, 3])
def test_float_maps(order, bands):
    values = np.squeeze(RGB[..., :bands] / 255).astype("<f4")
    scale = b"-1.0" if order == "<" else b"1.0"
    data = (b"Pf" if bands == 1 else b"PF") + b"\n%d %d\n%s\n" % (W, H, scale)
    data += values[::-1].astype(order + "f4").tobytes()
    assert np.array_equal(whole(data, levels=(0, 1)), RGB[..., :bands])
    with pytest.raises(ScanUnsupported, match="float samples"):
        tk.open_scan(data)


@pytest.mark.parametrize(
    ("kind", "bands"), [("GRAYSCALE", 1), ("RGB", 3), ("RGB_ALPHA", 4), ("GRAYSCALE_ALPHA", 2)]
)
def test_pam(kind, bands):
    alpha = np.where(X[..., None] > 9, 255, 0).astype(np.uint8)
    color = RGB[..., : bands - bands % 2 if kind.endswith("ALPHA") else bands][..., : 1 if bands < 3 else 3]
    pixels = np.dstack([color, alpha]) if kind.endswith("ALPHA") else color
    data = b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL 255\nTUPLTYPE %s\nENDHDR\n" % (
        W,
        H,
        bands,
        kind.encode(),
    )
    want = np.where(alpha > 0, color, 255) if kind.endswith("ALPHA") else color
    assert np.array_equal(whole(data + pixels.tobytes()), want)


def test_a_second_picture_behind_the_first_is_said():
    data = (b"P5\n%d %d\n255\n" % (W, H) + RGB[..., 0].tobytes()) * 2
    with tk.open_scan(data) as scan:
        assert "bytes after its picture" in scan.info.warnings[0]


def test_gray_is_the_same_from_every_reader(tmp_path):
    by_tiff = whole(tiff(tmp_path, RGB, photometric="rgb"), bands="gray")
    assert np.array_equal(whole(imagecodecs.jpeg2k_encode(RGB, level=0), bands="gray"), by_tiff)


def test_independent_of_the_place_of_a_plain_file():
    assert np.array_equal(whole(plain_tiff()).ravel(), PLAIN)
    assert tifffile.imread(io.BytesIO(plain_tiff())).size == PLAIN.size
