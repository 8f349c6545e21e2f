"""TIFFs of any combination of fields, written plainly, and what each must look like.

`Combination.write` is a writer of its own (TIFF 6.0), so that it can make what libraries refuse to; `stored` are the
samples it put there, which the test holds against an independent decoder; `seen` is how they must look.
"""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pyvips
import tifffile
from PIL import Image

WIDTH, HEIGHT, TILE, STRIP = 37, 29, 16, 8
NONE, RLE, FAX3, FAX4, LZW, JPEG, DEFLATE, OLD_DEFLATE, PACKBITS = 1, 2, 3, 4, 5, 7, 8, 32946, 32773
LZMA, ZSTD, WEBP, LERC, JPEG2000, PNG, LOG, LOG24 = 34925, 50000, 50001, 34887, 34712, 34933, 34676, 34677
PLAIN = (NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS, ZSTD, LZMA)
FAXES = (RLE, FAX3, FAX4)
# name -> photometric, samples, ExtraSamples
MEANINGS: dict[str, tuple[int | None, int, tuple[int, ...]]] = {
    "white": (0, 1, ()), "black": (1, 1, ()), "rgb": (2, 3, ()), "palette": (3, 1, ()), "mask": (4, 1, ()),
    "cmyk": (5, 4, ()), "ycbcr": (6, 3, ()), "lab": (8, 3, ()), "icclab": (9, 3, ()), "itulab": (10, 3, ()),
    "logl": (32844, 1, ()), "logluv": (32845, 3, ()), "bayer": (32803, 1, ()),
    "gray+alpha": (1, 2, (2,)), "gray+?": (1, 2, (0,)), "white+alpha": (0, 2, (2,)), "rgb+alpha": (2, 4, (2,)),
    "rgb+premultiplied": (2, 4, (1,)), "rgb+?": (2, 4, (0,)), "rgb+?+alpha": (2, 5, (0, 2)), "palette+?": (3, 2, (0,)),
    "cmyk+?": (5, 5, (0,)), "cmyk+alpha": (5, 5, (2,)),
    "none": (None, 1, ()), "none3": (None, 3, ()), "none2": (None, 2, ()),
}  # fmt: skip


