"""Draw docs/plots/boxes-way.svg: one object's way through cut, carry, detect and merge, by the library itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import tilekit as tk

TARGET = Path(__file__).parent / "plots" / "boxes-way.svg"
INK, TILES, CUT, WHOLE = "#282828", ("#0072b2", "#d55e00"), "#aa4488", "#008a64"


def outline(points, color, fill="none", dash=""):
    """An SVG polygon."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    extra = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polygon points="{path}" fill="{fill}" fill-opacity="0.25" stroke="{color}" stroke-width="1.5"{extra}/>'


def rectangle(box, color, dash=""):
    """An SVG polygon of a box."""
    x0, y0, x1, y1 = box
    return outline([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color, dash=dash)


def panel(left, top, title, parts):
    """A titled group at a place."""
    text = f'<text x="0" y="-8" font-size="12" fill="{INK}">{title}</text>'
    return f'<g transform="translate({left} {top})">{text}{"".join(parts)}</g>'


def picture():
    """The whole drawing."""
    shape = tk.boxes.Polygons.of([[[60, 30, 120, 20, 150, 60, 110, 95, 70, 80]]])
    truth = tk.Annotations.from_shapes(shape, names=["valve"])
    grid = tk.Tiling(100, 20).grid(180, 110)
    windows = grid.windows()
    carried = tk.remap_to_tiles(truth, grid, min_visible=0.1)
    found = tk.Detections(
        carried.boxes,
        np.linspace(0.9, 0.8, len(carried)),
        None,
        ("valve",),
        carried.tile_index,
        shapes=carried.shapes,
    )
    merged = tk.merge(found, grid)
    page = [
        rectangle((0, 0, 180, 110), INK),
        outline(shape.points, WHOLE, WHOLE),
        rectangle(truth.boxes[0], WHOLE, "3 2"),
    ]
    cut = [
        *page[:2],
        *(rectangle(window, TILES[place % 2], "6 3") for place, window in enumerate(windows[:2])),
    ]
    panels = [
        panel(20, 40, "1 page: polygon and its box", page),
        panel(230, 40, "2 tiles, 20 px shared", cut),
    ]
    for place in range(2):
        rows = np.flatnonzero(carried.tile_index == place)
        parts = [rectangle((0, 0, 100, 100), TILES[place], "6 3")]
        for row in rows.tolist():
            parts.append(outline(carried.shapes[row].points, CUT, CUT))
            parts.append(rectangle(carried.boxes[row], CUT, "3 2"))
            parts.append(
                f'<text x="0" y="114" font-size="10" fill="{INK}">visible {carried.visible[row]:.2f}, cut</text>'
            )
        panels.append(panel(20 + 120 * place, 190, f"3 carried to tile {place}", parts))
    done = [rectangle((0, 0, 180, 110), INK), rectangle(merged.boxes[0], WHOLE, "3 2")]
    done.insert(1, outline(merged.shapes[0].points, WHOLE, WHOLE))
    panels.append(panel(280, 190, "4 found, moved back, joined", done))
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 320" font-family="sans-serif">{"".join(panels)}</svg>\n'


if __name__ == "__main__":
    TARGET.write_text(picture(), encoding="utf-8")
