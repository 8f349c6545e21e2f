"""Parse Huffman-coded JPEG data (ITU-T T.81, annexes B and F): where its MCUs begin, and their DC predictors.

Tables (uint16), two for each Huffman table: the first by 13 bits of stream, the second, for longer codes, by 16.
DC: code length + 32 x category. AC: `length + 32 x places`, in the first of as many symbols as have their codes in the
13 bits, places + 64 where the last of them is an end of block; in the second of one symbol alone. 0 bits: no such
code, or a longer one.

For a page at an eighth of its size a parse also tells what it sees (`parse_seen`): the DC behind each block, and of
color stored at half the size what its AC values add to the 2 x 2 pixels a decoder makes of such a block. For those
`tables` has two more tables for each of both (uint16): by 13 bits, where those hold a code and its value, `bits of
both + 16 x zeros before it + 256 x (value + 128)`, an end of block being no zeros and value 0; and by 16 bits `code
length + 32 x size + 512 x places`, 64 places for an end of block. In `plan[40]` and `plan[41]` stands where those begin,
behind them for each of both where in `state` a coefficient is added up, 64 of them, by how much it is multiplied, and
the most it may be.
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
    U15,
    U16,
    U31,
    U32,
    U64,
    U127,
    U,
    fill,
    place_of,
    some_ff,
    word_at,
)

REACHED, FULL, WRONG, ENDED = 0, 1, 2, 3
# What `plan` holds: see plan_of in tables.py.
_SEEN, _SUMS, _LOOKS = 40, 9, 42  # where `plan`, `state` and the looks of color begin
_HALF = 1 << 12  # of 13 bits behind the point
_MOST = 12_000  # far below where a decoder's 16 bits end
_C1, _C3, _C5, _C7 = 29692, -10426, 6967, -5906  # of the 2 x 2 inverse DCT, 13 bits behind the point


@inlined
def _added(state: Any, rest: Any, at: Any) -> Any:
    """What the AC values summed up in `state` add to DC for each of the four pixels of a block, into `rest`.

    True where a decoder, which computes in 16 bits, may not keep so much.
    """
    wrong = False
    for row in range(2):
        s0, s1, s2, s3, s4 = state[9], state[10], state[11], state[12], state[13]
        if row == 1:
            s0, s1, s2, s3, s4 = -s0, -s1, -s2, -s3, -s4
        first = (s0 + _HALF) >> 13
        v1 = ((state[15] << 15) + s1 + _HALF) >> 13
        v3 = ((state[16] << 15) + s2 + _HALF) >> 13
        v5 = ((state[17] << 15) + s3 + _HALF) >> 13
        v7 = ((state[18] << 15) + s4 + _HALF) >> 13
        most = max(max(abs(first), abs(v1)), max(max(abs(v3), abs(v5)), abs(v7)))
        wrong = wrong or most > _MOST
        across = v1 * _C1 + v3 * _C3 + v5 * _C5 + v7 * _C7
        rest[at + 2 * row] = ((first << 15) + across) >> 17
        rest[at + 2 * row + 1] = ((first << 15) - across) >> 17
    return wrong


@inlined
def _parsed(
    data: Any, n: Any, state: Any, plan: Any, tables: Any, places: Any, ends: Any, preds: Any, origin: Any,
    watch: Any, seen: Any, rest: Any,
) -> Any:  # fmt: skip
    """As `parse`, of the first `n` bytes, into the `state[6]` + 1 entries from `origin` on; as `parse_seen` if `watch`."""
    # Long because a kernel is one loop: what its steps share lives in locals, and a helper would have to carry them.
    blocks, restart, to_restart, number = plan[0], plan[2], state[4], state[5]
    capacity, first, stop = state[6], state[7], U(state[8])
    halves = watch and plan[_SEEN] > 0
    p = U(state[0]) >> U(3)
    acc, left, fed, clean = U0, U0, U0, U0
    skip = U(state[0]) & U7
    if skip > U0:
        p, acc, left, fed, clean = fill(data, n, p, acc, left, fed, clean)
        left -= skip
    pred0, pred1, pred2 = state[1], state[2], state[3]
    at = U(state[0])
    count = 0
    status = ENDED
    while True:
        real = left - fed
        at = place_of(data, p, real, clean)
        preds[3 * (origin + count)] = pred0
        preds[3 * (origin + count) + 1] = pred1
        preds[3 * (origin + count) + 2] = pred2
        if restart > 0:
            ends[origin + count] = at
            if to_restart == 0:
                if real > U7 or p + U1 >= n or data[p] != 255 or data[p + U1] != 208 + number:
                    status = ENDED if p + U1 >= n else WRONG
                    places[origin + count] = at
                    break
                p += U(2)
                acc, left, fed, clean = U0, U0, U0, p
                pred0, pred1, pred2 = 0, 0, 0
                to_restart, number = restart, (number + 1) & 7
                at = p << U(3)
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
            if left <= U32:
                if p + U4 <= n:
                    word = word_at(data, p)
                    if some_ff(word) == U0:
                        acc = (acc << U32) | word
                        left += U32
                        p += U4
                    else:
                        p, acc, left, fed, clean = fill(data, n, p, acc, left, fed, clean)
                else:
                    p, acc, left, fed, clean = fill(data, n, p, acc, left, fed, clean)
            dc, ac = U(plan[18 + b]), U(plan[28 + b])
            entry = U(tables[dc + ((acc >> (left - U13)) & LOW13)])
            if entry == U0:
                entry = U(tables[dc + SHORT + ((acc >> (left - U16)) & LOW16)])
            size = entry >> U5
            left -= entry & U31
            good = bool(entry != U0)
            if size > U0:
                left -= size
                value = np.int64((acc >> left) & ((U1 << size) - U1))
                if value < (1 << np.int64(size - U1)):
                    value -= (1 << np.int64(size)) - 1
                component = plan[8 + b]
                if component == 0:
                    pred0 += value
                elif component == 1:
                    pred1 += value
                else:
                    pred2 += value
            k = U1
            if watch:
                component = plan[8 + b]
                seen[(origin + count) * blocks + b] = (
                    pred0 if component == 0 else pred1 if component == 1 else pred2
                )
                if halves and component > 0:
                    fine, looks = U(plan[_SEEN + component - 1]), U(_LOOKS + 192 * (component - 1))
                    touched = False
                    while k < U64 and good:
                        if left <= U32:
                            if p + U4 <= n and some_ff(word_at(data, p)) == U0:
                                acc = (acc << U32) | word_at(data, p)
                                left += U32
                                p += U4
                            else:
                                p, acc, left, fed, clean = fill(data, n, p, acc, left, fed, clean)
                        entry = U(tables[fine + ((acc >> (left - U13)) & LOW13)])
                        if entry != U0:  # a code and its value
                            left -= entry & U15
                            go, value = (entry >> U4) & U15, np.int64(entry >> U8) - 128
                            if value == 0:
                                if go == U0:
                                    break
                                k += U16
                                continue
                            k += go + U1
                            if k > U64:
                                good = False
                                break
                        else:
                            entry = U(tables[fine + SHORT + ((acc >> (left - U16)) & LOW16)])
                            left -= entry & U31
                            size, go = (entry >> U5) & U15, entry >> U(9)
                            if go >= U64:
                                break
                            k += go
                            left -= size
                            good = bool(k <= U64 and entry != U0)
                            if not good or size == U0:
                                continue
                            value = np.int64((acc >> left) & ((U1 << size) - U1))
                            if value < (1 << np.int64(size - U1)):
                                value -= (1 << np.int64(size)) - 1
                            if abs(value) > plan[looks + k + U127]:
                                state[19] = 1
                        if not touched:
                            for place in range(10):
                                state[_SUMS + place] = 0
                            touched = True
                        at_k = looks + k - U1
                        state[U(plan[at_k])] += value * plan[at_k + U64]
                    where = 8 * (origin + count) + 4 * (component - 1)
                    for place in range(4):
                        rest[where + place] = 0
                    if touched and _added(state, rest, where):
                        state[19] = 1
                    k = U64
            while k < U64 and good:
                if left <= U32:
                    if p + U4 <= n:
                        word = word_at(data, p)
                        if some_ff(word) == U0:
                            acc = (acc << U32) | word
                            left += U32
                            p += U4
                        else:
                            p, acc, left, fed, clean = fill(data, n, p, acc, left, fed, clean)
                    else:
                        p, acc, left, fed, clean = fill(data, n, p, acc, left, fed, clean)
                entry = U(tables[ac + ((acc >> (left - U13)) & LOW13)])
                go = entry >> U5
                to = k + go
                if to < U64:
                    left -= entry & U31
                    k = to
                elif (go >= U64 and to <= U127) or (go < U64 and to == U64):  # the block ends with these
                    left -= entry & U31
                    break
                else:  # some of the symbols are of the next block, or the code is a long one
                    entry = U(tables[ac + SHORT + ((acc >> (left - U16)) & LOW16)])
                    left -= entry & U31
                    go = entry >> U5
                    if go >= U64:
                        good = bool(entry & U31 != U0)
                        break
                    k += go
                    good = bool(k <= U64 and entry != U0)
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


@inlined
def _whole(
    data: Any, begins: Any, stops: Any, state: Any, plan: Any, tables: Any, places: Any, ends: Any, preds: Any,
    watch: Any, seen: Any, rest: Any,
) -> Any:  # fmt: skip
    """`parse_whole`, or `parse_whole_seen` if `watch`."""
    room = len(places) // len(begins)
    restart = plan[2] if plan[2] > 0 else -1
    for which in range(len(begins)):
        n = U(stops[which])
        if stops[which] > len(data) or begins[which] < 0:
            return which
        state[0], state[1], state[2], state[3] = begins[which] << 3, 0, 0, 0
        state[4], state[5], state[6], state[7], state[8] = restart, 0, room - 1, 0, 1 << 62
        origin = room * which
        state[8] = _parsed(data, n, state, plan, tables, places, ends, preds, origin, watch, seen, rest)
        if state[6] < room - 1:
            return which
        p = U(ends[origin + room - 1] if restart > 0 else places[origin + room - 1])
        few = p & U7
        p >>= U(3)
        if few > U0:
            stuffed = p + U1 < n and data[p] == 255 and data[p + U1] == 0
            p += U(2) if stuffed else U1
        if p + U1 >= n or data[p] != 255 or data[p + U1] != 217:
            return which
    return len(begins)


@kernel("i(RB,I,RI,RH,I,I,S)")
def parse(data: Any, state: Any, plan: Any, tables: Any, places: Any, ends: Any, preds: Any) -> int:
    """Parse MCU after MCU from `state` on; `places[i]` is where MCU i begins, `preds` the DC before it.

    `state`: position, three predictors, MCUs to the next restart (-1: none come), number of its
    marker, MCUs parsed (out), block the first MCU begins with, position at which to stop. `ends[i]`: where MCU
    i - 1 ends, before a restart marker; not written unless plan has restarts. One entry more than MCUs is
    written, the last one being where it stopped. Gives REACHED (the position to stop at), FULL (arrays),
    WRONG (a code that is none) or ENDED (bytes, or a marker).
    """
    state[6] = len(places) - 1
    return int(_parsed(data, U(len(data)), state, plan, tables, places, ends, preds, 0, False, preds, preds))


@kernel("i(RB,I,RI,RH,I,I,S,S,W)")
def parse_seen(
    data: Any, state: Any, plan: Any, tables: Any, places: Any, ends: Any, preds: Any, seen: Any, rest: Any
) -> int:
    """`parse` that also tells what it saw, of each MCU: `seen` the DC behind each of its blocks, `rest` what AC values
    add to the four pixels of either color block where color is stored at half the size (else it may be empty).

    `state` has twelve more: sums, which are only room, and at place 19 whether some values were too large to tell.
    """
    state[6] = len(places) - 1
    return int(_parsed(data, U(len(data)), state, plan, tables, places, ends, preds, 0, True, seen, rest))


@kernel("i(RB,RI,RI,I,RI,RH,I,I,S)")
def parse_whole(
    data: Any, begins: Any, stops: Any, state: Any, plan: Any, tables: Any, places: Any, ends: Any, preds: Any
) -> int:
    """Parse whole JPEGs of one size that stand one behind the other; gives how many are whole before one that is not.

    JPEG i has its MCUs from byte `begins[i]` on, and ends before byte `stops[i]`. `places`, `ends`, `preds`: as for
    `parse`, equally many entries for each JPEG, one more than it has MCUs. `state` is left as the last parse
    leaves it, but with its status at the end: FULL for one that goes on behind its last MCU.
    """
    return int(_whole(data, begins, stops, state, plan, tables, places, ends, preds, False, preds, preds))


@kernel("i(RB,RI,RI,I,RI,RH,I,I,S,S,W)")
def parse_whole_seen(
    data: Any, begins: Any, stops: Any, state: Any, plan: Any, tables: Any, places: Any, ends: Any, preds: Any,
    seen: Any, rest: Any,
) -> int:  # fmt: skip
    """`parse_whole` that also tells what it saw, as `parse_seen` does; one entry more for each JPEG than it has MCUs."""
    return int(_whole(data, begins, stops, state, plan, tables, places, ends, preds, True, seen, rest))
