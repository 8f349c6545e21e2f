"""Worlds: does the plan foresee what training shows? Generated pages, whole and in the plan's tiles, trained and judged.

`python benchmarks/worlds.py RESULTS.jsonl [--only 3] [--shard 0/2]` makes worlds whose objects have 3 to 60 px on
whole pages, 5 to 200 boxes a page, with and without look-alikes; for each it plans, trains the local trainer (on one
core, or a CUDA device, until its plateau) on whole pages and on the plan's tiles, and judges both on the same test
test pages. One JSON line a world; worlds that have their line are left out, so a run goes on where it was stopped.
`--wide` takes eight worlds of larger scans, where the shrink takes more away. `--table` prints the table, `--runs` the
lines that `tilekit/verdicts/runs.csv` takes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import tilekit as tk
from benchmarks.local_models import Trained, train
from tilekit.datasets.options import DatasetOptions
from tilekit.datasets.plan import Plan
from tilekit.detection.detecting import detect_whole
from tilekit.evaluation.comparison import compare
from tilekit.local.budget import Caps
from tilekit.rekognition.limits import LIMITS
from tilekit.scans.encoding import encode_image
from tilekit.testing.scenes import SceneStyle, scene_page
from tilekit.verdicts.outcomes import outcome_of
from tilekit.verdicts.recall import expected_recall
from tilekit.verdicts.runs import DOCUMENTS, RecordedRun

PX = (3.0, 4.6, 7.1, 10.8, 16.6, 25.4, 39.0, 60.0)
BOXES = (5, 20, 60, 200)
LOOKS = (
    ("empty_triangle", "up_arrow"),
    ("solid_triangle", "down_arrow"),
    ("empty_triangle", "solid_triangle"),
    ("up_arrow", "down_arrow"),
)
"""Symbols that trainings do not know beforehand (benchmarks/pretrain.py)."""
PAGES = {"train": 10, "tune": 4, "test": 10}
ASPECT = 0.3
"""Pages are strips: as long as a page must be for the service to shrink it, and cheap to make and to look at."""


@dataclass(frozen=True)
class World:
    """`px`: of an object on a whole page as trained on; `ratio`: scan px to those; `boxes` a page."""

    name: str
    px: float
    ratio: float
    boxes: int
    look_alikes: bool
    symbols: tuple[str, ...]
    clutter: float
    seed: int


def worlds() -> list[World]:
    """32 worlds in an order of which any beginning is spread over sizes and crowds."""
    found = []
    for turn in range(4):
        for place, px in enumerate(PX):
            number = len(found)
            room = 0.4 * LIMITS.shrink_side**2 * ASPECT / (2.6 * px) ** 2
            boxes = int(min(BOXES[(place + turn) % 4], room))
            ratio = 1.6 if px > 30 else (2.0, 2.0, 2.5, 2.0)[(place + turn) % 4]
            found.append(
                World(
                    f"{px:g} px, {boxes} boxes" + (", look-alikes" if (place // 4 + turn) % 2 == 0 else ""),
                    px,
                    ratio,
                    boxes,
                    (place // 4 + turn) % 2 == 0,
                    LOOKS[(place // 2 + turn) % 4],
                    (0.5, 1.0)[number % 2],
                    1000 + number,
                )
            )
    order = [turn * 8 + place for turn in range(4) for place in (0, 4, 2, 6, 1, 5, 3, 7)]
    return [found[number] for number in order]


def wide_worlds() -> list[World]:
    """Eight worlds of scans five times as wide as the service keeps, the small objects among them; in the same order."""
    found = []
    for number, (px, boxes) in enumerate((px, boxes) for boxes in (5, 20) for px in PX[:4]):
        look_alikes = number % 2 == number // 4
        name = f"{px:g} px of {5 * px:g}, {boxes} boxes" + (", look-alikes" if look_alikes else "")
        found.append(
            World(name, px, 5.0, boxes, look_alikes, LOOKS[number % 4], (0.5, 1.0)[number % 2], 2000 + number)
        )
    return found


def draw_world(world: World, folder: Path) -> dict[str, tk.LabelSet]:
    """Pages of a world, by side."""
    sides: dict[str, tk.LabelSet] = {}
    width = int(LIMITS.shrink_side * world.ratio)
    height = int(ASPECT * width)
    scan_px = world.px * world.ratio
    number = 0
    for side, count in PAGES.items():
        pages, sizes = {}, {}
        for place in range(count):
            empty = side == "test" and place % 5 == 4
            pixels, labels = scene_page(
                world.seed * 100 + number,
                width,
                height,
                symbols=world.symbols,
                symbol_px=(0.85 * scan_px, 1.15 * scan_px),
                count=0 if empty else world.boxes,
                style=SceneStyle(world.clutter * 0.5, look_alikes=None if world.look_alikes else ()),
            )
            key = tk.PageKey(str(folder / f"{side}-{place}.png"))
            Path(key.source).write_bytes(encode_image(pixels, "png").data)
            pages[key], sizes[key] = labels, (width, height)
            number += 1
        sides[side] = tk.LabelSet(pages, sizes=sizes, names=world.symbols)
    return sides


def tiling_of(plan: Plan) -> tk.Tiling | tk.Scales:
    """What is trained against whole pages: the plan's, or its best tiles where it wants none."""
    if plan.needed:
        return plan.scales[0] if len(plan.scales) == 1 else plan.scales
    return tk.Tiling(1280, 128) if plan.tiling.is_whole else plan.tiling


