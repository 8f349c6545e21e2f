"""compare: is tiling better than whole pages, and do this many pages show it?

Paired bootstrap over pages: pages are drawn with replacement, the same ones for both sides, and the
difference of the figures is taken each time; see `intervals` for what is made of the differences.
Symbols of one page are not independent of each other, pages are: so pages are drawn, not boxes. Where parts of
pages count (a dataset split by region), these regions are drawn.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import EvaluationError, InvalidArgument
from tilekit.evaluation.intervals import LEAST_PAGES, interval
from tilekit.evaluation.pages import Region
from tilekit.evaluation.result import Evaluation, align_text, text_of
from tilekit.evaluation.saved import read_evaluation
from tilekit.figures import BLUE, GRAY, ORANGE, as_html, new_figure, saved
from tilekit.pages import PageKey
from tilekit.rekognition.training_note import TrainingNote, least_trained
from tilekit.scales import called, told_apart
from tilekit.storage.local import write_text
from tilekit.verdicts.outcomes import Gain, Outcome, outcome_of, unconverged
from tilekit.verdicts.recall import Expected

FEW_PAGES = 20
_MOST_ROWS = 40  # of a plot
Unit = tuple[PageKey, Region | None]


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of both sides and their difference, `tiled` minus `baseline`, with its interval.

    `low`, `high`: 95 % interval; None, as any figure, where it is not defined on these pages. `converged`: whether
    both sides were trained to their end, as far as they say; else it is no verdict.
    """

    name: str
    figure: str
    baseline: float | None
    tiled: float | None
    difference: float | None
    low: float | None
    high: float | None
    converged: bool = True

    @property
    def outcome(self) -> Outcome:
        """ "level" where the whole interval is next to 0, "better" or "worse" where it lies on one side of 0, else "not
        shown"; or "not converged"."""
        return outcome_of(self.low, self.high, converged=self.converged)


