"""Page labels to scans: is each there, and is it of the size the labels say?"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from tilekit.boxes.annotations import Annotations
from tilekit.errors import InvalidArgument, LabelError, ScanError, StorageError
from tilekit.labels.label_set import BadLabel, LabelSet, Problem, Size
from tilekit.labels.sources import PathLike, base_name, is_url, resolve
from tilekit.pages import PageKey

SizeOf = Callable[[PageKey], Size]
_SAME_SHAPE = 0.01


def resolve_scans(
    labels: LabelSet,
    root: PathLike | None = None,
    *,
    dpi: float | None = None,
    scale_to_scan: bool = False,
    strict: bool = True,
    size_of: SizeOf | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LabelSet:
    """The labels with every page found as a scan, its size taken from there.

    A source that is not where it says is looked for in `root`, under its relative path, then its bare name.
    Sizes that differ are errors, which name the dpi where the page is a PDF drawn at another; `scale_to_scan`
    moves boxes instead where the shapes agree within 1 %. `dpi`: what PDF pages are opened at (None: open_scan's
    default). `strict=False` leaves bad pages out and adds them to `problems`. `size_of` looks sizes up in place
    of opening the scans. Reads headers only, one scan at a time; `s3://` too.
    """
    look = size_of if size_of is not None else _Opening(dpi)
    problems = list(labels.problems)
    lost = {"boxes": 0, "ignored": 0, "page_labels": 0}
    moved: dict[PageKey, PageKey] = {}
    pages: dict[PageKey, Annotations] = {}
    sizes: dict[PageKey, Size] = {}
    for done, (key, page) in enumerate(labels.items(), 1):
        try:
            place = _place(key, root)
            size, page = _fitted(key, page, labels.sizes.get(key), look(place), scale_to_scan)
        except (ScanError, StorageError, LabelError) as exc:
            ignored, marks = int(page.ignore.sum()), len(labels.image_labels.get(key, ()))
            problem = Problem(str(key), 0, "", _reason(key, exc), len(page) + marks)
            if strict:
                raise BadLabel(problem) from exc
            problems.append(problem)
            for name, count in (("boxes", len(page) - ignored), ("ignored", ignored), ("page_labels", marks)):
                lost[name] += count
            continue
        moved[key], pages[place], sizes[place] = place, page, size
        if progress is not None:
            progress(done, len(labels))
    tally = labels.tally
    if tally is not None:
        tally = tally.changed(problems=sum(lost.values()), **{name: -count for name, count in lost.items()})
    return labels.replace(
        pages=pages,
        sizes=sizes,
        image_labels={moved[key]: marks for key, marks in labels.image_labels.items() if key in moved},
        extra={moved[key]: more for key, more in labels.extra.items() if key in moved},
        scores={moved[key]: scores for key, scores in labels.scores.items() if key in moved},
        reading=replace(
            labels.reading,
            problems=tuple(problems),
            tally=tally,
            splits={moved[key]: side for key, side in labels.reading.splits.items() if key in moved},
        ),
    )


class _Opening:
    """Sizes from the scans' headers."""

    def __init__(self, dpi: float | None) -> None:
        self.dpi = dpi

    def __call__(self, key: PageKey) -> Size:
        from tilekit.scans.opening import scan_info

        try:
            info = scan_info(key.source, key.page, dpi=self.dpi)
            return info.width, info.height
        except InvalidArgument as exc:
            raise LabelError(str(exc)) from exc


def _place(key: PageKey, root: PathLike | None) -> PageKey:
    if is_url(key.source) and root is None:
        return key
    if os.path.exists(key.source) or root is None:
        return key
    inside = resolve(key.source, ".", root)
    if os.path.exists(inside.source) or is_url(os.fspath(root)):
        return PageKey(inside.source, key.page)
    found = sorted(Path(root).rglob(base_name(key.source)))
    if len(found) > 1:
        raise LabelError(f"is there {len(found)} times below {root}: {found[0]}, {found[1]}; give full paths")
    return PageKey(str(found[0]), key.page) if found else key


def _fitted(
    key: PageKey, page: Annotations, said: Size | None, true: Size, scale_to_scan: bool
) -> tuple[Size, Annotations]:
    if said is None:
        over = page.boxes[:, 2:] > np.array(true)
        if over.any():
            row = int(over.any(axis=1).argmax())
            raise LabelError(
                f"box {row} ends at {page.boxes[row, 2:].tolist()}, beyond the scan of {true} px"
            )
        return true, page
    if said == true:
        return true, page
    across, down = true[0] / said[0], true[1] / said[1]
    alike = abs(across / down - 1) <= _SAME_SHAPE
    if scale_to_scan and alike:
        scale = np.array([across, down, across, down])
        shapes = None if page.shapes is None else page.shapes.scaled(across, down)
        return true, page.replaced(boxes=page.boxes * scale, shapes=shapes)
    hint = "the labels are of another scan"
    if alike:
        hint = f"the labels were drawn at {1 / across:.4g} times its size; move them with scale_to_scan=True (--scale-to-scan)"
        if key.source.lower().endswith(".pdf"):
            hint += f", or open the page at {1 / across:.4g} times the dpi"
    raise LabelError(
        f"the labels say {said[0]} x {said[1]} px, the scan has {true[0]} x {true[1]} px; {hint}"
    )


def _reason(key: PageKey, exc: Exception) -> str:
    text = str(exc)
    return text.removeprefix(f"{key}: ").removeprefix(f"{key.source}: ")