def found_on(
    trained: Trained, labels: tk.LabelSet, tiling: tk.Tiling | tk.Scales | None
) -> dict[tk.PageKey, Any]:
    """Everything found on the pages, whole (None) or in tiles."""
    found = {}
    for key in labels:
        with tk.open_scan(key.source) as scan:
            found[key] = (
                detect_whole(scan, trained.detector)
                if tiling is None
                else tk.detect_tiles(scan, trained.detector, tiling)
            )
    return found


def judged(
    trained: Trained, sides: dict[str, tk.LabelSet], tiling: tk.Tiling | tk.Scales | None, name: str
) -> tk.Evaluation:
    """Test pages, thresholds from the tune pages; how the training ended goes with it."""
    tune = found_on(trained, sides["tune"], tiling)
    test = found_on(trained, sides["test"], tiling)
    found = tk.evaluate(
        sides["test"], list(test.values()), fit=(sides["tune"], list(tune.values())), name=name
    )
    return replace(found, training=trained.note)


def run_world(world: World, caps: Caps) -> dict[str, Any]:
    """Plan, train both sides, judge."""
    begun, cpu = time.monotonic(), time.process_time()
    folder = Path(tempfile.mkdtemp(prefix="world-"))
    try:
        sides = draw_world(world, folder)
        known = tk.LabelSet(
            {**sides["train"], **sides["tune"]},
            sizes={**sides["train"].sizes, **sides["tune"].sizes},
            names=world.symbols,
        )
        plan = tk.recommend_tiling(known)
        tiling = tiling_of(plan)
        tk.tile_dataset(
            {"train": sides["train"], "test": sides["tune"]},
            folder / "data",
            tiling,
            options=DatasetOptions(baseline=True, workers=1),
        )
        result: dict[str, Any] = {"world": asdict(world), "plan": plan.to_json(), "tiling": str(tiling)}
        px = tk.recommend_tiling(sides["test"])
        result["boxes"] = float(np.mean([len(page) for page in sides["train"].values()]))
        evaluations = []
        for side, manifest, how in (
            ("whole", folder / "data" / "baseline" / "train.manifest", None),
            ("tiles", folder / "data" / "train.manifest", tiling),
        ):
            trained = train([manifest], world.symbols, world.seed, caps)
            evaluation = judged(trained, sides, how, side)
            evaluations.append(evaluation)
            option = px.whole if how is None else plan.chosen
            result[side] = {
                "f1": evaluation.f1,
                "precision": evaluation.precision,
                "recall": evaluation.recall,
                "labels": {row.label: [row.precision, row.recall, row.f1] for row in evaluation.labels},
                "px": option.typical_object,
                "note": trained.note.to_json(),
            }
        found = compare(*evaluations)
        result["outcome"] = found.outcome
        result["difference"] = [found.f1.difference, found.f1.low, found.f1.high]
        result["seconds"] = round(time.monotonic() - begun, 1)
        result["cpu"] = round(time.process_time() - cpu, 1)
        return result
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_results(path: Path) -> list[dict[str, Any]]:
    """The worlds that have been run."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def summary(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How often the plan's verdict has the measured sign, and how far recall is from what was expected.

    `level`: worlds whose interval is within 0.01 of 0; `clear`: of the others those whose interval is clear of 0; `agree` of them: better where the plan has a reason, worse where it
    has none. `by_size_worse`: worlds called by size where tiles are measured worse. `off`: mean absolute difference of
    expected and measured recall, a label and side each, of `recalls` of them: `off` as the plan expected it then,
    `off_others` by a curve of the other half of the worlds and the documents, which has not seen this world.
    """
    signs = [_sign(one["difference"]) for one in results]
    clear = [(sign, one) for sign, one in zip(signs, results, strict=True) if sign]
    off = [(abs(found - then), abs(found - others)) for found, then, others in _recalls(results)]
    then, others = np.mean(off, axis=0).tolist() if off else (None, None)
    return {
        "worlds": len(results),
        "level": sum(_outcome(one["difference"]) == "level" for one in results),
        "clear": len(clear),
        "agree": sum((sign > 0) == bool(one["plan"]["reasons"]) for sign, one in clear),
        "by_size_worse": sum(sign < 0 and "size" in one["plan"]["reasons"] for sign, one in clear),
        "not_converged": sum(
            not all(one[side]["note"]["converged"] for side in ("whole", "tiles")) for one in results
        ),
        "recalls": len(off),
        "off": then,
        "off_others": others,
    }


