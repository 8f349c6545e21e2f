"""Stroke lettering as on technical drawings: capitals, digits and a few signs."""

from __future__ import annotations

from functools import lru_cache

from tilekit.testing.shapes import BLACK, Color, Point, Stroke

# Each glyph: strokes apart by '/', points as two digits x (0..4) and y (0..6, down).
_GLYPHS = {
    "A": "06 20 46/14 34",
    "B": "06 00 30 41 42 33 03/33 44 45 36 06",
    "C": "41 30 10 01 05 16 36 45",
    "D": "06 00 20 42 44 26 06",
    "E": "40 00 06 46/03 33",
    "F": "40 00 06/03 33",
    "G": "41 30 10 01 05 16 36 45 43 23",
    "H": "00 06/40 46/03 43",
    "I": "20 26",
    "J": "40 45 36 16 05",
    "K": "00 06/40 03 46",
    "L": "00 06 46",
    "M": "06 00 23 40 46",
    "N": "06 00 46 40",
    "O": "10 30 41 45 36 16 05 01 10",
    "P": "06 00 30 41 42 33 03",
    "Q": "10 30 41 45 36 16 05 01 10/24 46",
    "R": "06 00 30 41 42 33 03/23 46",
    "S": "41 30 10 01 02 13 33 44 45 36 16 05",
    "T": "00 40/20 26",
    "U": "00 05 16 36 45 40",
    "V": "00 26 40",
    "W": "00 16 23 36 40",
    "X": "00 46/40 06",
    "Y": "00 23 40/23 26",
    "Z": "00 40 06 46",
    "0": "10 30 41 45 36 16 05 01 10/41 05",
    "1": "11 20 26",
    "2": "01 10 30 41 42 06 46",
    "3": "01 10 30 41 42 33 13/33 44 45 36 16 05",
    "4": "36 30 04 44",
    "5": "40 00 02 32 43 45 36 06",
    "6": "40 10 01 05 16 36 45 44 33 03",
    "7": "00 40 16",
    "8": "10 30 41 42 33 13 04 05 16 36 45 44 33/13 02 01 10",
    "9": "43 13 02 01 10 30 41 45 36 06",
    ".": "26 26",
    ",": "26 17",
    "-": "13 33",
    "/": "06 40",
    ":": "22 22/25 25",
    "+": "13 33/22 24",
    "(": "30 11 15 36",
    ")": "10 31 35 16",
    "#": "10 16/30 36/02 42/04 44",
    "%": "06 40/00 10 11 01 00/35 45 46 36 35",
}
ADVANCE = 5.6 / 6
"""Width of a letter with its gap, as a share of the height."""


@lru_cache(maxsize=64)
def _strokes(letter: str) -> tuple[tuple[Point, ...], ...]:
    text = _GLYPHS.get(letter, "")
    return tuple(
        tuple((int(pair[0]), int(pair[1])) for pair in part.split())
        for part in text.split("/")
        if part.strip()
    )


def lettering(
    text: str, x: float, y: float, height: float, *, weight: float = 0.11, color: Color = BLACK
) -> list[Stroke]:
    """Strokes of one line of text, its top left corner at (x, y); unknown letters leave a gap."""
    unit = height / 6
    shapes = []
    for place, letter in enumerate(text.upper()):
        left = x + place * height * ADVANCE
        for points in _strokes(letter):
            placed = tuple((left + px * unit, y + py * unit) for px, py in points)
            shapes.append(Stroke(placed, max(1.0, weight * height), color))
    return shapes


def text_width(text: str, height: float) -> float:
    """Width in px of a line of text."""
    return len(text) * height * ADVANCE
