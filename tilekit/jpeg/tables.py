"""Huffman tables as the kernels look them up, and the codes DC differences are coded anew with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Codes = tuple[bytes, bytes]  # as in a DHT: how many codes of each length 1 to 16, and their symbols
_ALL = 65536
_SHORT_BITS = (
    13  # of stream in the tables that are looked up first: two of them fit a processor's nearest cache
)
_SHORT = 1 << _SHORT_BITS
_END = 64  # an end of block is told by this many places more
_CATEGORIES = 12


@dataclass(frozen=True)
class Lookups:
    """`tables` and `plan` of `kernels.parsing.parse`, `codes` of `kernels.copying.copy_runs`, and the DC tables to write."""

    tables: NDArray[np.uint16]
    plan: NDArray[np.int64]
    codes: NDArray[np.int64]
    written: tuple[Codes, ...]


def is_complete(table: Codes) -> bool:
    """Whether the lengths leave every code its own place (a stream could not be read otherwise)."""
    counts, symbols = table
    used = sum(count << (16 - length) for length, count in enumerate(counts, 1))
    return len(counts) == 16 and sum(counts) == len(symbols) <= 256 and 0 < used <= _ALL


@lru_cache(8)
def lookups(
    sampling: tuple[tuple[int, int], ...], dc: tuple[Codes, ...], ac: tuple[Codes, ...], restart: int
) -> Lookups:
    """Of a scan whose components have these samplings (h, v) and tables; each one is made once."""
    written = tuple(widened(table) for table in dc)
    parts: list[NDArray[np.uint16]] = []
    dc_at: dict[Codes, int] = {}
    ac_at: dict[Codes, int] = {}
    for table in dict.fromkeys(dc):  # as they are: a code that only `written` has is damage
        dc_at[table] = sum(map(len, parts))
        parts += [_dc(table)[:: _ALL // _SHORT] * _known(table), _dc(table)]
    for table in dict.fromkeys(ac):
        ac_at[table] = sum(map(len, parts))
        parts += [_several(table), _single(table)]
    plan = np.zeros(40, np.int64)
    order = [which for which, (h, v) in enumerate(sampling) for _ in range(h * v)]
    plan[0], plan[1], plan[2] = len(order), len(sampling), restart
    for block, which in enumerate(order):
        plan[8 + block], plan[18 + block], plan[28 + block] = which, dc_at[dc[which]], ac_at[ac[which]]
    codes = np.zeros(16 * len(sampling), np.int64)
    for which, table in enumerate(written):
        for code, length, symbol in _codes(table):
            if symbol < _CATEGORIES:
                codes[16 * which + symbol] = code | length << 16
    return Lookups(np.concatenate(parts), plan, codes, written)


_ODD = {1: 29692, 3: -10426, 5: 6967, 7: -5906}  # of the 2 x 2 inverse DCT, 13 bits behind the point
_SUMS = {0: 9, 1: 10, 3: 11, 5: 12, 7: 13}  # in what a parse keeps, of columns; five more for the first row
_NO_SUM = 20
_MOST = 12_000  # times its step; far below where a decoder's 16 bits end


@lru_cache(8)
def _looks(steps: bytes) -> NDArray[np.int64]:
    """Of color stored at half the size: where each of 64 coefficients is added up, its factor, and the most it may be."""
    made = np.zeros((3, 64), np.int64)
    made[0], made[2] = _NO_SUM, 1 << 16
    for place, at in enumerate(_ZIGZAG):
        row, col = divmod(at, 8)
        if col in _SUMS and (row in _ODD or row == 0):
            step = max(1, steps[place])
            made[:, place] = _SUMS[col] + 5 * (row == 0), steps[place] * _ODD.get(row, 1), _MOST // step
    return made.reshape(-1)


def seen_lookups(made: Lookups, ac: tuple[Codes, ...], steps: tuple[bytes, ...]) -> Lookups:
    """The same for `parse_seen`; `steps`: quantization tables of the components, where AC values of color are needed."""
    plan, tables = np.append(made.plan, np.zeros(2, np.int64)), [made.tables]
    for which in range(1, len(steps)):
        plan[39 + which] = sum(map(len, tables))
        plan = np.append(plan, _looks(steps[which]))
        tables += [_valued(ac[which]), _fine(ac[which])]
    return replace(made, tables=np.concatenate(tables), plan=plan)


def _zigzag() -> list[int]:
    """Place in the block, counted row by row, of each coefficient (T.81, figure 5)."""
    places = [(row, col) for row in range(8) for col in range(8)]
    places.sort(key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]))
    return [8 * row + col for row, col in places]


_ZIGZAG = _zigzag()


@lru_cache(16)
def _fine(table: Codes) -> NDArray[np.uint16]:
    """One symbol by 16 bits: code length + 32 x size + 512 x places; 0: no code."""
    made = np.zeros(_ALL, np.uint16)
    for code, length, symbol in _codes(table):
        first, run, size = code << (16 - length), symbol >> 4, symbol & 15
        if size == 0 and run not in (0, 15):
            continue
        places = _END if symbol == 0 else run + 1
        made[first : first + (1 << (16 - length))] = length + 32 * size + 512 * places
    return made


@lru_cache(16)
def _valued(table: Codes) -> NDArray[np.uint16]:
    """One symbol and its value, where 13 bits hold both: bits + 16 x zeros before it + 256 x (value + 128); else 0."""
    fine = _fine(table)[:: _ALL // _SHORT].astype(np.int64)
    length, size, places = fine & 31, fine >> 5 & 15, fine >> 9
    stream = np.arange(_SHORT)
    bits = length + size
    fits = (fine > 0) & (bits <= _SHORT_BITS) & (size < 8)
    value = stream >> np.maximum(_SHORT_BITS - bits, 0) & (1 << size) - 1
    value -= np.where(value < 1 << np.maximum(size - 1, 0), (1 << size) - 1, 0) * (size > 0)
    zeros = np.where(places == _END, 0, places - 1)
    return np.where(fits, bits + 16 * zeros + 256 * (value + 128), 0).astype(np.uint16)


@lru_cache(64)
def widened(table: Codes) -> Codes:
    """The DC table with a code for each category, where there is room behind its longest code.

    Optimized tables lack the categories a scan does not use, and a tile may need them at a jump. The code
    of ones only, which no table uses, makes room for longer ones; all others stay as they are.
    """
    counts, symbols = list(table[0]), table[1]
    missing = bytes(category for category in range(_CATEGORIES) if category not in symbols)
    if not missing:
        return table
    longest = max(length for length, count in enumerate(counts, 1) if count)
    free = _ALL - sum(count << (16 - length) for length, count in enumerate(counts, 1))
    for length in range(longest, 17):
        room = free >> (16 - length)
        if room > len(missing):  # one code more stays unused: that of ones only
            counts[length - 1] += len(missing)
            return bytes(counts), symbols + missing
    return table


def _codes(table: Codes) -> list[tuple[int, int, int]]:
    """(code, length, symbol), in the order of T.81, annex C."""
    found, code, place = [], 0, 0
    for length, count in enumerate(table[0], 1):
        for _ in range(count):
            found.append((code, length, table[1][place]))
            code, place = code + 1, place + 1
        code <<= 1
    return found


@lru_cache(16)
def _dc(table: Codes) -> NDArray[np.uint16]:
    made = np.zeros(_ALL, np.uint16)
    for code, length, symbol in _codes(table):
        first = code << (16 - length)
        if symbol < 16:
            made[first : first + (1 << (16 - length))] = length + 32 * symbol
    return made


@lru_cache(16)
def _single(table: Codes) -> NDArray[np.uint16]:
    made = np.zeros(_ALL, np.uint16)
    for code, length, symbol in _codes(table):
        first, run, size = code << (16 - length), symbol >> 4, symbol & 15
        if size == 0 and run not in (0, 15):
            continue
        places = _END if symbol == 0 else run + 1
        made[first : first + (1 << (16 - length))] = length + size + 32 * places
    return made


@lru_cache(16)
def _lengths(table: Codes) -> NDArray[np.int64]:
    """Bits of the code alone; 0: no code."""
    made = np.zeros(_ALL, np.int64)
    for code, length, _ in _codes(table):
        first = code << (16 - length)
        made[first : first + (1 << (16 - length))] = length
    return made


def _known(table: Codes) -> NDArray[np.bool_]:
    """Whether so few bits tell the code."""
    return _lengths(table)[:: _ALL // _SHORT] <= _SHORT_BITS


@lru_cache(16)
def _several(table: Codes) -> NDArray[np.uint16]:
    """As many symbols as have their codes in 13 bits, the value of the last one lying beyond; at most 31 bits in all."""
    single, lengths = _single(table), _lengths(table)
    stream = np.arange(_SHORT, dtype=np.int64) << (16 - _SHORT_BITS)
    bits = (single[stream] & 31).astype(np.int64)
    places = (single[stream] >> 5).astype(np.int64)
    unknown = (single[stream] == 0) | ~_known(table)
    growing = np.flatnonzero(~unknown & (places < _END) & (bits < _SHORT_BITS))
    while growing.size:
        rest = (stream[growing] << bits[growing]) & 0xFFFF
        following = single[rest].astype(np.int64)
        more_bits, more_places = following & 31, following >> 5
        there = places[growing] + (more_places & 63)
        fits = (following > 0) & (bits[growing] + lengths[rest] <= _SHORT_BITS)
        fits &= (bits[growing] + more_bits <= 31) & (there < _END)
        growing, more_bits, more_places = growing[fits], more_bits[fits], more_places[fits]
        bits[growing] += more_bits
        places[growing] += more_places
        growing = growing[(places[growing] < _END) & (bits[growing] < _SHORT_BITS)]
    made: NDArray[np.uint16] = (bits + 32 * places).astype(np.uint16)
    made[unknown] = 32 * 127
    return made
