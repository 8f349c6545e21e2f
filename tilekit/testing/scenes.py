"""Labeled pages made by code: engineering sheets with small symbols among text, lines, tables and look-alikes.

The only generator of labeled scenes. Everything follows from the seed. The same page comes as pixels
(`scene_page`) or as vectors in a PDF (`scene_pdf`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.errors import InvalidArgument
from tilekit.pages import PageKey
from tilekit.testing.lettering import lettering, text_width
from tilekit.testing.pdf import write_pdf
from tilekit.testing.shapes import Color, Shape, Stroke, draw, shape_bounds
from tilekit.testing.symbols import DEMO_SYMBOLS, LOOK_ALIKES, SYMBOLS, symbol

_WORDS: list[str] = str.split(
    "VALVE PUMP TANK LINE FLOW TYP DETAIL SECTION REF NOTE SEE DWG STEEL PIPE FLANGE BOLT WELD PLATE "
    "GRID LEVEL PLAN NORTH ELEV DATUM SLAB BEAM COLUMN WALL DOOR DUCT VENT DRAIN SUPPLY RETURN MOTOR"
)
TABLE = "table"
"""The label of a page's large table."""
INLINE = 0.6
"""Share of the symbols that stand in a line of text, as a person's notes on a drawing have them."""
_INKS: tuple[Color, ...] = ((190, 30, 30), (20, 60, 170), (10, 120, 60), (120, 40, 130), (0, 0, 0))


@dataclass(frozen=True, slots=True)
class SceneStyle:
    """What stands around the symbols. `clutter`: amount of text, lines and tables; `color`: colored inks; `noise`:
    standard deviation of the paper, in pixels only; `look_alikes`: unlabeled shapes, a few more than the symbols
    (None: the usual ones that are no symbols); `table_px`: range of the width of one large table a page, labeled
    "table" after the symbols, or None for no such table.
    """

    clutter: float = 1.0
    color: bool = False
    table_px: tuple[float, float] | None = None
    look_alikes: Sequence[str] | None = None
    noise: float = 4.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What is on a page. `symbols`: labels; `symbol_px`: range of a symbol's side; `count`: labeled symbols, fewer
    where there is no room; `style`: what stands around them."""

    symbols: Sequence[str] = DEMO_SYMBOLS
    symbol_px: tuple[float, float] = (13.0, 16.0)
    count: int = 12
    style: SceneStyle = SceneStyle()

    def __post_init__(self) -> None:
        unknown = [name for name in self.symbols if name not in SYMBOLS]
        if unknown or not self.symbols:
            raise InvalidArgument(f"symbols={list(self.symbols)}: use some of {', '.join(SYMBOLS)}")
        if not 0 < self.symbol_px[0] <= self.symbol_px[1]:
            raise InvalidArgument(f"symbol_px={self.symbol_px}: must be a range above 0")

    @property
    def look_alikes(self) -> Sequence[str]:
        """Shapes that stand for themselves and have no label."""
        if self.style.look_alikes is not None:
            return self.style.look_alikes
        return [name for name in LOOK_ALIKES if name not in self.symbols]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the labels, the table's last."""
        return (*self.symbols, *([] if self.style.table_px is None else [TABLE]))

    def empty(self) -> Scene:
        """The same page with nothing on it that is labeled."""
        return replace(self, count=0, style=replace(self.style, table_px=None))


_STYLE, _SCENE = SceneStyle(), Scene()


