"""What each format can hold, and what is lost when labels go into it: said, or refused, before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tilekit.boxes.annotations import Annotations
from tilekit.errors import InvalidArgument, LabelError
from tilekit.labels.label_set import LabelSet
from tilekit.labels.tally import counted

_SAME = 1e-3  # px


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
    names: bool = True
    """Labels that no box has."""
    splits: bool = False
    shapes: tuple[str, ...] = ()
    """Kinds of shapes; what has an outline goes as polygons where those are the only ones."""
    points: int = 0
    """A polygon has just so many points (0: any)."""
    rings: bool = False
    """Whether a polygon may have several parts, and holes."""
    beside: tuple[str, ...] = ()
    """Kinds beside which the box stands; of others it is the one around the shape."""


_KINDS = ("polygon", "oriented", "mask", "keypoints")
_OUTLINES = ("polygon",)
HOLDS = {
    "ground-truth": Holds(page_labels=True, unlabeled=True, scores=True),
    "coco": Holds(scores=True, shapes=("polygon", "mask", "keypoints"), rings=True, beside=_KINDS),
    "voc": Holds(names=False, shapes=("polygon", "oriented"), beside=_KINDS),
    "yolo": Holds(scores=True, shapes=("polygon", "keypoints")),
    "labelme": Holds(names=False, page_labels=True, scores=True, shapes=("polygon", "mask")),
    "cvat": Holds(
        splits=True, page_labels=True, scores=True, shapes=("polygon", "oriented", "mask", "keypoints")
    ),
    "label-studio": Holds(
        names=False, page_labels=True, unlabeled=True, scores=True, shapes=("polygon", "oriented", "mask")
    ),
    "csv": Holds(names=False, scores=True),
    "open-images": Holds(names=False, empty=False, pages=False, sizes=False),
    "geojson": Holds(
        names=False,
        scores=True,
        shapes=("polygon", "oriented", "keypoints"),
        rings=True,
        beside=("keypoints",),
    ),
    "pdf-points": Holds(scores=True),
    "createml": Holds(names=False, scores=True, sizes=False),
    "annotorious": Holds(names=False, empty=False, sizes=False, scores=True, shapes=_OUTLINES),
    "via": Holds(names=False, sizes=False, shapes=_OUTLINES),
    "dota": Holds(names=False, pages=False, sizes=False, shapes=_OUTLINES, points=4),
    "kitti": Holds(names=False, scores=True, pages=False, sizes=False),
    "datumaro": Holds(scores=True, shapes=("polygon", "oriented", "mask")),
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
            f"{format} has no place for scores; write one of {known}, or leave them out: labels.replace(scores={{}}) (--drop-scores)"
        )
    marks = sum(map(len, labels.image_labels.values()))
    if marks and not holds.page_labels:
        lost.append(f"{counted(marks, 'label of a whole page', 'labels of whole pages')}")
    if labels.unlabeled and not holds.unlabeled:
        refused = 0 if labels.tally is None else len(labels.unlabeled) - labels.tally.unlabeled
        waiting = len(labels.unlabeled) - refused
        lost += [counted(waiting, "page that nobody labeled", "pages that nobody labeled")] if waiting else []
        if refused:
            lost.append(counted(refused, "page whose labels were refused", "pages whose labels were refused"))
    empty = sum(not len(page) for page in labels.values())
    if empty and not holds.empty:
        lost.append(counted(empty, "page without boxes", "pages without boxes"))
    paged = sum(key.page > 0 for key in labels)
    if paged and not holds.pages:
        lost.append(f"the page number of {counted(paged, 'page', 'pages')} of files with several")
    lost += _shapes_lost(labels, format)
    lost += _small_losses(labels, format)
    ignored = sum(int(page.ignore.sum()) for page in labels.values()) if format == "kitti" else 0
    if ignored:
        lost.append(
            f"the label of {counted(ignored, 'ignore region', 'ignore regions')}, which becomes DontCare"
        )
    only = sum(not len(page) and not labels.image_labels.get(key) for key, page in labels.items())
    left = labels.boxes or (only and holds.empty) or (marks and holds.page_labels)
    if not (left or (labels.unlabeled and holds.unlabeled)) and (lost or labels.problems):
        why = f"{format} has no place for {' and '.join(lost)}" if lost else str(labels.tally)
        raise LabelError(f"nothing would be left to write: {why}")
    return tuple(f"{format} has no place for {part}" for part in lost)


@dataclass(frozen=True)
class Fitted:
    """The shapes of a page as a format can hold them.

    `rows`: one a box as `Shapes.to_json` has them, None for those that keep only their box. `dropped`: how many had
    one. `moved`, `by`: how many boxes differ from the ones around their shapes, which take their place, and px at most.
    """

    rows: Sequence[Any]
    dropped: int = 0
    moved: int = 0
    by: float = 0.0


def fitted(page: Annotations, holds: Holds) -> Fitted:
    """The shapes of a page as a format holds them."""
    shapes = page.shapes
    if shapes is None:
        return Fitted([None] * len(page))
    kind = shapes.kind
    rows: list[Any] = [None] * len(page)
    outlines = shapes
    if kind in holds.shapes:
        rows = shapes.to_json()
    elif kind != "keypoints" and "polygon" in holds.shapes:
        outlines = shapes.to_polygons()
        rows = outlines.to_json()
    if not holds.rings:
        rows = [None if row and len(row.get("polygon", ())) > 1 else row for row in rows]
    if holds.points:
        rows = [row if row and len(row["polygon"][0]) == holds.points else None for row in rows]
    given = outlines.given & np.array([row is not None for row in rows], dtype=np.bool_)
    away = np.where(given, np.abs(outlines.boxes - page.boxes).max(axis=1, initial=0), 0.0)
    if kind == "keypoints" and kind not in holds.beside:
        rows = [None if off > _SAME else row for row, off in zip(rows, away.tolist(), strict=True)]
        away = np.minimum(away, 0.0)
    kept = sum(row is not None for row in rows)
    off = away[away > _SAME] if kind not in holds.beside else away[:0]
    return Fitted(rows, int(shapes.given.sum()) - kept, len(off), float(off.max(initial=0.0)))


def _shapes_lost(labels: LabelSet, format: str) -> list[str]:
    """What of the shapes a format has no place for."""
    found = [fitted(page, holds_of(labels, format)) for page in labels.values() if page.shapes is not None]
    lost = []
    dropped, moved = sum(page.dropped for page in found), sum(page.moved for page in found)
    if dropped:
        lost.append(
            f"{counted(dropped, 'shape, of which its box stays', 'shapes, of which their boxes stay')}"
        )
    if moved:
        by = max(page.by for page in found)
        boxes = counted(moved, "box", "boxes")
        lost.append(
            f"{boxes} beside a shape, of which the one around the shape stays (up to {by:.3g} px away)"
        )
    return lost


def holds_of(labels: LabelSet, format: str) -> Holds:
    """What a format holds of these labels: YOLO has key points, all of one number, or else outlines."""
    holds = HOLDS[format]
    if format != "yolo":
        return holds
    columns = [page.shapes for page in labels.values() if page.shapes is not None]
    numbers = {
        len(row["keypoints"])
        for column in columns
        if column.kind == "keypoints"
        for row in column.to_json()
        if row is not None
    }
    posed = len(numbers) == 1 and all(column.kind == "keypoints" for column in columns)
    return (
        replace(holds, shapes=("keypoints",), beside=("keypoints",))
        if posed
        else replace(holds, shapes=_OUTLINES)
    )


def _small_losses(labels: LabelSet, format: str) -> list[str]:
    """What else a format leaves out."""
    holds, lost = HOLDS[format], []
    used = np.concatenate([np.empty(0, np.int64), *(page.class_ids for page in labels.values())])
    unused = len(labels.names) - len(np.unique(used)) if not holds.names else 0
    if unused:
        lost.append(counted(unused, "label that no box has", "labels that no box has"))
    unsure = sum(mark.confidence != 1 for marks in labels.image_labels.values() for mark in marks)
    if unsure and holds.page_labels and format != "ground-truth":
        lost.append(f"the confidence of {counted(unsure, 'label of a whole page', 'labels of whole pages')}")
    if labels.extra and format != "ground-truth":
        lost.append(f"what else the file said of {counted(len(labels.extra), 'page', 'pages')}")
    sides = sum(key in labels for key in labels.reading.splits)
    if sides and not holds.splits:
        lost.append(f"the side of the split of {counted(sides, 'page', 'pages')}")
    if format == "ground-truth" and len(labels):
        boxes = np.concatenate([page.boxes[~page.ignore] for page in labels.values()])
        broken = int((np.abs(boxes - np.round(boxes)) > _SAME).any(axis=1).sum())
        if broken:
            lost.append(
                f"the fractions of a pixel of {counted(broken, 'box', 'boxes')}, whose sides go outward"
            )
    return lost