@dataclass(frozen=True)
class Combination:
    """One file. `form`: SampleFormat (1 unsigned, 2 signed, 3 float, 6 complex)."""

    meaning: str = "black"
    bits: int = 8
    form: int = 1
    compression: int = NONE
    tiled: bool = False
    apart: bool = False
    predictor: int = 1
    order: str = "<"
    fill: int = 1
    overview: str = ""
    pages: int = 1
    big: bool = False

    @property
    def photometric(self) -> int | None:
        return MEANINGS[self.meaning][0]

    @property
    def samples(self) -> int:
        return MEANINGS[self.meaning][1]

    @property
    def kind(self) -> np.dtype[Any]:
        size = max(8, 1 << (self.bits - 1).bit_length())
        return np.dtype(f"{ {1: 'u', 2: 'i', 3: 'f', 6: 'c'}[self.form] }{size // 8}")

    def possible(self) -> bool:
        """Whether the format allows it and `write` makes it."""
        plain = self.compression in PLAIN
        if self.compression in FAXES and (self.bits, self.samples, self.form) != (1, 1, 1):
            return False
        if self.compression == JPEG:
            fits = (
                self.bits == 8
                and self.form == 1
                and self.meaning in {"black", "white", "rgb", "ycbcr", "cmyk"}
            )
            if not fits or self.apart or self.predictor > 1:
                return False
        if self.compression in (WEBP, PNG, JPEG2000, LERC):
            fits = self.form == 1 and self.meaning in {"black", "rgb", "white"} and not self.apart
            if (
                not fits
                or self.bits not in ((8,) if self.compression == WEBP else (8, 16))
                or self.predictor > 1
            ):
                return False
            if self.compression == WEBP and self.meaning != "rgb":
                return False
        if self.compression in (LOG, LOG24):
            return False
        if self.predictor == 2 and (
            self.bits not in (8, 16, 32)
            or self.form == 3
            or not plain
            or self.compression in (NONE, PACKBITS)
        ):
            return False
        if self.predictor == 3 and (self.form != 3 or not plain or self.compression in (NONE, PACKBITS)):
            return False
        if self.apart and self.samples == 1:
            return False
        if self.meaning.startswith("palette") and (self.bits not in (1, 2, 4, 8) or self.form != 1):
            return False
        if self.meaning == "mask" and self.bits != 1:
            return False
        if self.form == 3 and self.bits not in (16, 32, 64):
            return False
        if self.form == 6 and self.bits != 64:
            return False
        if self.form == 2 and self.bits not in (8, 16, 32):
            return False
        if self.fill == 2 and not plain and self.compression not in FAXES:
            return False
        return "ycbcr" not in self.meaning or self.bits == 8

    def stored(self, page: int = 0) -> np.ndarray:
        """(HEIGHT, WIDTH, samples): noise over all values; alpha is all or nothing."""
        chance = np.random.default_rng([page, self.bits, self.form, self.samples])
        shape = (HEIGHT, WIDTH, self.samples)
        if self.form == 3:
            values = chance.random(shape).astype(self.kind)
        elif self.form == 6:
            values = chance.random(shape).astype(np.complex64)
        elif self.form == 2:
            half = 1 << (self.bits - 1)
            values = chance.integers(-half, half, shape).astype(self.kind)
        else:
            values = chance.integers(0, 1 << self.bits, shape, dtype=np.uint64).astype(self.kind)
        if self.compression == JPEG:
            y, x = np.mgrid[:HEIGHT, :WIDTH]
            values = np.stack(
                [(x * 5 + y * (3 + band) + page * 90) % 256 for band in range(self.samples)], axis=2
            ).astype(np.uint8)
        alpha = [place for place, kind in enumerate(MEANINGS[self.meaning][2]) if kind]
        for place in alpha:
            band = self.samples - len(MEANINGS[self.meaning][2]) + place
            whole = 1 if self.form == 3 else (1 << (self.bits - (self.form == 2))) - 1
            values[..., band] = np.where(chance.random(shape[:2]) < 0.5, whole, 0).astype(self.kind)
            if MEANINGS[self.meaning][2][place] == 1:
                values[..., :band] = np.where(values[..., band : band + 1] > 0, values[..., :band], 0)
        return values

    def colormap(self) -> np.ndarray:
        return np.random.default_rng(7).integers(0, 65536, (3, 1 << self.bits)).astype("u2")

    def write(self, path: Path) -> None:
        """The file: pages, each with its overview if there is one."""
        out = _Out(self)
        for page in range(self.pages):
            pixels = self.stored(page)
            small = 255 - pixels[::2, ::2] if self.form == 1 and self.bits == 8 else pixels[::2, ::2]
            inner = [out.directory(self, small, 1, [], chained=False)] if self.overview == "sub" else []
            out.directory(self, pixels, 0, inner)
            if self.overview == "reduced":
                out.directory(self, small, 1, [])
            if self.overview == "mask":
                out.directory(Combination("mask", 1), np.ones((*small.shape[:2], 1), np.uint8), 4, [])
        path.write_bytes(out.made())


