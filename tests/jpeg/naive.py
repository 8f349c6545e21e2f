"""The slow, obvious twin of the kernels: a baseline JPEG decoded to coefficients, bit by bit (T.81, annex F)."""

from __future__ import annotations

import numpy as np

from tilekit.jpeg.markers import read_header


class Bits:
    """The bits of entropy-coded data, one at a time; `place` as the kernels count it."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at, self.bit = data, at, 0

    @property
    def place(self) -> int:
        return 8 * self.at + self.bit

    def one(self) -> int:
        byte = self.data[self.at]
        stuffed = byte == 255
        if stuffed and self.data[self.at + 1] != 0:
            raise ValueError("a marker")
        value = byte >> (7 - self.bit) & 1
        self.bit += 1
        if self.bit == 8:
            self.at, self.bit = self.at + 1 + stuffed, 0
        return value

    def number(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = 2 * value + self.one()
        return value

    def signed(self, count: int) -> int:
        value = self.number(count)
        return value if not count or value >> (count - 1) else value - (1 << count) + 1

    def symbol(self, table: tuple[bytes, bytes]) -> int:
        code = first = place = 0
        for count in table[0]:
            code, first = 2 * code + self.one(), 2 * first
            if code - first < count:
                return table[1][place + code - first]
            first, place = first + count, place + count
        raise ValueError("no such code")

    def restart(self, number: int) -> None:
        if self.bit:
            self.at += 2 if self.data[self.at] == 255 else 1
            self.bit = 0
        if self.data[self.at : self.at + 2] != bytes([0xFF, 0xD0 + number]):
            raise ValueError("no restart marker")
        self.at += 2


def coefficients(data: bytes) -> tuple[list[np.ndarray], list[int]]:
    """One (rows, columns, 64) array of blocks a component, and where each MCU begins (and the last ends)."""
    header, begin = read_header(lambda at, count: data[at : at + count])
    planes = [np.zeros((header.down * v, header.across * h, 64), np.int64) for h, v in header.sampling]
    bits, places, predictors = Bits(data, begin), [], [0] * len(planes)
    for mcu in range(header.across * header.down):
        if header.restart and mcu and mcu % header.restart == 0:
            bits.restart((mcu // header.restart - 1) & 7)
            predictors = [0] * len(planes)
        places.append(bits.place)
        row, col = divmod(mcu, header.across)
        for which, (h, v) in enumerate(header.sampling):
            for y in range(v):
                for x in range(h):
                    block = planes[which][row * v + y, col * h + x]
                    predictors[which] += bits.signed(bits.symbol(header.dc[which]))
                    block[0] = predictors[which]
                    k = 1
                    while k < 64:
                        run, size = divmod(bits.symbol(header.ac[which]), 16)
                        if size == 0 and run == 0:
                            break
                        if size == 0 and run != 15:
                            raise ValueError("no such symbol")
                        k += run
                        value = bits.signed(size)
                        block[k] = value
                        k += 1
    return planes, [*places, bits.place]
