"""AdamW (Loshchilov and Hutter, 2019) by torch's own function, without torch's compiler.

`torch.optim.AdamW` loads the compiler at its first call, which takes seconds of each training here and is
never used; the function beneath it does the same steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.optim.adamw import adamw

WEIGHT_DECAY = 1e-2


@dataclass(frozen=True, slots=True)
class Descent:
    """The weights, and the running means of their gradients."""

    weights: list[torch.nn.Parameter]
    means: list[torch.Tensor]
    squares: list[torch.Tensor]
    counts: list[torch.Tensor]

    @classmethod
    def of(cls, weights: Iterable[torch.nn.Parameter]) -> Descent:
        """At the start: all means at zero."""
        own = list(weights)
        return cls(
            own,
            [torch.zeros_like(each, memory_format=torch.preserve_format) for each in own],
            [torch.zeros_like(each, memory_format=torch.preserve_format) for each in own],
            [torch.tensor(0.0) for _ in own],
        )

    def forget(self) -> None:
        """Drop the gradients of the last step."""
        for each in self.weights:
            each.grad = None

    def step(self, rate: float) -> None:
        """Move the weights that have a gradient."""
        moved = [place for place, each in enumerate(self.weights) if each.grad is not None]
        with torch.no_grad():
            adamw(
                [self.weights[place] for place in moved],
                [grad for each in self.weights if (grad := each.grad) is not None],
                [self.means[place] for place in moved],
                [self.squares[place] for place in moved],
                [],
                [self.counts[place] for place in moved],
                foreach=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=rate,
                weight_decay=WEIGHT_DECAY,
                eps=1e-8,
                maximize=False,
            )
