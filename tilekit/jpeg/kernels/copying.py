"""Copy runs of whole MCUs from bit to bit, each component's first DC coded anew (ITU-T T.81, annex F).

Positions as in `bits`, `tables` and `plan` as in `parsing`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilekit.compiled import inlined, kernel
from tilekit.jpeg.kernels.bits import (
    LOW13,
    LOW16,
    SHORT,
    U0,
    U1,
    U4,
    U5,
    U7,
    U8,
    U13,
    U16,
    U24,
    U31,
    U32,
    U56,
    U63,
    U64,
    U127,
    U255,
    U,
    fill,
    filled,
    place_of,
    put,
    some_ff,
    some_ff_of_8,
    word_at,
)


@inlined
def _copied(
    data: Any, n: Any, at: Any, end: Any, out: Any, room: Any, o: Any, held: Any, waiting: Any
) -> Any:  # fmt: skip
    """Append the bits from `at` to `end`; the place 0 is given where a marker stands between them."""
    p, last = at >> U(3), end >> U(3)
    skip = at & U7
    while p < last:
        if skip == U0 and p + U8 <= last and o + U16 <= room:
            word = (word_at(data, p) << U32) | word_at(data, p + U4)
            if some_ff_of_8(word) == U0:
                made = ((held << U1) << (U63 - waiting)) | (word >> waiting)
                held = word
                p += U8
                if some_ff_of_8(made) == U0:
                    out[o] = made >> U56
                    out[o + U1] = made >> U(48)
                    out[o + U(2)] = made >> U(40)
                    out[o + U(3)] = made >> U32
                    out[o + U4] = made >> U24
                    out[o + U5] = made >> U16
                    out[o + U(6)] = made >> U8
                    out[o + U7] = made
                    o += U8
                else:  # one in eight is so; a test of each byte would be guessed wrong
                    for shift in range(8):
                        byte = (made >> (U56 - U(8 * shift))) & U255
                        out[o] = byte
                        out[o + U1] = 0
                        o += U1 + U(byte == U255)
                continue
            if some_ff(word >> U32) == U0:
                o, held, waiting = put(out, room, o, held, waiting, word >> U32, U32)
                p += U4
                continue
        byte = U(data[p])
        p += U1
        if byte == U255:
            if p >= n or data[p] != 0:
                return U0, held, waiting
            p += U1
        o, held, waiting = put(out, room, o, held, waiting, byte & ((U1 << (U8 - skip)) - U1), U8 - skip)
        skip = U0
    if p > last:
        return U0, held, waiting
    few = end & U7
    if few > skip:
        if p >= n:
            return U0, held, waiting
        bits = (U(data[p]) >> (U8 - few)) & ((U1 << (few - skip)) - U1)
        o, held, waiting = put(out, room, o, held, waiting, bits, few - skip)
    elif few < skip:
        return U0, held, waiting
    return o, held, waiting


@kernel("i(RB,RI,RI,RS,RS,RI,RH,RI,B,i)")
def copy_runs(
    data: Any, starts: Any, ends: Any, before: Any, after: Any, plan: Any, tables: Any, codes: Any, out: Any,
    begin: int,
) -> int:  # fmt: skip
    """Append runs of whole MCUs to `out` from byte `begin` on, as one stream; gives where it ends.

    Run i is the bits `starts[i]` to `ends[i]` of `data`; `before`, `after`: its DC predictors at both, three
    a run. The first DC of each component is coded anew, all other bits are copied. `codes[16 x component +
    category]`: code + 65536 x length. Gives more than `len(out)` where that is too small, -1 where a
    run is no MCUs or a DC has no code.
    """
    # Long because a kernel is one loop: what its steps share lives in locals, and a helper would have to carry them.
    n, room = U(len(data)), U(len(out))
    blocks = plan[0]
    o, held, waiting = U(begin), U0, U0
    pred0, pred1, pred2 = 0, 0, 0
    for run in range(len(starts)):
        start, end = U(starts[run]), U(ends[run])
        if start >= end or end > (n << U(3)):
            return -1
        p = start >> U(3)
        acc, left, fed, clean = U0, U0, U0, U0
        skip = start & U7
        if skip > U0:
            p, acc, left, fed, clean = fill(data, n, p, acc, left, fed, clean)
            left -= skip
        seen0, seen1, seen2, unseen = False, False, False, plan[1]
        for b in range(blocks):
            p, acc, left, fed, clean = filled(data, n, p, acc, left, fed, clean)
            dc, ac, component = U(plan[18 + b]), U(plan[28 + b]), plan[8 + b]
            entry = U(tables[dc + SHORT + ((acc >> (left - U16)) & LOW16)])
            size, length = entry >> U5, entry & U31
            if entry == U0:
                return -1
            left -= length + size
            value = np.int64((acc >> left) & ((U1 << size) - U1))
            first = not (seen0 if component == 0 else seen1 if component == 1 else seen2)
            if not first:
                bits = (acc >> left) & ((U1 << (length + size)) - U1)
                o, held, waiting = put(out, room, o, held, waiting, bits, length + size)
            else:
                if size > U0 and value < (1 << np.int64(size - U1)):
                    value -= (1 << np.int64(size)) - 1
                value += before[3 * run + component]
                if component == 0:
                    seen0 = True
                    value -= pred0
                elif component == 1:
                    seen1 = True
                    value -= pred1
                else:
                    seen2 = True
                    value -= pred2
                positive = value if value >= 0 else -value
                category = 0
                while category < 16 and positive >> category > 0:
                    category += 1
                code = codes[16 * component + category] if category < 16 else 0
                if code == 0:
                    return -1
                o, held, waiting = put(out, room, o, held, waiting, U(code) & LOW16, U(code) >> U16)
                if category > 0:
                    if value < 0:
                        value += (1 << category) - 1
                    o, held, waiting = put(out, room, o, held, waiting, U(value), U(category))
                unseen -= 1
                if unseen == 0:
                    break  # all that follows is copied as it is
            k = U1
            while k < U64:
                p, acc, left, fed, clean = filled(data, n, p, acc, left, fed, clean)
                entry = U(tables[ac + ((acc >> (left - U13)) & LOW13)])
                go = entry >> U5
                if k + go >= U64 and not (go >= U64 and k + go <= U127) and (k + go != U64 or go >= U64):
                    entry = U(tables[ac + SHORT + ((acc >> (left - U16)) & LOW16)])
                    go = entry >> U5
                    if entry == U0 or (go < U64 and k + go > U64):
                        return -1
                length = entry & U31
                left -= length
                bits = (acc >> left) & ((U1 << length) - U1)
                o, held, waiting = put(out, room, o, held, waiting, bits, length)
                if go >= U64:
                    break
                k += go
        if left < fed:
            return -1
        at = place_of(data, p, left - fed, clean)
        if at > end:
            return -1
        o, held, waiting = _copied(data, n, at, end, out, room, o, held, waiting)
        if o == U0:
            return -1
        pred0, pred1, pred2 = after[3 * run], after[3 * run + 1], after[3 * run + 2]
    pad = (U8 - (waiting & U7)) & U7
    o, held, waiting = put(out, room, o, held, waiting, (U1 << pad) - U1, pad)
    while waiting > U0:
        waiting -= U8
        byte = (held >> waiting) & U255
        if o + U(2) <= room:
            out[o] = byte
            out[o + U1] = 0
        o += U1
        if byte == U255:
            o += U1
    return int(o)
