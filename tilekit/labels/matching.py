"""match_pages: labels drawn on pictures of a document's pages, taken over to the document itself."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from tilekit.errors import LabelError
from tilekit.labels.entries import Wrong
from tilekit.labels.label_set import BadLabel, LabelSet, Problem, Size
from tilekit.labels.page_sizes import size_of_image
from tilekit.labels.sources import PathLike, base_name, image_of
from tilekit.pages import PageKey
from tilekit.scans.opening import open_scan

_NUMBER = re.compile(
    r"^(?P<stem>.*?)[-_. ]*(?:(?:page|seite|pg|p)[-_. ]*)?\(?(?P<number>[0-9]{1,7})\)?$", re.IGNORECASE
)
_SAME_SHAPE = 0.01


def match_pages(
    labels: LabelSet, document: PathLike, *, dpi: float | None = None, strict: bool = True
) -> LabelSet:
    """The labels of plan-1.png, plan_page_2.jpg, plan-0003.png, ... on the pages of plan.pdf, scaled by the sizes of both.

    Pictures are numbered from one (pdftoppm, most tools), or from zero (ImageMagick) where a picture of number 0 is
    labeled or lies beside them. `dpi`: what the pages will be opened at. What is no page of the document, or of
    another shape, is a problem; `strict=False` leaves it out. Raises LabelError.
    """
    with open_scan(os.fspath(document), dpi=dpi) as scan:
        count = scan.info.pages
    stem = Path(document).stem.casefold()
    first = 0 if any(_is_zero(key) for key in (*labels, *labels.unlabeled)) else 1
    moved: dict[PageKey, PageKey] = {}
    pages, sizes, problems = {}, {}, list(labels.problems)
    lost = {"boxes": 0, "ignored": 0, "page_labels": 0}
    for key, page in labels.items():
        try:
            target = PageKey(os.fspath(document), _page_number(key, stem, first, count))
            if target in sizes:
                raise Wrong(
                    f"is page {target.page + 1} of {document}, as another picture is; keep one of them"
                )
            size = _size_of(target, dpi)
            across, down = _scale(key, labels.sizes.get(key), size)
        except Wrong as exc:
            marks, ignored = len(labels.image_labels.get(key, ())), int(page.ignore.sum())
            problem = Problem(str(key), 0, "", str(exc), len(page) + marks)
            if strict:
                raise BadLabel(problem) from exc
            problems.append(problem)
            for name, by in (("boxes", len(page) - ignored), ("ignored", ignored), ("page_labels", marks)):
                lost[name] += by
            continue
        moved[key], sizes[target] = target, size
        shapes = None if page.shapes is None else page.shapes.scaled(across, down)
        scaled = np.minimum(page.boxes * [across, down, across, down], [*size, *size])
        pages[target] = page.replaced(boxes=scaled, shapes=shapes)
    if not pages and len(labels):
        raise LabelError(
            f"{document}: none of the {len(labels)} labeled pictures is one of its {count} pages"
        )
    tally = labels.tally
    if tally is not None:
        tally = tally.changed(problems=sum(lost.values()), **{name: -by for name, by in lost.items()})
    note = f"pictures are numbered from {first}: number {first} is the first page of {base_name(os.fspath(document))}"
    reading = replace(
        labels.reading, tally=tally, problems=tuple(problems), notes=(*labels.notes, note), splits={}
    )
    return LabelSet(
        pages,
        sizes=sizes,
        names=labels.names,
        image_labels={moved[key]: marks for key, marks in labels.image_labels.items() if key in moved},
        unlabeled=labels.unlabeled,
        extra={moved[key]: more for key, more in labels.extra.items() if key in moved},
        scores={moved[key]: scores for key, scores in labels.scores.items() if key in moved},
        reading=reading,
    )


def _parts(key: PageKey) -> tuple[str, str] | None:
    """The stem and number of a picture's name."""
    found = _NUMBER.match(os.path.splitext(base_name(key.source))[0])
    return None if found is None else (found["stem"], found["number"])


def _is_zero(key: PageKey) -> bool:
    """Whether this picture, or one beside it, is number 0."""
    parts = _parts(key)
    if parts is None:
        return False
    name = os.path.splitext(base_name(key.source))[0]
    zero = name[: len(name) - len(parts[1])] + "0" * len(parts[1])
    return int(parts[1]) == 0 or image_of(os.path.dirname(key.source) or ".", zero) is not None


def _page_number(key: PageKey, stem: str, first: int, count: int) -> int:
    parts = _parts(key)
    if parts is None:
        raise Wrong("has no page number at the end of its name, such as plan-3.png")
    if parts[0].casefold() not in (stem, "") and parts[0].casefold() not in ("page", "seite", "img", "image"):
        raise Wrong(f"is no picture of {stem!r}: its name begins with {parts[0]!r}")
    number = int(parts[1]) - first
    if not 0 <= number < count:
        raise Wrong(f"is number {int(parts[1])}, but the document has {count} pages, numbered from {first}")
    return number


def _size_of(key: PageKey, dpi: float | None) -> Size:
    with open_scan(key.source, page=key.page, dpi=dpi) as scan:
        return scan.width, scan.height


def _scale(key: PageKey, said: Size | None, true: Size) -> tuple[float, float]:
    size = said if said is not None else size_of_image(key)
    across, down = true[0] / size[0], true[1] / size[1]
    # a picture's sides are rounded to whole px, which shows most on small ones
    if abs(across / down - 1) > _SAME_SHAPE + 1 / min(size):
        raise Wrong(
            f"is {size[0]} x {size[1]} px, its page {true[0]} x {true[1]}: another shape, so another page"
        )
    return across, down
