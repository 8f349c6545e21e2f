"""How a training ended: whether it was done, or a cap came first, and what to do then."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

NOTHING_LEARNED = "nothing learned"


@dataclass(frozen=True, slots=True)
class TrainingNote:
    """How a training ended, where the trainer says so: the local one does, AWS does not.

    `converged`: it stopped since it no longer got better; else a cap came first, and figures of it are no verdict.
    `sentence`: the same for a person. `steps`, `views` (of each box, on average), `seconds`: what it took.
    `ended_by`: "plateau", "nothing learned", or the cap in words ("500 steps"); "" where not known.
    """

    converged: bool
    sentence: str
    steps: int = 0
    views: float = 0.0
    seconds: float = 0.0
    ended_by: str = ""

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> TrainingNote:
        """A note of its JSON form; what more stands in it is left out."""
        return cls(
            bool(fields["converged"]),
            str(fields.get("sentence", "")),
            int(fields.get("steps", 0)),
            float(fields.get("views", 0.0)),
            float(fields.get("seconds", 0.0)),
            str(fields.get("ended_by", "")),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @property
    def why(self) -> str:
        """What kept it from converging, as the part of a sentence; "" where it did converge."""
        if self.converged:
            return ""
        if self.ended_by == NOTHING_LEARNED:
            return "it found nothing on the images held out"
        return f"it was still getting better when {self.ended_by or 'its cap'} came to an end"

    @property
    def remedy(self) -> str:
        """What to do: options of a local training, or a look at the boxes; "" where it converged."""
        if self.converged:
            return ""
        if self.ended_by == NOTHING_LEARNED:
            return "look whether the boxes are on the objects (contact-train.jpg)"
        number = re.match(r"([\d.]+) (\w+)", self.ended_by)
        if number and number[2] == "minutes":
            return f"allow --minutes {2 * float(number[1]):g}"
        return f"allow --steps {2 * max(self.steps, 250)}"


def least_trained(notes: Iterable[TrainingNote | None]) -> TrainingNote | None:
    """The note that speaks for several trainings: one that did not converge before one that did."""
    given = [note for note in notes if note is not None]
    return min(given, key=lambda note: note.converged, default=None)
