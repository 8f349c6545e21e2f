"""The baseline: whole pages of the same split, so that page and tiles are compared on the same pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tilekit.datasets import papers as paper
from tilekit.datasets.carrying import SIDES as REFUSED_SIDES
from tilekit.datasets.carrying import CarryingRules, carry_page
from tilekit.datasets.planned import PlannedPage
from tilekit.datasets.sources import Dpi
from tilekit.datasets.splitting import SIDES
from tilekit.datasets.summary import BaselineSummary
from tilekit.datasets.writing import Encoding, PageTask
from tilekit.grid import Tiling
from tilekit.pages import PageKey
from tilekit.rekognition.limits import LIMITS
from tilekit.rekognition.shrink import surviving

_ENOUGH = 0.5  # share of a side's labeled pages that must be usable for a comparison to mean something
_RULES = CarryingRules(min_visible=1e-9, slivers="keep", ignored="mask", max_boxes=LIMITS.max_boxes)


WHOLE = Tiling.whole(LIMITS.max_side)


def write_baseline(
    planned: Sequence[PlannedPage],
    places: paper.Places,
    encoding: Encoding,
    dpi: Dpi,
    seed: int,
    workers: int,
    write: Callable[[list[PageTask]], None],
) -> BaselineSummary:
    """Write whole pages and their manifests; or say why no baseline is possible.

    Pages are JPEG, since a whole page as PNG may pass the service's 15 MB. Ignore regions are painted
    over, on the train side only. A page with more boxes than an image may have is written several times,
    each time with other boxes painted over, and listed; one with sides that the service refuses is left
    out and listed.
    """
    items: list[PlannedPage] = []
    tasks: list[PageTask] = []
    shrunk: list[tuple[PageKey, tuple[int, int]]] = []
    crowded: list[PageKey] = []
    refused: list[PageKey] = []
    labeled: dict[str, int] = dict.fromkeys(SIDES, 0)
    lost = 0
    coding = replace(encoding, format="jpeg", max_bytes=LIMITS.max_image_bytes)
    places = replace(places, extension=coding.extension)
    for item in planned:
        page = item.page
        grid = WHOLE.grid(page.width, page.height)
        rules = _RULES if item.side == "train" else replace(_RULES, ignored="keep")
        plan = carry_page(item.annotations, grid, rules)
        if grid.is_scaled:
            shrunk.append((page.key, (grid.width, grid.height)))
        if not (~item.annotations.ignore).any():
            continue
        labeled[item.side] += 1
        if REFUSED_SIDES in plan.tiles_left_out:
            refused.append(page.key)
            continue
        if not plan.tiles:
            continue
        if len(plan.tiles) > 1:
            crowded.append(page.key)
        lost += sum(int((~surviving(copy.boxes, grid.width, grid.height)).sum()) for copy in plan.tiles)
        items.append(replace(item, plan=plan, tiling=WHOLE, scale=0))
        tasks.append(PageTask(page, WHOLE, plan.tiles, places.stems[page.key.source], coding, dpi))
    count: dict[str, int] = {side: sum(item.side == side for item in items) for side in SIDES}
    summary = BaselineSummary(True, "", count, tuple(shrunk), tuple(crowded), tuple(refused), lost)
    if reason := _obstacle(labeled, count):
        for name in paper.paper_names():
            places.papers.remove(name)
        return replace(summary, possible=False, reason=reason)
    write(tasks)
    names = items[0].annotations.names
    for side in SIDES:
        paper.write_manifest(places, side, items)
        paper.write_sheet(places, side, items, names, seed, workers)
    return summary


def _obstacle(labeled: Mapping[str, int], usable: Mapping[str, int]) -> str:
    """Why whole pages cannot be trained on, or nothing; a test side without labeled pages is as was asked for."""
    for side in ("train", "test"):
        if side == "test" and not labeled[side]:
            continue
        if usable[side] < max(1.0, _ENOUGH * labeled[side]):
            return (
                f"only {usable[side]} of {labeled[side]} labeled {side} pages have sides the service takes; "
                f"tiles can be trained on, whole pages cannot"
            )
    return ""
