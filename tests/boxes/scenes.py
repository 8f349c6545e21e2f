"""Scenes of known boxes, and a perfect detector with jitter on their tiles."""

from __future__ import annotations

import numpy as np

from tilekit.boxes.detections import Detections
from tilekit.grid import TileGrid


def scene(width, height, *, seed, sizes=(12, 60), layout="spread", labels=3, gap=4.0):
    """Boxes (n, 4) and labels. "spread" and "rows" keep a gap, "touching" boxes share edges, "mess" overlaps."""
    rng = np.random.default_rng(seed)
    low, high = sizes[0], min(sizes[1], width - 2, height - 2)
    boxes = []
    if layout in ("rows", "touching"):
        space = gap if layout == "rows" else 0.0
        y = float(rng.uniform(0, 10))
        while y < height:
            h, x = rng.uniform(low, high), float(rng.uniform(0, 10))
            while x < width:
                w = rng.uniform(low, high)
                if x + w <= width and y + h <= height and rng.random() < 0.8:
                    boxes.append([x, y, x + w, y + h])
                x += w + space
            y += h + space
    else:
        for _ in range(int(rng.integers(0, 60))):
            w, h = rng.uniform(low, high, 2)
            x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
            new = np.array([x, y, x + w, y + h])
            old = np.array(boxes).reshape(-1, 4)
            apart = (
                (old[:, 0] > new[2] + gap)
                | (old[:, 2] < new[0] - gap)
                | (old[:, 1] > new[3] + gap)
                | (old[:, 3] < new[1] - gap)
            )
            if layout == "mess" or apart.all():
                boxes.append(new.tolist())
    truth = np.array(boxes).reshape(-1, 4)
    return truth, rng.integers(0, labels, len(truth))


def detect(grid: TileGrid, truth, labels, *, seed, jitter, noise, floor):
    """What each tile sees: every object in it clipped, its true edges off by up to `jitter`, random scores;
    and `noise` worthless boxes anywhere, scored below `floor`. Window edges stay edges."""
    rng = np.random.default_rng(seed)
    boxes, ids, tiles = [], [], []
    for index, window in enumerate(grid):
        x1, y1 = min(window.x1, grid.width), min(window.y1, grid.height)
        inside = (
            (truth[:, 0] < x1) & (truth[:, 2] > window.x0) & (truth[:, 1] < y1) & (truth[:, 3] > window.y0)
        )
        for row in np.flatnonzero(inside):
            box = truth[row] + rng.uniform(-jitter, jitter, 4)
            box = np.clip(box, [window.x0, window.y0] * 2, [x1, y1] * 2)
            if box[2] <= box[0] or box[3] <= box[1]:
                continue
            boxes.append(box - [window.x0, window.y0] * 2)
            ids.append(labels[row])
            tiles.append(index)
    good = len(boxes)
    for _ in range(noise):
        index = int(rng.integers(len(grid)))
        window = grid[index]
        x, y = rng.uniform(0, window.width), rng.uniform(0, window.height)
        boxes.append(
            [x, y, min(x + rng.uniform(1, 90), window.width), min(y + rng.uniform(1, 90), window.height)]
        )
        ids.append(int(rng.integers(3)))
        tiles.append(index)
    scores = np.concatenate([rng.uniform(floor, 1, good), rng.uniform(0, floor * 0.99, noise)])
    return Detections(
        np.array(boxes).reshape(-1, 4),
        scores,
        np.array(ids, np.int64),
        ("a", "b", "c"),
        np.array(tiles, np.int64),
    )
