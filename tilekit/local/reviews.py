"""Reviews of a training on images held out from it: how well it finds now, and whether it still gets better."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray

from tilekit.local.crops import Picture
from tilekit.local.network import CenterNetwork, Found
from tilekit.local.targets import Targets

HELD_SHARE = 0.12
MOST_WINDOWS = 24
WINDOW, LARGEST_WINDOW = 256, 896
"""Px of a window; it grows with its object, so that a large one is seen whole."""
PATIENCE, PATIENCE_MISSED = 2, 6
"""Reviews in a row without a gain after which a training settles; the second while a label is not found at all."""
MISSED_F1 = 0.02
"""F1 of a label below which it is called not found."""
GAIN_F1, GAIN_LOSS = 0.01, 0.04
ENOUGH_F1 = 0.985
"""With this much found, a loss that still falls is no reason to go on: F1 has no room left to follow it."""
_LEAST_IOU = 0.5
_ROOM = 1.6
_LARGE_WINDOWS = 6


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
    """Windows of pictures with at least one box, the labels in turn; sides multiples of 32, `side` where that is enough."""
    cut: list[Picture] = []
    large = 0
    for number, row in _label_by_label(pictures, random):
        window = _window(pictures[number], row, random, side)
        if window.pixels.shape[0] > side:
            large += 1
            if large > _LARGE_WINDOWS:
                continue
        cut.append(window)
        if len(cut) == MOST_WINDOWS:
            break
    return cut


def _label_by_label(pictures: list[Picture], random: np.random.Generator) -> Iterator[tuple[int, int]]:
    """(picture, row) of all boxes in a random order in which each label has its turn, as long as it has boxes."""
    places: dict[int, list[tuple[int, int]]] = {}
    for number, picture in enumerate(pictures):
        for row, label in enumerate(picture.labels.tolist()):
            places.setdefault(label, []).append((number, row))
    mixed = [
        [places[label][place] for place in random.permutation(len(places[label]))] for label in sorted(places)
    ]
    for turn in zip_longest(*mixed):
        yield from (place for place in turn if place is not None)


def _window(picture: Picture, row: int, random: np.random.Generator, least: int) -> Picture:
    """A window around one box, which lies somewhere near its middle and whole in it."""
    height, width = picture.pixels.shape[:2]
    x0, y0, x1, y1 = picture.boxes[row]
    longer = max(x1 - x0, y1 - y0)
    side = int(np.clip(32 * np.ceil(_ROOM * longer / 32), least, max(least, LARGEST_WINDOW)))
    reach = min(0.3 * side, max(0.0, (side - longer) / 2))
    shift = random.uniform(-1, 1, 2) * reach
    left, top = (
        int(np.clip(center - side / 2 + shift[axis], 0, max(0, (width, height)[axis] - side)))
        for axis, center in enumerate(((x0 + x1) / 2, (y0 + y1) / 2))
    )
    pixels = np.full((side, side, picture.pixels.shape[2]), 255, np.uint8)
    part = picture.pixels[top : top + side, left : left + side]
    pixels[: part.shape[0], : part.shape[1]] = part
    return Picture(pixels, picture.boxes - [left, top, left, top], picture.labels)


@dataclass(frozen=True, slots=True)
class Review:
    """What one review found: the step, seconds since the start, F1 and loss on the windows.

    F1 is the mean over the labels, each at its best threshold, so that a rare label counts as much as a common one.
    """

    step: int
    seconds: float
    f1: float
    loss: float


@dataclass(slots=True)
class Reviewer:
    """Reviews a network on its windows, and tells when it no longer gets better.

    `missed`: places of the labels of which the last review found nothing.
    """

    windows: list[Picture]
    labels: int
    find: Callable[[CenterNetwork, NDArray[np.uint8]], Found]
    loss: Callable[[CenterNetwork, torch.Tensor, Targets], float]
    reviews: list[Review] = field(default_factory=list)
    missed: tuple[int, ...] = ()
    _best: tuple[float, float] = (-1.0, float("inf"))
    _flat: int = 0

    def review(self, network: CenterNetwork, step: int, seconds: float) -> Review:
        """One review; whether the plateau is reached stands in `plateau` then."""
        network.eval()
        made = Review(step, round(seconds, 1), self._f1(network), self._loss(network))
        f1, loss = self._best
        if made.f1 > f1 + GAIN_F1 or (f1 < ENOUGH_F1 and made.loss < loss * (1 - GAIN_LOSS)):
            self._flat = 0
        else:
            self._flat += 1
        self._best = (max(f1, made.f1), min(loss, made.loss))
        self.reviews.append(made)
        return made

    @property
    def plateau(self) -> bool:
        """Whether the last reviews brought nothing."""
        return self._flat >= (PATIENCE_MISSED if self.missed else PATIENCE)

    @property
    def best_f1(self) -> float:
        """The best F1 so far."""
        return max(0.0, self._best[0])

    def _f1(self, network: CenterNetwork) -> float:
        verdicts: list[list[tuple[float, bool]]] = [[] for _ in range(self.labels)]
        totals = np.zeros(self.labels, np.int64)
        for window in self.windows:
            whole = _inside(window.boxes, window.pixels.shape[0])
            totals += np.bincount(window.labels[whole], minlength=self.labels)
            found = self.find(network, window.pixels)
            for label, score, hit in _judged(found, window, whole):
                verdicts[label].append((score, hit))
        found_of = {
            label: _best_f1(verdicts[label], totals[label]) for label in np.flatnonzero(totals).tolist()
        }
        self.missed = tuple(label for label, f1 in found_of.items() if f1 < MISSED_F1)
        return float(np.mean(list(found_of.values()))) if found_of else 0.0

    def _loss(self, network: CenterNetwork) -> float:
        values, counts = [], []
        for some in self._batches():
            side = some[0].pixels.shape[0]
            targets = Targets.empty(len(some), self.labels, side)
            for place, window in enumerate(some):
                targets.write(place, window.boxes, window.labels, side)
            stack = np.stack([255 - window.pixels for window in some])
            images = torch.from_numpy(stack).permute(0, 3, 1, 2).float().div_(255.0)
            values.append(self.loss(network, images.contiguous(memory_format=torch.channels_last), targets))
            counts.append(len(some))
        return float(np.average(values, weights=counts))

    def _batches(self) -> Iterator[list[Picture]]:
        """Windows of one size together, up to 8."""
        by_side: dict[int, list[Picture]] = {}
        for window in self.windows:
            by_side.setdefault(window.pixels.shape[0], []).append(window)
        for some in by_side.values():
            yield from (some[start : start + 8] for start in range(0, len(some), 8))


def _best_f1(verdicts: list[tuple[float, bool]], total: int) -> float:
    """F1 at the threshold that is best, of (score, hit) and how many there are to find."""
    if not verdicts:
        return 0.0
    right = np.cumsum([hit for _, hit in sorted(verdicts, key=lambda one: -one[0])])
    return float((2 * right / (np.arange(1, len(right) + 1) + total)).max())


def _inside(boxes: NDArray[np.float64], side: int) -> NDArray[np.bool_]:
    return np.asarray((boxes >= 0).all(axis=1) & (boxes <= side).all(axis=1))


def _judged(found: Found, window: Picture, whole: NDArray[np.bool_]) -> list[tuple[int, float, bool]]:
    """(label, score, hit) of what counts: boxes that hit a cut object count neither way."""
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
        verdicts.append((int(label), float(score), bool(hit)))
    return verdicts
