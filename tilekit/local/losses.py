"""How far the network's maps are from what they should be."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F  # noqa: N812 - the name everyone knows

from tilekit.local.targets import LevelTargets, Targets


def loss(maps: Sequence[torch.Tensor], targets: Targets, labels: int) -> torch.Tensor:
    """Penalty-reduced focal loss of the centers, and L1 of the shapes near them, per object."""
    parts = [_level_loss(one, level, labels) for one, level in zip(maps, targets.levels, strict=True)]
    centers, objects, shapes, near = (torch.stack(values).sum() for values in zip(*parts, strict=True))
    return centers / objects.clamp(min=1.0) + shapes / near.clamp(min=1.0)


def _level_loss(maps: torch.Tensor, targets: LevelTargets, labels: int) -> tuple[torch.Tensor, ...]:
    """Sums over one level: of the centers' loss, objects, the shapes' loss, its weights."""
    heat, weight, near, shape = (
        torch.from_numpy(values).to(maps.device)
        for values in (targets.heat, targets.weight, targets.near, targets.shape)
    )
    logits = maps[:, :labels].float()
    score = logits.sigmoid().clamp(1e-5, 1 - 1e-5)
    center = (heat >= 0.999).float()
    found = -((1 - score) ** 2) * score.log() * center
    wrong = -((1 - heat) ** 4) * score**2 * (1 - score).log() * (1 - center) * weight
    off = F.smooth_l1_loss(maps[:, labels:].float(), shape, reduction="none", beta=0.1) * near
    return found.sum() + wrong.sum(), center.sum(), off.sum(), near.sum()
