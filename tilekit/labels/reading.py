"""read_labels and write_labels: every format, found by content."""

from __future__ import annotations

from collections.abc import Sequence

from tilekit.errors import InvalidArgument
from tilekit.labels.ground_truth import read_ground_truth, write_ground_truth
from tilekit.labels.label_set import LabelSet
from tilekit.labels.sources import PathLike

FORMATS = ("ground-truth",)


def read_labels(
    path: PathLike,
    format: str | None = None,
    *,
    strict: bool = True,
    images: PathLike | None = None,
    ignore_names: Sequence[str] = (),
) -> LabelSet:
    """Read labels from a file or folder; `format` None finds it by content.

    `strict`: the first bad line raises LabelError; False keeps what is good and lists the rest in
    `LabelSet.problems`. `images`: folder (or URL) the scans are in, where the file's own paths do not say.
    `ignore_names`: boxes of these labels become ignore regions.
    """
    if format not in (None, *FORMATS):
        raise InvalidArgument(f"format={format!r}: use one of {', '.join(FORMATS)}")
    return read_ground_truth(path, strict=strict, images=images).ignoring(list(ignore_names))


def write_labels(labels: LabelSet, path: PathLike, format: str = "ground-truth") -> None:
    """Write labels to a file or folder in one of FORMATS."""
    if format not in FORMATS:
        raise InvalidArgument(f"format={format!r}: use one of {', '.join(FORMATS)}")
    write_ground_truth(labels, path)
