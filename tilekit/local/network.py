"""The detector: a fully convolutional center-point network, about 0.2 million parameters.

Pixels are folded 4 x 4 into channels, so all work is done at stride 4, 8 and 16; each label has a heatmap
of centers at stride 4 (Zhou et al., "Objects as Points", 2019), and every cell tells the sides of a box
and the offset of its center. Any image size, gray or color. Small boxes are told apart by the stride-4
features, boxes up to some 200 px by those of stride 16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the name everyone knows

STRIDE = 4
PADDING = 16
WIDTHS = (32, 48, 64)
SMALLEST_SCORE = 0.02


def _block(before: int, after: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, dilation, dilation, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class CenterNetwork(nn.Module):  # type: ignore[misc]
    """Images (n, bands, h, w), sides multiples of 16, values 0..1 -> (n, labels + 4, h / 4, w / 4).

    The first channels are logits of centers, the last four log(width), log(height), dx, dy in cells.
    """

    def __init__(self, bands: int, labels: int) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.bands, self.labels = bands, labels
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(STRIDE), _block(bands * STRIDE * STRIDE, fine), _block(fine, fine)
        )
        self.down8 = nn.Sequential(_block(fine, middle, stride=2), _block(middle, middle))
        self.down16 = nn.Sequential(
            _block(middle, coarse, stride=2),
            _block(coarse, coarse, dilation=2),
            _block(coarse, coarse, dilation=4),
        )
        self.lift16 = nn.Conv2d(coarse, middle, 1)
        self.join8 = _block(middle, middle)
        self.lift8 = nn.Conv2d(middle, fine, 1)
        self.join4 = _block(fine, fine)
        self.head = nn.Sequential(_block(fine, fine), nn.Conv2d(fine, labels + 4, 1))
        last = self.head[-1]
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        with torch.no_grad():
            last.bias[:labels] = -4.0
            last.bias[labels : labels + 2] = 1.5

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Raw maps."""
        at4 = self.stem(images)
        at8 = self.down8(at4)
        at16 = self.down16(at8)
        at8 = self.join8(at8 + F.interpolate(self.lift16(at16), scale_factor=2.0, mode="nearest"))
        at4 = self.join4(at4 + F.interpolate(self.lift8(at8), scale_factor=2.0, mode="nearest"))
        maps: torch.Tensor = self.head(at4)
        return maps


@dataclass(frozen=True, slots=True)
class Found:
    """Boxes found in one image: (n, 4) xyxy px, scores 0..1, label places; best first."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]


def to_tensor(pixels: NDArray[np.uint8], bands: int) -> torch.Tensor:
    """(h, w, 1 or 3) uint8 -> (1, bands, h', w') float 0..1 with dark ink as 1, sides padded to 16 with paper."""
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


def decode(maps: torch.Tensor, labels: int, width: int, height: int, most: int = 300) -> Found:
    """Boxes of one image from its maps (labels + 4, h, w): local maxima, clipped to the image, best first."""
    heat = maps[:labels].sigmoid()
    peaks = F.max_pool2d(heat[None], 3, 1, 1)[0]
    heat = torch.where((heat == peaks) & (heat >= SMALLEST_SCORE), heat, torch.zeros_like(heat))
    scores, places = heat.flatten().topk(min(most, heat.numel()))
    kept = scores > 0
    scores, places = scores[kept], places[kept]
    cells = maps.shape[1] * maps.shape[2]
    ids, rest = places // cells, places % cells
    row, column = rest // maps.shape[2], rest % maps.shape[2]
    shape = maps[labels:, row, column].double()
    sides = shape[:2].clamp(-4, 6).exp() * STRIDE
    x = (column + 0.5 + shape[2]) * STRIDE
    y = (row + 0.5 + shape[3]) * STRIDE
    boxes = torch.stack(
        [x - sides[0] / 2, y - sides[1] / 2, x + sides[0] / 2, y + sides[1] / 2], dim=1
    ).numpy()
    boxes = np.clip(boxes, 0, [width, height, width, height])
    real = (boxes[:, 2] - boxes[:, 0] > 0.5) & (boxes[:, 3] - boxes[:, 1] > 0.5)
    order = np.flatnonzero(real)
    return _without_doubles(boxes[order], scores.double().numpy()[order], ids.numpy()[order])


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
    torch.save({"bands": network.bands, "names": names, "weights": network.state_dict()}, path)


def load(path: Any) -> tuple[CenterNetwork, tuple[str, ...]]:
    """A network ready for inference, and its label names."""
    stored = torch.load(path, map_location="cpu", weights_only=True)
    network = CenterNetwork(stored["bands"], len(stored["names"]))
    network.load_state_dict(stored["weights"])
    return fused(network), tuple(stored["names"])
