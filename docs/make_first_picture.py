"""Draw docs/plots/first.png, the picture at the top of README: one crop as a detector sees it, whole page against tile.

A made drawing with symbols of 40 px on a page of 10,000 px. Left, the crop of the page after the service's shrink to
1280 px, enlarged again; right, the same crop of a tile. Nothing is drawn by hand but the frames and words.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tilekit.rekognition.limits import LIMITS
from tilekit.testing.scenes import SceneStyle, scene_page

TARGET = Path(__file__).parent / "plots" / "first.png"
WIDTH, HEIGHT, SIDE, SHOWN, GAP, HEAD = 10000, 7000, 420, 560, 24, 64


def main() -> None:
    """Write the picture."""
    pixels, labels = scene_page(
        3,
        WIDTH,
        HEIGHT,
        symbols=("valve", "solid_circle"),
        symbol_px=(36, 44),
        count=900,
        style=SceneStyle(0.3),
    )
    page = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("L")
    x, y = crowded_corner(labels.boxes)
    shrink = LIMITS.shrink_side / WIDTH
    small = page.resize((LIMITS.shrink_side, round(HEIGHT * shrink)), Image.Resampling.LANCZOS)
    area = [value * shrink for value in (x, y, x + SIDE, y + SIDE)]
    seen = small.resize((SHOWN, SHOWN), Image.Resampling.NEAREST, box=area)
    sharp = page.crop((x, y, x + SIDE, y + SIDE)).resize((SHOWN, SHOWN), Image.Resampling.LANCZOS)
    boxes = labels.boxes
    size = float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1)))
    picture = Image.new("RGB", (2 * SHOWN + 3 * GAP, SHOWN + HEAD + GAP), "white")
    pen = ImageDraw.Draw(picture)
    for number, (part, title, words) in enumerate(
        (
            (
                seen,
                "the whole page",
                f"{WIDTH:,} px shrunk to {LIMITS.shrink_side:,}: symbols of {size * shrink:.0f} px",
            ),
            (sharp, "a tile of it", f"nothing shrunk: the same symbols, {size:.0f} px"),
        )
    ):
        left = GAP + number * (SHOWN + GAP)
        picture.paste(part.convert("RGB"), (left, HEAD))
        pen.rectangle((left, HEAD, left + SHOWN - 1, HEAD + SHOWN - 1), outline="#8a8a8a")
        pen.text((left, 8), title, fill="#111111", font=ImageFont.load_default(24))
        pen.text((left, 38), words, fill="#444444", font=ImageFont.load_default(17))
    picture.quantize(64).save(TARGET, optimize=True)


def crowded_corner(boxes: np.ndarray) -> tuple[int, int]:
    """Where a crop of SIDE px holds the most whole boxes, away from the page's edge."""
    best, place = -1, (0, 0)
    for x, y in (boxes[:, :2] - 30).astype(int):
        if x < 0 or y < 0 or x + SIDE > WIDTH or y + SIDE > HEIGHT:
            continue
        inside = (
            (boxes[:, 0] >= x) & (boxes[:, 1] >= y) & (boxes[:, 2] <= x + SIDE) & (boxes[:, 3] <= y + SIDE)
        )
        if inside.sum() > best:
            best, place = int(inside.sum()), (int(x), int(y))
    return place


if __name__ == "__main__":
    main()
