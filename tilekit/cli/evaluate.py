"""`tilekit evaluate` and `tilekit compare`: predictions against truth, and two of them against each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilekit.cli.grouping import grouped
from tilekit.cli.hints import next_again, next_command
from tilekit.cli.output import explain, json_option, print_json, say
from tilekit.cli.parameters import Criterion
from tilekit.cli.reading import Reading, reading_options

if TYPE_CHECKING:
    from tilekit.evaluation.result import Evaluation
    from tilekit.labels.label_set import LabelSet


_iou = click.option(
    "--iou",
    type=Criterion(),
    default=0.5,
    show_default=True,
    help="Overlap that makes a hit, or 'center'.",
)
_thresholds = click.option(
    "--thresholds", metavar="FILE", help="Least score per label: JSON label -> 0..1, or an evaluation."
)
_fit = click.option(
    "--fit",
    nargs=2,
    metavar="TRUTH PREDICTIONS",
    help="Fit thresholds on these other pages (the tune split) and apply them here.",
)
_missing = click.option(
    "--missing",
    type=click.Choice(["error", "empty", "skip"]),
    default="error",
    show_default=True,
    help="Pages of truth without predictions.",
)
_shapes = click.option(
    "--shapes",
    is_flag=True,
    help="Polygons, masks and oriented boxes overlap by their own area, not their boxes.",
)


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of `tilekit evaluate`."""

    iou: Any
    fit: tuple[str, str] | None
    thresholds: str | None
    missing: Any
    shapes: bool
    labels: tuple[str, ...]
    service_summary: str | None
    service_snapshot: str | None
    coco: bool
    out: str | None
    save_thresholds: str | None


@click.command()
@click.argument("truth")
@click.argument("predictions")
@_iou
@_fit
@_thresholds
@_missing
@_shapes
@click.option("--label", "labels", multiple=True, help="Only this label; may be repeated.")
@click.option(
    "--service-summary", metavar="FILE", help="The service's evaluation summary, to put beside ours."
)
@click.option("--service-snapshot", metavar="FILE", help="The service's evaluation snapshot.")
@click.option("--coco", is_flag=True, help="Also COCO's AP over IoU 0.50 to 0.95, by pycocotools.")
@click.option("--out", metavar="FILE", help="Save the evaluation as JSON, for compare and report.")
@click.option("--save-thresholds", metavar="FILE", help="Save the best-F1 thresholds of these pages.")
@reading_options
@json_option
@grouped(EvaluateOptions)
def evaluate(
    truth: str,
    predictions: str,
    as_json: bool,
    options: EvaluateOptions,
    reading: Reading,
) -> None:
    """Score PREDICTIONS (detections.jsonl) against TRUTH (labels in any format we read)."""
    # Long because a command reads from top to bottom: check, do, show.
    from tilekit.labels.prediction_lines import read_predictions
    from tilekit.labels.thresholds import write_thresholds

    if options.service_snapshot and not options.service_summary:
        raise click.UsageError("--service-snapshot goes with --service-summary")
    labels = reading.read_aloud(truth, shapes=options.shapes)
    result = _evaluated(labels, predictions, options, reading, options.labels or None)
    value = result.to_json()
    extra: list[str] = []
    if options.coco:
        from tilekit.evaluation.coco_metrics import coco_metrics
        from tilekit.evaluation.result import text_of

        figures = coco_metrics(
            labels,
            read_predictions(predictions),
            labels=options.labels or None,
            missing=options.missing,
        )
        value["coco"] = {"ap": figures.ap, "ap50": figures.ap50, "ap75": figures.ap75}
        extra.append(
            f"COCO AP {text_of(figures.ap)} (IoU 0.50 to 0.95), AP50 {text_of(figures.ap50)}, AP75 {text_of(figures.ap75)}, "
            f"up to {figures.max_boxes} boxes a page."
        )
    if options.service_summary:
        from tilekit.evaluation.service_tables import service_tables

        tables = service_tables(options.service_summary, options.service_snapshot, result, iou=options.iou)
        value["service"] = tables.to_json()
        extra.append(tables.table())
    if options.out:
        result.save(options.out)
    if options.save_thresholds:
        write_thresholds(
            {label: best for label, best in result.assumed.items() if best is not None},
            options.save_thresholds,
        )
    if as_json:
        print_json(value)
        return
    click.echo(result.table())
    for text in extra:
        click.echo(f"\n{text}")
    explain(str(result.table()))
    _hint(predictions, options.out)


