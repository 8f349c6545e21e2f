"""`tilekit report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tilekit.cli.grouping import grouped
from tilekit.cli.hints import next_look
from tilekit.cli.output import json_option, print_json, progress_bar, say
from tilekit.cli.parameters import Criterion, rendition_options
from tilekit.cli.reading import Reading, reading_options

_TRUTH = ("truth.manifest", "pages-test.manifest")


@dataclass(frozen=True)
class ReportArguments:
    """Options of `tilekit report`."""

    truth: str | None
    detections: str | None
    baseline: str | None
    iou: Any
    missing: Any
    shapes: bool
    dpi: float | None
    bands: Any
    levels: Any
    title: str
    crops: int
    workers: int


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--truth", type=click.Path(exists=True), help="Page labels. [default: FOLDER/truth.manifest]")
@click.option(
    "--detections", type=click.Path(exists=True), help="What was found. [default: FOLDER/detections.jsonl]"
)
@click.option(
    "--baseline",
    type=click.Path(exists=True),
    help="What whole pages found. [default: FOLDER/baseline.jsonl]",
)
@reading_options
@click.option(
    "--iou", type=Criterion(), default=0.5, show_default=True, help="Overlap that makes a hit, or 'center'."
)
@click.option(
    "--missing",
    type=click.Choice(["error", "empty"]),
    default="error",
    show_default=True,
    help="Pages of truth without predictions: refuse, or all missed.",
)
@click.option(
    "--shapes",
    is_flag=True,
    help="Draw and judge polygons, masks and oriented boxes by their own area, as `evaluate --shapes` does.",
)
@click.option("--dpi", type=float, help="Resolution at which PDF pages were labeled.")
@rendition_options
@click.option("--title", default="", help="Title of the page. [default: what is held against what]")
@click.option("--crops", default=48, show_default=True, help="Pictures of errors per run and kind.")
@click.option("--workers", default=2, show_default=True, help="Pages at once.")
@json_option
@grouped(ReportArguments)
def report(
    folder: Path,
    as_json: bool,
    options: ReportArguments,
    reading: Reading,
) -> None:
    """Write FOLDER/report: a page that opens from disk, with a viewer for every scan.

    Shows what was found and missed, whole pages against tiles (or tiles against scales: whatever the files
    say of how pages were cut) where a baseline is given.
    """
    from tilekit.evaluation.rules import EvaluationRules
    from tilekit.labels.prediction_lines import read_predictions
    from tilekit.rendition import Rendering
    from tilekit.report.building import ReportOptions, write_report
    from tilekit.scales import called, told_apart, words_of

    source = str(options.truth or _default(folder, "--truth", _TRUTH))
    labels = reading.read_aloud(source, shapes=options.shapes)
    tiled = options.detections or str(_default(folder, "--detections", ("detections.jsonl",)))
    other = options.baseline or _existing(folder, "baseline.jsonl")
    found = [read_predictions(file) for file in (other, tiled) if file]
    cut = [list(map(words_of, run.tilings)) for run in found]
    names = told_apart(cut[0], cut[1]) if len(found) == 2 else (called(cut[0]) or "tiles",)
    runs = dict(zip(names, found, strict=True))
    with progress_bar("pages", hidden=as_json) as progress:
        written = write_report(
            folder / "report",
            labels,
            runs,
            iou=options.iou,
            rules=EvaluationRules(by="shape" if options.shapes else "box", missing=options.missing),
            options=ReportOptions(
                title=options.title,
                rendering=Rendering(options.bands, options.levels, options.dpi),
                crops=options.crops,
                workers=options.workers,
            ),
            progress=progress,
        )
    if as_json:
        figures = {name: result.f1 for name, result in written.evaluations.items()}
        print_json(
            {"index": str(written.index), "pages": written.pages, "crops": written.crops, "f1": figures}
        )
        return
    say(f"{written.pages} pages, {written.crops} pictures of errors")
    next_look(written.index)


def _default(folder: Path, option: str, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise click.UsageError(f"{folder} holds no {names[0]}; give {option}")


def _existing(folder: Path, name: str) -> str | None:
    return str(folder / name) if (folder / name).exists() else None