@dataclass(frozen=True)
class Comparison:
    """What `compare` gives: `differences` overall, per label and by size of object, and the `sentence` that says it
    plainly. `unit`: what `pages` counts, pages or regions of them. `trainings`: how those of each side ended, where
    they say so; of several the one that did not converge. `expected`: mean recall that recorded trainings let expect of each side."""

    differences: tuple[Difference, ...]
    pages: int
    runs: tuple[int, int]
    samples: int
    seed: int
    names: tuple[str, str]
    notes: tuple[str, ...] = ()
    unit: str = "pages"
    trainings: tuple[TrainingNote | None, TrainingNote | None] = (None, None)
    expected: tuple[Expected | None, Expected | None] = (None, None)
    whole: bool = True

    def __repr__(self) -> str:
        return f"<Comparison {self.pages} {self.unit}: {self.sentence}>"

    @property
    def f1(self) -> Difference:
        """The difference of the mean F1 over labels, the figure the sentence is about."""
        return self.differences[0]

    @property
    def outcome(self) -> Outcome:
        """ "better", "worse", "level" or "not shown", for the mean F1; "not converged" where a side was not trained to
        its end."""
        return self.f1.outcome

    @property
    def gain(self) -> Gain:
        """The difference of the mean F1, with its words."""
        one, precision, recall = self.differences[:3]
        return Gain(
            self.names,
            one.baseline,
            one.tiled,
            one.low,
            one.high,
            self.pages,
            self.trainings,
            self.unit,
            recall=(recall.baseline, recall.tiled),
            precision=(precision.baseline, precision.tiled),
            expected=self.expected,
            whole=self.whole,
        )

    @property
    def sentence(self) -> str:
        """The outcome in one plain sentence."""
        return self.gain.sentence(LEAST_PAGES)

    @property
    def advice(self) -> str:
        """What to do about it, in one sentence; "" where F1 is not defined on these pages."""
        return self.gain.advice

    @property
    def words(self) -> list[str]:
        """All that is to be said, in plain sentences: the outcome, the expectation beside it, what to do."""
        gain = self.gain
        return [
            text for text in (self.sentence, gain.expectation, gain.lost_to_false_alarms, self.advice) if text
        ]

    def table(self) -> str:
        """A plain text table for people, with the sentence and the notes."""
        head = ["label", "figure", *self.names, "difference", "low", "high", "outcome"]
        body = [
            [
                row.name,
                row.figure,
                text_of(row.baseline),
                text_of(row.tiled),
                _signed(row.difference),
                _signed(row.low),
                _signed(row.high),
                row.outcome,
            ]
            for row in self.differences
        ]
        return "\n".join(
            [
                *align_text([head, *body]),
                "",
                *self.words,
                *(f"{note}." for note in self.notes),
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "outcome": self.outcome,
            "sentence": self.sentence,
            "advice": self.advice,
            "expectation": self.gain.expectation,
            "expected": [None if one is None else one.to_json() for one in self.expected],
            "trainings": [None if note is None else note.to_json() for note in self.trainings],
            "pages": self.pages,
            "unit": self.unit,
            "runs": list(self.runs),
            "samples": self.samples,
            "seed": self.seed,
            "names": list(self.names),
            "differences": [
                {**{name: getattr(row, name) for name in Difference.__slots__}, "outcome": row.outcome}
                for row in self.differences
            ],
            "notes": list(self.notes),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `to_json()` to a file, atomically."""
        write_text(path, json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False) + "\n")

    def _repr_html_(self) -> str:
        from html import escape

        return as_html(self.plot, self.sentence) + f"<pre>{escape(self.table())}</pre>"

    def plot(self, *, path: str | os.PathLike[str] | None = None) -> Any:
        """Each difference with its 95 % interval as a matplotlib figure: right of the line tiles are better.

        `path`: also write it there. Raises MissingExtra without matplotlib (the extra `report`).
        """
        rows = [row for row in self.differences if row.difference is not None][:_MOST_ROWS]
        figure = new_figure(8, 1.2 + 0.32 * max(1, len(rows)))
        axes = figure.add_subplot()
        colors = {"better": BLUE, "worse": ORANGE}
        for place, row in enumerate(rows):
            color = colors.get(row.outcome, GRAY)
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [place, place], color=color, linewidth=2)
            axes.plot([row.difference], [place], "o", color=color)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(range(len(rows)), [f"{row.name}: {row.figure}" for row in rows], fontsize=8)
        axes.invert_yaxis()
        one, two = self.names
        axes.set_xlabel(
            f"{two} minus {one}, 95 % interval; blue: {two} better, orange: worse, gray: level or not shown",
            fontsize=8,
        )
        axes.set_title(self.sentence, fontsize=9, loc="left", wrap=True)
        return saved(figure, path)


Side = Evaluation | str | os.PathLike[str]


def compare(
    baseline: Side | Sequence[Side],
    tiled: Side | Sequence[Side],
    *,
    samples: int = 2000,
    seed: int = 0,
    names: tuple[str, str] | None = None,
) -> Comparison:
    """The difference of two evaluations of the same pages, with 95 % intervals.

    `baseline`, `tiled`: an Evaluation or the file it was saved to; or several, one a training, since
    training is not deterministic: then each sample also draws a training of each side, which widens the
    interval by what trainings differ. Where a training says that it did not converge, there is no verdict. `samples`, `seed` of the bootstrap; the same seed gives the same result.
    `names`: how the sides are called (default: the evaluations' own, or by how their pages were cut: "whole pages",
    "tiles", "scales").

    Raises EvaluationError where pages, true boxes or the IoU of the two differ. Memory: a bounded
    number of samples x labels.
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 100:
        raise InvalidArgument(f"samples={samples!r} must be a whole number of at least 100")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InvalidArgument(f"seed={seed!r} must be a whole number of at least 0")
    sides = (_loaded(baseline), _loaded(tiled))
    _check_same(*sides)
    titles = names or _titles(sides[0][0], sides[1][0])
    labels = tuple(dict.fromkeys(label for side in sides for run in side for label in run.names))
    pages, sizes = sides[0][0].units, _common_sizes(sides)
    tables = [np.stack([_table(run, pages, labels, sizes) for run in side]) for side in sides]
    drawn = [
        _figures(part, len(sizes)) for part in _drawn(tables, samples, np.random.default_rng(seed))
    ]  # each (samples, figures)
    whole = [_mean(_figures(table.sum(axis=1), len(sizes)).T) for table in tables]
    low, high = interval(
        whole[1] - whole[0],
        drawn[1] - drawn[0],
        _left_out(tables[1], len(sizes)) - _left_out(tables[0], len(sizes)),
        _between(tables[0], len(sizes)) + _between(tables[1], len(sizes)),
    )
    runs = (len(sides[0]), len(sides[1]))
    trainings = _trainings(sides[0]), _trainings(sides[1])
    converged = not unconverged(titles, trainings)
    differences = [
        _difference(name, figure, [part[place] for part in (*whole, low, high)], converged)
        for place, (name, figure) in _rows(labels, sizes)
    ]
    return Comparison(
        tuple(differences),
        len(pages),
        runs,
        samples,
        seed,
        titles,
        _notes(sides, len(pages), runs),
        sides[0][0].unit,
        trainings,
        (_expected(sides[0]), _expected(sides[1])),
        called(sides[0][0].cut_at) in ("", "whole pages"),
    )


def _difference(name: str, figure: str, values: Sequence[Any], converged: bool) -> Difference:
    """A row of both sides' figures and the ends of the interval."""
    one, two, low, high = map(float, values)
    before, after, change, least, most = map(_number, (one, two, two - one, low, high))
    return Difference(name, figure, before, after, change, least, most, converged)


def _titles(baseline: Evaluation, tiled: Evaluation) -> tuple[str, str]:
    """The evaluations' own names, else what they are of."""
    ways = told_apart(baseline.cut_at, tiled.cut_at)
    return baseline.name or ways[0], tiled.name or ways[1]


def _trainings(side: Sequence[Evaluation]) -> TrainingNote | None:
    return least_trained(one.training for one in side)


def _expected(side: Sequence[Evaluation]) -> Expected | None:
    """The mean over labels with truth, as the recall is."""
    run = side[0]
    return Expected.mean(
        run.expected[row.label] for row in run.labels if row.truths and row.label in run.expected
    )


def _loaded(side: Side | Sequence[Side]) -> list[Evaluation]:
    given: list[Any] = list(side) if isinstance(side, (list, tuple)) else [side]
    if not given:
        raise InvalidArgument("each side needs at least one evaluation")
    loaded: list[Evaluation] = []
    for one in given:
        run = read_evaluation(one) if isinstance(one, (str, os.PathLike)) else one
        if not isinstance(run, Evaluation):
            raise InvalidArgument(f"{one!r} is not an Evaluation; give what evaluate() returned, or its file")
        loaded.append(run)
    return loaded


def _check_same(baseline: list[Evaluation], tiled: list[Evaluation]) -> None:
    first = baseline[0]
    for other in [*baseline[1:], *tiled]:
        if other.iou != first.iou:
            raise EvaluationError(f"one side was evaluated at {first.iou!r}, the other at {other.iou!r}")
        ours, theirs = set(first.units), set(other.units)
        if ours != theirs:
            odd = sorted(ours ^ theirs, key=str)
            raise EvaluationError(
                f"the two sides must have the same {first.unit}; {len(odd)} are only in one of them, "
                f"the first is {odd[0][0]}{'' if odd[0][1] is None else f' {odd[0][1]}'}"
            )
        counts, others = _truths(first), _truths(other)
        for label in counts.keys() | others.keys():
            if counts.get(label, 0) != others.get(label, 0):
                raise EvaluationError(
                    f"the two sides have different truth: {counts.get(label, 0)} and "
                    f"{others.get(label, 0)} true boxes of {label!r}"
                )


def _truths(evaluation: Evaluation) -> dict[str, int]:
    return {result.label: result.truths for result in evaluation.labels}


def _common_sizes(sides: tuple[list[Evaluation], list[Evaluation]]) -> tuple[str, ...]:
    """Size groups that hold true boxes; none where the sides were grouped by other bounds."""
    every = [one for side in sides for one in side]
    if len({one.sizes.names for one in every}) > 1:
        return ()
    there = every[0].sizes.counts.tp + every[0].sizes.counts.fn
    return tuple(name for name, count in zip(every[0].sizes.names, there.sum(axis=0), strict=True) if count)


def _table(
    run: Evaluation, pages: Sequence[Unit], labels: tuple[str, ...], sizes: tuple[str, ...]
) -> NDArray[np.float64]:
    """(pages, labels + sizes, 3) tp, fp, fn of one evaluation, in the given order of pages, labels, size groups."""
    place = {unit: row for row, unit in enumerate(run.units)}
    rows = np.array([place[key] for key in pages], dtype=np.int64)
    out = np.zeros((len(pages), len(labels) + len(sizes), 3))
    columns = [labels.index(label) for label in run.names]
    groups = [run.sizes.names.index(name) for name in sizes]
    for part in range(3):
        name = ("tp", "fp", "fn")[part]
        out[:, columns, part] = getattr(run.page_counts, name)[rows]
        out[:, len(labels) :, part] = getattr(run.sizes.counts, name)[rows][:, groups]
    return out


def _drawn(
    tables: list[NDArray[np.float64]], samples: int, random: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Summed counts of drawn pages, (samples, labels, 3) a side; pages are the same for both sides."""
    pages = tables[0].shape[1]
    tables = [_spread(table) for table in tables]
    sums = [np.empty((samples, *table.shape[2:])) for table in tables]
    step = max(1, 4_000_000 // max(1, pages))
    for begin in range(0, samples, step):
        count = min(step, samples - begin)
        weights = random.multinomial(pages, np.full(pages, 1 / pages), size=count).astype(np.float64)
        for table, out in zip(tables, sums, strict=True):
            run = random.integers(0, len(table), count)
            for training in range(len(table)):
                here = np.flatnonzero(run == training)
                flat = table[training].reshape(pages, -1)
                out[begin + here] = (weights[here] @ flat).reshape(len(here), *table.shape[2:])
    return [np.maximum(out, 0.0, out=out) for out in sums]


def _spread(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Trainings pulled apart by sqrt(k / (k - 1)): k drawn with replacement differ that much less than k new ones."""
    count = len(table)
    if count < 2:
        return table
    middle = table.mean(axis=0)
    pulled: NDArray[np.float64] = middle + (table - middle) * np.sqrt(count / (count - 1))
    return pulled


def _left_out(table: NDArray[np.float64], sizes: int) -> NDArray[np.float64]:
    """(pages, figures): the mean figures of the trainings without each page."""
    rest = table.sum(axis=1, keepdims=True) - table  # (trainings, pages, labels, 3)
    each: NDArray[np.float64] = np.stack([_figures(part, sizes) for part in rest], axis=-1)
    return np.asarray(_mean(each.reshape(-1, each.shape[-1])).reshape(each.shape[:2]), np.float64)


def _between(table: NDArray[np.float64], sizes: int) -> NDArray[np.float64]:
    """(figures,) variance between trainings, 0 for one."""
    each = _figures(table.sum(axis=1), sizes)
    if len(each) < 2:
        return np.zeros(each.shape[1])
    return np.asarray(np.nan_to_num(np.var(each, axis=0, ddof=1)), np.float64)


def _figures(counts: NDArray[np.float64], sizes: int) -> NDArray[np.float64]:
    """(samples, figures): mean F1, P, R over labels with truth, micro F1, F1, P, R of each label, then the recall
    of each of the `sizes` size groups, which are the last columns of `counts`.
    """
    counts, groups = counts[:, : counts.shape[1] - sizes], counts[:, counts.shape[1] - sizes :]
    tp, fp, fn = counts[..., 0], counts[..., 1], counts[..., 2]
    parts = [_ratio(2 * tp, 2 * tp + fp + fn), _ratio(tp, tp + fp), _ratio(tp, tp + fn)]
    there = (tp + fn) > 0
    means = [_mean(np.where(there, part, np.nan)) for part in parts]
    every = counts.sum(axis=1)
    micro = _ratio(2 * every[:, 0], 2 * every[:, 0] + every[:, 1] + every[:, 2])
    columns = [*means, micro]
    for label in range(counts.shape[1]):
        columns += [part[:, label] for part in parts]
    columns += list(_ratio(groups[..., 0], groups[..., 0] + groups[..., 2]).T)
    return np.stack(columns, axis=1)


def _rows(labels: tuple[str, ...], sizes: tuple[str, ...]) -> list[tuple[int, tuple[str, str]]]:
    figures = ("f1", "precision", "recall")
    rows = [(place, ("mean of labels", figure)) for place, figure in enumerate(figures)]
    rows.append((3, ("all boxes", "f1")))
    for place, label in enumerate(labels):
        rows += [(4 + 3 * place + part, (label, figure)) for part, figure in enumerate(figures)]
    rows += [(4 + 3 * len(labels) + place, (f"size {name}", "recall")) for place, name in enumerate(sizes)]
    return rows


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over labels of what is defined; NaN where nothing is."""
    given = ~np.isnan(values)
    return _ratio(np.where(given, values, 0).sum(axis=1), given.sum(axis=1).astype(np.float64))


def _notes(
    sides: tuple[list[Evaluation], list[Evaluation]], pages: int, runs: tuple[int, int]
) -> tuple[str, ...]:
    notes = []
    if LEAST_PAGES <= pages < FEW_PAGES:
        unit = sides[0][0].unit
        notes.append(f"{pages} {unit} are few: the interval is wide for it; more labeled {unit} narrow it")
    if runs == (1, 1):
        notes.append(
            "each side is one training; another training of the same data gives other figures, "
            "which this interval does not hold"
        )
    every = [one for side in sides for one in side]
    if any(one.threshold_source.startswith("assumed") for one in every):
        notes.append("thresholds were fitted on these very pages, which flatters; fit them on the tune split")
    notes += [note for one in every for note in one.notes]
    return tuple(dict.fromkeys(notes))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
