"""What is in a LabelSet: pages, boxes and sizes of each label."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tilekit.figures import new_figure, saved

if TYPE_CHECKING:
    from tilekit.labels.label_set import LabelSet
    from tilekit.labels.sources import PathLike
    from tilekit.labels.tally import Tally

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class LabelRow:
    """One label. `width`, `height`, `longest`: px at QUANTILES of its boxes (empty where it has none)."""

    label: str
    pages: int
    boxes: int
    ignored: int
    width: tuple[float, ...]
    height: tuple[float, ...]
    longest: tuple[float, ...]


@dataclass(frozen=True)
class LabelStats:
    """A LabelSet in numbers. `per_page`: boxes per page at QUANTILES; `empty`: pages without boxes and without labels
    of the whole page, of which there are `page_labels`; `unlabeled`: pages that nobody labeled, `refused`: pages whose
    labels could not be taken; `tally`: every entry of the file accounted for."""

    pages: int
    unlabeled: int
    empty: int
    boxes: int
    ignored: int
    per_page: tuple[float, ...]
    crowded: int
    """Pages with more than 50 boxes, which the service refuses whole."""
    rows: tuple[LabelRow, ...]
    refused: int = 0
    page_labels: int = 0
    tally: Tally | None = None
    shapes: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        tally = None if self.tally is None else self.tally.to_json()
        return {"quantiles": list(QUANTILES), **asdict(replace(self, tally=None)), "tally": tally}


def label_stats(labels: LabelSet) -> LabelStats:
    """Count pages, boxes and sizes. Ignored boxes are counted apart and take no part in sizes."""
    boxes, ids, ignore, pages = _columns(labels)
    counts = np.array([int((~page.ignore).sum()) for page in labels.values()], dtype=np.int64)
    kept = ~ignore
    unlabeled = len(labels.unlabeled) if labels.tally is None else labels.tally.unlabeled
    rows = []
    for number, name in enumerate(labels.names):
        mine = kept & (ids == number)
        sides = boxes[mine][:, 2:] - boxes[mine][:, :2]
        rows.append(
            LabelRow(
                name,
                len(np.unique(pages[mine])),
                int(mine.sum()),
                int((ignore & (ids == number)).sum()),
                _quantiles(sides[:, 0]),
                _quantiles(sides[:, 1]),
                _quantiles(sides.max(axis=1, initial=0.0)),
            )
        )
    return LabelStats(
        len(labels),
        unlabeled,
        sum(not count and key not in labels.image_labels for key, count in zip(labels, counts, strict=True)),
        int(kept.sum()),
        int(ignore.sum()),
        _quantiles(counts.astype(np.float64)),
        int((counts > 50).sum()),
        tuple(rows),
        len(labels.unlabeled) - unlabeled,
        sum(map(len, labels.image_labels.values())),
        labels.tally,
        dict(labels.reading.shapes),
    )


def plot_stats(labels: LabelSet, path: PathLike | None = None) -> Any:
    """Draw sizes of the boxes of each label, and boxes per page, as a matplotlib figure, and into an image file (PNG, SVG, PDF) where one is named."""
    boxes, ids, ignore, _ = _columns(labels)
    longest = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0)
    figure = new_figure(11, 4.5)
    sizes, counts = figure.subplots(1, 2)
    shown = [number for number in range(len(labels.names)) if ((ids == number) & ~ignore).any()][:30]
    if shown:
        sizes.boxplot(
            [longest[(ids == number) & ~ignore] for number in shown],
            orientation="horizontal",
            tick_labels=[labels.names[number][:40] for number in shown],
            whis=(5, 95),
            showfliers=False,
        )
        sizes.set_xscale("log")
    sizes.set_xlabel("longest side of the box, px (box: quartiles, whiskers: 5 and 95 %)")
    numbers = [int((~page.ignore).sum()) for page in labels.values()]
    counts.hist(numbers, bins=min(40, max(1, max(numbers, default=0) + 1)))
    counts.axvline(50.5, linestyle="--", color="tab:red", label="the service takes 50 an image")
    counts.set_xlabel("boxes on a page")
    counts.set_ylabel("pages")
    counts.legend()
    return saved(figure, path)


def _columns(
    labels: LabelSet,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    found = list(labels.values())
    boxes = np.concatenate([np.empty((0, 4)), *(page.boxes for page in found)])
    ids = np.concatenate([np.empty(0, np.int64), *(page.class_ids for page in found)])
    ignore = np.concatenate([np.empty(0, np.bool_), *(page.ignore for page in found)])
    lengths = np.array([len(page) for page in found], dtype=np.int64)
    return boxes, ids, ignore, np.repeat(np.arange(len(found)), lengths)


def _quantiles(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in np.quantile(values, QUANTILES)) if len(values) else ()
