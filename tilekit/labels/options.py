"""ReadOptions: what a person decides about reading a label file, the same for every format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from tilekit.errors import InvalidArgument
from tilekit.labels.sources import PathLike

Duplicates = Literal["refuse", "union", "first", "consensus"]
Units = Literal["px", "share"]


@dataclass(frozen=True)
class ReadOptions:
    """`strict`: the first problem raises LabelError; False lists all and keeps what is good. `images`: folder or
    URL of the scans, where the file's own paths do not say.

    `duplicates`: what becomes of a page that is named twice (in two entries, tasks, files, by two annotators):
    "refuse" is a problem; "union" takes all boxes, exact repeats once; "first" the first naming; "consensus" the
    boxes that more than half of the namings have, at the median of their sides.
    `clip`: boxes that pass the edge of their page are clipped to it, and counted; else more than 1 px of it is a problem.
    `shapes`: outlines, turned boxes, masks and key points come along beside the boxes.
    `units`: "px", or "share" of the page's sides; None takes px, and boxes that all lie within 0..1 are a problem.
    """

    strict: bool = True
    images: PathLike | None = None
    duplicates: Duplicates = "refuse"
    units: Units | None = None
    clip: bool = False
    shapes: bool = False

    def __post_init__(self) -> None:
        for name, kind in (("duplicates", Duplicates), ("units", Units)):
            value = getattr(self, name)
            if value not in get_args(kind) and not (name == "units" and value is None):
                raise InvalidArgument(f"{name}={value!r}: use one of {', '.join(get_args(kind))}")
