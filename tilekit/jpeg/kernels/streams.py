"""Parse Huffman-coded JPEG data (ITU-T T.81, annexes B and F), and copy runs of its bits.

All positions are bits of the bytes as stored: 8 x the byte's place + the bit, where a byte 0xFF and
the 0x00 stuffed after it are one byte at the place of the 0xFF. No kernel reads a byte outside
`data`: where bytes end, or a marker stands, zeros are fed and counted, and whoever used them is told.

Tables (uint16), two for each Huffman table: the first by 13 bits of stream, the second, for longer codes, by 16.
DC: code length + 32 x category. AC: `length + 32 x places`, in the first of as many symbols as have their codes in the
13 bits, places + 64 where the last of them is an end of block; in the second of one symbol alone. 0 bits: no such
code, or a longer one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilekit.compiled import inlined, kernel

REACHED, FULL, WRONG, ENDED = 0, 1, 2, 3
# What `plan` holds: see plan_of in tables.py.
_U = np.uint64
_U0, _U1, _U4, _U5, _U8, _U16, _U24, _U32, _U56 = (_U(v) for v in (0, 1, 4, 5, 8, 16, 24, 32, 56))
_U7, _U31, _U63, _U64, _U127, _U255 = (_U(v) for v in (7, 31, 63, 64, 127, 255))
_LOW16, _LOW32, _LOW13, _SHORT, _U13 = _U(0xFFFF), _U(0xFFFFFFFF), _U(0x1FFF), _U(8192), _U(13)
_ONES, _TOPS = _U(0x01010101), _U(0x80808080)
_ALL64, _ONES64, _TOPS64 = _U(0xFFFFFFFFFFFFFFFF), _U(0x0101010101010101), _U(0x8080808080808080)


@inlined
def _word(data: Any, p: Any) -> Any:
    """Four bytes from `p` on, the first one highest."""
    return (
        (_U(data[p]) << _U24)
        | (_U(data[p + _U(1)]) << _U16)
        | (_U(data[p + _U(2)]) << _U8)
        | _U(data[p + _U(3)])
    )


@inlined
def _some_ff(word: Any) -> Any:
    """Not 0 where one of the four bytes is 0xFF."""
    return ((word ^ _LOW32) - _ONES) & word & _TOPS


@inlined
def _some_ff_of_8(word: Any) -> Any:
    """Not 0 where one of the eight bytes is 0xFF."""
    return ((word ^ _ALL64) - _ONES64) & word & _TOPS64


@inlined
def _fill(data: Any, n: Any, p: Any, acc: Any, left: Any, fed: Any, clean: Any) -> Any:
    """Up to four bytes more, one at a time, past stuffing; zeros, counted in `fed`, where there are none."""
    for _ in range(4):
        if p < n:
            byte = _U(data[p])
            if byte != _U255:
                p += _U1
            elif p + _U1 < n and data[p + _U1] == 0:
                p += _U(2)
                clean = p
            else:
                byte = _U0
                fed += _U8
        else:
            byte = _U0
            fed += _U8
        acc = (acc << _U8) | byte
        left += _U8
    return p, acc, left, fed, clean


@inlined
def _place(data: Any, p: Any, real: Any, clean: Any) -> Any:
    """The position of the first of the last `real` bits before byte `p`."""
    back = (real + _U7) >> _U(3)
    if p >= clean + back:
        return (p << _U(3)) - real
    for _ in range(back):
        p -= _U1
        if p >= _U1 and data[p] == 0 and data[p - _U1] == 255:
            p -= _U1
    return (p << _U(3)) + ((_U8 - (real & _U7)) & _U7)


@inlined
def _parsed(
    data: Any, n: Any, state: Any, plan: Any, tables: Any, places: Any, ends: Any, preds: Any, origin: Any,
    capacity: Any,
) -> Any:  # fmt: skip
    """As `parse`, of the first `n` bytes, into the `capacity` + 1 entries from `origin` on."""
    # Long because a kernel is one loop: what its steps share lives in locals, and a helper would have to carry them.
    blocks, restart, to_restart, number = plan[0], plan[2], state[4], state[5]
    first, stop = state[7], _U(state[8])
    p = _U(state[0]) >> _U(3)
    acc, left, fed, clean = _U0, _U0, _U0, _U0
    skip = _U(state[0]) & _U7
    if skip > _U0:
        p, acc, left, fed, clean = _fill(data, n, p, acc, left, fed, clean)
        left -= skip
    pred0, pred1, pred2 = state[1], state[2], state[3]
    at = _U(state[0])
    count = 0
    status = ENDED
    while True:
        real = left - fed
        at = _place(data, p, real, clean)
        preds[3 * (origin + count)] = pred0
        preds[3 * (origin + count) + 1] = pred1
        preds[3 * (origin + count) + 2] = pred2
        if restart > 0:
            ends[origin + count] = at
            if to_restart == 0:
                if real > _U7 or p + _U1 >= n or data[p] != 255 or data[p + _U1] != 208 + number:
                    status = ENDED if p + _U1 >= n else WRONG
                    places[origin + count] = at
                    break
                p += _U(2)
                acc, left, fed, clean = _U0, _U0, _U0, p
                pred0, pred1, pred2 = 0, 0, 0
                to_restart, number = restart, (number + 1) & 7
                at = p << _U(3)
        places[origin + count] = at
        if at >= stop:
            status = REACHED
            break
        if count >= capacity:
            status = FULL
            break
        was0, was1, was2 = pred0, pred1, pred2
        good = True
        for b in range(first, blocks):
            if left <= _U32:
                if p + _U4 <= n:
                    word = _word(data, p)
                    if _some_ff(word) == _U0:
                        acc = (acc << _U32) | word
                        left += _U32
                        p += _U4
                    else:
                        p, acc, left, fed, clean = _fill(data, n, p, acc, left, fed, clean)
                else:
                    p, acc, left, fed, clean = _fill(data, n, p, acc, left, fed, clean)
            dc, ac = _U(plan[18 + b]), _U(plan[28 + b])
            entry = _U(tables[dc + ((acc >> (left - _U13)) & _LOW13)])
            if entry == _U0:
                entry = _U(tables[dc + _SHORT + ((acc >> (left - _U16)) & _LOW16)])
            size = entry >> _U5
            left -= entry & _U31
            good = bool(entry != _U0)
            if size > _U0:
                left -= size
                value = np.int64((acc >> left) & ((_U1 << size) - _U1))
                if value < (1 << np.int64(size - _U1)):
                    value -= (1 << np.int64(size)) - 1
                component = plan[8 + b]
                if component == 0:
                    pred0 += value
                elif component == 1:
                    pred1 += value
                else:
                    pred2 += value
            k = _U1
            while k < _U64 and good:
                if left <= _U32:
                    if p + _U4 <= n:
                        word = _word(data, p)
                        if _some_ff(word) == _U0:
                            acc = (acc << _U32) | word
                            left += _U32
                            p += _U4
                        else:
                            p, acc, left, fed, clean = _fill(data, n, p, acc, left, fed, clean)
                    else:
                        p, acc, left, fed, clean = _fill(data, n, p, acc, left, fed, clean)
                entry = _U(tables[ac + ((acc >> (left - _U13)) & _LOW13)])
                go = entry >> _U5
                to = k + go
                if to < _U64:
                    left -= entry & _U31
                    k = to
                elif (go >= _U64 and to <= _U127) or (go < _U64 and to == _U64):  # the block ends with these
                    left -= entry & _U31
                    break
                else:  # some of the symbols are of the next block, or the code is a long one
                    entry = _U(tables[ac + _SHORT + ((acc >> (left - _U16)) & _LOW16)])
                    left -= entry & _U31
                    go = entry >> _U5
                    if go >= _U64:
                        good = bool(entry & _U31 != _U0)
                        break
                    k += go
                    good = bool(k <= _U64 and entry != _U0)
            if not good:
                break
        if left < fed:
            pred0, pred1, pred2 = was0, was1, was2
            status = ENDED
            break
        if not good:
            pred0, pred1, pred2 = was0, was1, was2
            status = WRONG
            break
        first = 0
        to_restart -= 1
        count += 1
    state[0] = at
    state[1], state[2], state[3] = pred0, pred1, pred2
    state[4], state[5], state[6], state[7] = to_restart, number, count, first
    return status


@kernel("i(RB,I,RI,RH,I,I,S)")
def parse(data: Any, state: Any, plan: Any, tables: Any, places: Any, ends: Any, preds: Any) -> int:
    """Parse MCU after MCU from `state` on; `places[i]` is where MCU i begins, `preds` the DC before it.

    `state`: position, three predictors, MCUs to the next restart (-1: none come), number of its
    marker, MCUs parsed (out), block the first MCU begins with, position at which to stop. `ends[i]`: where MCU
    i - 1 ends, before a restart marker; not written unless plan has restarts. One entry more than MCUs is
    written, the last one being where it stopped. Gives REACHED (the position to stop at), FULL (arrays),
    WRONG (a code that is none) or ENDED (bytes, or a marker).
    """
    return int(_parsed(data, _U(len(data)), state, plan, tables, places, ends, preds, 0, len(places) - 1))


@kernel("i(RB,RI,RI,I,RI,RH,I,I,S)")
def parse_whole(
    data: Any, begins: Any, stops: Any, state: Any, plan: Any, tables: Any, places: Any, ends: Any, preds: Any
) -> int:
    """Parse whole JPEGs of one size that stand one behind the other; gives how many are whole before one that is not.

    JPEG i has its MCUs from byte `begins[i]` on, and ends before byte `stops[i]`. `places`, `ends`, `preds`: as for
    `parse`, equally many entries for each JPEG, one more than it has MCUs. `state` is left as the last parse
    leaves it, but with its status at the end: FULL for one that goes on behind its last MCU.
    """
    room = len(places) // len(begins)
    restart = plan[2] if plan[2] > 0 else -1
    for which in range(len(begins)):
        n = _U(stops[which])
        if stops[which] > len(data) or begins[which] < 0:
            return which
        state[0], state[1], state[2], state[3] = begins[which] << 3, 0, 0, 0
        state[4], state[5], state[6], state[7], state[8] = restart, 0, 0, 0, 1 << 62
        origin = room * which
        state[8] = _parsed(data, n, state, plan, tables, places, ends, preds, origin, room - 1)
        if state[6] < room - 1:
            return which
        p = _U(ends[origin + room - 1] if restart > 0 else places[origin + room - 1])
        few = p & _U7
        p >>= _U(3)
        if few > _U0:
            stuffed = p + _U1 < n and data[p] == 255 and data[p + _U1] == 0
            p += _U(2) if stuffed else _U1
        if p + _U1 >= n or data[p] != 255 or data[p + _U1] != 217:
            return which
    return len(begins)


@inlined
def _emit(out: Any, room: Any, o: Any, word: Any) -> Any:
    """Write four bytes, stuffing; what finds no room is only counted."""
    if o + _U8 > room:
        for shift in range(4):
            o += _U1
            if (word >> (_U24 - _U(8 * shift))) & _U255 == _U255:
                o += _U1
        return o
    if _some_ff(word) == _U0:
        out[o] = word >> _U24
        out[o + _U1] = (word >> _U16) & _U255
        out[o + _U(2)] = (word >> _U8) & _U255
        out[o + _U(3)] = word & _U255
        return o + _U4
    for shift in range(4):
        byte = (word >> (_U24 - _U(8 * shift))) & _U255
        out[o] = byte
        o += _U1
        if byte == _U255:
            out[o] = 0
            o += _U1
    return o


@inlined
def _put(out: Any, room: Any, o: Any, held: Any, waiting: Any, bits: Any, count: Any) -> Any:
    """Append `count` (at most 32) bits; fewer than 32 wait in `held`."""
    held = (held << count) | bits
    waiting += count
    if waiting >= _U32:
        waiting -= _U32
        o = _emit(out, room, o, (held >> waiting) & _LOW32)
    return o, held, waiting


@inlined
def _filled(data: Any, n: Any, p: Any, acc: Any, left: Any, fed: Any, clean: Any) -> Any:
    """At least 33 bits in `acc`."""
    if left <= _U32:
        if p + _U4 <= n and _some_ff(_word(data, p)) == _U0:
            return p + _U4, (acc << _U32) | _word(data, p), left + _U32, fed, clean
        return _fill(data, n, p, acc, left, fed, clean)
    return p, acc, left, fed, clean


@inlined
def _copied(
    data: Any, n: Any, at: Any, end: Any, out: Any, room: Any, o: Any, held: Any, waiting: Any
) -> Any:  # fmt: skip
    """Append the bits from `at` to `end`; the place 0 is given where a marker stands between them."""
    p, last = at >> _U(3), end >> _U(3)
    skip = at & _U7
    while p < last:
        if skip == _U0 and p + _U8 <= last and o + _U16 <= room:
            word = (_word(data, p) << _U32) | _word(data, p + _U4)
            if _some_ff_of_8(word) == _U0:
                made = ((held << _U1) << (_U63 - waiting)) | (word >> waiting)
                held = word
                p += _U8
                if _some_ff_of_8(made) == _U0:
                    out[o] = made >> _U56
                    out[o + _U1] = made >> _U(48)
                    out[o + _U(2)] = made >> _U(40)
                    out[o + _U(3)] = made >> _U32
                    out[o + _U4] = made >> _U24
                    out[o + _U5] = made >> _U16
                    out[o + _U(6)] = made >> _U8
                    out[o + _U7] = made
                    o += _U8
                else:  # one in eight is so; a test of each byte would be guessed wrong
                    for shift in range(8):
                        byte = (made >> (_U56 - _U(8 * shift))) & _U255
                        out[o] = byte
                        out[o + _U1] = 0
                        o += _U1 + _U(byte == _U255)
                continue
            if _some_ff(word >> _U32) == _U0:
                o, held, waiting = _put(out, room, o, held, waiting, word >> _U32, _U32)
                p += _U4
                continue
        byte = _U(data[p])
        p += _U1
        if byte == _U255:
            if p >= n or data[p] != 0:
                return _U0, held, waiting
            p += _U1
        o, held, waiting = _put(out, room, o, held, waiting, byte & ((_U1 << (_U8 - skip)) - _U1), _U8 - skip)
        skip = _U0
    if p > last:
        return _U0, held, waiting
    few = end & _U7
    if few > skip:
        if p >= n:
            return _U0, held, waiting
        bits = (_U(data[p]) >> (_U8 - few)) & ((_U1 << (few - skip)) - _U1)
        o, held, waiting = _put(out, room, o, held, waiting, bits, few - skip)
    elif few < skip:
        return _U0, held, waiting
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
    n, room = _U(len(data)), _U(len(out))
    blocks = plan[0]
    o, held, waiting = _U(begin), _U0, _U0
    pred0, pred1, pred2 = 0, 0, 0
    for run in range(len(starts)):
        start, end = _U(starts[run]), _U(ends[run])
        if start >= end or end > (n << _U(3)):
            return -1
        p = start >> _U(3)
        acc, left, fed, clean = _U0, _U0, _U0, _U0
        skip = start & _U7
        if skip > _U0:
            p, acc, left, fed, clean = _fill(data, n, p, acc, left, fed, clean)
            left -= skip
        seen0, seen1, seen2, unseen = False, False, False, plan[1]
        for b in range(blocks):
            p, acc, left, fed, clean = _filled(data, n, p, acc, left, fed, clean)
            dc, ac, component = _U(plan[18 + b]), _U(plan[28 + b]), plan[8 + b]
            entry = _U(tables[dc + _SHORT + ((acc >> (left - _U16)) & _LOW16)])
            size, length = entry >> _U5, entry & _U31
            if entry == _U0:
                return -1
            left -= length + size
            value = np.int64((acc >> left) & ((_U1 << size) - _U1))
            first = not (seen0 if component == 0 else seen1 if component == 1 else seen2)
            if not first:
                bits = (acc >> left) & ((_U1 << (length + size)) - _U1)
                o, held, waiting = _put(out, room, o, held, waiting, bits, length + size)
            else:
                if size > _U0 and value < (1 << np.int64(size - _U1)):
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
                o, held, waiting = _put(out, room, o, held, waiting, _U(code) & _LOW16, _U(code) >> _U16)
                if category > 0:
                    if value < 0:
                        value += (1 << category) - 1
                    o, held, waiting = _put(out, room, o, held, waiting, _U(value), _U(category))
                unseen -= 1
                if unseen == 0:
                    break  # all that follows is copied as it is
            k = _U1
            while k < _U64:
                p, acc, left, fed, clean = _filled(data, n, p, acc, left, fed, clean)
                entry = _U(tables[ac + ((acc >> (left - _U13)) & _LOW13)])
                go = entry >> _U5
                if k + go >= _U64 and not (go >= _U64 and k + go <= _U127) and (k + go != _U64 or go >= _U64):
                    entry = _U(tables[ac + _SHORT + ((acc >> (left - _U16)) & _LOW16)])
                    go = entry >> _U5
                    if entry == _U0 or (go < _U64 and k + go > _U64):
                        return -1
                length = entry & _U31
                left -= length
                bits = (acc >> left) & ((_U1 << length) - _U1)
                o, held, waiting = _put(out, room, o, held, waiting, bits, length)
                if go >= _U64:
                    break
                k += go
        if left < fed:
            return -1
        at = _place(data, p, left - fed, clean)
        if at > end:
            return -1
        o, held, waiting = _copied(data, n, at, end, out, room, o, held, waiting)
        if o == _U0:
            return -1
        pred0, pred1, pred2 = after[3 * run], after[3 * run + 1], after[3 * run + 2]
    pad = (_U8 - (waiting & _U7)) & _U7
    o, held, waiting = _put(out, room, o, held, waiting, (_U1 << pad) - _U1, pad)
    while waiting > _U0:
        waiting -= _U8
        byte = (held >> waiting) & _U255
        if o + _U(2) <= room:
            out[o] = byte
            out[o + _U1] = 0
        o += _U1
        if byte == _U255:
            o += _U1
    return int(o)
