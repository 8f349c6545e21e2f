"""A dataset's lines as training sees them: checked by the service's rules, images looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilekit.local.objects import Buckets
from tilekit.rekognition.checked import CheckedLine
from tilekit.rekognition.images import HEAD_BYTES, ImageFacts, image_facts
from tilekit.rekognition.limits import Limits
from tilekit.rekognition.rules import check_line


@dataclass(frozen=True, slots=True)
class TrueBox:
    """A true box: its label and x0, y0, x1, y1 in px of the image as uploaded."""

    label: str
    corners: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class TrainingLine:
    """One line as it stands, and what the rules say of it."""

    raw: bytes
    checked: CheckedLine
    facts: ImageFacts

    @property
    def usable(self) -> bool:
        """Whether training and test use it: valid, with at least one box."""
        return self.checked.status == "valid" and self.checked.use_case == "OBJECT_LOCALIZATION"

    @property
    def boxes(self) -> tuple[TrueBox, ...]:
        """Its usable boxes."""
        return tuple(
            TrueBox(label, (left, top, left + width, top + height))
            for label, left, top, width, height in self.checked.boxes
        )

    @property
    def place(self) -> tuple[str, str]:
        """Bucket and key of its image."""
        bucket, _, key = self.checked.source_ref.removeprefix("s3://").partition("/")
        return bucket, key


def check_lines(lines: Sequence[str], buckets: Buckets, limits: Limits) -> list[TrainingLine]:
    """Each line checked, with the facts of its image."""
    return [_check(line.encode(), buckets, limits) for line in lines]


def _check(raw: bytes, buckets: Buckets, limits: Limits) -> TrainingLine:
    first = check_line(raw, limits=limits)
    bucket, _, key = first.source_ref.removeprefix("s3://").partition("/")
    facts = ImageFacts("", 0, 0, 0)
    if key and buckets.size(bucket, key) is not None:
        data = buckets.read(bucket, key)
        facts = image_facts(data[:HEAD_BYTES], len(data))
    return TrainingLine(raw, check_line(raw, limits=limits, image=facts), facts)
