"""Blocks that libtiff does not decode, decoded by tifffile and imagecodecs, block by block.

libvips is shown them as plain samples: planes together, no compression. Values of less than eight bits are
spread to eight, 64-bit ones rounded to 32-bit floats. Memory: one block.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import MissingExtra, ScanTooLarge, ScanUnsupported
from tilekit.scans.faults import one_line
from tilekit.scans.source import ByteReader, Source
from tilekit.scans.tiff.directories import Directory
from tilekit.scans.tiff.layout import NONE, BlockLayout
from tilekit.scans.tiff.showing import Shown, head_of, show_blocks, shown_as_stored
from tilekit.scans.tiff.unpacking import turned_bits

Decode = Callable[[bytes, int], NDArray[Any]]
_PALETTE = 3


def show_decoded(
    source: Source, page: Directory, layout: BlockLayout, reader: ByteReader, budget: int
) -> Callable[[], Any]:
    """A maker of libvips sources over decoded blocks.

    Raises MissingExtra, ScanTooLarge (a block over the budget), ScanUnsupported (no codec for it), ValueError.
    """
    decode, kind = _decoder(source, page, layout)
    kind = kind.newbyteorder(page.fields.header.order)  # type: ignore[arg-type]
    row_bytes = layout.block[0] * layout.samples * kind.itemsize
    sizes = [row_bytes * layout.rows(row) for row in range(layout.down) for _ in range(layout.across)]
    if max(sizes) > budget:
        raise ScanTooLarge(
            f"{source.name}: is stored in blocks of {max(sizes):,} bytes, over the budget of {budget:,}; "
            "pass a larger budget if you trust it"
        )
    lock = threading.Lock()

    def block(index: int) -> bytes:
        row = index // layout.across
        made = np.zeros((layout.rows(row), layout.block[0], layout.samples), kind)
        for plane in range(layout.planes):
            place = plane * layout.across * layout.down + index
            count = int(layout.counts[place])
            data = reader.at(int(layout.offsets[place]), count)
            if (
                not count
                or len(data) != count
                or (layout.compression == NONE and count < layout.raw_size(row))
            ):
                raise ValueError(f"block {place} is cut short")
            with lock:
                pixels = _spread(decode(data, place), layout)
            if layout.planes > 1:
                made[: pixels.shape[0], : pixels.shape[1], plane] = pixels[..., 0]
            else:
                made[: pixels.shape[0], : pixels.shape[1]] = pixels
        return made.tobytes()

    return show_blocks(page.fields, replace(layout, fill=1), _shown(layout, kind, page), sizes, block)


def _decoder(source: Source, page: Directory, layout: BlockLayout) -> tuple[Decode, np.dtype[Any]]:
    """What makes (h, w, samples) of a block's bytes, and the type of the samples shown."""
    try:
        import imagecodecs  # noqa: F401 - what tifffile decodes by
        import tifffile
    except ImportError as exc:
        raise MissingExtra(
            f"{source.name}: this kind of TIFF needs tifffile and imagecodecs", "tiff"
        ) from exc
    turn, layout = layout.fill == 2, replace(layout, fill=1)
    head = head_of(
        page.fields, layout, shown_as_stored(layout), layout.offsets.tolist(), layout.counts.tolist()
    )
    tables = layout.tables or None
    try:  # it is shown the checked fields too: of the file's own it would log what it does not like
        with tifffile.TiffFile(io.BytesIO(head)) as file:
            found = file.pages[0]
            decode = found.decode
            stored = np.dtype(found.dtype) if found.dtype is not None else None
    except Exception as exc:
        raise ScanUnsupported(f"{source.name}: cannot be read ({one_line(exc)})") from exc
    if stored is None or stored.kind not in "buif":
        raise ScanUnsupported(
            f"{source.name}: has samples of {max(layout.bits)} bits that nothing here reads"
        )

    def made(data: bytes, index: int) -> NDArray[Any]:
        segment = decode(turned_bits(data) if turn else data, index, jpegtables=tables)[0]
        if segment is None:
            raise ValueError(f"block {index} is empty")
        pixels: NDArray[Any] = np.asarray(segment)[0]
        return pixels

    try:
        made(b"\0", 0)
    except NotImplementedError as exc:
        raise ScanUnsupported(f"{source.name}: cannot be read ({one_line(exc)})") from exc
    except Exception as exc:
        if "not supported" in str(exc) or "not available" in str(exc) or "requires" in str(exc):
            raise ScanUnsupported(f"{source.name}: cannot be read ({one_line(exc)})") from exc
    return made, _type_shown(stored)


def _type_shown(stored: np.dtype[Any]) -> np.dtype[Any]:
    if stored.kind == "b":
        return np.dtype("<u1")
    if stored.itemsize == 8 or stored.kind == "f":
        return np.dtype("<f4")
    return np.dtype(f"<{stored.kind}{stored.itemsize}")


def _spread(pixels: NDArray[Any], layout: BlockLayout) -> NDArray[Any]:
    """Less than eight bits become eight, except in a palette."""
    bits = max(layout.bits)
    most = (1 << bits) - 1
    if layout.form != 1 or layout.photometric == _PALETTE:
        return pixels
    if bits < 8:
        pixels = (pixels.astype(np.int16) * 255 + most // 2) // most
    return pixels


def _shown(layout: BlockLayout, kind: np.dtype[Any], page: Directory) -> Shown:
    colormap = None
    if layout.photometric == _PALETTE:
        order = page.fields.header.order
        known = np.asarray(page.fields.array(320)).reshape(3, -1)
        full = np.zeros((3, 256), np.dtype(order + "u2"))
        full[:, : min(known.shape[1], 256)] = known[:, :256]
        colormap = full.tobytes()
    form = {"u": 1, "i": 2, "f": 3}[kind.kind]
    return Shown(
        NONE,
        (kind.itemsize * 8,) * layout.samples,
        form,
        layout.photometric,
        1,
        1,
        layout.samples,
        layout.extra,
        colormap,
    )
