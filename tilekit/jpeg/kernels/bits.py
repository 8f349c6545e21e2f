"""Bits of Huffman-coded JPEG data as stored (ITU-T T.81, annex B): read past stuffing, and written with it.

All positions are bits of the bytes as stored: 8 x the byte's place + the bit, where a byte 0xFF and
the 0x00 stuffed after it are one byte at the place of the 0xFF. Nothing here reads a byte outside
`data`: where bytes end, or a marker stands, zeros are fed and counted, and whoever used them is told.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilekit.compiled import inlined

U = np.uint64
U0, U1, U4, U5, U8, U13, U16, U24, U32, U56 = (U(v) for v in (0, 1, 4, 5, 8, 13, 16, 24, 32, 56))
U7, U15, U31, U63, U64, U127, U255 = (U(v) for v in (7, 15, 31, 63, 64, 127, 255))
LOW16, LOW32, LOW13, SHORT = U(0xFFFF), U(0xFFFFFFFF), U(0x1FFF), U(8192)
_ONES, _TOPS = U(0x01010101), U(0x80808080)
_ALL64, _ONES64, _TOPS64 = U(0xFFFFFFFFFFFFFFFF), U(0x0101010101010101), U(0x8080808080808080)


@inlined
def word_at(data: Any, p: Any) -> Any:
    """Four bytes from `p` on, the first one highest."""
    return (U(data[p]) << U24) | (U(data[p + U(1)]) << U16) | (U(data[p + U(2)]) << U8) | U(data[p + U(3)])


@inlined
def some_ff(word: Any) -> Any:
    """Not 0 where one of the four bytes is 0xFF."""
    return ((word ^ LOW32) - _ONES) & word & _TOPS


@inlined
def some_ff_of_8(word: Any) -> Any:
    """Not 0 where one of the eight bytes is 0xFF."""
    return ((word ^ _ALL64) - _ONES64) & word & _TOPS64


@inlined
def fill(data: Any, n: Any, p: Any, acc: Any, left: Any, fed: Any, clean: Any) -> Any:
    """Up to four bytes more, one at a time, past stuffing; zeros, counted in `fed`, where there are none."""
    for _ in range(4):
        if p < n:
            byte = U(data[p])
            if byte != U255:
                p += U1
            elif p + U1 < n and data[p + U1] == 0:
                p += U(2)
                clean = p
            else:
                byte = U0
                fed += U8
        else:
            byte = U0
            fed += U8
        acc = (acc << U8) | byte
        left += U8
    return p, acc, left, fed, clean


@inlined
def filled(data: Any, n: Any, p: Any, acc: Any, left: Any, fed: Any, clean: Any) -> Any:
    """At least 33 bits in `acc`."""
    if left <= U32:
        if p + U4 <= n and some_ff(word_at(data, p)) == U0:
            return p + U4, (acc << U32) | word_at(data, p), left + U32, fed, clean
        return fill(data, n, p, acc, left, fed, clean)
    return p, acc, left, fed, clean


@inlined
def place_of(data: Any, p: Any, real: Any, clean: Any) -> Any:
    """The position of the first of the last `real` bits before byte `p`."""
    back = (real + U7) >> U(3)
    if p >= clean + back:
        return (p << U(3)) - real
    for _ in range(back):
        p -= U1
        if p >= U1 and data[p] == 0 and data[p - U1] == 255:
            p -= U1
    return (p << U(3)) + ((U8 - (real & U7)) & U7)


@inlined
def emit(out: Any, room: Any, o: Any, word: Any) -> Any:
    """Write four bytes, stuffing; what finds no room is only counted."""
    if o + U8 > room:
        for shift in range(4):
            o += U1
            if (word >> (U24 - U(8 * shift))) & U255 == U255:
                o += U1
        return o
    if some_ff(word) == U0:
        out[o] = word >> U24
        out[o + U1] = (word >> U16) & U255
        out[o + U(2)] = (word >> U8) & U255
        out[o + U(3)] = word & U255
        return o + U4
    for shift in range(4):
        byte = (word >> (U24 - U(8 * shift))) & U255
        out[o] = byte
        o += U1
        if byte == U255:
            out[o] = 0
            o += U1
    return o


@inlined
def put(out: Any, room: Any, o: Any, held: Any, waiting: Any, bits: Any, count: Any) -> Any:
    """Append `count` (at most 32) bits; fewer than 32 wait in `held`."""
    held = (held << count) | bits
    waiting += count
    if waiting >= U32:
        waiting -= U32
        o = emit(out, room, o, (held >> waiting) & LOW32)
    return o, held, waiting
