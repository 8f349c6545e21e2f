"""Evaluation: the frozen result, as table, JSON, and in a notebook."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.evaluation.matching import By, Criterion
from tilekit.evaluation.metrics import Counts, Curve, mean
from tilekit.evaluation.pages import Region
from tilekit.pages import PageKey
from tilekit.rekognition.training_note import TrainingNote
from tilekit.storage.local import write_text
from tilekit.verdicts.recall import Expected

FORMAT = "tilekit-evaluation-1"


@dataclass(frozen=True, slots=True)
class LabelResult:
    """One label: counts at its threshold, the best-F1 threshold on these pages, AP."""

    label: str
    counts: Counts
    truths: int
    threshold: float
    assumed: float | None
    ap: float | None

    @property
    def precision(self) -> float | None:
        """TP / (TP + FP), or None."""
        return self.counts.precision

    @property
    def recall(self) -> float | None:
        """TP / (TP + FN), or None."""
        return self.counts.recall

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN), or None."""
        return self.counts.f1


@dataclass(frozen=True, slots=True)
class Side:
    """Overall figures under one criterion: macro means over labels with truth, micro counts."""

    criterion: Criterion
    precision: float | None
    recall: float | None
    f1: float | None
    micro: Counts

    @property
    def title(self) -> str:
        """Criterion in words."""
        return "center hit" if self.criterion == "center" else f"IoU {self.criterion:g}"


@dataclass(frozen=True, slots=True)
class Group:
    """Counts of a group of boxes; `found_only`: recall means nothing here (misses are in no group)."""

    name: str
    counts: Counts
    found_only: bool = False


@dataclass(frozen=True, eq=False)
class PageCounts:
    """Hits, false alarms and misses a page and label: `tp`, `fp`, `fn` (pages, labels) int64."""

    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SizeCounts:
    """Counts a page and size group: `names` of the groups, `counts` with a column each."""

    names: tuple[str, ...]
    counts: PageCounts

    def groups(self) -> tuple[Group, ...]:
        """Summed over pages, the groups that hold anything."""
        tp, fp, fn = (part.sum(axis=0) for part in (self.counts.tp, self.counts.fp, self.counts.fn))
        return tuple(
            Group(name, Counts(int(tp[i]), int(fp[i]), int(fn[i])))
            for i, name in enumerate(self.names)
            if tp[i] or fp[i] or fn[i]
        )


@dataclass(frozen=True, slots=True)
class ScaleGroup:
    """One of several scales. `truths`: true boxes that belong to it and no finer one (whole in a tile, of its size;
    see `tilekit.rekognition.belonging`), `found` of them by whichever scale. `hits`, `false_alarms`: what it found
    itself; `hits_by_size`: group of `by_size` -> hits.
    """

    name: str
    truths: int
    found: int
    hits: int
    false_alarms: int
    hits_by_size: dict[str, int]

    @property
    def recall(self) -> float | None:
        """Share of its true boxes that were found, or None."""
        return self.found / self.truths if self.truths else None


