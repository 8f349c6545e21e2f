"""JPEGs at an eighth of their size, made of what a parse of their bits sees anyway.

At this size a decoder makes one pixel of a block, of nothing but its DC value, and of color stored at half the width or
height repeats it. Of color stored at half the size both ways (4:2:0) it makes 2 x 2 pixels of a block, of some of its AC
values, which the parse then adds up. So the pixels are known without a second reading.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tilekit.jpeg.markers import Header
from tilekit.jpeg.tables import Lookups, lookups, seen_lookups

Pixels = NDArray[np.uint8]
Ints = NDArray[np.int64]
MOST_BYTES = 1 << 26
_NO_REST = np.zeros(0, np.int16)


@dataclass(frozen=True)
class Seen:
    """What a parse saw of MCUs, from entry `at` on: DC behind each block, what AC values add (see `parse_seen`), and
    whether something was too large to tell. `shift`: (3,) what is to be added to DC."""

    values: NDArray[np.int32]
    rest: NDArray[np.int16]
    at: int = 0
    wrong: bool = False
    shift: Ints | None = None

    def shifted(self, shift: Ints | None) -> Seen:
        """The same, DC being counted from elsewhere."""
        return replace(self, shift=shift)


@dataclass(frozen=True)
class Sight:
    """What a parse of JPEGs of this kind must look at, and how pixels follow from it."""

    header: Header

    @property
    def is_plain(self) -> bool:
        """Whether the DC predictors of MCUs, which every parse gives, tell it all."""
        return not self.header.upsampled

    @cached_property
    def halves(self) -> bool:
        """Whether color is stored at half the size both ways."""
        return self.header.sampling[0] == (2, 2)

    @cached_property
    def look(self) -> Lookups:
        """What `parse_seen` looks things up in."""
        header = self.header
        made = lookups(header.sampling, header.dc, header.ac, header.restart)
        return made if self.is_plain else seen_lookups(made, header.ac, self._steps if self.halves else ())

    def room(self, mcus: int) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
        """Where `parse_seen` writes what it sees of so many MCUs."""
        return np.empty(mcus * self._each, np.int32), np.empty(
            8 * mcus, np.int16
        ) if self.halves else _NO_REST

    def of_predictors(self, preds: NDArray[np.int32], at: int = 0) -> Seen:
        """What (n, 3) DC predictors tell, where that is all: the one behind an MCU is that before the next."""
        return Seen(preds.reshape(-1), _NO_REST, at + 1)

    def fill(self, out: Pixels, seen: Seen, runs: Ints, across: int) -> bool:
        """Make the pixels of runs (see `eighths`) in JPEGs of `across` MCUs a row; False where some are not known."""
        from tilekit.jpeg.kernels.eighths import eighths

        h, v = self.header.sampling[0]
        steps = [table[0] for table in self._steps]
        steps += [0] * (3 - len(steps))
        shift = [0, 0, 0] if seen.shift is None else seen.shift.tolist()
        shape = np.array(
            [self._each, across, h, v, self.halves, not _is_rgb(self.header), *steps, *shift], np.int64
        )
        return not eighths(seen.values, seen.rest, shape, runs.reshape(-1), out) and not seen.wrong

    @cached_property
    def _each(self) -> int:
        """Entries of an MCU in what is seen."""
        return 3 if self.is_plain else sum(h * v for h, v in self.header.sampling)

    @cached_property
    def _steps(self) -> tuple[bytes, ...]:
        tables = dict(self.header.quantization)
        return tuple(tables[component.quantization] for component in self.header.components)


class Eighth:
    """A JPEG's page, filled in as a parse goes on. Memory: blocks x components bytes, at most 64 MB."""

    def __init__(self, sight: Sight) -> None:
        header = sight.header
        self.sight = sight
        self._pixels = np.empty((header.height // 8, header.width // 8, len(header.components)), np.uint8)
        self._known = True
        self._rooms: list[tuple[NDArray[np.int32], NDArray[np.int16]]] = []

    def room(self, mcus: int) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
        """As of `Sight`, memory that was taken back first: what is new costs more than what is written there."""
        return self._rooms.pop() if self._rooms else self.sight.room(mcus)

    def give_back(self, seen: Seen) -> None:
        """Nobody looks at it any more."""
        self._rooms.append((seen.values, seen.rest))

    def take(self, first: int, count: int, seen: Seen) -> None:
        """What was seen of `count` MCUs from `first` on."""
        if self._known:
            runs = np.array([seen.at, first, count, 0, 0], np.int64)
            self._known = self.sight.fill(self._pixels, seen, runs, self.sight.header.across)

    def pixels(self) -> Pixels | None:
        """(height // 8, width // 8, bands), as a decoder gives them; None where some are not known."""
        return self._pixels if self._known else None


def sight_of(header: Header) -> Sight | None:
    """How a parse sees the pixels; None where they do not follow from that."""
    if len(header.components) == 3 and _is_rgb(header) is None:
        return None
    return Sight(header) if all(len(table) == 64 for _, table in header.quantization) else None


def eighth_of(header: Header) -> Eighth | None:
    """What a parse fills in; None where it cannot, or the page would be too large."""
    sight = sight_of(header)
    size = (header.width // 8) * (header.height // 8) * len(header.components)
    return Eighth(sight) if sight is not None and 0 < size <= MOST_BYTES else None


def _is_rgb(header: Header) -> bool | None:
    """Whether three components are RGB and not YCbCr, as decoders tell by markers; None where they may not agree."""
    if header.adobe is None or header.density is not None:
        plain = tuple(part.number for part in header.components) == (1, 2, 3) or header.density is not None
        return False if plain and header.adobe in (None, 1) else None
    return header.adobe == 0