@dataclass(slots=True)
class _Sheet:
    """A page being made: its shapes, and the rectangles that are taken."""

    width: int
    height: int
    random: np.random.Generator
    color: bool
    shapes: list[Shape] = field(default_factory=list)
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def place(
        self, width: float, height: float, margin: float, tries: int = 60
    ) -> tuple[float, float] | None:
        """A free spot for a rectangle inside the frame, taken from now on; None where none is found."""
        border = 0.03 * self.width
        room_x, room_y = self.width - 2 * border - width, self.height - 2 * border - height
        if room_x <= 0 or room_y <= 0:
            return None
        for _ in range(tries):
            x, y = border + self.random.random() * room_x, border + self.random.random() * room_y
            area = (x - margin, y - margin, x + width + margin, y + height + margin)
            if not any(
                a[0] < area[2] and area[0] < a[2] and a[1] < area[3] and area[1] < a[3] for a in self.taken
            ):
                self.taken.append(area)
                return x, y
        return None

    def ink(self) -> Color:
        """A pen's color: some dark gray, or any on colored sheets."""
        if self.color:
            return _INKS[int(self.random.integers(len(_INKS)))]
        gray = int(self.random.integers(0, 70))
        return gray, gray, gray


def scene_page(
    seed: int,
    width: int = 4000,
    height: int = 2828,
    *,
    symbols: Sequence[str] = DEMO_SYMBOLS,
    symbol_px: tuple[float, float] = (13.0, 16.0),
    count: int = 12,
    style: SceneStyle = _STYLE,
) -> tuple[NDArray[np.uint8], Annotations]:
    """A page as (h, w, 1 or 3) uint8 pixels and its labels, names in the order of `symbols`.

    `symbols`, `symbol_px`, `count`: as in Scene; `style`: see SceneStyle.
    """
    shapes, labels = scene_shapes(seed, width, height, Scene(symbols, symbol_px, count, style))
    canvas = np.full((height, width, 3 if style.color else 1), 250, np.uint8)
    draw(canvas, shapes)
    if style.noise > 0:
        grain = np.random.default_rng([seed, 1]).normal(0, style.noise, canvas.shape[:2]).astype(np.float32)
        canvas = np.clip(canvas + grain[:, :, None], 0, 255).astype(np.uint8)
    return canvas, labels


def scene_shapes(
    seed: int, width: int, height: int, scene: Scene = _SCENE
) -> tuple[list[Shape], Annotations]:
    """What `scene_page` draws, as shapes, and the labels."""
    style, count, symbol_px = scene.style, scene.count, scene.symbol_px
    sheet = _Sheet(width, height, np.random.default_rng([seed, 0]), style.color)
    unit = min((symbol_px[0] + symbol_px[1]) / 2, width / 110, height / 80)
    _frame(sheet, unit)
    _title_block(sheet, unit)
    for _ in range(round(3 * style.clutter)):
        _table(sheet, unit)
    for _ in range(round(6 * style.clutter)):
        _machine(sheet, unit)
    tables = [] if style.table_px is None else _large_table(sheet, style.table_px, unit)
    boxes, ids = _scatter(sheet, scene.symbols, symbol_px, count, noted=True)
    boxes, ids = boxes + tables, ids + [len(scene.symbols)] * len(tables)
    _scatter(sheet, scene.look_alikes, symbol_px, count + 3 if scene.look_alikes else 0, noted=False)
    for _ in range(round(24 * style.clutter)):
        _note(sheet, unit)
    return sheet.shapes, Annotations(np.array(boxes).reshape(-1, 4), ids, scene.names)


def scene_pdf(
    path: str | os.PathLike[str],
    pages: int,
    seed: int = 0,
    *,
    dpi: float = 300.0,
    width: int = 4000,
    height: int = 2828,
    empty_every: int = 6,
    scene: Scene = _SCENE,
) -> list[tuple[PageKey, tuple[int, int], Annotations]]:
    """Write a PDF of scene pages; gives (page, size, labels) for each, in px of a rendering at `dpi`.

    Every `empty_every`-th page has no labeled symbol (0: none is empty). Page k follows from seed + k.
    """
    if pages < 1:
        raise InvalidArgument(f"pages={pages}: must be at least 1")
    drawn, known = [], []
    for page in range(pages):
        empty = empty_every > 0 and page % empty_every == empty_every - 1
        shapes, labels = scene_shapes(seed * 10_007 + page, width, height, scene.empty() if empty else scene)
        if empty:
            labels = Annotations(labels.boxes, labels.class_ids, scene.names)
        drawn.append(shapes)
        known.append((PageKey(os.fspath(path), page), (width, height), labels))
    write_pdf(path, drawn, width, height, dpi)
    return known


