"""Reviews of a training on images held out from it: how well it finds now, and whether it still gets better."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from tilekit.local.crops import Picture
from tilekit.local.network import CenterNetwork, Found
from tilekit.local.targets import Targets

HELD_SHARE = 0.12
MOST_WINDOWS = 24
WINDOW = 256
PATIENCE = 3
"""Reviews in a row without a gain after which a training settles."""
GAIN_F1, GAIN_LOSS = 0.01, 0.04
_LEAST_IOU = 0.5


def hold_out(
    groups: list[str], labels: list[set[int]], random: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Places of pictures to train on, and to review on: whole pages, so that no page's tiles are on both sides.

    `groups` and `labels`: the page and the labels of each picture. No page is held out that alone has a label.
    Nothing is held out where there are fewer than four pages.
    """
    pages = sorted(set(groups))
    if len(pages) < 4:
        return list(range(len(groups))), []
    most = min(max(1, round(HELD_SHARE * len(pages))), 12)
    on_page: dict[str, set[int]] = {page: set() for page in pages}
    for page, some in zip(groups, labels, strict=True):
        on_page[page] |= some
    left = Counter(label for some in on_page.values() for label in some)
    held: set[str] = set()
    for place in random.permutation(len(pages)):
        page = pages[place]
        if len(held) < most and on_page[page] and all(left[label] > 1 for label in on_page[page]):
            held.add(page)
            left.subtract(on_page[page])
    return (
        [place for place, page in enumerate(groups) if page not in held],
        [place for place, page in enumerate(groups) if page in held],
    )


def windows(pictures: list[Picture], random: np.random.Generator, side: int = WINDOW) -> list[Picture]:
    """Windows of pictures with at least one box, spread over the pictures and labels; sides multiples of 32."""
    places = [(number, row) for number, picture in enumerate(pictures) for row in range(len(picture.boxes))]
    chosen = [places[place] for place in random.permutation(len(places))[:MOST_WINDOWS]]
    cut = []
    for number, row in sorted(chosen):
        picture = pictures[number]
        height, width = picture.pixels.shape[:2]
        center = (picture.boxes[row, :2] + picture.boxes[row, 2:]) / 2
        shift = random.uniform(-0.3, 0.3, 2) * side
        left, top = (
            int(np.clip(center[axis] - side / 2 + shift[axis], 0, max(0, (width, height)[axis] - side)))
            for axis in (0, 1)
        )
        pixels = np.full((side, side, picture.pixels.shape[2]), 255, np.uint8)
        part = picture.pixels[top : top + side, left : left + side]
        pixels[: part.shape[0], : part.shape[1]] = part
        cut.append(Picture(pixels, picture.boxes - [left, top, left, top], picture.labels))
    return cut


@dataclass(frozen=True, slots=True)
class Review:
    """What one review found: the step, seconds since the start, F1 (best threshold) and loss on the windows."""

    step: int
    seconds: float
    f1: float
    loss: float


@dataclass(slots=True)
class Reviewer:
    """Reviews a network on its windows, and tells when it no longer gets better."""

    windows: list[Picture]
    labels: int
    find: Callable[[CenterNetwork, NDArray[np.uint8]], Found]
    loss: Callable[[CenterNetwork, torch.Tensor, Targets], float]
    reviews: list[Review] = field(default_factory=list)
    _best: tuple[float, float] = (-1.0, float("inf"))
    _flat: int = 0

    def review(self, network: CenterNetwork, step: int, seconds: float) -> Review:
        """One review; whether the plateau is reached stands in `plateau` then."""
        network.eval()
        made = Review(step, round(seconds, 1), self._f1(network), self._loss(network))
        f1, loss = self._best
        if made.f1 > f1 + GAIN_F1 or made.loss < loss * (1 - GAIN_LOSS):
            self._flat = 0
        else:
            self._flat += 1
        self._best = (max(f1, made.f1), min(loss, made.loss))
        self.reviews.append(made)
        return made

    @property
    def plateau(self) -> bool:
        """Whether the last reviews brought nothing."""
        return self._flat >= PATIENCE

    @property
    def best_f1(self) -> float:
        """The best F1 so far."""
        return max(0.0, self._best[0])

    def _f1(self, network: CenterNetwork) -> float:
        scores: list[float] = []
        hits: list[bool] = []
        total = 0
        for window in self.windows:
            whole = _inside(window.boxes, window.pixels.shape[0])
            total += int(whole.sum())
            found = self.find(network, window.pixels)
            for score, verdict in _judged(found, window, whole):
                scores.append(score)
                hits.append(verdict)
        if not total or not scores:
            return 0.0
        order = np.argsort(-np.array(scores), kind="stable")
        right = np.cumsum(np.array(hits)[order])
        return float((2 * right / (np.arange(1, len(order) + 1) + total)).max())

    def _loss(self, network: CenterNetwork) -> float:
        side = self.windows[0].pixels.shape[0]
        values = []
        for start in range(0, len(self.windows), 8):
            some = self.windows[start : start + 8]
            targets = Targets.empty(len(some), self.labels, side)
            for place, window in enumerate(some):
                targets.write(place, window.boxes, window.labels, side)
            stack = np.stack([255 - window.pixels for window in some])
            images = torch.from_numpy(stack).permute(0, 3, 1, 2).float().div_(255.0)
            values.append(self.loss(network, images.contiguous(memory_format=torch.channels_last), targets))
        return float(np.mean(values))


def _inside(boxes: NDArray[np.float64], side: int) -> NDArray[np.bool_]:
    return np.asarray((boxes >= 0).all(axis=1) & (boxes <= side).all(axis=1))


def _judged(found: Found, window: Picture, whole: NDArray[np.bool_]) -> list[tuple[float, bool]]:
    """(score, hit) of what counts: boxes that hit a cut object count neither way."""
    taken = np.zeros(len(window.boxes), dtype=bool)
    verdicts = []
    for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
        low = np.maximum(box[:2], window.boxes[:, :2])
        high = np.minimum(box[2:], window.boxes[:, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=1)
        areas = (window.boxes[:, 2:] - window.boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
        overlap = np.where((window.labels == label) & ~taken, shared / np.maximum(areas - shared, 1e-9), -1.0)
        best = int(overlap.argmax()) if len(overlap) else -1
        hit = best >= 0 and bool(overlap[best] >= _LEAST_IOU)
        if hit:
            taken[best] = True
        near = (shared > 0) & ~whole
        if (hit and not whole[best]) or (not hit and near.any()):
            continue
        verdicts.append((float(score), bool(hit)))
    return verdicts
