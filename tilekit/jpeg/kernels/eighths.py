"""Pixels of a JPEG at an eighth of its size, made of what a parse saw, as a decoder makes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilekit.compiled import inlined, kernel

_I, _U = np.int32, np.uint64
_0, _1, _2 = _U(0), _U(1), _U(2)
_MOST = 4091  # of eight times a distance from middle gray: beyond, decoders cut off or wrap around, each as it is built


@inlined
def _sample(value: Any) -> Any:
    """A pixel of eight times its distance from middle gray, as it is looked up by its lowest ten bits."""
    return min(255, max(0, (((value + 4100) >> 3) & 1023) - 384))


@inlined
def _word(value: Any) -> Any:
    """In so many bits a decoder keeps coefficients."""
    return ((value + 32768) & 65535) - 32768


@inlined
def _clipped(value: Any) -> Any:
    """Within 0 to 255."""
    value = _I(0) if value < _I(0) else value
    return _I(255) if value > _I(255) else value


@inlined
def _plain(value: Any, step: Any) -> Any:
    """`_sample` of a coefficient in 32 bits, of which many are computed at once."""
    value = _I((_I(_I(value + _I(32768)) & _I(65535)) - _I(32768)) * step)
    return _clipped(_I(_I(_I(value + _I(4100)) >> _I(3)) & _I(1023)) - _I(384))


@inlined
def _plain_row(seen: Any, at: Any, line: Any, shape: Any) -> None:
    """A part of a row of YCbCr pixels of which each is an MCU, from entry `at` of `seen` on."""
    here = seen[3 * at :]
    step0, step1, step2 = _I(shape[6]), _I(shape[7]), _I(shape[8])
    add0, add1, add2 = _I(shape[9]), _I(shape[10]), _I(shape[11])
    for x in range(line.shape[0]):
        light = _plain(_I(here[3 * x] + add0), step0)
        blue = _I(_plain(_I(here[3 * x + 1] + add1), step1) - _I(128))
        red = _I(_plain(_I(here[3 * x + 2] + add2), step2) - _I(128))
        green = _I(_I(blue * _I(-22554)) + _I(red * _I(-46802)))
        line[x, 0] = _clipped(_I(light + _I(_I(_I(red * _I(91881)) + _I(32768)) >> _I(16))))
        line[x, 1] = _clipped(_I(light + _I(_I(green + _I(32768)) >> _I(16))))
        line[x, 2] = _clipped(_I(light + _I(_I(_I(blue * _I(116130)) + _I(32768)) >> _I(16))))


@kernel("i(RS,RW,RI,RI,B3)")
def eighths(seen: Any, rest: Any, shape: Any, runs: Any, out: Any) -> int:
    """Fill in the pixels of runs of MCUs; gives 1 where a value was so large that a decoder's pixel is not known, else 0.

    `seen`, `rest`: as of `parse_seen`. `shape`: entries of `seen` an MCU, MCUs in a row, h and v of the first
    component, whether color is stored at half the size both ways, whether it is YCbCr, and of each component its
    quantization step and what is added to its DC. `runs`: five numbers for each: its first MCU in `seen`, which MCU of its
    JPEG that is, how many MCUs they are, and the top and left of the JPEG in `out`. What lies beyond `out` is left out.
    """
    # Long because a kernel is one loop: what its steps share lives in locals, and a helper would have to carry them.
    each, across, h, v, halves, colors = shape[0], shape[1], shape[2], shape[3], shape[4], shape[5]
    step0, step1, step2, add0, add1, add2 = shape[6], shape[7], shape[8], shape[9], shape[10], shape[11]
    height, width, bands = out.shape
    wrong = 0
    for run in range(len(runs) // 5):
        at, mcu, count = runs[5 * run], runs[5 * run + 1], runs[5 * run + 2]
        row, col = mcu // across, mcu % across
        top, left = runs[5 * run + 3] + row * v, runs[5 * run + 4] + col * h
        while h * v == 1 and bands == 3 and colors > 0 and count > 0:
            here = min(count, across - col)
            if top < height and left < width:
                _plain_row(seen, at, out[top, left : min(left + here, width)], shape)
            at, count, col, top, left = at + here, count - here, 0, top + 1, runs[5 * run + 4]
        for place in range(at, at + count):
            base = _U(place * each)
            cb, cr = 0, 0
            if bands == 3:
                color = base + _U(h * v)
                cb = _word(seen[color] + add1) * step1
                cr = _word(seen[color + _1] + add2) * step2
                if halves > 0 and max(abs(cb), abs(cr)) > _MOST:
                    wrong = 1
            for y in range(min(v, height - top)):
                line = out[_U(top + y)]
                for x in range(min(h, width - left)):
                    light = _sample(_word(seen[base + _U(y * h + x)] + add0) * step0)
                    if bands == 1:
                        line[_U(left + x), _0] = light
                        continue
                    blue, red = cb, cr
                    if halves > 0:
                        more = _U(8 * place + 2 * y + x)
                        blue += rest[more]
                        red += rest[more + _U(4)]
                        if max(abs(blue), abs(red)) > _MOST:
                            wrong = 1
                    blue, red = _sample(blue), _sample(red)
                    pixel = line[_U(left + x)]
                    if colors > 0:
                        blue, red = blue - 128, red - 128
                        green = light + ((blue * -22554 + red * -46802 + 32768) >> 16)
                        pixel[_0] = min(255, max(0, light + ((red * 91881 + 32768) >> 16)))
                        pixel[_1] = min(255, max(0, green))
                        pixel[_2] = min(255, max(0, light + ((blue * 116130 + 32768) >> 16)))
                    else:
                        pixel[_0] = light
                        pixel[_1] = blue
                        pixel[_2] = red
            col, left = col + 1, left + h
            if col == across:
                col, top, left = 0, top + v, runs[5 * run + 4]
    return wrong
