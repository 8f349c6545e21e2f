"""merge_labels: reviewed labels back into the labels one trains on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from tilekit.boxes.annotations import Annotations
from tilekit.errors import LabelError
from tilekit.labels.label_set import LabelSet
from tilekit.pages import PageKey


@dataclass(frozen=True)
class MergedLabels:
    """Labels after a review. `replaced`: pages whose boxes are the reviewed ones now; `added`: pages that
    were new; `waiting`: reviewed pages nobody has labeled yet, left as they were."""

    labels: LabelSet
    replaced: tuple[PageKey, ...]
    added: tuple[PageKey, ...]
    waiting: tuple[PageKey, ...]


def merge_labels(base: LabelSet, *reviewed: LabelSet) -> MergedLabels:
    """`base` with the pages of `reviewed` in place of its own, later ones last; new pages are added.

    A reviewed page counts whole: what the reviewer removed is gone. Pages are paired by key, else by
    file name and page where that is unique in `base` (a review lies in a bucket, the scans may not), and keep
    the base's key. Pages a job has not labeled yet change nothing. Raises LabelError where sizes differ.
    """
    pages: dict[PageKey, Annotations] = dict(base)
    sizes = dict(base.sizes)
    image_labels, extra = dict(base.image_labels), dict(base.extra)
    replaced: list[PageKey] = []
    added: list[PageKey] = []
    waiting: list[PageKey] = []
    for review in reviewed:
        names = _by_name(pages)
        for key, boxes in review.items():
            place = key if key in pages else names.get(_name(key)) or key
            size, other = sizes.get(place), review.sizes.get(key)
            if size is not None and other is not None and size != other:
                raise LabelError(
                    f"{key}: was reviewed on {other[0]} x {other[1]} px, but its labels are on {size[0]} x {size[1]} px; "
                    "convert the review with --scans ROOT --scale-to-scan first"
                )
            (replaced if place in pages else added).append(place)
            pages[place] = boxes
            if other is not None:
                sizes[place] = other
            if key in review.image_labels:
                image_labels[place] = review.image_labels[key]
            if key in review.extra:
                extra[place] = review.extra[key]
        waiting += [key for key in review.unlabeled if key not in review]
    labels = base.replace(pages=pages, sizes=sizes, image_labels=image_labels, extra=extra)
    return MergedLabels(
        labels, tuple(dict.fromkeys(replaced)), tuple(dict.fromkeys(added)), tuple(dict.fromkeys(waiting))
    )


def _name(key: PageKey) -> tuple[str, int]:
    return PurePosixPath(key.source.replace("\\", "/")).name, key.page


def _by_name(pages: dict[PageKey, Annotations]) -> dict[tuple[str, int], PageKey | None]:
    """File name and page -> key; None where two pages share them."""
    names: dict[tuple[str, int], PageKey | None] = {}
    for key in pages:
        names[_name(key)] = None if _name(key) in names else key
    return names
