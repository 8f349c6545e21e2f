"""The conformance table of docs/formats.md, from small files: `python -m tests.scans.conformance` writes it.

A case is a file as another library (or the plain writer of `combinations`) makes it, and how it must look. What the
table says of it is what happened when it was opened; where it was read, every pixel was held against that.
"""

from __future__ import annotations

import io
import itertools
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from PIL import Image

import tilekit as tk
from tests.scans.test_pdf import drawing
from tests.scans.tiff import combinations as c
from tests.scans.tiff import old_jpeg
from tests.scans.tiff.combinations import Combination, seen
from tilekit.errors import ScanUnsupported
from tilekit.scans.source import Source
from tilekit.scans.tiff.directories import read_directories
from tilekit.scans.tiff.layout import layout_of
from tilekit.scans.tiffpage import way_of

DOC = Path(__file__).parents[2] / "docs" / "formats.md"
BEGIN, END = "<!-- conformance: written by tests/scans/conformance.py -->", "<!-- end of conformance -->"
NATIVE = {"jpeg", "png", "webp", "gif", "avif", "svg"}
FALLBACK = {
    "bmp": "Pillow", "pcx": "Pillow", "tga": "Pillow", "psd": "Pillow", "heif": "libheif", "jp2": "OpenJPEG",
    "pdf": "pdfium", "tiff": "tifffile and imagecodecs", "unpacked": "zstandard, lzma",
}  # fmt: skip
H, W = 29, 37
_CHANCE = np.random.default_rng(2)
RGBA = _CHANCE.integers(0, 256, (H, W, 4), np.uint8)
RGBA[..., 3] = np.where(RGBA[..., 3] > 127, 255, 0)
RGB, GRAY, DEEP = RGBA[..., :3].copy(), RGBA[..., 0].copy(), _CHANCE.integers(0, 65536, (H, W, 3), np.uint16)
SMOOTH = np.dstack([np.mgrid[:H, :W][1] * 6, np.mgrid[:H, :W][0] * 8, np.full((H, W), 90)]).astype(np.uint8)
OVER = np.where(RGBA[..., 3:] > 0, RGB, 255)


@dataclass(frozen=True)
class Case:
    """A file: `want` is how it looks (None: that is not compared, as of vectors), within `slack`."""

    format: str
    samples: str
    layout: str
    data: bytes = field(repr=False)
    want: Any = field(repr=False, default=None)
    slack: int = 0
    levels: tuple[float, float] | None = None


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    format: str
    samples: str
    layout: str
    native: str
    fallback: str
    refused: str