def _sign(difference: Sequence[float | None]) -> int:
    """1 or -1 where tiles are better or worse, else 0."""
    return {"better": 1, "worse": -1}.get(_outcome(difference), 0)


def _outcome(difference: Sequence[float | None]) -> str:
    """As `compare` calls it, however long it was trained."""
    _, low, high = difference
    return outcome_of(low, high)


def _recalls(results: Sequence[dict[str, Any]]) -> Iterator[tuple[float, float, float]]:
    """(measured, expected then, expected from the other half of the worlds) of each label and side."""
    seeds = sorted(one["world"]["seed"] for one in results)
    halves = [[one for one in results if seeds.index(one["world"]["seed"]) % 2 == half] for half in (0, 1)]
    for mine, others in (halves, halves[::-1]):
        curve = (*DOCUMENTS, *(run for one in others for run in recorded(one)))
        for one in mine:
            for side, key in (("whole", "whole"), ("tiles", "tiled")):
                by_others = expected_recall(np.array([one[side]["px"]]), curve)
                for label, expected in one["plan"]["expected"].items():
                    measured = one[side]["labels"].get(label, [None, None])[1]
                    if measured is not None and by_others is not None:
                        yield measured, expected[key]["recall"], by_others.recall


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: one row a world, then what they come to."""
    lines = [
        "| world | plan | F1 whole | F1 tiles | difference | recall whole (expected) | recall tiles (expected) |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in sorted(results, key=lambda found: (found["world"]["px"], found["world"]["boxes"])):
        cells = [one["world"]["name"], ", ".join(one["plan"]["reasons"]) or "not needed"]
        cells += [_figure(one[side]["f1"]) for side in ("whole", "tiles")]
        difference, low, high = one["difference"]
        span = "" if low is None else f" ({low:+.2f} to {high:+.2f})"
        cells.append("-" if difference is None else f"{difference:+.3f}{span}")
        for side, key in (("whole", "whole"), ("tiles", "tiled")):
            expected = [found[key]["recall"] for found in one["plan"]["expected"].values()]
            cells.append(f"{_figure(one[side]['recall'])} ({np.mean(expected):.2f})")
        lines.append(f"| {' | '.join(cells)} |")
    said = summary(results)
    off, others = ("-" if said[key] is None else f"{said[key]:.3f}" for key in ("off", "off_others"))
    lines += [
        "",
        f"{said['worlds']} worlds: the interval is within 0.01 of 0 in {said['level']}, elsewhere clear of 0 in {said['clear']}, where the plan's verdict has the measured "
        f"sign in {said['agree']}; called by size and measured worse: {said['by_size_worse']}; a side not converged: "
        f"{said['not_converged']}. Expected recall was {off} from the measured, mean of {said['recalls']} labels and "
        f"sides; by a curve of the other half of the worlds it is {others}.",
    ]
    return "\n".join(lines)


def runs(results: Sequence[dict[str, Any]]) -> list[str]:
    """Lines for `tilekit/verdicts/runs.csv`."""
    return [
        f'worlds,"{run.what}",{run.side},{run.px:.1f},{run.recall:.3f}'
        for one in results
        for run in recorded(one)
    ]


def recorded(one: dict[str, Any]) -> list[RecordedRun]:
    """Both sides of a world, each at the px of its median object."""
    return [
        RecordedRun(f"world of {one['world']['name']}", side, one[side]["px"], one[side]["recall"])
        for side in ("whole", "tiles")
        if one[side]["recall"] is not None
    ]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--only", type=int, default=32, help="the first so many worlds")
    parser.add_argument("--wide", action="store_true", help="the eight worlds of larger scans instead")
    parser.add_argument("--shard", default="0/1", help="which worlds of these, i/n")
    parser.add_argument("--steps", type=int, default=None, help="cap of a training")
    parser.add_argument("--table", action="store_true", help="print the table of what is there, run nothing")
    parser.add_argument(
        "--runs", action="store_true", help="print the lines that the recorded recall is made of"
    )
    options = parser.parse_args()
    if options.table or options.runs:
        found = read_results(options.results)
        print(table(found) if options.table else "\n".join(runs(found)))
        return
    place, count = map(int, options.shard.split("/"))
    for number, world in enumerate((wide_worlds if options.wide else worlds)()[: options.only]):
        done = {one["world"]["seed"] for one in read_results(options.results)}
        if number % count != place or world.seed in done:
            continue
        result = run_world(world, Caps(steps=options.steps))
        with options.results.open("a") as lines:
            lines.write(json.dumps(result) + "\n")
        print(world.name, result["outcome"], result["difference"], result["cpu"], flush=True)


if __name__ == "__main__":
    main()