class _Out:
    """Bytes of a file that grows, its directories in a chain."""

    def __init__(self, of: Combination) -> None:
        self.big, self.order = of.big, of.order
        self.data = bytearray(16 if of.big else 8)
        self.chain: list[int] = []
        self.nexts: list[int] = []

    def made(self) -> bytes:
        mark = b"II" if self.order == "<" else b"MM"
        word = "Q" if self.big else "I"
        head = struct.pack(self.order + "HHH", 43, 8, 0) if self.big else struct.pack(self.order + "H", 42)
        head = mark + head + struct.pack(self.order + word, self.chain[0])
        self.data[: len(head)] = head
        for place, following in zip(self.nexts, [*self.chain[1:], 0], strict=True):
            struct.pack_into(self.order + word, self.data, place, following)
        return bytes(self.data)

    def put(self, data: bytes) -> int:
        self.data += bytes(len(self.data) % 2)
        at = len(self.data)
        self.data += data
        return at

    def directory(
        self, of: Combination, pixels: np.ndarray, subfile: int, inner: list[int], chained: bool = True
    ) -> int:
        blocks = list(_blocks(of, pixels))
        places = [self.put(data) for data in blocks]
        count, word = of.samples, ("Q" if self.big else "I")
        tags: dict[int, tuple[int, str, list[int]]] = {
            256: (4, "I", [pixels.shape[1]]), 257: (4, "I", [pixels.shape[0]]), 258: (3, "H", [of.bits] * count),
            259: (3, "H", [of.compression]), 277: (3, "H", [count]), 284: (3, "H", [2 if of.apart else 1]),
            339: (3, "H", [of.form] * count),
        }  # fmt: skip
        if subfile:
            tags[254] = (4, "I", [subfile])
        if of.photometric is not None:
            tags[262] = (3, "H", [of.photometric])
        extra = MEANINGS[of.meaning][2]
        if extra:
            tags[338] = (3, "H", list(extra))
        if of.predictor > 1:
            tags[317] = (3, "H", [of.predictor])
        if of.fill > 1:
            tags[266] = (3, "H", [of.fill])
        if of.meaning.startswith("palette"):
            tags[320] = (3, "H", of.colormap().ravel().tolist())
        if of.photometric == 6:
            tags[530] = (3, "H", [1, 1])
        if inner:
            tags[330] = (16 if self.big else 4, word, inner)
        offsets, counts = (324, 325) if of.tiled else (273, 279)
        tags[offsets], tags[counts] = (
            (16 if self.big else 4, word, places),
            (16 if self.big else 4, word, [len(data) for data in blocks]),
        )
        if of.tiled:
            tags |= {322: (3, "H", [TILE]), 323: (3, "H", [TILE])}
        else:
            tags[278] = (3, "H", [STRIP])
        table = b""
        for tag in sorted(tags):
            kind, code, values = tags[tag]
            raw = struct.pack(f"{self.order}{len(values)}{code}", *values)
            room = 8 if self.big else 4
            inline = (
                raw.ljust(room, b"\0") if len(raw) <= room else struct.pack(self.order + word, self.put(raw))
            )
            table += struct.pack(self.order + "HH" + word, tag, kind, len(values)) + inline
        at = self.put(struct.pack(self.order + ("Q" if self.big else "H"), len(tags)) + table)
        self.data += bytes(8 if self.big else 4)
        if chained:
            self.chain.append(at)
            self.nexts.append(len(self.data) - (8 if self.big else 4))
        return at


def _blocks(of: Combination, pixels: np.ndarray) -> Iterator[bytes]:
    """The blocks as they are stored: planes, rows, columns."""
    planes = [pixels[..., band : band + 1] for band in range(of.samples)] if of.apart else [pixels]
    for plane in planes:
        height, width = plane.shape[:2]
        if not of.tiled:
            for top in range(0, height, STRIP):
                yield _packed(of, plane[top : top + STRIP])
            continue
        whole = np.pad(plane, ((0, -height % TILE), (0, -width % TILE), (0, 0)), mode="edge")
        for top, left in itertools.product(range(0, height, TILE), range(0, width, TILE)):
            yield _packed(of, whole[top : top + TILE, left : left + TILE])


def _packed(of: Combination, block: np.ndarray) -> bytes:
    """One block: predicted, ordered, packed, compressed, its bits turned round where asked."""
    block = np.ascontiguousarray(block)
    if of.compression in FAXES:
        data = _fax(of, block[..., 0])
    elif of.compression == JPEG:
        space = {1: "GRAY", 3: "RGB", 4: "CMYK"}[block.shape[2]]
        out = "YCBCR" if of.photometric == 6 else space
        data = imagecodecs.jpeg8_encode(
            block.squeeze(), level=95, colorspace=space, outcolorspace=out, subsampling="444"
        )
    elif of.compression == WEBP:
        data = imagecodecs.webp_encode(block, lossless=True, level=6)
    elif of.compression == PNG:
        data = imagecodecs.png_encode(block.squeeze(2) if block.shape[2] == 1 else block)
    elif of.compression == JPEG2000:
        data = imagecodecs.jpeg2k_encode(
            block.squeeze(2) if block.shape[2] == 1 else block, codecformat="j2k", level=0, mct=False
        )
    elif of.compression == LERC:
        data = imagecodecs.lerc_encode(block.squeeze(2) if block.shape[2] == 1 else block, level=0.0)
    else:
        data = _compressed(of, _raw(of, block))
    return imagecodecs.bitorder_encode(data) if of.fill == 2 else data