def verdict(case: Case) -> Row:
    """Open it and compare; raises AssertionError where it opens and differs."""
    first = (case.format, case.samples, case.layout)
    options: dict[str, Any] = {"untrusted": True}
    try:
        with tk.open_scan(case.data, **options):
            asked = ""
    except ScanUnsupported as exc:
        asked = str(exc).removeprefix("<bytes>: ")
        if case.levels is None or "levels=" not in asked:
            return Row(*first, "", "", asked)
        options["levels"] = case.levels
        asked = ", with `levels=`"
    with tk.open_scan(case.data, **options) as scan:
        kind = scan.info.kind
        try:
            found = scan.read(0, 0, scan.width, scan.height)
            rows = np.concatenate(
                list(scan.bands_of_rows([scan.height // 2, scan.height - scan.height // 2]))
            )
        except ScanUnsupported as exc:
            return Row(*first, "", "", str(exc).removeprefix("<bytes>: "))
    assert np.array_equal(found, rows), case
    if case.want is not None:
        want = np.asarray(case.want)
        want = want[..., None] if want.ndim == 2 else want
        assert found.shape == want.shape, (case, found.shape, want.shape)
        assert np.abs(found.astype(int) - want).max() <= case.slack, case
    by = _fallback(case, kind)
    return Row(*first, "" if by else f"yes{asked}", f"{by}{asked}" if by else "", "")


def _fallback(case: Case, kind: str) -> str:
    """What read it, "" where libvips did."""
    if kind == "ppm":
        return {"P4": "Pillow", "P5": "", "P6": "", "P7": "", "Pf": "", "PF": ""}.get(
            case.data[:2].decode("latin-1"), "parsed here"
        )
    if kind != "tiff":
        return "" if kind in NATIVE else FALLBACK[kind]
    source = Source("<bytes>", None, case.data, case.data[:4096])
    layout = layout_of(read_directories(source, source.reader()).pages[0])
    if layout.compression == 6:
        return "Pillow"
    return {"stored": "", "unpacked": FALLBACK["unpacked"], "decoded": FALLBACK["tiff"]}[way_of(layout, "")]


def tiffs() -> Iterator[Case]:
    """Sample types by layout, compressions by layout, meanings of the samples."""
    layouts = {"strips": {}, "tiles": {"tiled": True}, "planes apart in strips": {"apart": True},
               "planes apart in tiles": {"tiled": True, "apart": True}}  # fmt: skip
    samples = [(bits, 1, f"{bits} bit") for bits in (1, 2, 4, 8, 10, 12, 16, 32)]
    samples += [(8, 2, "signed 8 bit"), (16, 2, "signed 16 bit"), (32, 2, "signed 32 bit")]
    samples += [(16, 3, "float 16 bit"), (32, 3, "float 32 bit"), (64, 3, "float 64 bit"), (64, 6, "complex")]
    for (bits, form, words), (where, how) in itertools.product(samples, layouts.items()):
        yield _tiff(Combination("rgb" if how.get("apart") else "black", bits, form, **how), words, where)
    names = {
        c.NONE: "none", c.LZW: "LZW", c.DEFLATE: "deflate", c.PACKBITS: "PackBits", c.JPEG: "JPEG", c.WEBP: "WebP",
        c.ZSTD: "Zstandard", c.LZMA: "LZMA", c.LERC: "LERC", c.JPEG2000: "JPEG 2000", c.PNG: "PNG",
    }  # fmt: skip
    for compression, name in names.items():
        for where in ("strips", "tiles"):
            yield _tiff(
                Combination("rgb", compression=compression, tiled=where == "tiles"), f"8 bit, {name}", where
            )
    for gray, name in ((True, "gray"), (False, "YCbCr")):
        jpeg = old_jpeg.jpeg_of(old_jpeg.picture(gray))
        want = np.asarray(Image.open(io.BytesIO(jpeg)))
        yield Case(
            "TIFF", f"8 bit, old-style JPEG, {name}", "one strip", old_jpeg.old_tiff([jpeg], gray), want
        )
    for compression, name in {c.RLE: "Huffman", c.FAX3: "G3", c.FAX4: "G4"}.items():
        yield _tiff(Combination("white", 1, compression=compression), f"1 bit, {name}", "strips")
    words = {
        "white": "white at zero", "palette": "palette", "cmyk": "CMYK", "lab": "CIE Lab", "icclab": "ICC Lab",
        "itulab": "ITU Lab", "gray+alpha": "gray and alpha", "rgb+alpha": "RGB and alpha", "rgb+?": "RGB and another",
        "rgb+premultiplied": "RGB, premultiplied", "cmyk+?": "CMYK and another", "ycbcr": "YCbCr, not JPEG", "logl": "LogL, not SGI log",
        "bayer": "a color filter array", "none3": "unknown",
    }  # fmt: skip
    for meaning, name in words.items():
        yield _tiff(Combination(meaning), f"8 bit, {name}", "strips")
    for options, name in (
        ({"big": True}, "BigTIFF"),
        ({"order": ">"}, "big-endian"),
        ({"fill": 2}, "fill order 2"),
    ):
        yield _tiff(Combination("rgb", **options), "8 bit", f"strips, {name}")
    for overview in ("sub", "reduced", "mask"):
        place = {"sub": "a SubIFD overview", "reduced": "an overview", "mask": "a mask"}[overview]
        yield _tiff(
            Combination("rgb", tiled=True, overview=overview, pages=2),
            "8 bit",
            f"tiles, 2 pages, each with {place}",
        )


def _tiff(of: Combination, samples: str, layout: str) -> Case:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.tif")
        of.write(path)
        data = path.read_bytes()
        lossy = tifffile.imread(path) if of.compression == c.JPEG else None
    levels = None
    if of.form != 1 or of.bits == 32:
        low = -(1 << (of.bits - 1)) if of.form == 2 else 0
        levels = (low, 1 if of.form == 3 else low + (1 << of.bits) - 1)
    refused = of.form == 6 or of.meaning in ("ycbcr", "itulab", "logl", "bayer", "none3")
    want = None if refused else lossy if lossy is not None else seen(of, of.stored(), levels)
    return Case("TIFF", samples, layout, data, want, 1 if lossy is not None else 0, levels)


def saved(form: str, image: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, form, **options)
    return out.getvalue()


def _png(values: np.ndarray, depth: int) -> bytes:
    """A gray PNG of any depth (ISO/IEC 15948)."""
    rows = b""
    for row in values:
        bits = (row.astype(int)[:, None] >> np.arange(depth - 1, -1, -1)) & 1
        rows += b"\0" + np.packbits(bits.astype(np.uint8).ravel()).tobytes()

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", W, H, depth, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def pictures() -> Iterator[Case]:
    """Formats that web pages and cameras use."""
    for words, options in (
        ("baseline", {}),
        ("progressive", {"progressive": True}),
        ("4:2:0", {"subsampling": 2}),
    ):
        data = saved("JPEG", SMOOTH, quality=95, **options)
        yield Case("JPEG", "8 bit YCbCr", words, data, Image.open(io.BytesIO(data)), 1)
    data = saved("JPEG", SMOOTH[..., 0])
    yield Case("JPEG", "8 bit gray", "baseline", data, Image.open(io.BytesIO(data)), 1)
    data = imagecodecs.jpeg8_encode(SMOOTH, colorspace="RGB", outcolorspace="RGB", level=95)
    yield Case("JPEG", "8 bit RGB", "baseline", data, Image.open(io.BytesIO(data)), 1)
    four = np.dstack([SMOOTH, SMOOTH[..., :1]])
    for space in ("CMYK", "YCCK"):
        data = imagecodecs.jpeg8_encode(four, colorspace="CMYK", outcolorspace=space, level=95)
        want = c._by_vips(np.asarray(Image.open(io.BytesIO(data))), "cmyk")
        yield Case("JPEG", f"8 bit {space}", "baseline", data, want, 8)
    yield Case("JPEG", "12 bit", "baseline", imagecodecs.jpeg8_encode(DEEP >> 4, bitspersample=12))
    yield Case("JPEG", "16 bit", "lossless", imagecodecs.jpeg8_encode(DEEP, bitspersample=16, lossless=True))
    yield Case("JPEG", "8 bit", "JPEG-LS", imagecodecs.jpegls_encode(GRAY))
    for depth in (1, 2, 4, 8, 16):
        values = DEEP[..., 0] >> (16 - depth)
        want = values >> 8 if depth == 16 else values * 255 // ((1 << depth) - 1)
        yield Case("PNG", f"{depth} bit gray", "rows", _png(values, depth), want)
    yield Case("PNG", "8 bit RGB", "rows", saved("PNG", RGB), RGB)
    yield Case("PNG", "16 bit RGB", "rows", imagecodecs.png_encode(DEEP), DEEP >> 8)
    yield Case("PNG", "8 bit RGB and alpha", "rows", saved("PNG", RGBA), OVER)
    palette = Image.fromarray(RGB).quantize(64)
    yield Case("PNG", "8 bit palette", "rows", saved("PNG", palette), palette.convert("RGB"))
    key = {"transparency": tuple(int(value) for value in RGB[0, 0])}
    clear = np.where((RGB[0, 0] == RGB).all(axis=2, keepdims=True), 255, RGB)
    yield Case("PNG", "8 bit RGB, one color clear", "rows", saved("PNG", RGB, **key), clear)
    yield Case("WebP", "8 bit RGB", "lossless", saved("WEBP", RGB, lossless=True), RGB)
    data = saved("WEBP", SMOOTH, quality=95)
    yield Case("WebP", "8 bit RGB", "lossy", data, Image.open(io.BytesIO(data)), 3)
    yield Case(
        "WebP", "8 bit RGB and alpha", "lossless", saved("WEBP", RGBA, lossless=True, exact=True), OVER
    )
    yield Case("GIF", "8 bit palette", "rows", saved("GIF", palette, interlace=0), palette.convert("RGB"))
    yield Case(
        "GIF", "8 bit palette", "interlaced", saved("GIF", palette, interlace=1), palette.convert("RGB")
    )
    data = saved("AVIF", SMOOTH, quality=100, subsampling="4:4:4")
    yield Case("AVIF", "8 bit RGB", "whole", data, Image.open(io.BytesIO(data)).convert("RGB"), 4)
    data = imagecodecs.avif_encode(SMOOTH.astype(np.uint16) << 2, bitspersample=10, level=100)
    yield Case("AVIF", "10 bit RGB", "whole", data, SMOOTH, 6)
    out = io.BytesIO()
    pillow_heif.from_bytes("RGB", (W, H), SMOOTH.tobytes()).save(out, quality=-1)
    yield Case("HEIC", "8 bit RGB", "whole", out.getvalue(), SMOOTH, 12)


def others() -> Iterator[Case]:
    """JPEG 2000, old and plain formats, vectors, and what is known but not read."""
    for words, values, want in (
        ("8 bit gray", GRAY, GRAY), ("8 bit RGB", RGB, RGB), ("16 bit RGB", DEEP, DEEP >> 8), ("8 bit RGB and another", RGBA, RGB),
    ):  # fmt: skip
        for layout in ("jp2", "j2k"):
            yield Case(
                "JPEG 2000",
                words,
                layout,
                imagecodecs.jpeg2k_encode(values, codecformat=layout, level=0),
                want,
            )
    data = bytearray(imagecodecs.jpeg2k_encode(SMOOTH, codecformat="jp2", level=0, mct=False))
    place = data.index(b"colr") + 7
    data[place : place + 4] = (18).to_bytes(4, "big")
    yield Case("JPEG 2000", "8 bit sYCC", "jp2", bytes(data), Image.open(io.BytesIO(data)).convert("RGB"), 1)
    data[place : place + 4] = (12).to_bytes(4, "big")
    yield Case("JPEG 2000", "8 bit CMYK", "jp2", bytes(data))
    bits = Image.fromarray(GRAY > 128)
    indexed = Image.fromarray(RGB).quantize(64)
    forms = {"BMP": ("1", "L", "P", "RGB"), "PCX": ("1", "L", "P", "RGB"), "TGA": ("L", "P", "RGB")}
    names = {"1": "1 bit", "L": "8 bit gray", "P": "8 bit palette", "RGB": "8 bit RGB"}
    for form, modes in forms.items():
        for mode in modes:
            picture = {"1": bits, "L": Image.fromarray(GRAY), "P": indexed, "RGB": Image.fromarray(RGB)}[mode]
            want = picture.convert("L" if mode in "1L" else "RGB")
            yield Case(form, names[mode], "rows", saved(form, picture), want)
    yield from _photoshop()
    head = b"%d %d\n" % (W, H)
    text = b" ".join(b"%d" % value for value in GRAY.ravel())
    yield Case("Netpbm", "1 bit", "P4", saved("PPM", bits), np.where(GRAY > 128, 255, 0))
    yield Case("Netpbm", "1 bit", "P1", b"P1\n" + head + b"\n".join(b"%d" % v for v in (GRAY > 128).ravel()), np.where(GRAY > 128, 0, 255))  # fmt: skip
    yield Case("Netpbm", "8 bit gray", "P2", b"P2\n" + head + b"255\n" + text, GRAY)
    yield Case("Netpbm", "8 bit gray", "P5", b"P5\n" + head + b"255\n" + GRAY.tobytes(), GRAY)
    yield Case("Netpbm", "8 bit RGB", "P6", b"P6\n" + head + b"255\n" + RGB.tobytes(), RGB)
    yield Case(
        "Netpbm", "16 bit RGB", "P6", b"P6\n" + head + b"65535\n" + DEEP.astype(">u2").tobytes(), DEEP >> 8
    )
    pam = b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n" % (W, H)
    yield Case("Netpbm", "8 bit RGB and alpha", "PAM", pam + RGBA.tobytes(), OVER)
    floats = (GRAY / 255).astype("<f4")[::-1].tobytes()
    yield Case("Netpbm", "float 32 bit", "PFM", b"Pf\n" + head + b"-1.0\n" + floats, GRAY, levels=(0, 1))
    yield Case("PDF", "vectors", "pages", drawing())
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="5"><rect width="4" height="5"/></svg>'
    yield Case("SVG", "vectors", "with `untrusted=True`", svg)
    for name, start in (("ICO", b"\0\0\1\0\1\0"), ("DDS", b"DDS "), ("JPEG XL", b"\xff\x0a"), ("OpenEXR", b"v/1\x01"),
                        ("FITS", b"SIMPLE  ="), ("DjVu", b"AT&TFORM"), ("PSB", b"8BPS\0\2")):  # fmt: skip
        yield Case(name, "any", "any", start + bytes(200))


def _photoshop() -> Iterator[Case]:
    def document(mode: int, depth: int, planes: np.ndarray) -> bytes:
        head = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", len(planes), H, W, depth, mode)
        return head + bytes(14) + planes.tobytes()

    planes = np.moveaxis(RGBA, 2, 0)
    yield Case("PSD", "8 bit gray", "flattened", document(1, 8, planes[:1]), GRAY)
    yield Case("PSD", "8 bit RGB", "flattened", document(3, 8, planes[:3]), RGB)
    yield Case("PSD", "8 bit CMYK", "flattened", document(4, 8, 255 - planes), c._by_vips(RGBA, "cmyk"))
    yield Case("PSD", "16 bit RGB", "flattened", document(3, 16, np.moveaxis(DEEP, 2, 0).astype(">u2")))


CASES: tuple[Callable[[], Iterator[Case]], ...] = (pictures, tiffs, others)


def table() -> str:
    """The table in Markdown; layouts that fare alike share a line."""
    lines = ["| format | samples | layout | natively | by fallback | refused |", "|---|---|---|---|---|---|"]
    rows = [verdict(case) for cases in CASES for case in cases()]
    for _, group in itertools.groupby(
        rows, lambda row: (row.format, row.samples, row.native, row.fallback, row.refused)
    ):
        alike = list(group)
        layouts = ", ".join(dict.fromkeys(row.layout for row in alike))
        one = alike[0]
        cells = [one.format, one.samples, layouts, one.native, one.fallback, one.refused]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    text = DOC.read_text()
    start, stop = text.index(BEGIN) + len(BEGIN), text.index(END)
    DOC.write_text(f"{text[:start]}\n{table()}\n{text[stop:]}")


if __name__ == "__main__":
    main()
