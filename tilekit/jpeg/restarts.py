"""Bands of a JPEG with restart markers, as JPEGs of their own: their bytes as they are, nothing parsed.

Behind a restart marker a stream begins anew, so what lies between two of them means the same in any file. Only the
markers' numbers, which count to seven, are written anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tilekit.jpeg.markers import CannotCut, Header, ReadAt, header_bytes

_PART = 1 << 20
_EOI, _RST = 0xD9, 0xD0
_MOST_STEP = 64


@dataclass(frozen=True)
class RestartRows:
    """Where the data between restart markers begins, and behind the last where one more would.

    A band may begin at every `step`-th row of MCUs. Memory: 8 bytes a marker.
    """

    header: Header
    read: ReadAt
    begins: NDArray[np.int64]
    step: int

    def file(self, first: int, last: int, size: tuple[int, int]) -> bytes:
        """Rows of MCUs `first` to `last` (a multiple of `step`, or the last) as a JPEG of `size` px."""
        header = self.header
        low, high = (
            min(-(-row * header.across // header.restart), len(self.begins) - 1) for row in (first, last)
        )
        begins = self.begins[low : high + 1]
        start = int(begins[0])
        data = np.frombuffer(bytearray(self.read(start, int(begins[-1]) - 2 - start)), np.uint8)
        inner = begins[1:-1] - start - 1
        if len(data) != begins[-1] - 2 - start or (data[inner - 1] != 255).any():
            raise CannotCut("its bytes changed")
        data[inner] = _RST + np.arange(len(inner)) % 8
        head = header_bytes(replace(header, width=size[0], height=size[1]), header.dc)
        return b"".join([head, data.data, b"\xff\xd9"])


def restart_rows(read: ReadAt, size: int, header: Header, begin: int) -> RestartRows:
    """Find the restart markers behind byte `begin` of a file of `size` bytes.

    Raises CannotCut where there are none, where they are not all there in their order and followed by the
    end of the image, or where rows of MCUs seldom begin with one.
    """
    if not header.restart:
        raise CannotCut("it has no restart markers")
    step = header.restart // math.gcd(header.restart, header.across)
    if step > min(_MOST_STEP, header.down):
        raise CannotCut("its restart markers stand off its rows")
    count = -(-header.across * header.down // header.restart)
    found: list[NDArray[np.int64]] = []
    seen, end = 0, None
    for first in range(begin, size, _PART):
        data = np.frombuffer(read(first, min(_PART + 1, size - first)), np.uint8)
        places = np.flatnonzero(data[:-1] == 255)
        codes = data[places + 1]
        places, codes = places[codes != 0], codes[codes != 0]
        stops = np.flatnonzero(codes == _EOI)
        if stops.size:
            end = first + int(places[stops[0]])
            places, codes = places[: stops[0]], codes[: stops[0]]
        if not np.array_equal(codes, _RST + (seen + np.arange(len(codes))) % 8):
            raise CannotCut("its markers are out of order")
        found.append(places + (first + 2))
        seen += len(places)
        if end is not None or seen >= count:
            break
    if end is None or seen != count - 1:
        raise CannotCut("its restart markers are not all there")
    return RestartRows(header, read, np.concatenate([[begin], *found, [end + 2]]).astype(np.int64), step)