def _scatter(
    sheet: _Sheet, names: Sequence[str], sizes: tuple[float, float], count: int, *, noted: bool
) -> tuple[list[tuple[float, float, float, float]], list[int]]:
    boxes: list[tuple[float, float, float, float]] = []
    ids: list[int] = []
    for place in range(count):
        size = float(sheet.random.uniform(*sizes))
        before, after = _neighbors(sheet) if sheet.random.random() < INLINE else ("", "")
        height, gap = 0.95 * size, 0.3 * size
        left = text_width(before, height) + gap if before else 0.0
        right = gap + text_width(after, height) if after else 0.0
        corner = sheet.place(left + size + right, size, 0.8 * size)
        if corner is None:
            continue
        spot = (corner[0] + left, corner[1])
        ink = sheet.ink()
        kind = place % len(names) if noted else int(sheet.random.integers(len(names)))
        made = symbol(names[kind], *spot, size, ink)
        sheet.shapes += made
        boxes.append(shape_bounds(made))
        ids.append(kind)
        sheet.shapes += lettering(before, *corner, height, color=ink)
        sheet.shapes += lettering(after, spot[0] + size + gap, spot[1], height, color=ink)
        if not after and sheet.random.random() < 0.5:
            _leader(sheet, spot, size)
    return boxes, ids


def _neighbors(sheet: _Sheet) -> tuple[str, str]:
    """What stands before and after a symbol in a line of text."""
    return _word(sheet)[
        : int(sheet.random.integers(1, 5))
    ], f"{_word(sheet)[:2]}{int(sheet.random.integers(1, 99))}"


def _leader(sheet: _Sheet, spot: tuple[float, float], size: float) -> None:
    """A line from near a symbol, and often a tag at its end, as drawings have them."""
    x, y = spot[0] + 1.5 * size, spot[1] + size * float(sheet.random.uniform(0.2, 0.8))
    end = x + size * float(sheet.random.uniform(1, 5))
    sheet.shapes.append(Stroke(((x, y), (end, y)), max(1.0, size * 0.08), sheet.ink()))
    if sheet.random.random() < 0.6:
        tag = f"{_word(sheet)[:2]}{int(sheet.random.integers(10, 99))}"
        sheet.shapes += lettering(tag, end + 0.3 * size, y - 0.35 * size, 0.7 * size, color=sheet.ink())


def _frame(sheet: _Sheet, unit: float) -> None:
    inset, pen = 0.015 * sheet.width, 0.15 * unit
    right, bottom = sheet.width - inset, sheet.height - inset
    corners = ((inset, inset), (right, inset), (right, bottom), (inset, bottom), (inset, inset))
    sheet.shapes.append(Stroke(corners, pen))
    for k in range(1, 8):
        x = k * sheet.width / 8
        sheet.shapes.append(Stroke(((x, inset), (x, inset + unit)), pen))
        sheet.shapes += lettering(str(k), x - 2 * unit, inset * 0.2, 0.5 * inset)


def _title_block(sheet: _Sheet, unit: float) -> None:
    width, height = 20 * unit, 9 * unit
    x, y = sheet.width * 0.98 - width, sheet.height * 0.975 - height
    sheet.taken.append((x - unit, y - unit, sheet.width, sheet.height))
    _grid(sheet, x, y, [width / 3] * 3, [height / 4] * 4, unit)
    for row in range(4):
        text = f"{_word(sheet)} {int(sheet.random.integers(100, 999))}"
        sheet.shapes += lettering(text, x + 0.5 * unit, y + (row + 0.3) * height / 4, 0.7 * unit)


