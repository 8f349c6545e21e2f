"""What a file is, by its first bytes; names and extensions are never asked."""

from __future__ import annotations

from dataclasses import dataclass

from tilekit.errors import ScanUnsupported
from tilekit.scans.source import Source


@dataclass(frozen=True)
class Format:
    """A format family: `kind` as in ScanInfo, `loader` of libvips or "" where another reader is used.

    `untrusted`: its loader is one libvips marks as not safe on hostile files.
    """

    kind: str
    loader: str = ""
    untrusted: bool = False


JPEG = Format("jpeg", "jpegload")
PNG = Format("png", "pngload")
TIFF = Format("tiff", "tiffload")
WEBP = Format("webp", "webpload")
GIF = Format("gif", "gifload")
AVIF = Format("avif", "heifload")
SVG = Format("svg", "svgload", untrusted=True)
NETPBM = Format("ppm")
HEIF = Format("heif")
BMP = Format("bmp")
PCX = Format("pcx")
TGA = Format("tga")
PSD = Format("psd")
PDF = Format("pdf")
JP2 = Format("jp2")
SLIDE = Format("slide")

_STARTS = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"II+\x00", TIFF),
    (b"MM\x00+", TIFF),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", JP2),
    (b"\xff\x4f\xff\x51", JP2),
    (b"8BPS\x00\x01", PSD),
)
# Sizes of the headers that follow the 14 bytes at the start of a BMP.
_BMP_HEADERS = {size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124)}
# Known, but not read: the message can then say more than "unknown".
_FOREIGN = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"8BPS", "a large Photoshop document (PSB)"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"\0\0\2\0", "a cursor (CUR)"),
    (b"DDS ", "a DDS texture"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"AT&T", "DjVu"),
)


def sniff(source: Source) -> Format:
    """The format of a source, by content. Raises ScanUnsupported for bytes no reader knows."""
    head = source.head
    for start, found in _STARTS:
        if head.startswith(start):
            return found
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp":
        return _sniff_isobmff(source)
    if head.startswith((b"ZISRAWFILE", b"[Virtual Microscope Specimen]")) or head[128:132] == b"DICM":
        return SLIDE
    if b"%PDF-" in head[:1024]:
        return PDF
    if len(head) > 2 and head[:1] == b"P" and head[1:2] in b"1234567fF" and head[2:3].isspace():
        return NETPBM
    if head.startswith(b"BM") and head[14:18] in _BMP_HEADERS:
        return BMP
    if _is_svg(head):
        return SVG
    if head[:1] == b"\n" and head[1:2] in b"\0\2\3\4\5" and head[2:3] == b"\1" and head[3:4] in b"\1\2\4\x08":
        return PCX
    if _is_tga(source):
        return TGA
    raise ScanUnsupported(f"{source.name}: {_what(head)}; convert it to TIFF, JPEG or PNG first")


def _sniff_isobmff(source: Source) -> Format:
    head = source.head
    size = min(max(int.from_bytes(head[:4], "big"), 16), 512)
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, size, 4))}
    if brands & {b"avif", b"avis"}:
        return AVIF
    if brands & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}:
        return HEIF
    raise ScanUnsupported(
        f"{source.name}: is a video or another media file (brand {head[8:12]!r}); extract a picture first"
    )


def _is_tga(source: Source) -> bool:
    """A TGA has no mark at its start: the new kind has one at its end, the old kind a header that must add up."""
    head = source.head
    if len(head) < 18 or head[1] > 1 or head[2] not in (1, 2, 3, 9, 10, 11) or not any(head[12:16]):
        return False
    with source.open() as file:
        file.seek(max(0, source.size - 26))
        if file.read(26)[8:24] == b"TRUEVISION-XFILE":
            return True
    width, height = int.from_bytes(head[12:14], "little"), int.from_bytes(head[14:16], "little")
    mapped = head[1] == 1 and head[2] in (1, 9) and head[7] in (15, 16, 24, 32)
    plain = head[1] == 0 and head[2] in (2, 3, 10, 11) and not any(head[3:8])
    depths = (8,) if head[2] in (1, 3, 9, 11) else (15, 16, 24, 32)
    return (mapped or plain) and width > 0 and height > 0 and head[16] in depths and not head[17] & 0xC0


def _is_svg(head: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return text.startswith(b"<") and b"<svg" in text


def _what(head: bytes) -> str:
    for start, name in _FOREIGN:
        if head.startswith(start):
            return f"is {name}, which no reader here opens"
    if all(32 <= byte < 127 or byte in b"\t\r\n\f" for byte in head[:512]):
        return "is text, not a scan"
    return "is of no format known here"
