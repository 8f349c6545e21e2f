"""What each format can hold, and what is lost when labels go into it: said, or refused, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass

from tilekit.errors import InvalidArgument, LabelError
from tilekit.labels.label_set import LabelSet
from tilekit.labels.tally import counted


@dataclass(frozen=True)
class Holds:
    """Which parts of a LabelSet a format has a place for."""

    ignored: bool = True
    empty: bool = True
    page_labels: bool = False
    unlabeled: bool = False
    scores: bool = False
    pages: bool = True
    sizes: bool = True
    shapes: bool = False


HOLDS = {
    "ground-truth": Holds(page_labels=True, unlabeled=True, scores=True),
    "coco": Holds(scores=True, shapes=True),
    "voc": Holds(),
    "yolo": Holds(scores=True),
    "labelme": Holds(page_labels=True, scores=True),
    "cvat": Holds(page_labels=True, scores=True),
    "label-studio": Holds(page_labels=True, unlabeled=True, scores=True),
    "csv": Holds(scores=True),
    "open-images": Holds(empty=False, pages=False, sizes=False),
    "geojson": Holds(scores=True, shapes=True),
    "pdf-points": Holds(scores=True),
    "createml": Holds(scores=True, sizes=False),
    "via": Holds(sizes=False),
    "dota": Holds(pages=False, sizes=False),
    "kitti": Holds(scores=True, pages=False, sizes=False),
    "datumaro": Holds(scores=True),
}
"""By format; sizes that a format does not hold are found again from the images."""


def losses(labels: LabelSet, format: str) -> tuple[str, ...]:
    """What of these labels the format has no place for, a sentence each.

    Raises InvalidArgument for scores it cannot hold, and LabelError where nothing would be left to write.
    """
    holds, lost = HOLDS[format], []
    if labels.scores and not holds.scores:
        known = ", ".join(name for name, each in HOLDS.items() if each.scores)
        raise InvalidArgument(
            f"{format} has no place for scores; write one of {known}, or labels.replace(scores={{}}) to leave them out"
        )
    marks = sum(map(len, labels.image_labels.values()))
    if marks and not holds.page_labels:
        lost.append(f"{counted(marks, 'label of a whole page', 'labels of whole pages')}")
    if labels.unlabeled and not holds.unlabeled:
        count = len(labels.unlabeled)
        lost.append(f"{counted(count, 'page that nobody labeled', 'pages that nobody labeled')}")
    empty = sum(not len(page) for page in labels.values())
    if empty and not holds.empty:
        lost.append(counted(empty, "page without boxes", "pages without boxes"))
    paged = sum(key.page > 0 for key in labels)
    if paged and not holds.pages:
        lost.append(f"the page number of {counted(paged, 'page', 'pages')} of files with several")
    drawn = sum(0 if page.shapes is None else int(page.shapes.given.sum()) for page in labels.values())
    if drawn and not holds.shapes:
        lost.append(f"{counted(drawn, 'shape, of which its box stays', 'shapes, of which their boxes stay')}")
    ignored = sum(int(page.ignore.sum()) for page in labels.values())
    if ignored and format == "kitti":
        lost.append(
            f"the label of {counted(ignored, 'ignore region', 'ignore regions')}, which becomes DontCare"
        )
    only = sum(not len(page) and not labels.image_labels.get(key) for key, page in labels.items())
    if not labels.boxes and not only and lost:
        raise LabelError(f"nothing would be left to write: {format} has no place for {' and '.join(lost)}")
    return tuple(f"{format} has no place for {part}" for part in lost)