def _table(sheet: _Sheet, unit: float) -> None:
    columns, rows = int(sheet.random.integers(3, 6)), int(sheet.random.integers(4, 10))
    cell = (float(sheet.random.uniform(4, 7)) * unit, 1.9 * unit)
    spot = sheet.place(columns * cell[0], rows * cell[1], 2 * unit)
    if spot is None:
        return
    _grid(sheet, *spot, [cell[0]] * columns, [cell[1]] * rows, unit)
    for row in range(rows):
        for column in range(columns):
            text = _word(sheet)[:4] if row == 0 else f"{int(sheet.random.integers(1, 999))}"
            at = (spot[0] + column * cell[0] + 0.4 * unit, spot[1] + row * cell[1] + 0.5 * unit)
            sheet.shapes += lettering(text, *at, 0.8 * unit)


def _large_table(
    sheet: _Sheet, sizes: tuple[float, float], unit: float
) -> list[tuple[float, float, float, float]]:
    """One table much larger than a symbol; its box, none where there is no room."""
    width = float(sheet.random.uniform(*sizes))
    height = width * float(sheet.random.uniform(0.55, 0.75))
    spot = sheet.place(width, height, 2 * unit, tries=400)
    if spot is None:
        return []
    columns, rows = int(sheet.random.integers(3, 5)), int(sheet.random.integers(5, 8))
    _grid(sheet, *spot, [width / columns] * columns, [height / rows] * rows, 2.5 * unit)
    for row in range(rows):
        for column in range(columns):
            at = (spot[0] + (column + 0.1) * width / columns, spot[1] + (row + 0.3) * height / rows)
            sheet.shapes += lettering(_word(sheet)[:5], *at, 0.35 * height / rows)
    return [(*spot, spot[0] + width, spot[1] + height)]


def _grid(sheet: _Sheet, x: float, y: float, columns: list[float], rows: list[float], unit: float) -> None:
    pen = max(1.0, 0.09 * unit)
    right, bottom = x + sum(columns), y + sum(rows)
    for offset in np.concatenate([[0.0], np.cumsum(columns)]):
        sheet.shapes.append(Stroke(((x + float(offset), y), (x + float(offset), bottom)), pen))
    for offset in np.concatenate([[0.0], np.cumsum(rows)]):
        sheet.shapes.append(Stroke(((x, y + float(offset)), (right, y + float(offset))), pen))


def _machine(sheet: _Sheet, unit: float) -> None:
    """Boxes joined by lines with dimension marks: the drawing itself."""
    side = float(sheet.random.uniform(12, 26)) * unit
    spot = sheet.place(side, 0.6 * side, 2 * unit)
    if spot is None:
        return
    x, y = spot
    pen = max(1.0, 0.14 * unit)
    for _ in range(int(sheet.random.integers(3, 7))):
        a, b = sorted(sheet.random.random(2)), sorted(sheet.random.random(2))
        x0, x1 = x + a[0] * side, x + a[1] * side
        y0, y1 = y + b[0] * 0.6 * side, y + b[1] * 0.6 * side
        corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0))
        sheet.shapes.append(Stroke(corners, pen, sheet.ink()))
    for _ in range(int(sheet.random.integers(2, 6))):
        ends = sheet.random.random((2, 2))
        line = tuple((x + float(end[0]) * side, y + float(end[1]) * 0.6 * side) for end in ends)
        sheet.shapes.append(Stroke(line, max(1.0, 0.08 * unit), sheet.ink()))


def _note(sheet: _Sheet, unit: float) -> None:
    height = float(sheet.random.uniform(0.7, 1.3)) * unit
    lines = [
        " ".join(
            [_word(sheet) for _ in range(int(sheet.random.integers(2, 6)))]
            + [f"{int(sheet.random.integers(1, 99))}"]
        )
        for _ in range(int(sheet.random.integers(1, 5)))
    ]
    spot = sheet.place(max(text_width(line, height) for line in lines), len(lines) * 1.7 * height, 0.8 * unit)
    if spot is None:
        return
    color = sheet.ink()
    for row, line in enumerate(lines):
        sheet.shapes += lettering(line, spot[0], spot[1] + row * 1.7 * height, height, color=color)


def _word(sheet: _Sheet) -> str:
    return _WORDS[int(sheet.random.integers(len(_WORDS)))]
