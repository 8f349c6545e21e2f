"""The training loop: learns at a steady rate until reviews bring nothing more or a cap is near, then settles.

While it learns, a running mean of the weights is reviewed on images held out. Settling lets the rate fall to
nothing over a third as many steps, on all images, the held out ones among them. Where a cap ended the learning, not
the reviews, the training has not converged, and says so.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from tilekit.local.budget import Budget, Caps
from tilekit.local.crops import Batches, CropSource, Picture, crop_plans
from tilekit.local.descent import Descent
from tilekit.local.inference import find
from tilekit.local.losses import loss
from tilekit.local.network import CenterNetwork
from tilekit.local.processor import has_bfloat16, training_device
from tilekit.local.reviews import Reviewer, hold_out, windows
from tilekit.local.targets import Targets

RATE = 3e-3
REVIEW_STEPS = 120
_WARM = 40  # steps, or a tenth of what the caps allow
_SETTLE = 1 / 3  # of the steps that were learned, and not fewer than these
_LEAST_SETTLE = 120
_MEAN = 0.985
_LEAST_RATE = 0.004
_REVIEW_PICTURES = 24

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended, as it is kept with the model.

    `ended_by`: "plateau", or the cap that came first. `held_out`: images reviewed on, 0 where there were too few
    pages. `views`: times each box was seen, on average. `missed`: labels, by place, of which the last review found nothing.
    """

    converged: bool
    ended_by: str
    steps: int
    views: float
    seconds: float
    held_out: int
    best_f1: float
    missed: tuple[int, ...]
    reviews: tuple[dict[str, float], ...]

    @property
    def sentence(self) -> str:
        """What a person should know."""
        if self.converged:
            return f"Converged after {self.steps} steps."
        if self.ended_by == "nothing learned":
            return "Not converged: nothing was found on the images held out; check that the boxes are on the objects."
        return (
            f"Not converged: it was still getting better when {self.ended_by} were used up; allow more "
            "(--minutes, --steps) before you judge by it."
        )

    def to_json(self) -> dict[str, Any]:
        """As kept beside the model and in the evaluation summary."""
        return {**asdict(self), "sentence": self.sentence}


@dataclass(frozen=True, slots=True)
class LearningPlan:
    """How to learn: `rate` is the highest of the steady phase, less where it goes on from a trained model."""

    seed: int = 0
    caps: Caps = field(default_factory=Caps)
    rate: float = RATE


def learn(
    network: CenterNetwork, pictures: list[Picture], groups: list[str], plan: LearningPlan, say: Say
) -> Outcome:
    """Train `network` on the pictures; `groups` names the page of each.

    RuntimeError where there is no picture, or no box on any.
    """
    if not pictures:
        raise RuntimeError("none of the training images could be decoded")
    if not any(len(picture.boxes) for picture in pictures):
        raise RuntimeError("no training image that could be decoded has a box")
    random = np.random.default_rng(plan.seed)
    run = _Run.of(network, pictures, groups, plan, random)
    run.budget.begin()
    ended_by = _learn(run, say)
    _settle(run, CropSource(pictures, network.labels, random), say)
    network.cpu()
    if run.reviewer.best_f1 < 0.02 and ended_by == "plateau":
        ended_by = "nothing learned"
    boxes = max(1, run.budget.boxes)
    return Outcome(
        ended_by == "plateau",
        ended_by,
        run.budget.steps,
        round(run.budget.views / boxes, 1),
        round(run.budget.seconds, 1),
        run.held,
        round(run.reviewer.best_f1, 4),
        run.reviewer.missed,
        tuple(asdict(review) for review in run.reviewer.reviews),
    )


