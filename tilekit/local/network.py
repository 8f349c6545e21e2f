"""The detector: a fully convolutional center-point network, about 0.4 million parameters.

A first layer at stride 2 sees pixels at every place alike, so that a mark of 4 px is learned once and not once for
each place in a cell; all other work is done at stride 4, 8, 16 and 32. Each label has a
heatmap of centers (Zhou et al., "Objects as Points", 2019) on each of two levels: boxes of 4 to 64 px
belong to the level of stride 4, those over 40 px to that of stride 16, where 200 px are a dozen cells
and not fifty. A center sees about 300 px to each side, so that a table of 400 px has its edges in view. Every cell
tells the sides of a box and the offset of its center. Any image size, gray or color.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the name everyone knows

from tilekit.errors import ServiceError

PADDING = 32
FIRST_WIDTH = 16
WIDTHS = (32, 48, 64, 96)
SMALLEST_SCORE = 0.02
_LEAST_LOGIT = math.log(SMALLEST_SCORE / (1 - SMALLEST_SCORE))


@dataclass(frozen=True, slots=True)
class Level:
    """One map of centers: px of a cell, and the longer sides (px) of the boxes that belong to it."""

    stride: int
    least: float
    most: float


LEVELS = (Level(4, 0.0, 64.0), Level(16, 40.0, float("inf")))


def _block(before: int, after: int, *, stride: int = 1, dilation: int = 1, side: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, side, stride, dilation * (side // 2), dilation, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class CenterNetwork(nn.Module):  # type: ignore[misc]
    """Images (n, bands, h, w), sides multiples of 32, values 0..1 -> for each level (n, labels + 4, h / stride, w / stride).

    The first channels are logits of centers, the last four log(width), log(height), dx, dy in cells.
    """

    def __init__(self, bands: int, labels: int) -> None:
        super().__init__()
        fine, middle, coarse, far = WIDTHS
        self.bands, self.labels = bands, labels
        self.stem = nn.Sequential(
            _block(bands, FIRST_WIDTH, stride=2, side=5),
            _block(FIRST_WIDTH, fine, stride=2),
            _block(fine, fine),
        )
        self.down8 = nn.Sequential(_block(fine, middle, stride=2), _block(middle, middle))
        self.down16 = nn.Sequential(_block(middle, coarse, stride=2), _block(coarse, coarse, dilation=2))
        self.down32 = nn.Sequential(
            _block(coarse, far, stride=2), _block(far, far, dilation=2), _block(far, far, dilation=4)
        )
        self.lift32 = nn.Conv2d(far, coarse, 1)
        self.join16 = _block(coarse, coarse)
        self.lift16 = nn.Conv2d(coarse, middle, 1)
        self.join8 = _block(middle, middle)
        self.lift8 = nn.Conv2d(middle, fine, 1)
        self.join4 = _block(fine, fine)
        self.head = nn.Sequential(_block(fine, fine), nn.Conv2d(fine, labels + 4, 1))
        self.large = nn.Sequential(_block(coarse, coarse), nn.Conv2d(coarse, labels + 4, 1))
        for last in (self.head[-1], self.large[-1]):
            nn.init.normal_(last.weight, std=0.01)
            nn.init.zeros_(last.bias)
            with torch.no_grad():
                last.bias[:labels] = -4.0
                last.bias[labels : labels + 2] = 1.5

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = next(self.parameters()).device
        return device

    def train_with(self, *, norms_kept: bool) -> None:
        """Train; `norms_kept`: normalized by the running mean of other batches, which stays as it is."""
        self.train()
        if norms_kept:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Raw maps of each level, the finest first."""
        at4 = self.stem(images)
        at8 = self.down8(at4)
        at16 = self.down16(at8)
        at16 = self.join16(at16 + _enlarged(self.lift32(self.down32(at16))))
        at8 = self.join8(at8 + _enlarged(self.lift16(at16)))
        at4 = self.join4(at4 + _enlarged(self.lift8(at8)))
        return self.head(at4), self.large(at16)


def _enlarged(maps: torch.Tensor) -> torch.Tensor:
    return F.interpolate(maps, scale_factor=2.0, mode="nearest")


@dataclass(frozen=True, slots=True)
class Found:
    """Boxes found in one image: (n, 4) xyxy px, scores 0..1, label places; best first."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]


def to_tensor(pixels: NDArray[np.uint8], bands: int) -> torch.Tensor:
    """(h, w, 1 or 3) uint8 -> (1, bands, h', w') float 0..1 with dark ink as 1, sides padded to 32 with paper."""
    image = pixels
    if bands == 1 and image.shape[2] == 3:
        image = to_gray(image)
    elif bands == 3 and image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    tensor = torch.from_numpy(np.ascontiguousarray(255 - image)).permute(2, 0, 1)[None].float().div_(255.0)
    height, width = tensor.shape[2:]
    bottom, right = -height % PADDING, -width % PADDING
    if bottom or right:
        tensor = F.pad(tensor, (0, right, 0, bottom), mode="replicate")
    return tensor.contiguous(memory_format=torch.channels_last)


def to_gray(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w, 3) -> (h, w, 1) by Rec. 601 luminance."""
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    gray: NDArray[np.uint8] = np.rint(pixels.astype(np.float32) @ weights).astype(np.uint8)[:, :, None]
    return gray


