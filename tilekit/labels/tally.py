"""Tally: what became of every entry of a label file. The counts must add up, or there is no Tally."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tilekit.errors import InvalidArgument


@dataclass(frozen=True)
class Tally:
    """Entries of a file and what they became; the type holds that none is lost.

    An entry is one thing that someone marked: a box or other shape under one label, a label of a whole page, or
    a page that is listed and has not been labeled. `boxes` and `ignored` (regions that count neither way) are in
    the LabelSet, `problems` are named in `LabelSet.problems`, `unlabeled` pages in `LabelSet.unlabeled`,
    `page_labels` in `LabelSet.image_labels`. `passed`: reason -> entries that the file itself takes back (an older
    version of the same boxes, a frame where the object is outside) or that a policy left out.
    """

    entries: int
    boxes: int = 0
    ignored: int = 0
    problems: int = 0
    unlabeled: int = 0
    page_labels: int = 0
    passed: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = (self.boxes, self.ignored, self.problems, self.unlabeled, self.page_labels)
        total = sum(parts) + sum(self.passed.values())
        if total != self.entries or min(parts) < 0:
            raise InvalidArgument(
                f"a file of {self.entries} entries cannot give {total}: {self._parts()}; this is a fault of tilekit"
            )

    def __str__(self) -> str:
        """`1,204 entries: 1,180 boxes, 20 ignore regions, 4 problems`."""
        return f"{counted(self.entries, 'entry', 'entries')}: {self._parts() or 'nothing'}"

    def _parts(self) -> str:
        named = (
            (self.boxes, "box", "boxes"),
            (self.ignored, "ignore region", "ignore regions"),
            (self.problems, "problem", "problems"),
            (self.unlabeled, "unlabeled page", "unlabeled pages"),
            (self.page_labels, "label of a whole page", "labels of whole pages"),
        )
        parts = [counted(*each) for each in named if each[0]]
        return ", ".join([*parts, *(f"{count:,} {reason}" for reason, count in self.passed.items())])

    def __add__(self, other: Tally) -> Tally:
        passed = dict(self.passed)
        for reason, count in other.passed.items():
            passed[reason] = passed.get(reason, 0) + count
        return Tally(
            self.entries + other.entries,
            self.boxes + other.boxes,
            self.ignored + other.ignored,
            self.problems + other.problems,
            self.unlabeled + other.unlabeled,
            self.page_labels + other.page_labels,
            passed,
        )

    def changed(self, **changes: int) -> Tally:
        """With some counts moved by so many; what one loses another must gain."""
        return replace(self, **{name: getattr(self, name) + by for name, by in changes.items()})

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "entries": self.entries,
            "boxes": self.boxes,
            "ignored": self.ignored,
            "problems": self.problems,
            "unlabeled": self.unlabeled,
            "page_labels": self.page_labels,
            "passed": dict(self.passed),
        }


def counted(count: int, one: str, many: str) -> str:
    """`1 box`, `1,204 boxes`."""
    return f"{count:,} {one if count == 1 else many}"
