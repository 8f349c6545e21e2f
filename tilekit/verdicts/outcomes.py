"""What came out of a comparison, in words: of `compare`, of a demo and of a report, all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tilekit.rekognition.training_note import TrainingNote
from tilekit.verdicts.recall import Expected, beside

Reason = Literal["size", "boxes"]
Outcome = Literal["better", "worse", "level", "not shown", "not converged"]
FALSE_ALARMS_HELP = (
    "teach them as decoys (`tilekit dataset --decoys`), or try larger tiles, which show more of what is around, and "
    "objects smaller"
)
"""What helps where tiles, with less around an object, take look-alikes for it."""
GOOD = 0.85
"""F1 of whole pages that is called good."""
LEVEL = 0.01
"""A difference in F1 that matters to nobody: an interval within it on both sides of 0 is called level."""


@dataclass(frozen=True, slots=True)
class Gain:
    """A difference in mean F1 as the words need it: None where not defined. `names`: of baseline and tiles.

    `trainings`: how each side's training ended, None where it is not known; of several the least converged. `unit`: what `pages` counts.
    `recall`, `precision`: means over labels of each side; `expected`: the recall that was to be expected of it. `whole`: the
    baseline is whole pages, as far as is known; it may be tiles, which others are held against.
    """

    names: tuple[str, str]
    baseline: float | None
    tiled: float | None
    low: float | None
    high: float | None
    pages: int
    trainings: tuple[TrainingNote | None, TrainingNote | None] = (None, None)
    unit: str = "pages"
    recall: tuple[float | None, float | None] = (None, None)
    precision: tuple[float | None, float | None] = (None, None)
    expected: tuple[Expected | None, Expected | None] = (None, None)
    whole: bool = True

    @property
    def difference(self) -> float | None:
        """Tiles minus baseline."""
        return None if self.baseline is None or self.tiled is None else self.tiled - self.baseline

    @property
    def unconverged(self) -> tuple[tuple[str, TrainingNote], ...]:
        """The sides that were not trained to their end, by name."""
        return unconverged(self.names, self.trainings)

    @property
    def outcome(self) -> Outcome:
        """ "level" where the whole interval is within LEVEL of 0, else "better" or "worse" where it lies on one side of 0."""
        return outcome_of(self.low, self.high, converged=not self.unconverged)

    def sentence(self, least_pages: int) -> str:
        """The outcome in one plain sentence. `least_pages`: what an interval takes."""
        baseline, tiled = self.names
        if self.difference is None:
            return f"{tiled} and {baseline} cannot be compared: F1 is not defined on these {self.pages} {self.unit}."
        size = f"mean F1 {self.baseline:.3f} to {self.tiled:.3f}, difference {self.difference:+.3f}"
        if self.unconverged:
            return f"{no_verdict(self.names, self.unconverged)} ({size}, {self.pages} {self.unit}: not the tiling's doing alone)."
        if self.low is None or self.high is None:
            why = f"an interval takes at least {least_pages} {self.unit}, here are {self.pages}"
            if self.pages >= least_pages:
                why = f"too few of the {self.unit} say anything for an interval"
            return f"A difference of {tiled} to {baseline} is not shown: {size}, and {why}."
        size += f", 95 % interval {self.low:+.3f} to {self.high:+.3f}, {self.pages} {self.unit}"
        if self.outcome == "level":
            return f"{tiled} and {baseline} are level on these {self.unit}, within {LEVEL:g} ({size})."
        if self.outcome == "not shown":
            return f"A difference of {tiled} to {baseline} is not shown by this many {self.unit} ({size})."
        return f"{tiled}, against {baseline}: {self.outcome} ({size})."

    @property
    def expectation(self) -> str:
        """What was to be expected beside what came out, in one sentence; "" where nothing was expected."""
        return beside(self.names, self.expected, self.recall, converged=not self.unconverged)

    @property
    def lost_to_false_alarms(self) -> str:
        """Where tiles find no less and are worse all the same: what it is; else ""."""
        (one, two), (before, after) = self.recall, self.precision
        if self.outcome != "worse" or one is None or two is None or before is None or after is None:
            return ""
        if two < one - 0.01 or after > before - 0.01:
            return ""
        if not self.whole:
            return (
                f"{self.names[1]}: no less is found (recall {one:.2f} to {two:.2f}); the loss is false alarms "
                f"(precision {before:.2f} to {after:.2f}): teach them as decoys (`tilekit dataset --decoys`)."
            )
        return (
            f"Tiles find no less (recall {one:.2f} to {two:.2f}); the loss is false alarms (precision {before:.2f} "
            f"to {after:.2f}): {FALSE_ALARMS_HELP}."
        )

    @property
    def advice(self) -> str:
        """What to do about it, in one sentence; "" where F1 is not defined."""
        if self.difference is None or self.baseline is None:
            return ""
        if self.unconverged:
            return what_to_do(self.unconverged)
        if not self.whole:
            return self._choice
        if self.outcome == "worse":
            return "Tiles are worse here: train on whole pages."
        if self.outcome == "better":
            if self.baseline >= GOOD:
                return (
                    f"Whole pages do well already (F1 {self.baseline:.2f}), tiles do better: they pay where every "
                    "symbol counts, for several calls a page instead of one."
                )
            return "Tiling pays here."
        if self.outcome == "level":
            if self.baseline >= GOOD:
                return "Whole pages do as well as tiles here, for one call a page instead of several."
            return (
                f"Whole pages do as well as tiles here, and neither does well (F1 {self.baseline:.2f}): look at what "
                "both miss before you choose."
            )
        if self.baseline >= GOOD:
            return (
                f"Whole pages are good enough here (F1 {self.baseline:.2f}), and no gain of tiles is shown, which "
                "cost several calls a page instead of one."
            )
        return "These pages do not show that tiles are better or worse: label more test pages, or train on whole pages."

    @property
    def _choice(self) -> str:
        """What to do where one way of cutting pages is held against another."""
        baseline, other = self.names
        if self.outcome == "worse":
            return f"{other} did worse here: keep to {baseline}."
        if self.outcome == "better":
            return f"{other} did better here: take that, if it is worth its calls."
        if self.outcome == "level":
            return f"{other} and {baseline} do equally well here: take what has fewer calls."
        return (
            f"These pages do not show that {other} or {baseline} is better: label more test pages, or take what has "
            "fewer calls."
        )


def outcome_of(low: float | None, high: float | None, *, converged: bool = True) -> Outcome:
    """What an interval of a difference says; nothing, where a side was not trained to its end."""
    if not converged:
        return "not converged"
    if low is not None and high is not None and -LEVEL <= low <= high <= LEVEL:
        return "level"
    if low is not None and low > 0:
        return "better"
    return "worse" if high is not None and high < 0 else "not shown"


def unconverged(
    names: tuple[str, str], trainings: tuple[TrainingNote | None, TrainingNote | None]
) -> tuple[tuple[str, TrainingNote], ...]:
    """The sides whose training says that it did not converge."""
    return tuple(
        (name, note)
        for name, note in zip(names, trainings, strict=True)
        if note is not None and not note.converged
    )


def no_verdict(names: tuple[str, str], sides: tuple[tuple[str, TrainingNote], ...]) -> str:
    """That nothing can be said, and why."""
    why = "; ".join(f"{name}: {note.why}" for name, note in sides)
    return f"No verdict on {names[1]} against {names[0]}, not converged: {why}"


def what_to_do(sides: tuple[tuple[str, TrainingNote], ...]) -> str:
    """What gives a verdict."""
    remedies = dict.fromkeys(note.remedy for _, note in sides)
    return (
        f"Before you judge, {' and '.join(remedies)}: `tilekit demo`, or `tilekit local serve` and train again, "
        "take --minutes and --steps."
    )


def beside_plan(reasons: tuple[Reason, ...], outcome: Outcome) -> str:
    """Where the outcome is not what the plan's words led to expect, the sentence that reconciles them; else ""."""
    if outcome == "worse" and "size" in reasons:
        return "The plan called for tiles by the size of the objects alone; what these pages show goes before it."
    if outcome == "worse" and reasons:
        return (
            "The plan called for tiles only since an image may have 50 boxes, and expected no gain; whole pages with "
            "more are trained on in several copies, each with other boxes painted over."
        )
    if outcome == "level" and "size" in reasons:
        return "The plan called for tiles by the size of the objects; these pages show no such gain."
    if outcome == "not shown" and "size" in reasons:
        return "The plan called for tiles by the size of the objects; more test pages may show that gain, or refute it."
    if outcome == "better" and not reasons:
        return (
            "The plan did not ask for tiles, by the size of the objects and their number; what these pages show goes "
            "before it."
        )
    return ""
