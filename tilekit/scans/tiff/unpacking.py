"""Blocks compressed by Zstandard or LZMA, unpacked for a libtiff that has neither.

They are stored again in deflate's "not compressed" form, whose length is known beforehand, and keep their
predictor. Memory: one block.
"""

from __future__ import annotations

import io
import lzma
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tilekit.errors import MissingExtra
from tilekit.scans.source import ByteReader
from tilekit.scans.tiff.fields import Fields
from tilekit.scans.tiff.layout import BlockLayout
from tilekit.scans.tiff.showing import show_blocks, shown_as_stored

ZSTD, LZMA = 50000, 34925
_DEFLATE = 8
_STORED = 65535  # the most bytes a stored block of deflate holds (RFC 1951, 3.2.4)
_MOST_BLOCK = 1 << 31
_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def show_unpacked(fields: Fields, layout: BlockLayout, reader: ByteReader) -> Callable[[], Any]:
    """A maker of libvips sources over the unpacked blocks. Raises ValueError, MissingExtra."""
    unpack = _unpacker(layout.compression)
    raw = [layout.raw_size(row) for row in range(layout.down) for _ in range(layout.across)] * layout.planes
    if max(raw) > _MOST_BLOCK:
        raise ValueError(f"a block has {max(raw):,} bytes")

    def block(index: int) -> bytes:
        packed = reader.at(int(layout.offsets[index]), int(layout.counts[index]))
        packed = turned_bits(packed) if layout.fill == 2 else packed
        data = unpack(packed, raw[index])
        if len(data) != raw[index]:
            raise ValueError(f"block {index} is cut short")
        return _stored(data)

    shown = replace(shown_as_stored(layout), compression=_DEFLATE)
    return show_blocks(fields, layout, shown, [_stored_length(size) for size in raw], block)


def turned_bits(data: bytes) -> bytes:
    """The bits of every byte the other way round, as fill order 2 stores them."""
    return data.translate(_TURNED)


def _unpacker(compression: int) -> Callable[[bytes, int], bytes]:
    if compression == LZMA:
        return lambda data, size: lzma.LZMADecompressor().decompress(data, size)
    try:
        import zstandard
    except ImportError as exc:
        raise MissingExtra("TIFFs compressed by Zstandard need zstandard", "zstd") from exc

    def unpack(data: bytes, size: int) -> bytes:
        found: bytes = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read(size)
        return found

    return unpack


def _stored_length(size: int) -> int:
    return 2 + 5 * max(1, -(-size // _STORED)) + size + 4


def _stored(data: bytes) -> bytes:
    """A zlib stream (RFC 1950) of stored blocks."""
    parts = [b"\x78\x01"]
    for at in range(0, max(1, len(data)), _STORED):
        block = data[at : at + _STORED]
        last = at + _STORED >= len(data)
        parts += [struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF), block]
    return b"".join([*parts, struct.pack(">I", zlib.adler32(data))])