def _raw(of: Combination, block: np.ndarray) -> bytes:
    ordered = block.dtype.newbyteorder(of.order)
    if of.predictor == 3:
        rows, width, samples = block.shape
        flat = np.ascontiguousarray(
            block.astype(block.dtype.newbyteorder("<")).reshape(rows, width * samples)
        )
        parts = [
            block_row.view(np.uint8).reshape(-1, block.itemsize)[:, ::-1].T.ravel() for block_row in flat
        ]
        made = np.stack(parts)
        made[:, samples:] = made[:, samples:] - made[:, :-samples]
        return made.tobytes()
    if of.predictor == 2:
        unsigned = block.view(f"u{block.itemsize}")
        block = unsigned.copy()
        block[:, 1:] = unsigned[:, 1:] - unsigned[:, :-1]
        ordered = block.dtype.newbyteorder(of.order)
    if of.bits in (8, 16, 32, 64):
        return block.astype(ordered).tobytes()
    rows = block.reshape(block.shape[0], -1).astype(np.uint64)
    bits = (rows[..., None] >> np.arange(of.bits - 1, -1, -1, dtype=np.uint64)) & np.uint64(1)
    return np.packbits(bits.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()


def _compressed(of: Combination, raw: bytes) -> bytes:
    way = {
        NONE: lambda data: data, LZW: imagecodecs.lzw_encode, DEFLATE: imagecodecs.zlib_encode, OLD_DEFLATE: imagecodecs.zlib_encode,
        PACKBITS: imagecodecs.packbits_encode, ZSTD: imagecodecs.zstd_encode, LZMA: lambda data: imagecodecs.lzma_encode(data, level=0),
    }[of.compression]  # fmt: skip
    return bytes(way(raw))


def _fax(of: Combination, bits: np.ndarray) -> bytes:
    """Pillow's libtiff makes the strip; in a fax a 1 is black, whatever white is."""
    out = io.BytesIO()
    name = {RLE: "tiff_ccitt", FAX3: "group3", FAX4: "group4"}[of.compression]
    Image.fromarray(bits.astype(bool)).save(out, "TIFF", compression=name, tiffinfo={278: bits.shape[0]})
    with tifffile.TiffFile(io.BytesIO(out.getvalue())) as file:
        page = file.pages[0]
        data = out.getvalue()[page.dataoffsets[0] : page.dataoffsets[0] + page.databytecounts[0]]
        assert (len(page.dataoffsets), int(page.photometric)) == (1, 1)
        return imagecodecs.bitorder_encode(data) if page.fillorder == 2 else data


def seen(of: Combination, stored: np.ndarray, levels: tuple[float, float] | None) -> np.ndarray:
    """(h, w, 1 or 3) uint8: what samples as stored must look like, by docs/formats.md.

    The step from CMYK and Lab to sRGB is libvips' color management, on samples that another decoder gave.
    """
    colors = 1 if of.photometric is None else stored.shape[2] - len(MEANINGS[of.meaning][2])
    extra = MEANINGS[of.meaning][2]
    color, whole = stored[..., :colors], (1 << of.bits) - 1
    if of.meaning.startswith("palette"):
        return (of.colormap().T[color[..., 0].astype(int)] >> 8).astype(np.uint8)
    if levels is not None:
        low, high = levels
        scaled = np.floor((color.astype(np.float64) - low) * (255 / (high - low)) + 0.5)
        color = np.clip(scaled, 0, 255).astype(np.uint8)
        color = 255 - color if of.photometric == 0 else color
    elif of.meaning in ("lab", "icclab"):
        color = _lab(of, color)
    else:
        if of.photometric == 0:
            color = whole - color
        if of.bits == 16:
            color = color if of.photometric == 5 else color >> 8
        elif of.bits != 8:
            color = np.floor(color * (255 / whole) + 0.5)
        color = color.astype(np.uint16 if color.max() > 255 else np.uint8)
    if of.meaning.startswith("cmyk"):
        color = _by_vips(color, "cmyk")
    if any(extra):
        band = colors + next(place for place, kind in enumerate(extra) if kind)
        color = np.where(stored[..., band : band + 1] > 0, color, 255)
    return color.astype(np.uint8)


def _by_vips(pixels: np.ndarray, space: str) -> np.ndarray:
    image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels)).copy(interpretation=space)
    return image.colourspace("srgb").cast("uchar").numpy()