def decode(maps: Sequence[torch.Tensor], labels: int, width: int, height: int, most: int = 300) -> Found:
    """Boxes of one image from its levels' maps (labels + 4, h, w): local maxima, clipped to the image, best first."""
    levels = [_peaks(one, labels, level.stride, most) for one, level in zip(maps, LEVELS, strict=True)]
    boxes, scores, ids = (np.concatenate(parts) for parts in zip(*levels, strict=True))
    boxes = np.clip(boxes, 0, [width, height, width, height])
    real = (boxes[:, 2] - boxes[:, 0] > 0.5) & (boxes[:, 3] - boxes[:, 1] > 0.5)
    order = np.flatnonzero(real)
    order = order[np.argsort(-scores[order], kind="stable")][:most]
    return _without_doubles(boxes[order], scores[order], ids[order])


def _peaks(
    maps: torch.Tensor, labels: int, stride: int, most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Boxes (n, 4), scores and label places of one level's local maxima, best first."""
    logits = maps[:labels]
    ids, row, column = torch.nonzero(logits >= _LEAST_LOGIT, as_tuple=True)
    values = logits[ids, row, column]
    peak = torch.ones_like(
        values, dtype=torch.bool
    )  # few cells are above the least score, so only they are compared
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            near = (row + down).clamp(0, maps.shape[1] - 1), (column + across).clamp(0, maps.shape[2] - 1)
            peak &= values >= logits[ids, *near]
    places = torch.nonzero(peak)[:, 0]
    scores, order = values[places].sigmoid().topk(min(most, len(places)))
    chosen = places[order]
    ids, row, column = ids[chosen], row[chosen], column[chosen]
    shape = maps[labels:, row, column].double()
    half = shape[:2].clamp(-4, 6).exp() * (stride / 2)
    center = torch.stack([column + 0.5 + shape[2], row + 0.5 + shape[3]]) * stride
    boxes = torch.cat([center - half, center + half]).T.numpy()
    return boxes, scores.double().numpy(), ids.numpy()


def _without_doubles(
    boxes: NDArray[np.float64], scores: NDArray[np.float64], ids: NDArray[np.int64], most: float = 0.5
) -> Found:
    kept: list[int] = []
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    for i in range(len(boxes)):
        others = [k for k in kept if ids[k] == ids[i]]
        if others:
            low = np.maximum(boxes[i, :2], boxes[others, :2])
            high = np.minimum(boxes[i, 2:], boxes[others, 2:])
            inside = np.clip(high - low, 0, None).prod(axis=1)
            if (inside / (areas[i] + areas[others] - inside) > most).any():
                continue
        kept.append(i)
    return Found(boxes[kept], scores[kept], ids[kept])


def fused(network: CenterNetwork) -> CenterNetwork:
    """The network for inference: batch normalization folded into the convolutions, channels last."""
    network = network.eval()
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential) and len(module) >= 2 and isinstance(module[1], nn.BatchNorm2d):
            module[0] = nn.utils.fusion.fuse_conv_bn_eval(module[0], module[1])
            module[1] = nn.Identity()
    ready: CenterNetwork = network.to(memory_format=torch.channels_last)
    return ready


def save(path: Any, network: CenterNetwork, names: list[str]) -> None:
    """Write the network's weights with what is needed to use them."""
    weights = network.state_dict()
    torch.save({"network": _KIND, "bands": network.bands, "names": names, "weights": weights}, path)


def load(path: Any) -> tuple[CenterNetwork, tuple[str, ...]]:
    """A network ready for inference, and its label names. ServiceError where another kind of network is stored."""
    stored = torch.load(path, map_location="cpu", weights_only=True)
    if stored.get("network") != _KIND:
        raise ServiceError(f"{path}: {_OTHER_KIND}; train it again")
    network = CenterNetwork(stored["bands"], len(stored["names"]))
    network.load_state_dict(stored["weights"])
    return fused(network), tuple(stored["names"])


def start_from(network: CenterNetwork, names: list[str], path: Path) -> str | None:
    """Give a new network the weights of an earlier model, label by name; why not, where it cannot be."""
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError) as exc:
        return f"it cannot be read ({type(exc).__name__})"
    if stored.get("network") != _KIND:
        return _OTHER_KIND
    if stored["bands"] != network.bands:
        kinds = {1: "gray", 3: "color"}
        return f"it was trained on {kinds[stored['bands']]} images and these are {kinds[network.bands]}"
    mine, before, count = network.state_dict(), len(stored["names"]), len(names)
    shared = [(names.index(name), place) for place, name in enumerate(stored["names"]) if name in names]
    for name, values in stored["weights"].items():
        if name.startswith(LAST):
            for place, earlier in shared:
                mine[name][place] = values[earlier]
            mine[name][count:] = values[before:]
        else:
            mine[name] = values
    network.load_state_dict(mine)
    return None


LAST = ("head.1.", "large.1.")
"""Names of the weights that belong to labels, in rows: one a label, then four of the boxes' shapes."""
_KIND = 2
"""Counted up whenever weights of before no longer fit."""
_OTHER_KIND = "it is a model of another version of tilekit, whose network differs"