@dataclass(frozen=True, slots=True)
class Counting:
    """How many symbols were found against how many there are, a page at a time, at the thresholds.

    Ignored boxes are in neither number. `bare_pages`: pages without any symbol.
    """

    pages: int
    truths: int
    found: int
    mean_absolute: float
    mean_signed: float
    exact_pages: int
    bare_pages: int
    bare_false_alarms: int


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` gives: figures per label and overall, with what was assumed.

    `labels`: a LabelResult each; `sides`: overall under `iou`, 0.5, 0.3 and center hits; `curves`:
    label -> Curve; `page_counts`: rows as `pages`, columns as `labels`; `sizes`: the same by size of object, `by_size`
    summed; `by_cut`, `by_border` (recall by the distance to the nearest tile border, where the predictions say their
    recipe): groups; `by_scale`: what each of several scales found; `confusion` (labels + 1, labels + 1): truth down, predictions across, the last row false alarms, the last column misses; `by`: box or shape;
    `ignored`: kept predictions that count neither way; `notes`: what a reader should know. `training`: how the
    training of what was judged ended, None where not known. `expected`: label -> the recall that recorded trainings
    let expect of its true boxes by their px as trained on, none where the recipe is not known. `regions`: where parts of
    pages count, the rectangle of each of `pages` (a page stands once a region; None: all of it). `cut_at`: the tilings
    of what was judged in words, none where not known.
    """

    iou: Criterion
    threshold_source: str
    labels: tuple[LabelResult, ...]
    sides: tuple[Side, ...]
    curves: dict[str, Curve]
    pages: tuple[PageKey, ...]
    page_counts: PageCounts
    counting: Counting
    sizes: SizeCounts
    by_cut: tuple[Group, ...] = ()
    by_border: tuple[Group, ...] = ()
    by_scale: tuple[ScaleGroup, ...] = ()
    confusion: NDArray[np.int64] | None = None
    by: By = "box"
    ignored: int = 0
    notes: tuple[str, ...] = ()
    name: str = field(default="")
    regions: tuple[Region | None, ...] | None = None
    training: TrainingNote | None = None
    expected: Mapping[str, Expected] = field(default_factory=dict)
    cut_at: tuple[str, ...] = ()

    def __getitem__(self, label: str) -> LabelResult:
        for result in self.labels:
            if result.label == label:
                return result
        raise KeyError(label)

    def __repr__(self) -> str:
        return f"<Evaluation {len(self.pages)} pages, {len(self.labels)} labels, F1 {text_of(self.f1)} at {self.sides[0].title}>"

    @property
    def units(self) -> list[tuple[PageKey, Region | None]]:
        """What the counts are of, one a row: pages, or regions of them."""
        return list(zip(self.pages, self.regions or (None,) * len(self.pages), strict=True))

    @property
    def unit(self) -> str:
        """What `units` are called."""
        return "pages" if self.regions is None else "regions"

    @property
    def names(self) -> tuple[str, ...]:
        """Labels, in the order of `labels`."""
        return tuple(result.label for result in self.labels)

    @property
    def precision(self) -> float | None:
        """Plain mean over labels with truth, as the service's; None where nothing was found."""
        return self.sides[0].precision

    @property
    def recall(self) -> float | None:
        """Plain mean over labels with truth, as the service's."""
        return self.sides[0].recall

    @property
    def f1(self) -> float | None:
        """Plain mean over labels with truth, as the service's."""
        return self.sides[0].f1

    @property
    def micro(self) -> Counts:
        """Counts over all boxes of all labels."""
        return self.sides[0].micro

    @property
    def by_size(self) -> tuple[Group, ...]:
        """Counts by size of object, the square root of the area; false alarms by their own."""
        return self.sizes.groups()

    @property
    def ap(self) -> float | None:
        """Mean AP over labels with truth, at `iou`."""
        return mean(result.ap for result in self.labels)

    @property
    def thresholds(self) -> dict[str, float]:
        """Label -> the threshold the counts were made at."""
        return {result.label: result.threshold for result in self.labels}

    @property
    def assumed(self) -> dict[str, float | None]:
        """Label -> threshold of the best F1 on these pages, as the service assumes one; None where no threshold gives a hit."""
        return {result.label: result.assumed for result in self.labels}

    def rows(self) -> list[dict[str, Any]]:
        """One row a label, then the macro mean and the micro counts, as plain values."""
        rows: list[dict[str, Any]] = [
            {
                "label": result.label,
                "truth": result.truths,
                "threshold": result.threshold,
                **result.counts.to_json(),
                "ap": result.ap,
            }
            for result in self.labels
        ]
        micro = self.micro
        every = sum(result.truths for result in self.labels)
        mean_row = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        blank = {"tp": None, "fp": None, "fn": None}
        rows.append(
            {"label": "mean of labels", "truth": every, "threshold": None, **mean_row, **blank, "ap": self.ap}
        )
        rows.append({"label": "all boxes", "truth": every, "threshold": None, **micro.to_json(), "ap": None})
        return rows

    def table(self) -> str:
        """A plain text table for people, with the sentences that belong to it."""
        head = ["label", "truth", "threshold", "precision", "recall", "f1", "tp", "fp", "fn", "ap"]
        body = [[text_of(row[name]) for name in head] for row in self.rows()]
        lines = align_text([head, *body])
        if self.by_scale:
            lines += ["", *align_text(self.scale_rows())]
        lines += ["", *self.sentences()]
        return "\n".join(lines)

    def scale_rows(self) -> list[list[str]]:
        """A header and a row a scale: what belongs to it and is found, what it found itself and of what size."""
        if not self.by_scale:
            return []
        sizes = [name for name in self.sizes.names if any(name in one.hits_by_size for one in self.by_scale)]
        head = ["scale", "objects of it", "recall", "hits by it", "false alarms", *sizes]
        return [head] + [
            [one.name, *map(text_of, (one.truths, one.recall, one.hits, one.false_alarms))]
            + [str(one.hits_by_size.get(name, 0)) for name in sizes]
            for one in self.by_scale
        ]

    def sentences(self) -> list[str]:
        """What the figures rest on, one sentence each."""
        count = self.counting
        lines = [
            f"{count.pages} {self.unit}, hit at {self.sides[0].title}{' of shapes' if self.by == 'shape' else ''}; thresholds {self.threshold_source}.",
            "F1 side by side: " + ", ".join(f"{side.title} {text_of(side.f1)}" for side in self.sides) + ".",
            f"Counting: {count.found} found, {count.truths} there; a {self.unit[:-1]} is off by "
            f"{count.mean_absolute:.2f} on average, {count.exact_pages} of {count.pages} {self.unit} are exact.",
        ]
        if count.bare_pages:
            lines.append(
                f"{count.bare_pages} {self.unit} hold no symbol; {count.bare_false_alarms} false alarms on them."
            )
        if self.ignored:
            lines.append(f"{self.ignored} predictions lie in ignore regions and count neither way.")
        for words, groups in (("object size", self.by_size), ("distance to a tile border", self.by_border)):
            there = [group for group in groups if group.counts.tp + group.counts.fn]
            parts = (f"{g.name} {text_of(g.counts.recall)} of {g.counts.tp + g.counts.fn}" for g in there)
            if there:
                lines.append(f"Recall by {words}: " + ", ".join(parts) + ".")
        lines += [f"{self._mistaken(*pair)}." for pair in self.mistaken(3)]
        lines += [f"{note}." for note in self.notes]
        if self.training is not None and not self.training.converged:
            lines.append(self.training.sentence)
        return lines

    def mistaken(self, count: int = 10) -> list[tuple[str, str, int]]:
        """(true label, label found instead, how often), most frequent first."""
        if self.confusion is None:
            return []
        names = self.names
        table = self.confusion[:-1, :-1].copy()
        np.fill_diagonal(table, 0)
        order = np.argsort(-table.ravel(), kind="stable")[:count]
        places = ((*divmod(int(at), len(names)), int(table.ravel()[at])) for at in order)
        return [(names[row], names[column], number) for row, column, number in places if number]

    @staticmethod
    def _mistaken(truth: str, found: str, number: int) -> str:
        return f"{number} of {truth!r} were taken for {found!r}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, whole enough for `compare`; curves are thinned to 200 points."""
        return {
            "format": FORMAT,
            "name": self.name,
            "iou": self.iou,
            "threshold_source": self.threshold_source,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "ap": self.ap,
            "micro": self.micro.to_json(),
            "thresholds": self.thresholds,
            "labels": [
                {
                    "label": result.label,
                    "truths": result.truths,
                    "threshold": result.threshold,
                    "assumed": result.assumed,
                    "ap": result.ap,
                    **result.counts.to_json(),
                }
                for result in self.labels
            ],
            "sides": [
                {
                    "criterion": side.criterion,
                    "precision": side.precision,
                    "recall": side.recall,
                    "f1": side.f1,
                    "micro": side.micro.to_json(),
                }
                for side in self.sides
            ],
            "counting": {name: getattr(self.counting, name) for name in Counting.__slots__},
            "by_size": [_group_json(group) for group in self.by_size],
            "by_scale": [_scale_json(group) for group in self.by_scale],
            "by_cut": [_group_json(group) for group in self.by_cut],
            "by_border": [_group_json(group) for group in self.by_border],
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "by": self.by,
            "ignored": self.ignored,
            "notes": list(self.notes),
            "cut_at": list(self.cut_at),
            "training": None if self.training is None else self.training.to_json(),
            "expected": {label: one.to_json() for label, one in self.expected.items()},
            "curves": {label: _curve_json(line.thinned()) for label, line in self.curves.items()},
            "sizes": list(self.sizes.names),
            "pages": [
                {"source": key.source, "page": key.page, **counts, "sizes": sizes}
                | ({} if region is None else {"region": list(region)})
                for (key, region), counts, sizes in zip(
                    self.units, _counts_json(self.page_counts), _counts_json(self.sizes.counts), strict=True
                )
            ],
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `to_json()` to a file, atomically; `read_evaluation` reads it back."""
        write_text(path, json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False) + "\n")

    def _repr_html_(self) -> str:
        from html import escape

        head = ["label", "truth", "threshold", "precision", "recall", "f1", "tp", "fp", "fn", "ap"]
        titles = "".join(f"<th>{name}</th>" for name in head)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(text_of(row[name]))}</td>" for name in head) + "</tr>"
            for row in self.rows()
        )
        notes = "".join(f"<li>{escape(line)}</li>" for line in self.sentences())
        scales = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.scale_rows()
        )
        return (
            f"<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>"
            f"{f'<table>{scales}</table>' if scales else ''}<ul>{notes}</ul>"
        )


def _counts_json(counts: PageCounts) -> list[dict[str, list[int]]]:
    tables = zip(counts.tp.tolist(), counts.fp.tolist(), counts.fn.tolist(), strict=True)
    return [{"tp": tp, "fp": fp, "fn": fn} for tp, fp, fn in tables]


def _scale_json(group: ScaleGroup) -> dict[str, Any]:
    return {name: getattr(group, name) for name in ScaleGroup.__slots__} | {"recall": group.recall}


def _group_json(group: Group) -> dict[str, Any]:
    values = group.counts.to_json()
    if group.found_only:
        values |= {"recall": None, "f1": None, "fn": None}
    return {"name": group.name, "found_only": group.found_only, **values}


def _curve_json(line: Curve) -> dict[str, Any]:
    return {
        "thresholds": line.thresholds.tolist(),
        "tp": line.tp.tolist(),
        "fp": line.fp.tolist(),
        "truths": line.truths,
    }


def text_of(value: Any) -> str:
    """A figure for people: three digits, "-" where there is none."""
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def align_text(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as aligned text: the first column to the left, the others to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
