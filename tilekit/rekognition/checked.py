"""What a check of one manifest line gives: what the service would take from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tilekit.rekognition.findings import Finding
from tilekit.rekognition.lines import BoxLine

Status = Literal["valid", "invalid", "ignored"]
UseCase = Literal["OBJECT_LOCALIZATION", "IMAGE_LEVEL_LABELS", "NOT_DETERMINED"]
LabeledBox = tuple[str, float, float, float, float]
"""Label, left, top, width, height in px of the image."""


@dataclass(slots=True)
class CheckedLine:
    """What the service takes from a line. `status` "ignored": valid, but neither trained on nor tested with.

    `labels`: distinct labels of the boxes (or the image) it uses; `named`: labels it would know of even where
    their boxes are refused. `size`: (width, height) px as the line says. `document`: the line as Python values
    where it took the exact way, else None.
    """

    status: Status
    source_ref: str = ""
    bucket: str = ""
    use_case: UseCase = "NOT_DETERMINED"
    labels: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    findings: tuple[Finding, ...] = ()
    document: Any = None
    _boxes: list[LabeledBox] | None = None
    _line: BoxLine | None = None

    @property
    def boxes(self) -> list[LabeledBox]:
        """The boxes the service would use."""
        if self._boxes is None:
            if self._line is None:
                return []
            names = self._line.names.by_id
            self._boxes = [
                (names[box.class_id], box.left, box.top, box.width, box.height) for box in self._line.boxes
            ]
        return self._boxes