@dataclass(slots=True)
class _Run:
    """What both phases work with."""

    network: CenterNetwork
    mean: CenterNetwork
    source: CropSource
    descent: Descent
    budget: Budget
    reviewer: Reviewer
    held: int
    fast: bool
    rate: float

    @classmethod
    def of(
        cls,
        network: CenterNetwork,
        pictures: list[Picture],
        groups: list[str],
        plan: LearningPlan,
        random: np.random.Generator,
    ) -> _Run:
        """All set for the first step."""
        network.to(training_device(), memory_format=torch.channels_last)
        taught, held = hold_out(groups, [set(picture.labels.tolist()) for picture in pictures], random)
        shown = [pictures[place] for place in held] or pictures
        boxes = sum(len(picture.boxes) for picture in pictures)
        reviewer = Reviewer(windows(shown, random), network.labels, find, _loss_of)
        return cls(
            network,
            copy.deepcopy(network).eval(),
            CropSource([pictures[place] for place in taught], network.labels, random),
            Descent.of(network.parameters()),
            Budget(plan.caps, boxes),
            reviewer,
            len(held),
            has_bfloat16(network.device),
            plan.rate,
        )

    def step(self, batches: Batches, rate: float) -> float:
        """One step at this rate; gives the loss."""
        images, targets, plan = batches.take()
        self.network.train_with(norms_kept=plan.guest)
        device = self.network.device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.fast):
            maps = self.network(images.to(device))
        value = loss(maps, targets, self.network.labels)
        self.descent.forget()
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.descent.step(self.rate * rate)
        self.budget.step(targets.objects)
        return float(value.detach())

    def follow(self) -> None:
        """Move the mean of the weights towards the weights."""
        share = min(_MEAN, (1 + self.budget.steps) / (10 + self.budget.steps))
        with torch.no_grad():
            mine, theirs = self.mean.state_dict(), self.network.state_dict()
            for name, values in mine.items():
                if values.is_floating_point():
                    values.lerp_(theirs[name], 1 - share)


def _learn(run: _Run, say: Say) -> str:
    """Learn at a steady rate; gives "plateau", or the cap that is near."""
    with contextlib.closing(Batches(run.source, crop_plans(run.source.pictures))) as batches:
        return _learn_from(run, batches, say)


def _learn_from(run: _Run, batches: Batches, say: Say) -> str:
    budget = run.budget
    while True:
        total = budget.most_steps()
        warm = max(1, min(_WARM, round(0.1 * total)))
        value = run.step(batches, min(1.0, (budget.steps + 1) / warm))
        run.follow()
        if budget.steps >= total / (1 + _SETTLE):
            return budget.first_cap()
        if budget.steps % REVIEW_STEPS == 0:
            review = run.reviewer.review(run.mean, budget.steps, budget.seconds)
            if run.reviewer.plateau:
                return "plateau"
            if len(run.reviewer.reviews) % 3 == 0:
                batches.mistaken(_mistakes(run.mean, run.source))
            say(
                f"Training: step {budget.steps}, loss {value:.3f}, F1 {review.f1:.2f} on images held out; at most "
                f"{_duration(budget.seconds_for(budget.most_steps() - budget.steps))} left."
            )


def _settle(run: _Run, source: CropSource, say: Say) -> None:
    """Let the rate fall to nothing over a third as many steps as were learned, 120 at least, on all images."""
    budget = run.budget
    begun = budget.steps
    last = max(begun + 1, min(begun + max(_LEAST_SETTLE, round(_SETTLE * begun)), budget.most_steps()))
    source.mistakes = _mistakes(run.mean, source)
    with contextlib.closing(Batches(source, crop_plans(source.pictures))) as batches:
        while budget.steps < last:
            part = (budget.steps - begun) / (last - begun)
            rate = _LEAST_RATE + (1 - _LEAST_RATE) * (1 + math.cos(math.pi * part)) / 2
            value = run.step(batches, rate)
            if budget.steps % 60 == 0:
                last = max(budget.steps, min(last, budget.most_steps()))
                left = _duration(budget.seconds_for(last - budget.steps))
                say(
                    f"Training: step {budget.steps} of {last}, settling, loss {value:.3f}, about {left} left."
                )


def _loss_of(network: CenterNetwork, images: torch.Tensor, targets: Targets) -> float:
    with torch.inference_mode():
        return float(loss(network(images.to(network.device)), targets, network.labels))


def _mistakes(network: CenterNetwork, source: CropSource) -> list[tuple[int, float, float]]:
    """Where the network finds what is not there, in some of the pictures."""
    network.eval()
    found: list[tuple[int, float, float]] = []
    step = max(1, len(source.pictures) // _REVIEW_PICTURES)
    for number in range(0, len(source.pictures), step):
        picture = source.pictures[number]
        seen = find(network, picture.pixels)
        for box, score, label in zip(seen.boxes, seen.scores, seen.labels, strict=True):
            if score < 0.15:
                break
            x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            same = picture.boxes[picture.labels == label]
            hit = (same[:, 0] <= x) & (x <= same[:, 2]) & (same[:, 1] <= y) & (y <= same[:, 3])
            if not hit.any():
                found.append((number, float(x), float(y)))
    return found


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
