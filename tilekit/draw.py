"""Pictures for people: boxes drawn on pixels, and sheets of many small pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument
from tilekit.scans.scan import Scan

Color = tuple[int, int, int]

# Colors that people with any color vision tell apart: Okabe and Ito, 2008, darkened for white paper.
PALETTE: tuple[Color, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 138, 100),
    (170, 68, 136),
    (182, 130, 0),
    (40, 40, 40),
    (68, 160, 210),
    (120, 60, 20),
)
IGNORED: Color = (128, 128, 128)


def draw(
    picture: Scan | NDArray[np.uint8],
    boxes: Detections | Annotations | None = None,
    *,
    colors: Mapping[str, Color] | None = None,
    names: bool = True,
    line: int | None = None,
    max_side: int | None = None,
) -> NDArray[np.uint8]:
    """Pixels with boxes drawn on them: a fresh (h, w, 3) uint8 array.

    `picture`: a scan (all of it) or (h, w, 1 or 3) uint8 pixels; `boxes`: in its pixels, before any
    reduction; where a row has a shape its outline (or its keypoints) is drawn, otherwise its box. Each label has a color by its place in `names`, or from `colors`; ignored boxes are
    gray. Detections carry their score in percent. `names`: write the labels, where there is room.
    `line`: width in px, by default by the size. `max_side`: reduce the picture to that many px
    before drawing, so that lines stay visible; a scan is read reduced.
    """
    pixels, across, down = _reduced(picture, max_side)
    if boxes is None or not len(boxes):
        return pixels
    from PIL import Image, ImageDraw, ImageFont

    width = line or max(1, round(max(pixels.shape[:2]) / 400))
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=max(10, 6 * width))
    palette = _colors(boxes.names, colors)
    scaled = boxes.boxes * np.array([across, down, across, down])
    captions = _captions(boxes)
    rings = _rings(boxes, across, down)
    for place, (box, label) in enumerate(zip(scaled.tolist(), boxes.class_ids.tolist(), strict=True)):
        gray = isinstance(boxes, Annotations) and bool(boxes.ignore[place])
        color = IGNORED if gray else palette[label]
        if rings is None or not rings[place]:
            _outline(pen, box, color, width)
        for ring in rings[place] if rings is not None else []:
            _ring(pen, ring, color, width)
        if names:
            _write(pen, captions[place], box, color, font, image.size)
    return np.array(image, dtype=np.uint8)


def contact_sheet(
    pictures: Sequence[NDArray[np.uint8]],
    captions: Sequence[str] | None = None,
    *,
    title: str = "",
    columns: int | None = None,
    cell: int = 320,
    legend: Mapping[str, Color] | None = None,
) -> NDArray[np.uint8]:
    """Many pictures on one sheet, each reduced to `cell` px at most: (h, w, 3) uint8.

    `captions`: a line below each; `title`: above all; `legend`: names with their colors beside it.
    Raises InvalidArgument where captions and pictures differ in number.
    """
    texts = list(captions) if captions is not None else [""] * len(pictures)
    if len(texts) != len(pictures):
        raise InvalidArgument(f"captions: {len(texts)} given for {len(pictures)} pictures")
    from PIL import Image, ImageDraw, ImageFont

    gap, strip = 12, 20 if captions is not None else 0
    across = columns or max(1, min(len(pictures), math.ceil(math.sqrt(len(pictures) * 1.5))))
    rows = -(-len(pictures) // across)
    small = [_reduced(picture, cell)[0] for picture in pictures]
    heights = [
        max((picture.shape[0] for picture in small[row * across : (row + 1) * across]), default=0)
        for row in range(rows)
    ]
    head = (28 if title else 0) + (22 if legend else 0)
    size = (max(360, gap + across * (cell + gap)), head + gap + sum(heights) + rows * (strip + gap))
    sheet = Image.new("RGB", size, (255, 255, 255))
    pen = ImageDraw.Draw(sheet)
    if title:
        pen.text((gap, 8), title, fill=(0, 0, 0), font=ImageFont.load_default(size=18))
    _legend(pen, legend or {}, gap, 30 if title else 6, size[0])
    top = head + gap
    font = ImageFont.load_default(size=12)
    for row, height in enumerate(heights):
        for place in range(row * across, min((row + 1) * across, len(small))):
            left = gap + (place - row * across) * (cell + gap)
            sheet.paste(Image.fromarray(small[place]), (left, top))
            edge = (left - 1, top - 1, left + small[place].shape[1], top + small[place].shape[0])
            pen.rectangle(edge, outline=(200, 200, 200))
            pen.text((left, top + height + 3), _fitting(pen, texts[place], font, cell), (60, 60, 60), font)
        top += height + strip + gap
    return np.array(sheet, dtype=np.uint8)


def label_colors(names: Sequence[str]) -> dict[str, Color]:
    """The color `draw` gives to each label of `names`."""
    return {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(names)}


def _colors(names: Sequence[str], given: Mapping[str, Color] | None) -> list[Color]:
    known = {**label_colors(names), **(given or {})}
    return [known[name] for name in names]


def _captions(boxes: Detections | Annotations) -> list[str]:
    if isinstance(boxes, Detections):
        pairs = zip(boxes.labels, boxes.scores.tolist(), strict=True)
        return [f"{label} {100 * score:.0f}" for label, score in pairs]
    return boxes.labels


def _reduced(
    picture: Scan | NDArray[np.uint8], max_side: int | None
) -> tuple[NDArray[np.uint8], float, float]:
    """Fresh RGB pixels of at most `max_side`, and the ratios new / old across and down."""
    if isinstance(picture, Scan):
        width, height = picture.width, picture.height
    else:
        if picture.ndim != 3 or picture.shape[2] not in (1, 3) or picture.dtype != np.uint8:
            raise InvalidArgument(
                f"picture must be (h, w, 1 or 3) uint8, not {picture.shape} {picture.dtype}"
            )
        height, width = picture.shape[:2]
    factor = min(1.0, (max_side or max(width, height)) / max(width, height))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    scale = size if size != (width, height) else None
    if isinstance(picture, Scan):
        pixels = np.array(picture.read(0, 0, *size, scale=scale), dtype=np.uint8)
    else:
        pixels = np.array(picture) if scale is None else _resized(picture, size)
    rgb = np.ascontiguousarray(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels)
    return rgb, size[0] / width, size[1] / height


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    from PIL import Image

    bare = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    image = Image.fromarray(np.ascontiguousarray(bare)).resize(size, Image.Resampling.BOX)
    return np.array(image, dtype=np.uint8).reshape(size[1], size[0], pixels.shape[2])


def _outline(pen: Any, box: Sequence[float], color: Color, width: int) -> None:
    """An outline around the box: its inner edge is the box, so that small objects stay visible."""
    x0, y0 = math.floor(box[0]) - width, math.floor(box[1]) - width
    x1, y1 = math.ceil(box[2]) + width - 1, math.ceil(box[3]) + width - 1
    pen.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=color, width=width)


def _rings(
    boxes: Detections | Annotations, across: float, down: float
) -> list[list[list[tuple[float, float]]]] | None:
    """The outlines of each row's shape in the picture's pixels; keypoints as points."""
    if boxes.shapes is None:
        return None
    shapes = (
        boxes.shapes.scaled(across, down)
        if boxes.shapes.kind != "mask"
        else boxes.shapes.to_polygons().scaled(across, down)
    )
    if shapes.kind == "keypoints":
        rows = shapes.to_json()
        return [[[(x, y)] for x, y, seen in (row or {"keypoints": []})["keypoints"] if seen] for row in rows]
    return [
        [] if row is None else [[(x, y) for x, y in ring] for ring in row["polygon"]]
        for row in shapes.to_polygons().to_json()
    ]


def _ring(pen: Any, points: Sequence[tuple[float, float]], color: Color, width: int) -> None:
    """A closed outline, or a dot for a single point."""
    if len(points) == 1:
        x, y = points[0]
        pen.ellipse((x - 2 * width, y - 2 * width, x + 2 * width, y + 2 * width), fill=color)
        return
    pen.line([*points, points[0]], fill=color, width=width, joint="curve")


def _write(pen: Any, text: str, box: Sequence[float], color: Color, font: Any, size: tuple[int, int]) -> None:
    """The label above the box, below it where there is no room; on a patch, so that it can be read."""
    x0, y0, x1, y1 = pen.textbbox((0, 0), text, font=font)
    wide, high = x1 - x0 + 4, y1 - y0 + 4
    left = min(max(0, box[0]), max(0, size[0] - wide))
    top = box[1] - high - 2 if box[1] - high - 2 >= 0 else min(box[3] + 2, size[1] - high)
    pen.rectangle((left, top, left + wide, top + high), fill=color)
    pen.text((left + 2 - x0, top + 2 - y0), text, fill=(255, 255, 255), font=font)


def _legend(pen: Any, legend: Mapping[str, Color], left: int, top: int, width: int) -> None:
    from PIL import ImageFont

    font = ImageFont.load_default(size=13)
    for label, color in legend.items():
        name = _one_line(label)
        wide = pen.textlength(name, font=font)
        if left + 18 + wide > width:
            pen.text((left, top), "…", fill=(0, 0, 0), font=font)
            return
        pen.rectangle((left, top + 3, left + 11, top + 14), fill=color)
        pen.text((left + 16, top), name, fill=(0, 0, 0), font=font)
        left += round(wide) + 34


def _one_line(text: str) -> str:
    """Line breaks, which a name may have, as spaces: Pillow measures single lines only."""
    return " ".join(text.splitlines())


def _fitting(pen: Any, text: str, font: Any, width: int) -> str:
    """The text in one line, its beginning cut off where it is too long: the end of a tile's name tells most."""
    text = _one_line(text)
    if pen.textlength(text, font=font) <= width:
        return text
    while text and pen.textlength("…" + text, font=font) > width:
        text = text[max(1, len(text) // 20) :]
    return "…" + text
