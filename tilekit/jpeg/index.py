"""Where MCUs begin in a JPEG's entropy-coded data, found by one parse on any number of threads.

A parse that begins anywhere falls into step with the true one within a few hundred bits. So the data is
split, each part is parsed from a guessed place on, and parts are joined only where the parse before arrives
at exactly the bit at which the part's first MCU was taken to begin: from one bit position and one place in
the MCU on, all parses are the same. Where it does not, the part is parsed again from where it must be.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.flow import ordered_map
from tilekit.jpeg.eighth import Eighth, Seen, Sight
from tilekit.jpeg.markers import CannotCut, Header, ReadAt
from tilekit.jpeg.tables import Lookups, lookups

Ints = NDArray[np.int64]
_PART = 1 << 18
_AHEAD = 1 << 16  # bytes of the next part a parse may need to end its last MCU
_STEP = 2048  # bytes in which a parse from anywhere falls into step (measured: 221 at most)
MOST_MCUS = 160_000  # of a part, at the least bits an MCU has in practice
_NEVER = 1 << 62
_GOES_ON = "its data goes on behind the last MCU"
_REACHED, _WRONG, _ENDED = 0, 2, 3  # what the kernel gives; it is imported when it is first run
MOST_INDEX_BYTES = 1 << 26
_MARK_BYTES = 36
_WRONG_AT = 19  # in what a parse leaves: whether something was too large to tell


@dataclass(frozen=True)
class Runs:
    """Runs of whole MCUs: bits `starts` to `ends` of the file, (n, 3) DC predictors `before`, `after`."""

    starts: Ints
    ends: Ints
    before: NDArray[np.int32]
    after: NDArray[np.int32]

    @property
    def bytes(self) -> int:
        """Bytes they take in the file, about."""
        return int((self.ends - self.starts).sum() >> 3) + 3 * len(self.starts)


@dataclass(frozen=True)
class McuIndex:
    """Bit positions and DC predictors before the MCUs `marks` (counted row by row; the last is their number).

    There is one for each of `columns` in each row of MCUs, and one for each restart marker. Memory: 36
    bytes a mark.
    """

    header: Header
    lookups: Lookups
    columns: Ints
    marks: Ints
    starts: Ints
    ends: Ints
    preds: NDArray[np.int32]

    def runs(self, left: int, top: int, right: int, bottom: int) -> Runs:
        """The MCUs of a rectangle, in MCUs; `left` and `right` must be columns of the index, or the width."""
        across, per_row = self.header.across, len(self.columns)
        rows = np.arange(top, bottom, dtype=np.int64)
        restart = self.header.restart
        if restart % across == 0:  # none, or only where a row begins
            first = rows * per_row + int(np.searchsorted(self.columns, left))
            here = int(np.searchsorted(self.columns, right))
            last = (rows + 1) * per_row if right == across else rows * per_row + here
        else:
            begin = np.searchsorted(self.marks, rows * across + left)
            stop = np.searchsorted(self.marks, rows * across + right)
            first, last = self._between_restarts(begin, stop)
        before = self.preds[first]
        if restart:
            before[self.marks[first] % restart == 0] = 0
        return Runs(self.starts[first], self.ends[last], before, self.preds[last])

    def _between_restarts(self, begin: Ints, stop: Ints) -> tuple[Ints, Ints]:
        """Each run split where restart markers stand inside it."""
        firsts, lasts = [], []
        for low, high in zip(begin, stop, strict=True):
            inner = np.arange(low + 1, high)
            places = np.concatenate([[low], inner[self.marks[inner] % self.header.restart == 0], [high]])
            firsts.append(places[:-1])
            lasts.append(places[1:])
        return np.concatenate(firsts), np.concatenate(lasts)

    def column(self, wanted: int) -> tuple[int, int]:
        """The last column of the index at or before `wanted`, and the first at or behind it."""
        place = int(np.searchsorted(self.columns, wanted, "right"))
        low = int(self.columns[place - 1])
        if low == wanted:
            return low, low
        return low, int(self.columns[place]) if place < len(self.columns) else self.header.across


@dataclass(frozen=True)
class EveryMcu:
    """Of each MCU of small JPEGs, and behind the last: where it begins, where the one before ends, and DC predictors.

    `before` are those it is coded with, `after` those left behind by the MCU before it: the two differ at restart
    markers. JPEG after JPEG, `each` entries of them. Memory: 20 bytes an MCU, 40 with restart markers.
    """

    each: int
    starts: Ints
    ends: Ints
    before: NDArray[np.int32]
    after: NDArray[np.int32]

    @property
    def nbytes(self) -> int:
        """Bytes it takes."""
        return (self.starts.nbytes + self.before.nbytes) * (1 if self.ends is self.starts else 2)

    def of(self, which: int) -> tuple[NDArray[Any], ...]:
        """What is known of one of the JPEGs: its `starts`, `ends`, `before` and `after`, without `ends` and `after` where those are the same."""
        here = slice(which * self.each, (which + 1) * self.each)
        if self.ends is self.starts:
            return self.starts[here], self.before[here]
        return self.starts[here], self.ends[here], self.before[here], self.after[here]


def every_mcu(
    data: NDArray[np.uint8], header: Header, begins: Ints, stops: Ints, sight: Sight | None = None
) -> tuple[EveryMcu, Seen | None]:
    """Parse whole JPEGs in memory, of one header, by one call; raises CannotCut as `build_index` does.

    The data of each is in the bytes `begins` to `stops`. What `sight` sees is given too: of JPEG i from its entry
    `at` + i x `each` on.
    """
    from tilekit.jpeg.kernels.parsing import parse_whole, parse_whole_seen

    look = lookups(header.sampling, header.dc, header.ac, header.restart)
    total, count = header.across * header.down, len(begins)
    if total > MOST_MCUS:
        raise CannotCut("its blocks are too large")
    starts, preds = np.empty(count * (total + 1), np.int64), np.empty((count * (total + 1), 3), np.int32)
    ends = np.empty(len(starts), np.int64) if header.restart else starts
    state, flat, seen = _state([]), preds.reshape(-1), None
    if sight is None or sight.is_plain:
        good = parse_whole(data, begins, stops, state, look.plan, look.tables, starts, ends, flat)
        seen = None if sight is None else sight.of_predictors(preds)
    else:
        look, (values, rest) = sight.look, sight.room(len(starts))
        good = parse_whole_seen(
            data, begins, stops, state, look.plan, look.tables, starts, ends, flat, values, rest
        )
        seen = Seen(values, rest, wrong=bool(state[_WRONG_AT]))
    if good < count:
        if state[6] < total:
            what = "is cut short" if state[8] == _ENDED else "is damaged"
            raise CannotCut(f"its data {what} at byte {(int(state[0]) >> 3) - int(begins[good])}")
        raise CannotCut(_GOES_ON)
    _check_preds(preds)
    if not header.restart:
        return EveryMcu(total + 1, starts, starts, preds, preds), seen
    before = preds.copy()
    before.reshape(count, total + 1, 3)[:, :: header.restart] = 0
    return EveryMcu(total + 1, starts, ends, before, preds), seen


def _check_end(tail: bytes, end: int) -> None:
    """Raise CannotCut unless the bytes where the last MCU ends, at bit `end`, go on with the end of the image."""
    if end & 7:
        tail = tail[2:] if tail[:2] == b"\xff\x00" else tail[1:]
    if tail[:2] != b"\xff\xd9":
        raise CannotCut(_GOES_ON)


def _check_preds(preds: NDArray[np.int32]) -> None:
    if np.maximum.reduce(preds, None) > 32767 or np.minimum.reduce(preds, None) < -32767:
        raise CannotCut("its DC values make no sense")


def spaced_columns(header: Header) -> Ints:
    """Every k-th column of MCUs, k = 16 or as many more as keep an index within 16 MB."""
    most = max(1, (MOST_INDEX_BYTES // 4) // _MARK_BYTES // header.down)
    return np.arange(0, header.across, max(16, -(-header.across // most)), dtype=np.int64)


def build_index(
    read: ReadAt,
    size: int,
    header: Header,
    begin: int,
    columns: Sequence[int] | Ints,
    *,
    workers: int,
    watch: Eighth | None = None,
) -> McuIndex:
    """Parse the data from byte `begin` of a file of `size` bytes; `columns`: of MCUs, whose places are kept.

    `watch` is filled in, in the calling thread.

    Memory: 36 bytes x rows of MCUs x columns (and one for each restart marker), at most 64 MB, and 6 MB a
    worker. The index does not depend on `workers`. Raises CannotCut where the data is not whole, or not
    of the size the header says.
    """
    look = lookups(header.sampling, header.dc, header.ac, header.restart)
    wanted = np.array(sorted({0, *(int(column) for column in columns if column < header.across)}), np.int64)
    total = header.across * header.down
    restarts = total // header.restart if header.restart else 0
    if (len(wanted) * header.down + restarts) * _MARK_BYTES > MOST_INDEX_BYTES:
        raise CannotCut(f"an index of it takes more than {MOST_INDEX_BYTES >> 20} MB")
    marks = (np.arange(header.down, dtype=np.int64)[:, None] * header.across + wanted).reshape(-1)
    marks = np.append(marks, total)
    if header.restart:
        marks = np.unique(np.concatenate([marks, np.arange(0, total, header.restart, dtype=np.int64)]))
    stitch = _Stitch(read, size, look, marks, begin, header.restart, watch)
    stops = [*range(begin + _PART, size, _PART), size]
    if workers <= 1 or len(stops) < 3:
        stitch.walk(size)
    else:
        parts = list(zip([begin, *stops], stops, strict=False))[1:]
        stitch.walk(stops[0] + 2 * _STEP, hold=True)
        guesses = ordered_map(stitch.guess, parts, workers=workers, ahead=2 * workers)
        with contextlib.closing(guesses):  # type: ignore[type-var]
            for (_, stop), guess in zip(parts, guesses, strict=False):
                if not stitch.join(guess):
                    stitch.walk(stop + 2 * _STEP, hold=True)
                if stitch.done:
                    break
    stitch.finish()
    _check_preds(stitch.preds)
    return McuIndex(header, look, wanted, marks, stitch.starts, stitch.ends, stitch.preds)


@dataclass
class _Piece:
    """One parse: its MCUs' places (bits of the file), ends and predictors, the first being `start`."""

    start: int
    count: int
    places: Ints
    ends: Ints
    preds: NDArray[np.int32]
    base: int
    absolute: bool
    number: int
    seen: Seen | None = None