def _hint(predictions: str, out: str | None) -> None:
    if out:
        say(f"wrote {out}")
        next_command("compare", "BASELINE.json", out)
    else:
        saved = Path(predictions).with_suffix(".evaluation.json")
        next_again(plus=["--out", saved], note="saves this for tilekit compare")


@dataclass(frozen=True)
class CompareOptions:
    """Options of `tilekit compare`."""

    iou: Any
    fit: tuple[str, str] | None
    thresholds: str | None
    missing: Any
    shapes: bool
    also_baseline: tuple[str, ...]
    also_tiled: tuple[str, ...]
    seed: int
    samples: int
    out: str | None


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="[TRUTH] BASELINE TILED")
@_iou
@_fit
@_thresholds
@_missing
@_shapes
@click.option("--also-baseline", multiple=True, metavar="FILE", help="Another training of the baseline.")
@click.option("--also-tiled", multiple=True, metavar="FILE", help="Another training on tiles.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap.")
@click.option("--samples", type=int, default=2000, show_default=True, help="Of the bootstrap.")
@click.option("--out", metavar="FILE", help="Save the comparison as JSON.")
@reading_options
@json_option
@grouped(CompareOptions)
def compare(
    files: tuple[str, ...],
    as_json: bool,
    options: CompareOptions,
    reading: Reading,
) -> None:
    """Is TILED better than BASELINE? With 95 % intervals over pages.

    Either two evaluations saved by `tilekit evaluate --out` (BASELINE.json TILED.json), or the truth and
    two files of predictions (TRUTH A.jsonl B.jsonl).
    """
    from tilekit.evaluation.comparison import compare as compare_evaluations

    if len(files) not in (2, 3):
        raise click.UsageError("give BASELINE.json TILED.json, or TRUTH A.jsonl B.jsonl")
    sides: tuple[list[Any], list[Any]]
    if len(files) == 2:
        if options.fit or options.thresholds:
            raise click.UsageError("--fit and --thresholds belong to TRUTH A.jsonl B.jsonl")
        sides = ([files[0], *options.also_baseline], [files[1], *options.also_tiled])
    else:
        truth = reading.read_aloud(files[0], shapes=options.shapes)
        sides = tuple(  # type: ignore[assignment]
            [_evaluated(truth, path, options, reading) for path in (first, *others)]
            for first, others in ((files[1], options.also_baseline), (files[2], options.also_tiled))
        )
    names = _names(files[-2], files[-1])
    result = compare_evaluations(*sides, seed=options.seed, samples=options.samples, names=names)
    if options.out:
        result.save(options.out)
    if as_json:
        print_json(result.to_json())
        return
    click.echo(result.table())
    if len(files) == 3:
        seen = (
            Path(files[2]).parent,
            "--truth",
            files[0],
            "--baseline",
            files[1],
            "--detections",
            files[2],
            *reading.words,
        )
        next_command("report", *seen)
    else:
        unknown = ("--truth", "TRUTH", "--baseline", "BASELINE.jsonl", "--detections", "DETECTIONS.jsonl")
        next_command("report", Path(files[1]).parent, *unknown)


def _names(baseline: str, tiled: str) -> tuple[str, str]:
    one, two = Path(baseline).stem, Path(tiled).stem
    return (one, two) if one != two else (baseline, tiled)


def _evaluated(
    truth: LabelSet,
    predictions: str,
    options: EvaluateOptions | CompareOptions,
    reading: Reading,
    labels: tuple[str, ...] | None = None,
) -> Evaluation:
    from tilekit.evaluation.evaluating import evaluate as evaluate_predictions
    from tilekit.evaluation.rules import EvaluationRules
    from tilekit.labels.prediction_lines import read_predictions
    from tilekit.labels.thresholds import read_thresholds

    fit, thresholds = options.fit, options.thresholds
    return evaluate_predictions(
        truth,
        read_predictions(predictions),
        options.iou,
        fit=(reading.read(fit[0], shapes=options.shapes), read_predictions(fit[1])) if fit else None,
        thresholds=read_thresholds(thresholds) if thresholds else None,
        rules=EvaluationRules(
            by="shape" if options.shapes else "box", labels=labels, missing=options.missing
        ),
        name=Path(predictions).stem,
    )
