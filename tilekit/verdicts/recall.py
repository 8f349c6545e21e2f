"""What recall to expect of objects by their px as trained on: recorded runs, and a curve through them with its range.

The curve is that of the recorded runs, and so is its width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.verdicts.runs import RUNS, RecordedRun

WHOSE = "tilekit's local trainer"
_REACH = 1.5
"""Runs within this factor in px speak for a size."""
_SLACK = 0.05
"""The range is wider than its runs by this: other pages, other looks."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Recall to expect, and the range that the recorded runs leave open."""

    recall: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.recall:.2f} ({self.low:.2f} to {self.high:.2f})"

    def to_json(self) -> dict[str, float]:
        """Plain values."""
        return {"recall": round(self.recall, 3), "low": round(self.low, 3), "high": round(self.high, 3)}

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Expected:
        """From its JSON form."""
        return cls(float(fields["recall"]), float(fields["low"]), float(fields["high"]))

    @classmethod
    def mean(cls, parts: Iterable[Expected]) -> Expected | None:
        """Of several labels, each counting once; None for none."""
        rows = [(one.recall, one.low, one.high) for one in parts]
        return cls(*np.mean(rows, axis=0).tolist()) if rows else None


def expected_recall(px: NDArray[np.float64], runs: Sequence[RecordedRun] = RUNS) -> Expected | None:
    """The recall to expect of objects (n,) of these px as trained on, over all of them; None for none.

    The curve is the mean of the runs, never falling with px, straight between their sizes and level beyond. Where no run is within a factor of 1.5,
    the range goes on to 0 for smaller ones, and to 1 for larger ones.
    """
    if not len(px):
        return None
    grid, curve = _curve(runs)
    at = np.log(np.clip(px, 0.5, 500.0))
    recall, low, high = (float(np.interp(at, grid, line).mean()) for line in curve)
    return Expected(recall, min(low, recall), max(high, recall))


def by_label(px: NDArray[np.float64], labels: NDArray[np.int64], names: Sequence[str]) -> dict[str, Expected]:
    """The same for each label that has objects. `labels` (n,): places in `names`."""
    found = {names[label]: expected_recall(px[labels == label]) for label in np.unique(labels).tolist()}
    return {name: one for name, one in found.items() if one is not None}


def _curve(
    runs: Sequence[RecordedRun],
) -> tuple[NDArray[np.float64], tuple[NDArray[np.float64], ...]]:
    """log px, and the mean, lower and upper line there."""
    grid = np.log(np.geomspace(0.5, 500.0, 241))
    at = np.log([run.px for run in runs])
    recall = np.array([run.recall for run in runs])
    sizes = np.unique(at)
    mean = np.interp(grid, sizes, _rising([recall[at == size] for size in sizes]))
    near = np.abs(grid[:, None] - at) <= np.log(_REACH)
    least = np.where(near, recall, np.inf).min(axis=1) - _SLACK
    most = np.where(near, recall, -np.inf).max(axis=1) + _SLACK
    lonely = ~near.any(axis=1)
    least[lonely & (grid < at.min())] = 0.0
    least[lonely & (grid >= at.min())] = recall[at == at.max()].min() - _SLACK
    most[lonely & (grid < at.min())] = recall[at == at.min()].max() + _SLACK
    most[lonely & (grid >= at.min())] = 1.0
    least = np.minimum.accumulate(least[::-1])[::-1]
    most = np.maximum.accumulate(most)
    return grid, (mean, np.clip(least, 0.0, 1.0), np.clip(most, 0.0, 1.0))


def _rising(groups: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean of each group, where it falls that of neighbors together (pooled adjacent violators)."""
    pools: list[tuple[float, int, int]] = []  # sum, runs, groups
    for group in groups:
        pools.append((float(group.sum()), len(group), 1))
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            last, before = pools.pop(), pools.pop()
            pools.append((before[0] + last[0], before[1] + last[1], before[2] + last[2]))
    return np.concatenate([np.full(count, total / runs) for total, runs, count in pools])


def words(whole: Expected, tiled: Expected | None, where: str) -> str:
    """What to expect, in one sentence that says whose curve it is. `where`: what the second figure is of."""
    also = f", {tiled} {where}" if tiled is not None else ""
    return (
        f"Recall to expect: {whole} on whole pages{also}; so it was with {WHOSE} in {len(RUNS)} recorded trainings, "
        "and the service's may differ."
    )


def beside(
    names: tuple[str, str],
    expected: tuple[Expected | None, Expected | None],
    measured: tuple[float | None, float | None],
    *,
    converged: bool = True,
) -> str:
    """The expectation beside the outcome, in one sentence; "" where neither side has both."""
    parts = [
        f"{name} {found:.2f}, {_against(found, one, converged)} {one}"
        for name, one, found in zip(names, expected, measured, strict=True)
        if one is not None and found is not None
    ]
    if not parts:
        return ""
    return f"Recall beside what {WHOSE} leads to expect by the objects' size: {'; '.join(parts)}."


def _against(found: float, expected: Expected, converged: bool) -> str:
    if not converged:
        return "not trained to its end; expected"
    if found < expected.low:
        return "less than the expected"
    return "more than the expected" if found > expected.high else "as expected:"
