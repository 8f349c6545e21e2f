"""What a check of one manifest line gives: what the service would take from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tilekit.rekognition.findings import Finding
from tilekit.rekognition.lines import LinePart, class_map_of

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
    _parts: tuple[LinePart, LinePart] | None = None

    @property
    def boxes(self) -> list[LabeledBox]:
        """The boxes the service would use."""
        if self._boxes is None:
            if self._parts is None:
                return []
            part, meta = self._parts
            names = class_map_of(meta.class_map)
            self._boxes = (
                []
                if names is None
                else [
                    (names.by_id[box.class_id], box.left, box.top, box.width, box.height)
                    for box in part.annotations or ()
                ]
            )
        return self._boxes