class _Stitch:
    """The parse so far: true positions only; pieces are added where they begin at the present one."""

    def __init__(
        self,
        read: ReadAt,
        size: int,
        look: Lookups,
        marks: Ints,
        begin: int,
        restart: int,
        watch: Eighth | None,
    ) -> None:
        self._read, self._size, self._look, self._marks, self._restart = read, size, look, marks, restart
        self._watch = watch
        self._total = int(marks[-1])
        self._at = 8 * begin
        self._mcu = 0
        self._pred = np.zeros(3, np.int64)
        self._to_restart, self._number = restart or -1, 0
        self._held: _Piece | None = None
        self.starts = np.full(len(marks), 8 * begin, np.int64)
        self.ends = np.full(len(marks), 8 * begin, np.int64) if restart else self.starts
        self.preds = np.zeros((len(marks), 3), np.int32)

    @property
    def done(self) -> bool:
        """Whether all MCUs are found."""
        return self._mcu + (self._held.count if self._held is not None else 0) >= self._total

    def guess(self, part: tuple[int, int]) -> _Piece | None:
        """Parse a part of the bytes from a likely begin of an MCU on; safe in any thread."""
        first, stop = part
        data = self._bytes(first, stop)
        if self._restart:
            return self._behind_marker(data, first, stop)
        skip = 1 if first and self._read(first - 1, 1) == b"\xff" else 0
        votes: Counter[int] = Counter()
        for phase in range(int(self._look.plan[0])):
            state = self._state(8 * skip, phase, 8 * _STEP)
            piece, status = self._parse(data, 8 * first, state, 2 * _STEP, blind=True)
            if status == _REACHED:
                votes[piece.base + int(piece.places[piece.count])] += 1
        if not votes:
            return None
        start = min(votes, key=lambda place: (-votes[place], place))
        state = self._state(start - 8 * first, 0, 8 * (stop - first + 2 * _STEP))
        return self._parse(data, 8 * first, state)[0]

    def _behind_marker(self, data: NDArray[np.uint8], first: int, stop: int) -> _Piece | None:
        inside = data[: stop - first]
        found = np.flatnonzero((inside[:-1] == 255) & (inside[1:] >= 0xD0) & (inside[1:] <= 0xD7))
        if not found.size:
            return None
        place = int(found[0])
        state = self._state(8 * (place + 2), 0, 8 * (stop - first + 2 * _STEP))
        state[4], state[5] = self._restart, (int(data[place + 1]) + 1) & 7
        piece = self._parse(data, 8 * first, state)[0]
        piece.absolute = True
        return piece

    def walk(self, stop: int, *, hold: bool = False) -> None:
        """Parse from the present position to byte `stop`, in this thread; the last piece may wait for a join."""
        self._settle()
        while self._mcu < self._total and self._at < 8 * min(stop, self._size):
            first = self._at >> 3
            last = min(first + _PART, stop)
            data = self._bytes(first, last)
            state = self._state(self._at & 7, 0, 8 * (last - first) if last < self._size else _NEVER)
            state[1:4], state[4], state[5] = self._pred, self._to_restart, self._number
            piece, status = self._parse(data, 8 * first, state)
            piece.absolute = True
            if hold and last >= stop and status == _REACHED:
                self._held = piece
                return
            self._take(piece, piece.count)
            whole = first + len(data) >= self._size
            if status in (_WRONG, _ENDED) and self._mcu < self._total and (whole or not piece.count):
                what = "is cut short" if status == _ENDED else "is damaged"
                raise CannotCut(f"its data {what} at byte {self._at >> 3}")

    def join(self, piece: _Piece | None) -> bool:
        """Go on with a piece, if what is known arrives at its first bit at the begin of an MCU."""
        held = self._held
        if piece is None or held is None:
            return False
        place = int(np.searchsorted(held.places[: held.count + 1], piece.start - held.base))
        if place > held.count or int(held.places[place]) + held.base != piece.start:
            return False
        self._take(held, place)
        expected = self._to_restart == self._restart and piece.number == self._number
        if piece.absolute and not expected:  # it begins behind another restart marker than is due
            return False
        self._held = piece
        return True

    def finish(self) -> None:
        """Check that the data ends with the last MCU; raises CannotCut."""
        self.walk(self._size)
        if self._mcu < self._total:
            raise CannotCut(f"its data ends after {self._mcu} of {self._total} MCUs")
        end = int(self.ends[-1])
        _check_end(self._read(end >> 3, 4), end)

    def _settle(self) -> None:
        if self._held is not None:
            piece, self._held = self._held, None
            self._take(piece, piece.count)

    def _take(self, piece: _Piece, count: int) -> None:
        """Add the first `count` MCUs of a piece that begins where we are."""
        self._held = None
        count = min(count, self._total - self._mcu)
        low = int(np.searchsorted(self._marks, self._mcu, "right"))
        high = int(np.searchsorted(self._marks, self._mcu + count, "right"))
        inside = self._marks[low:high] - self._mcu
        self.starts[low:high] = piece.places[inside] + piece.base
        shift = 0 if piece.absolute else self._pred
        if self._restart:
            self.ends[low:high] = piece.ends[inside] + piece.base
        self.preds[low:high] = piece.preds[inside] + shift
        was = self._pred
        self._pred = piece.preds[count].astype(np.int64) + shift
        if self._watch is not None:
            seen = piece.seen or self._watch.sight.of_predictors(piece.preds)
            self._watch.take(self._mcu, count, seen.shifted(None if piece.absolute else was))
            if piece.seen is not None:
                self._watch.give_back(piece.seen)
        self._mcu += count
        self._at = int(piece.places[count]) + piece.base
        if self._restart and count:
            left = self._restart - self._mcu % self._restart
            self._number = (self._mcu // self._restart) & 7
            self._to_restart = left
            if left == self._restart:
                self._pred = np.zeros(3, np.int64)

    def _bytes(self, first: int, stop: int) -> NDArray[np.uint8]:
        return np.frombuffer(self._read(first, min(stop + _AHEAD, self._size) - first), np.uint8)

    def _state(self, position: int, phase: int, stop: int) -> Ints:
        return _state([position, 0, 0, 0, self._restart or -1, 0, 0, phase, stop])

    def _parse(
        self, data: NDArray[np.uint8], base: int, state: Ints, most: int = MOST_MCUS, *, blind: bool = False
    ) -> tuple[_Piece, int]:
        from tilekit.jpeg.kernels.parsing import parse, parse_seen

        start, number, room = int(state[0]), int(state[5]), min(most, self._total + 1)
        places, preds = np.empty(room + 1, np.int64), np.empty((room + 1, 3), np.int32)
        ends = np.empty(room + 1 if self._restart else 0, np.int64)
        flat, seen = preds.reshape(-1), None
        if blind or self._watch is None or self._watch.sight.is_plain:
            status = parse(data, state, self._look.plan, self._look.tables, places, ends, flat)
        else:
            look, (values, rest) = self._watch.sight.look, self._watch.room(room + 1)
            status = parse_seen(data, state, look.plan, look.tables, places, ends, flat, values, rest)
            seen = Seen(values, rest, wrong=bool(state[_WRONG_AT]))
        count = int(state[6])
        return _Piece(start + base, count, places, ends, preds, base, False, number, seen), int(status)


def _state(values: list[int]) -> Ints:
    """What a parse begins with, and room for what it adds up."""
    made = np.zeros(21, np.int64)
    made[: len(values)] = values
    return made
