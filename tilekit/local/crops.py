"""What the network is taught with: crops around objects, at random, and where it was wrong; and their targets."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from tilekit.local.network import STRIDE

VISIBLE = 0.5


@dataclass(frozen=True, slots=True)
class Picture:
    """A training image as the network sees it: (h, w, bands) uint8, boxes (n, 4) in its px, label places."""

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]


@dataclass(slots=True)
class CropSource:
    """Draws crops from pictures. `mistakes`: (picture, x, y) where something was found that is not there."""

    pictures: list[Picture]
    side: int
    label_count: int
    random: np.random.Generator
    mistakes: list[tuple[int, float, float]] = field(default_factory=list)
    _by_label: list[list[tuple[int, int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        places: list[list[tuple[int, int]]] = [[] for _ in range(self.label_count)]
        for number, picture in enumerate(self.pictures):
            for box, label in enumerate(picture.labels):
                places[label].append((number, box))
        self._by_label = [found for found in places if found]

    def batch(self, count: int) -> tuple[torch.Tensor, Targets]:
        """`count` crops (count, bands, side, side) with ink as 1, and their targets."""
        bands = self.pictures[0].pixels.shape[2]
        images = np.zeros((count, self.side, self.side, bands), np.uint8)
        targets = Targets.empty(count, self.label_count, self.side // STRIDE)
        for place in range(count):
            number, x, y = self._spot()
            picture = self.pictures[number]
            scale = float(self.random.uniform(0.9, 1.1)) if self.random.random() < 0.3 else 1.0
            images[place] = self._cut(picture.pixels, x, y, scale)
            boxes = (picture.boxes - [x, y, x, y]) * scale
            targets.write(place, boxes, picture.labels, self.side)
        tensor = torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255.0)
        return self._varied(tensor).contiguous(memory_format=torch.channels_last), targets

    def _spot(self) -> tuple[int, float, float]:
        """A picture and the top left corner of a crop in it."""
        draw = self.random.random()
        if draw < 0.2 and self.mistakes:
            number, x, y = self.mistakes[int(self.random.integers(len(self.mistakes)))]
        elif draw < 0.8:
            label = self._by_label[int(self.random.integers(len(self._by_label)))]
            number, box = label[int(self.random.integers(len(label)))]
            x0, y0, x1, y1 = self.pictures[number].boxes[box]
            x, y = (x0 + x1) / 2, (y0 + y1) / 2
        else:
            number = int(self.random.integers(len(self.pictures)))
            height, width = self.pictures[number].pixels.shape[:2]
            x, y = float(self.random.random()) * width, float(self.random.random()) * height
        shift = self.random.uniform(-0.45, 0.45, 2) * self.side
        height, width = self.pictures[number].pixels.shape[:2]
        left = np.clip(x + shift[0] - self.side / 2, -8, max(-8.0, width - self.side + 8))
        top = np.clip(y + shift[1] - self.side / 2, -8, max(-8.0, height - self.side + 8))
        return number, float(round(left)), float(round(top))

    def _cut(self, pixels: NDArray[np.uint8], x: float, y: float, scale: float) -> NDArray[np.uint8]:
        """The crop at (x, y) as ink (255 - value), enlarged by `scale`; beyond the edges there is no ink."""
        side = self.side if scale == 1.0 else int(np.ceil(self.side / scale))
        left, top = int(x), int(y)
        cut = np.zeros((side, side, pixels.shape[2]), np.uint8)
        x0, y0 = max(0, left), max(0, top)
        x1, y1 = min(pixels.shape[1], left + side), min(pixels.shape[0], top + side)
        if x0 < x1 and y0 < y1:
            cut[y0 - top : y1 - top, x0 - left : x1 - left] = 255 - pixels[y0:y1, x0:x1]
        if scale == 1.0:
            return cut
        tensor = torch.from_numpy(cut).permute(2, 0, 1)[None].float()
        size = round(side * scale)
        grown = torch.nn.functional.interpolate(tensor, size=(size, size), mode="bilinear", antialias=True)
        resized: NDArray[np.uint8] = (
            grown[0].permute(1, 2, 0)[: self.side, : self.side].round().byte().numpy()
        )
        full = np.zeros((self.side, self.side, pixels.shape[2]), np.uint8)
        full[: resized.shape[0], : resized.shape[1]] = resized
        return full

    def _varied(self, images: torch.Tensor) -> torch.Tensor:
        """Contrast and brightness changed a little, each crop by itself."""
        count = images.shape[0]
        gain = torch.from_numpy(self.random.uniform(0.8, 1.15, (count, 1, 1, 1))).float()
        shift = torch.from_numpy(self.random.uniform(-0.04, 0.06, (count, 1, 1, 1))).float()
        return (images * gain + shift).clamp_(0, 1)


@dataclass(frozen=True, slots=True)
class Targets:
    """What the maps of a batch should be.

    `heat` (n, labels, h, w) 0..1, 1 at centers; `weight` (n, 1, h, w) 0 where an object is cut too much to
    judge; `shape` (n, 4, h, w) log sides and offsets in cells; `near` (n, 1, h, w) weight of the shapes.
    """

    heat: NDArray[np.float32]
    weight: NDArray[np.float32]
    shape: NDArray[np.float32]
    near: NDArray[np.float32]

    @classmethod
    def empty(cls, count: int, labels: int, cells: int) -> Targets:
        """Targets of crops without objects."""
        return cls(
            np.zeros((count, labels, cells, cells), np.float32),
            np.ones((count, 1, cells, cells), np.float32),
            np.zeros((count, 4, cells, cells), np.float32),
            np.zeros((count, 1, cells, cells), np.float32),
        )

    def write(self, place: int, boxes: NDArray[np.float64], labels: NDArray[np.int64], side: int) -> None:
        """Write the objects of one crop; boxes in px of the crop, maybe beyond it."""
        for box, label in zip(boxes, labels, strict=True):
            inside = np.clip(box, 0, side)
            sides = inside[2:] - inside[:2]
            if sides.min() <= 0:
                continue
            if sides.prod() < VISIBLE * (box[2:] - box[:2]).prod():
                low, high = (
                    np.floor(inside[:2] / STRIDE).astype(int),
                    np.ceil(inside[2:] / STRIDE).astype(int),
                )
                self.weight[place, 0, low[1] : high[1], low[0] : high[0]] = 0
                continue
            self._object(place, inside, int(label))

    def _object(self, place: int, box: NDArray[np.float64], label: int) -> None:
        cells = self.heat.shape[2]
        center = (box[:2] + box[2:]) / 2 / STRIDE
        sides = (box[2:] - box[:2]) / STRIDE
        cell = np.minimum(center.astype(int), cells - 1)
        spread = np.maximum(0.13 * sides, 0.45)
        reach = np.ceil(3 * spread).astype(int)
        x0, y0 = np.maximum(cell - reach, 0)
        x1, y1 = np.minimum(cell + reach + 1, cells)
        xs, ys = np.arange(x0, x1), np.arange(y0, y1)
        bump = np.exp(
            -(((xs - cell[0]) / spread[0]) ** 2)[None, :] / 2
            - (((ys - cell[1]) / spread[1]) ** 2)[:, None] / 2
        )
        heat = self.heat[place, label, y0:y1, x0:x1]
        np.maximum(heat, bump, out=heat, casting="unsafe")
        closer = (bump > 0.2) & (bump > self.near[place, 0, y0:y1, x0:x1])
        near = self.near[place, 0, y0:y1, x0:x1]
        near[closer] = bump[closer]
        self.shape[place, 0, y0:y1, x0:x1][closer] = np.log(sides[0])
        self.shape[place, 1, y0:y1, x0:x1][closer] = np.log(sides[1])
        offset_x = np.broadcast_to(center[0] - (xs + 0.5)[None, :], bump.shape)
        offset_y = np.broadcast_to(center[1] - (ys + 0.5)[:, None], bump.shape)
        self.shape[place, 2, y0:y1, x0:x1][closer] = offset_x[closer]
        self.shape[place, 3, y0:y1, x0:x1][closer] = offset_y[closer]
