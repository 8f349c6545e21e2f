"""What the network is taught with: crops around objects, at random, and where it was wrong."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from tilekit.local.targets import Targets


@dataclass(frozen=True, slots=True)
class Picture:
    """A training image as the network sees it: (h, w, bands) uint8, boxes (n, 4) in its px, label places."""

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CropPlan:
    """A batch: `count` crops of `side` px, around objects with a longer side of `least` to `most` px.

    `guest`: one of few among batches of another look, so that it is normalized as these are, and as every image is
    once the network is trained. By its own mean it would learn what does not hold then: large tables among small
    symbols were found in training only.
    """

    side: int
    count: int
    most: float
    least: float = 0.0
    guest: bool = False


SMALLEST_CROP, CROP, LARGEST_CROP = 64, 192, 896
WORK = 48 * 64**2
"""Pixels of a batch of small objects. More batches teach more than larger ones, down to about this size."""
_ROOM = 2.2
_AROUND = 7.0  # sides of a small object that a crop shows; what lies further off teaches it little
_LARGE_WORK = 24 * CROP**2
_CUT_OFF = 0.25  # of a large object's side that a crop around it may leave out


def crop_plans(pictures: list[Picture]) -> list[CropPlan]:
    """Batches to take in turn: close crops of small objects, wider ones, large ones with room for the larger.

    Each object has its turn in a crop with room around it; how often large crops come follows from how
    many objects need them, where each label counts the same however rare it is. A large batch has the work of about
    five others, and of eight at most, where a crop holds what is several hundred px long.
    """
    labels = _sides_by_label(pictures)
    fits = CROP / _ROOM
    share = float(np.mean([(sides > fits).mean() for sides in labels])) if labels else 0.0
    small = _small_plans(labels, fits if share >= 0.01 else float("inf"))
    if share < 0.01:
        return small
    largest = max(float(np.quantile(big, 0.9)) for sides in labels if len(big := sides[sides > fits]))
    side = int(np.clip(np.ceil(_ROOM * largest / 32) * 32, CROP, LARGEST_CROP))
    count = max(2, round(_LARGE_WORK / side**2))
    if share > 0.8:
        return [CropPlan(side, count, float("inf"))]
    large = CropPlan(side, count, float("inf"), fits, guest=True)
    return [large, *small] if share > 0.3 else [*small, large, *small]


def _small_plans(labels: list[NDArray[np.float64]], most: float) -> list[CropPlan]:
    """Four batches of equal work: three close around the objects, one as wide as what they may need to be told apart."""
    wide = CropPlan(CROP, _count(CROP), most)
    small = [some for sides in labels if len(some := sides[sides <= most])]
    if not small:
        return [wide, wide, wide, wide]
    typical = max(float(np.quantile(sides, 0.75)) for sides in small)
    side = int(np.clip(np.ceil(_AROUND * typical / 32) * 32, SMALLEST_CROP, CROP))
    close = CropPlan(side, _count(side), most)
    return [close, close, close, wide]


def _count(side: int) -> int:
    return round(WORK / side**2)


def _sides_by_label(pictures: list[Picture]) -> list[NDArray[np.float64]]:
    """Longer sides (px) of the boxes of each label that has some."""
    if not pictures:
        return []
    sides = np.concatenate([_longer(picture) for picture in pictures])
    labels = np.concatenate([picture.labels for picture in pictures])
    return [sides[labels == label] for label in np.unique(labels)]


def _longer(picture: Picture) -> NDArray[np.float64]:
    longer: NDArray[np.float64] = (picture.boxes[:, 2:] - picture.boxes[:, :2]).max(axis=1, initial=0)
    return longer


@dataclass(slots=True)
class CropSource:
    """Draws crops from pictures. `mistakes`: (picture, x, y) where something was found that is not there."""

    pictures: list[Picture]
    label_count: int
    random: np.random.Generator
    mistakes: list[tuple[int, float, float]] = field(default_factory=list)
    _around: dict[CropPlan, list[list[tuple[int, int]]]] = field(default_factory=dict)

    def batch(self, plan: CropPlan) -> tuple[torch.Tensor, Targets]:
        """Crops (count, bands, side, side) with ink as 1, and their targets."""
        bands = self.pictures[0].pixels.shape[2]
        images = np.zeros((plan.count, plan.side, plan.side, bands), np.uint8)
        targets = Targets.empty(plan.count, self.label_count, plan.side)
        for place in range(plan.count):
            number, x, y = self._spot(plan)
            picture = self.pictures[number]
            scale = float(self.random.uniform(0.9, 1.1)) if self.random.random() < 0.3 else 1.0
            images[place] = _cut(picture.pixels, x, y, plan.side, scale)
            boxes = (picture.boxes - [x, y, x, y]) * scale
            targets.write(place, boxes, picture.labels, plan.side)
        tensor = torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255.0)
        return self._varied(tensor).contiguous(memory_format=torch.channels_last), targets

    def _objects(self, plan: CropPlan) -> list[list[tuple[int, int]]]:
        """(picture, row) of the boxes that a plan is for, a list for each label that has some."""
        if plan not in self._around:
            places: list[list[tuple[int, int]]] = [[] for _ in range(self.label_count)]
            for number, picture in enumerate(self.pictures):
                for row, (label, longer) in enumerate(zip(picture.labels, _longer(picture), strict=True)):
                    if plan.least < longer <= plan.most:
                        places[label].append((number, row))
            self._around[plan] = [found for found in places if found]
        return self._around[plan]

    def _spot(self, plan: CropPlan) -> tuple[int, float, float]:
        """A picture and the top left corner of a crop in it."""
        draw = self.random.random()
        reach = 0.45 * plan.side
        if draw < 0.2 and self.mistakes:
            number, x, y = self.mistakes[int(self.random.integers(len(self.mistakes)))]
        elif draw < 0.8:
            objects = self._objects(plan)
            label = objects[int(self.random.integers(len(objects)))]
            number, box = label[int(self.random.integers(len(label)))]
            x0, y0, x1, y1 = self.pictures[number].boxes[box]
            x, y = (x0 + x1) / 2, (y0 + y1) / 2
            longer = max(x1 - x0, y1 - y0)
            reach = min(reach, max(0.0, (plan.side - longer) / 2 + _CUT_OFF * longer))
        else:
            number = int(self.random.integers(len(self.pictures)))
            height, width = self.pictures[number].pixels.shape[:2]
            x, y = float(self.random.random()) * width, float(self.random.random()) * height
        shift = self.random.uniform(-1, 1, 2) * reach
        height, width = self.pictures[number].pixels.shape[:2]
        left = np.clip(x + shift[0] - plan.side / 2, -8, max(-8.0, width - plan.side + 8))
        top = np.clip(y + shift[1] - plan.side / 2, -8, max(-8.0, height - plan.side + 8))
        return number, float(round(left)), float(round(top))

    def _varied(self, images: torch.Tensor) -> torch.Tensor:
        """Contrast and brightness changed a little, each crop by itself."""
        count = images.shape[0]
        gain = torch.from_numpy(self.random.uniform(0.8, 1.15, (count, 1, 1, 1))).float()
        shift = torch.from_numpy(self.random.uniform(-0.04, 0.06, (count, 1, 1, 1))).float()
        return (images * gain + shift).clamp_(0, 1)


class Batches:
    """Batches of some plans in turn, each drawn in a thread of its own while the one before is learned from."""

    def __init__(self, source: CropSource, plans: list[CropPlan]) -> None:
        self._source, self._plans, self._drawn = source, plans, 0
        self._thread = ThreadPoolExecutor(1)
        self._ahead: Future[tuple[torch.Tensor, Targets, CropPlan]] = self._draw()

    def take(self) -> tuple[torch.Tensor, Targets, CropPlan]:
        """The next one: images, targets, and the plan by which it was drawn."""
        batch = self._ahead.result()
        self._ahead = self._draw()
        return batch

    def mistaken(self, mistakes: list[tuple[int, float, float]]) -> None:
        """Draw around these too, from the batch after the one that is drawn already: the same in each run."""
        wait([self._ahead])
        self._source.mistakes = mistakes

    def close(self) -> None:
        """Draw no more."""
        self._thread.shutdown()

    def _draw(self) -> Future[tuple[torch.Tensor, Targets, CropPlan]]:
        plan = self._plans[self._drawn % len(self._plans)]
        self._drawn += 1
        return self._thread.submit(lambda: (*self._source.batch(plan), plan))


def _cut(pixels: NDArray[np.uint8], x: float, y: float, crop: int, scale: float) -> NDArray[np.uint8]:
    """The crop at (x, y) as ink (255 - value), enlarged by `scale`; beyond the edges there is no ink."""
    side = crop if scale == 1.0 else int(np.ceil(crop / scale))
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
    resized: NDArray[np.uint8] = grown[0].permute(1, 2, 0)[:crop, :crop].round().byte().numpy()
    full = np.zeros((crop, crop, pixels.shape[2]), np.uint8)
    full[: resized.shape[0], : resized.shape[1]] = resized
    return full
