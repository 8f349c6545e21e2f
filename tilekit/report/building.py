"""write_report: a static folder that opens from disk and proves, or disproves, the gain."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import tilekit
from tilekit.errors import EvaluationError, InvalidArgument, ScanError, checked_kind
from tilekit.evaluation.comparison import compare
from tilekit.evaluation.evaluating import evaluate
from tilekit.evaluation.matching import Criterion
from tilekit.evaluation.pages import Predictions, Truth
from tilekit.evaluation.result import Evaluation
from tilekit.evaluation.rules import EvaluationRules
from tilekit.flow import ordered_map
from tilekit.grid import Tiling
from tilekit.labels.prediction_lines import read_predictions
from tilekit.labels.predictions import PredictionSet
from tilekit.pages import PageKey
from tilekit.rendition import Rendering
from tilekit.report import alike
from tilekit.report.files import copy_assets, templates
from tilekit.report.matches import Matches, PageBoxes, RunBoxes, match_runs
from tilekit.report.pages import Around, Crop, PageWriter, inner, page_number
from tilekit.report.pair import write_pair
from tilekit.report.plots import precision_recall_plot, threshold_plot
from tilekit.scans.encoding import decode_image
from tilekit.scans.opening import open_scan
from tilekit.scans.scan import Scan
from tilekit.storage.local import write_text

AS_TILED = Rendering()


@dataclass(frozen=True)
class Report:
    """What was written: `index` is the page to open; `pages` viewers, `crops` pictures of errors."""

    index: Path
    pages: int
    crops: int
    evaluations: dict[str, Evaluation]


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """How a report looks and is made.

    `title`: of its first page (default: what is held against what). `rendering`: the dpi PDF pages were labeled at (else found from the labels' page size),
    bands and levels (else as the first run's tiles). `open_page` opens a page of the truth, where its key does not say
    how. `crops`: pictures of missed and false boxes, per run and kind at most this many. `tile`, `quality`: of the
    viewer's pyramids. `workers`: pages at once.
    """

    title: str = ""
    rendering: Rendering = AS_TILED
    open_page: Callable[[PageKey], Scan] | None = None
    crops: int = 48
    tile: int = 512
    quality: int = 80
    workers: int = 2

    def __post_init__(self) -> None:
        for name, value, least in (("crops", self.crops, 0), ("workers", self.workers, 1)):
            if value < least:
                raise InvalidArgument(f"{name}={value} must be at least {least}")


_OPTIONS = ReportOptions()


def write_report(
    out: str | os.PathLike[str],
    truth: Truth,
    runs: Mapping[str, Predictions],
    *,
    evaluations: Mapping[str, Evaluation] | None = None,
    iou: Criterion = 0.5,
    rules: EvaluationRules | None = None,
    options: ReportOptions = _OPTIONS,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Write `out/index.html` with a viewer for every page of the truth.

    `truth`: LabelSet or mapping PageKey -> Annotations, whose keys open as scans (or give the options'
    `open_page`). `runs`: name -> predictions, the baseline first. `evaluations`: name -> Evaluation
    made elsewhere (thresholds fitted on other pages, say); by default each run is evaluated here.
    `rules`: as in `evaluate`, for runs without an evaluation; pages without predictions are an "error" or "empty".
    Every run shows the matches that its evaluation counted: by its overlap, boxes or shapes, and labels.
    `options`: see ReportOptions. `progress(done, total)` counts pages.
    A rerun keeps finished pyramids. Memory: the workers' pages' bands (see `write_pyramid`), all boxes.
    Raises EvaluationError where there is no run or pages do not fit, ScanError naming the page that cannot be read.
    """
    options = checked_kind(options, ReportOptions)
    if not runs:
        raise EvaluationError("a report needs at least one set of predictions")
    rules = rules or EvaluationRules()
    if rules.missing == "skip":
        raise InvalidArgument("rules.missing='skip' is unknown here; choose error or empty")
    root = Path(out)
    found = {name: _loaded(run) for name, run in runs.items()}
    judged = dict(evaluations or {})
    for name in found.keys() - judged.keys():
        judged[name] = evaluate(truth, found[name], iou, rules=rules, name=name)
    judged = {name: judged[name] for name in found}
    matches = match_runs(truth, found, judged, rules.missing)
    sizes = {**_sizes(found), **getattr(truth, "sizes", {})}
    chosen = _chosen_crops(matches, options.crops)
    copy_assets(root / "assets")
    errors, names, rendering = _with_errors(matches), list(found), options.rendering
    writer = PageWriter(
        root,
        matches,
        names,
        [_tiling(run) for run in found.values()],
        options.open_page or _opener(sizes, rendering.dpi, rendering.shown or _shown(found)),
        templates().get_template("page.html"),
        options.tile,
        options.quality,
    )

    def one(place: int) -> None:
        writer.write(place, [crop for crop in chosen if crop.page == place], Around.of(place, errors))

    for done, _ in enumerate(ordered_map(one, range(len(matches.pages)), workers=options.workers), 1):
        if progress is not None:
            progress(done, len(matches.pages))
    shown: dict[str, Any] = {"galleries": _galleries(root, chosen, names, matches)}
    shown |= {"pair": write_pair(root, matches, names), **_figures(judged, matches, options.title)}
    write_text(root / "index.html", templates().get_template("index.html").render(shown))
    return Report(root / "index.html", len(matches.pages), len(chosen), judged)


def _figures(judged: Mapping[str, Evaluation], matches: Matches, title: str) -> dict[str, Any]:
    """What the summary page says in words, tables and curves."""
    title = title or " against ".join(judged)
    return {
        "title": title[:1].upper() + title[1:],
        "outcome": _outcome(judged),
        "version": tilekit.__version__,
        "runs": [
            {"name": name, "sentences": result.sentences(), "scales": result.scale_rows()}
            for name, result in judged.items()
        ],
        "sizes": _size_rows(list(judged.values())),
        "summary": _summary(judged),
        "plots": _plots(judged),
        "pages": _page_rows(matches, judged, list(judged)),
    }


def _with_errors(matches: Matches) -> list[bool]:
    """Of each page: whether any run misses a box of it, or has a false alarm, at its thresholds."""
    return [
        any(
            _has_errors(page, found, floors)
            for found, floors in zip(page.runs, matches.thresholds, strict=True)
        )
        for page in matches.pages
    ]


def _has_errors(page: PageBoxes, found: RunBoxes, floors: Sequence[float]) -> bool:
    kept = found.match[found.scores >= np.array([*floors, 0.0])[found.labels]]
    return bool((kept == -1).any()) or len(set(kept[kept >= 0].tolist())) < len(page.truth)


def _loaded(run: Predictions) -> Any:
    return read_predictions(run) if isinstance(run, (str, os.PathLike)) else run


def _sizes(found: Mapping[str, Any]) -> dict[PageKey, tuple[int, int]]:
    sizes: dict[PageKey, tuple[int, int]] = {}
    for run in found.values():
        sizes.update(getattr(run, "sizes", {}))
    return sizes


def _tiling(run: Any) -> Tiling | None:
    if isinstance(run, PredictionSet):
        for page in run.pages():
            if page.tilings:
                return page.tilings[0]
    return None


def _shown(found: Mapping[str, Any]) -> dict[str, Any]:
    """Bands and levels as the first run's tiles have them."""
    tilings = (_tiling(run) for run in found.values())
    return next((one.shown for one in tilings if one is not None), {})


def _opener(
    sizes: Mapping[PageKey, tuple[int, int]], dpi: float | None, how: dict[str, Any]
) -> Callable[[PageKey], Scan]:
    def opened(key: PageKey) -> Scan:
        scan = open_scan(key.source, page=key.page, dpi=dpi, **how)
        size = sizes.get(key)
        if size is None or size == (scan.width, scan.height):
            return scan
        scan.close()
        if scan.info.kind == "pdf" and scan.dpi and dpi is None:  # labeled at another resolution
            again = open_scan(key.source, page=key.page, dpi=scan.dpi * size[0] / scan.width, **how)
            if size == (again.width, again.height):
                return again
            again.close()
        raise ScanError(
            f"{key}: is {scan.width} x {scan.height} px but was labeled at {size[0]} x {size[1]} px; "
            "give the scans that were labeled, or the dpi of a PDF"
        )

    return opened


def _outcome(judged: Mapping[str, Evaluation]) -> str:
    names = list(judged)
    if len(names) < 2:
        only = judged[names[0]]
        return f"{only.counting.found} found, {only.counting.truths} there; F1 {_ratio(only.f1)}."
    result = compare(judged[names[0]], judged[names[-1]], names=(names[0], names[-1]))
    return " ".join(result.words)


def _summary(judged: Mapping[str, Evaluation]) -> list[dict[str, Any]]:
    tables = [{row["label"]: row for row in judged[name].rows()} for name in judged]
    labels = list(dict.fromkeys(label for table in tables for label in table))
    totals = [label for label in labels if label in ("mean of labels", "all boxes")]
    rows = []
    for label in [*(label for label in labels if label not in totals), *totals]:
        truth = max((int(table[label]["truth"] or 0) for table in tables if label in table), default=0)
        cells = [_cell(table.get(label, {})) for table in tables]
        rows.append({"label": label, "truth": truth, "cells": cells, "total": label in totals})
    return rows


def _size_rows(judged: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """Recall a size group and run, the groups of the first run in order; none where one says nothing more."""
    tables = [{group.name: group.counts for group in run.by_size} for run in judged]
    names = [name for name in judged[0].sizes.names if any(name in table for table in tables)]
    rows = [
        {
            "name": name,
            "truth": max(table[name].tp + table[name].fn for table in tables if name in table),
            "cells": [_ratio(table[name].recall if name in table else None) for table in tables],
        }
        for name in names
    ]
    rows = [row for row in rows if row["truth"]]
    return rows if len(rows) > 1 else []


def _cell(row: Mapping[str, Any]) -> dict[str, str]:
    ratios = {name: _ratio(row.get(name)) for name in ("precision", "recall", "f1")}
    counts = {name: "" if row.get(name) is None else str(row[name]) for name in ("tp", "fp", "fn")}
    return ratios | counts


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _plots(judged: Mapping[str, Evaluation]) -> list[dict[str, Any]]:
    from markupsafe import Markup

    plots = []
    for name, result in judged.items():
        curve = Markup(precision_recall_plot(result.curves))
        plots.append({"svg": curve, "caption": f"{name}: precision against recall"})
        curve = Markup(threshold_plot(result.curves, result.thresholds))
        plots.append({"svg": curve, "caption": f"{name}: F1 by threshold; dots: the thresholds in use"})
    return plots


def _rows_of(pages: Sequence[PageKey]) -> dict[PageKey, list[int]]:
    """Rows of the counts by page: one, or one a region of it."""
    rows: dict[PageKey, list[int]] = {}
    for place, key in enumerate(pages):
        rows.setdefault(key, []).append(place)
    return rows


def _page_rows(
    matches: Matches, judged: Mapping[str, Evaluation], names: Sequence[str]
) -> list[dict[str, Any]]:
    counts = [judged[name].page_counts for name in names]
    where = [_rows_of(judged[name].pages) for name in names]
    rows = []
    for place, page in enumerate(matches.pages):
        cells: list[dict[str, Any]] = []
        for table, places in zip(counts, where, strict=True):
            at = places.get(page.key)
            if at is None:
                cells.append({"fn": "–", "fp": "–", "found": "–"})
                continue
            tp, fp, fn = (int(part[at].sum()) for part in (table.tp, table.fp, table.fn))
            cells.append({"fn": fn, "fp": fp, "found": tp + fp})
        last = cells[-1]
        errors = 0 if last["fn"] == "–" else int(last["fn"]) + int(last["fp"])
        rows.append(
            {
                "name": matches.titles[place],
                "href": f"pages/{page_number(place)}.html",
                "truth": len(page.truth),
                "cells": cells,
                "errors": errors,
            }
        )
    return sorted(rows, key=lambda row: -row["errors"])


def _chosen_crops(matches: Matches, most: int) -> list[Crop]:
    """Per run: the missed boxes spread over the pages, and the false alarms with the highest scores."""
    chosen: list[Crop] = []
    for run, floors in enumerate(matches.thresholds):
        missed: list[Crop] = []
        false: list[Crop] = []
        for place, page in enumerate(matches.pages):
            found = page.runs[run]
            kept = found.scores >= np.array([*floors, 0.0])[found.labels]
            hit = set(found.match[kept & (found.match >= 0)].tolist())
            missed += [
                _crop(run, "miss", place, page.truth.boxes[at], page.truth.labels[at], None)
                for at in range(len(page.truth))
                if at not in hit
            ]
            false += [
                _crop(
                    run,
                    "false",
                    place,
                    found.boxes[at],
                    matches.names[found.labels[at]],
                    float(found.scores[at]),
                )
                for at in np.flatnonzero(kept & (found.match == -1)).tolist()
            ]
        step = -(-len(missed) // most) if most else 1
        false.sort(key=lambda crop: -(crop.score or 0))
        for crops in (missed[:: max(1, step)][:most], false[:most]):
            chosen += [replace(crop, file=f"{run}-{crop.kind}-{at:04d}.jpg") for at, crop in enumerate(crops)]
    return chosen


def _crop(run: int, kind: str, page: int, box: Any, label: str, score: float | None) -> Crop:
    x0, y0, x1, y1 = (float(v) for v in box)
    return Crop(run, kind, (x0, y0, x1, y1), label, score, page, "")


def _galleries(
    root: Path, chosen: Sequence[Crop], names: Sequence[str], matches: Matches
) -> list[dict[str, Any]]:
    galleries = []
    for run, name in reversed(list(enumerate(names))):
        for kind, words in (("miss", "missed"), ("false", "false alarms")):
            items = [crop for crop in chosen if crop.run == run and crop.kind == kind]
            if not items:
                continue
            note = "A sample over all pages."
            if kind == "false":
                items, alike = _alike(root, items)
                note = alike or "Those with the highest scores first."
            galleries.append(
                {
                    "title": f"{name}: {words}",
                    "note": note,
                    "crops": [_gallery_item(crop, run, words, matches) for crop in items],
                }
            )
    return galleries


def _alike(root: Path, crops: Sequence[Crop]) -> tuple[list[Crop], str]:
    """False alarms with those together that look alike, and what is said of them."""
    looks = []
    for crop in crops:
        pixels = decode_image((root / "crops" / crop.file).read_bytes())
        looks.append(alike.look_of(inner(pixels, crop.box)))
    found = alike.groups(looks)
    told = []
    for group in found:
        labels = Counter(crops[place].label for place in group)
        pages = len({crops[place].page for place in group})
        told.append((len(group), pages, labels.most_common(1)[0][0]))
    return [crops[place] for group in found for place in group], alike.sentence(told, len(crops))


def _gallery_item(crop: Crop, run: int, words: str, matches: Matches) -> dict[str, str]:
    page = matches.titles[crop.page]
    at = ",".join(f"{v:.1f}" for v in crop.box)
    score = "" if crop.score is None else f" {crop.score:.2f}"
    return {
        "kind": crop.kind,
        "href": f"pages/{page_number(crop.page)}.html#at={at}&run={run}",
        "image": f"crops/{crop.file}",
        "alt": f"{words}: {crop.label}{score} on {page}",
        "text": f"{crop.label}{score}, {page}",
    }