def _lab(of: Combination, pixels: np.ndarray) -> np.ndarray:
    size, step = 1 << of.bits, 1 << (of.bits - 8)
    values = pixels.astype(np.int64)
    ab = values[..., 1:]
    ab = np.where(ab >= size // 2, ab - size, ab) if of.meaning == "lab" else ab - size // 2
    made = np.dstack([values[..., :1] * 100 / (size - 1), ab / step]).astype(np.float32)
    return _by_vips(made, "lab")


AXES: dict[str, tuple[Any, ...]] = {
    "meaning": tuple(MEANINGS),
    "sample": (
        (1, 1),
        (2, 1),
        (4, 1),
        (8, 1),
        (8, 1),
        (8, 1),
        (12, 1),
        (16, 1),
        (16, 1),
        (32, 1),
        (8, 2),
        (16, 2),
        (16, 3),
        (32, 3),
        (64, 3),
    ),
    "compression": (
        NONE,
        NONE,
        LZW,
        LZW,
        DEFLATE,
        DEFLATE,
        OLD_DEFLATE,
        PACKBITS,
        ZSTD,
        LZMA,
        JPEG,
        RLE,
        FAX3,
        FAX4,
        WEBP,
        LERC,
        JPEG2000,
        PNG,
    ),
    "tiled": (False, True),
    "apart": (False, False, True),
    "predictor": (1, 2, 3),
    "order": ("<", ">"),
    "fill": (1, 1, 1, 2),
    "overview": ("", "", "sub", "reduced", "mask"),
    "pages": (1, 1, 2),
    "big": (False, True),
}


def drawn(count: int, seed: int) -> list[Combination]:
    """Different possible combinations: every value of every axis turns up, in company drawn by chance."""
    import random

    chance = random.Random(seed)
    found: dict[Combination, None] = {}
    while len(found) < count:
        values = {name: chance.choice(values) for name, values in AXES.items()}
        bits, form = values.pop("sample")
        made = Combination(bits=bits, form=form, **values)
        if made.possible():
            found[made] = None
    return list(found)


def logluv(luminance: np.ndarray, uv: tuple[float, float]) -> tuple[bytes, np.ndarray]:
    """A LogLuv TIFF of one chromaticity (Ward's 32 bits, byte planes in runs of literals), and how it looks.

    Equal energy is white, as it is to libtiff.
    """
    height, width = luminance.shape
    log = np.floor(256 * (np.log2(luminance) + 64)).astype(np.uint32)
    u, v = (int(410 * value) for value in uv)
    data = b""
    for row in (log << 16) | (u << 8) | v:
        for shift in (24, 16, 8, 0):
            plane = ((row >> shift) & 255).astype(np.uint8).tobytes()
            data += bytes([len(plane)]) + plane
    tags = {256: [width], 257: [height], 258: [16] * 3, 259: [LOG], 262: [32845], 273: [8], 277: [3], 278: [height],
            279: [len(data)], 339: [2] * 3}  # fmt: skip
    data += bytes(len(data) % 2)
    table, after, extra = b"", 8 + len(data) + 2 + 12 * len(tags) + 4, b""
    for tag, values in tags.items():
        raw = struct.pack(f"<{len(values)}H", *values)
        inline = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack("<I", after + len(extra))
        extra += raw if len(raw) > 4 else b""
        table += struct.pack("<HHI", tag, 3, len(values)) + inline
    file = (
        b"II*\0"
        + struct.pack("<I", 8 + len(data))
        + data
        + struct.pack("<H", len(tags))
        + table
        + bytes(4)
        + extra
    )
    y = 2 ** ((log + 0.5) / 256 - 64)
    u_, v_ = (u + 0.5) / 410, (v + 0.5) / 410
    xyz = np.dstack(
        [y * 9 * u_ / (4 * v_) * 95.047, y * 100, y * (12 - 3 * u_ - 20 * v_) / (4 * v_) * 108.883]
    )
    return file, _by_vips(xyz.astype(np.float32), "xyz")
