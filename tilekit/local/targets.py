"""What the network's maps should be for a batch of crops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilekit.local.network import LEVELS, Level

VISIBLE = 0.5


@dataclass(frozen=True, slots=True)
class LevelTargets:
    """What one level's maps should be.

    `heat` (n, labels, h, w) 0..1, 1 at centers; `weight` (n, 1, h, w) 0 where an object is cut too much to
    judge; `shape` (n, 4, h, w) log sides and offsets in cells; `near` (n, 1, h, w) weight of the shapes.
    """

    level: Level
    heat: NDArray[np.float32]
    weight: NDArray[np.float32]
    shape: NDArray[np.float32]
    near: NDArray[np.float32]

    @classmethod
    def empty(cls, level: Level, count: int, labels: int, side: int) -> LevelTargets:
        """Targets of `count` crops of `side` px without objects."""
        cells = side // level.stride
        return cls(
            level,
            np.zeros((count, labels, cells, cells), np.float32),
            np.ones((count, 1, cells, cells), np.float32),
            np.zeros((count, 4, cells, cells), np.float32),
            np.zeros((count, 1, cells, cells), np.float32),
        )

    def leave_open(self, place: int, box: NDArray[np.float64]) -> None:
        """What is found inside `box` is neither right nor wrong."""
        low = np.floor(box[:2] / self.level.stride).astype(int)
        high = np.ceil(box[2:] / self.level.stride).astype(int)
        self.weight[place, 0, low[1] : high[1], low[0] : high[0]] = 0

    def write(self, place: int, box: NDArray[np.float64], label: int) -> None:
        """Write one object of crop `place`, where it belongs to this level."""
        longer = float((box[2:] - box[:2]).max())
        if not self.level.least <= longer <= self.level.most:
            return
        stride, cells = self.level.stride, self.heat.shape[2]
        center = (box[:2] + box[2:]) / 2 / stride
        sides = (box[2:] - box[:2]) / stride
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
        near = self.near[place, 0, y0:y1, x0:x1]
        closer = (bump > 0.2) & (bump > near)
        near[closer] = bump[closer]
        offset_x = np.broadcast_to(center[0] - (xs + 0.5)[None, :], bump.shape)
        offset_y = np.broadcast_to(center[1] - (ys + 0.5)[:, None], bump.shape)
        shape = self.shape[place, :, y0:y1, x0:x1]
        for row, value in enumerate((np.log(sides[0]), np.log(sides[1]), offset_x, offset_y)):
            shape[row][closer] = np.broadcast_to(value, bump.shape)[closer]


@dataclass(slots=True)
class Targets:
    """What the maps of a batch should be, level by level. `objects`: how many were written, cut ones aside."""

    levels: tuple[LevelTargets, ...]
    objects: int = 0

    @classmethod
    def empty(cls, count: int, labels: int, side: int) -> Targets:
        """Targets of `count` crops of `side` px without objects."""
        return cls(tuple(LevelTargets.empty(level, count, labels, side) for level in LEVELS))

    def write(self, place: int, boxes: NDArray[np.float64], labels: NDArray[np.int64], side: int) -> None:
        """Write the objects of one crop; boxes in px of the crop, maybe beyond it."""
        for box, label in zip(boxes, labels, strict=True):
            inside = np.clip(box, 0, side)
            sides = inside[2:] - inside[:2]
            if sides.min() <= 0:
                continue
            whole = bool(sides.prod() >= VISIBLE * (box[2:] - box[:2]).prod())
            self.objects += whole
            for level in self.levels:
                if whole:
                    level.write(place, inside, int(label))
                else:
                    level.leave_open(place, inside)
