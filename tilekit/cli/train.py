"""`tilekit train`: from two manifests to a trained model."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilekit.cli.cloud import cloud_options, make_service, warn_all_unkept
from tilekit.cli.grouping import grouped
from tilekit.cli.hints import detect_with, next_again, next_command, pages_beside, passed
from tilekit.cli.output import json_option, print_json, print_table, progress_bar, say
from tilekit.cli.parameters import caps_options
from tilekit.errors import InvalidArgument, TilekitError

if TYPE_CHECKING:
    from tilekit.aws.model import Model
    from tilekit.aws.project import RekognitionProject
    from tilekit.aws.training import TrainingPlan


@dataclass(frozen=True)
class TrainOptions:
    """Options of `tilekit train`."""

    project: str | None
    bucket: str | None
    prefix: str | None
    version: str | None
    tags: tuple[str, ...]
    description: str | None
    kms_key: str | None
    no_check: bool
    replace: bool
    retry_failed: bool
    workers: int
    local: bool
    state: Path
    steps: int | None
    minutes: float
    warm_start: str | None
    onnx: Path | None
    dry_run: bool
    region: str | None
    profile: str | None
    endpoint_url: str | None


@click.command("train")
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("test", type=click.Path(path_type=Path))
@click.option("--project", help="Project; made if there is none [with --local: local].")
@click.option("--bucket", help="Bucket for tiles, manifests and output [a local server: the one it made].")
@click.option("--prefix", help="Folder in the bucket [default: the project's name].")
@click.option("--version", help="Name of the model [default: made of the data].")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Tag of the model; again for more.")
@click.option("--description", help="Description of the model.")
@click.option("--kms-key", help="KMS key for the training's output.")
@click.option("--no-check", is_flag=True, help="Leave out the local check of the manifests.")
@click.option("--replace", is_flag=True, help="Replace datasets that tilekit did not make.")
@click.option("--retry-failed", is_flag=True, help="Remove a failed model of this name and train again.")
@click.option("--workers", default=16, show_default=True, help="Uploads at once.")
@click.option("--local", is_flag=True, help="Train on this machine: a local server for as long as it takes.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("tilekit-local"),
    show_default=True,
    help="Folder of the local server, with --local.",
)
@caps_options
@click.option(
    "--warm-start", metavar="VERSION", help="Earlier model of the project to go on from (local server)."
)
@click.option(
    "--export",
    "onnx",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT.onnx",
    help="Write the model as an ONNX file too, with --local.",
)
@click.option("--dry-run", is_flag=True, help="Show calls, bytes and estimated cost; call nothing.")
@cloud_options
@json_option
@grouped(TrainOptions)
def train_command(
    train: Path,
    test: Path,
    as_json: bool,
    options: TrainOptions,
) -> None:
    """Train a model on TRAIN and TEST, two Ground Truth manifests.

    Uploads what is not in the bucket yet, makes the datasets, names the lines the service dropped, and waits for
    the training, which takes half an hour to a day. Interrupt it at any time: the same command goes on.

    With --local a small network is trained on this machine instead, free and offline, in minutes.
    """
    # Long because a command reads from top to bottom: check, do, show.
    from tilekit.aws.project import RekognitionProject
    from tilekit.aws.training import TrainingOptions
    from tilekit.aws.workspace import ProjectOptions
    from tilekit.local.preparation import WARM_START

    if options.onnx is not None and not options.local:
        raise click.UsageError("--export goes with --local: the service gives no model away")
    marks = dict(_tag(text) for text in options.tags) | (
        {WARM_START: options.warm_start} if options.warm_start else {}
    )
    with contextlib.ExitStack() as stack:
        if options.local:
            settings = {"steps": options.steps, "minutes": options.minutes}
            target = stack.enter_context(
                _local_project(options.state, options.project or "local", options.prefix, settings)
            )
        elif options.project is None:
            raise click.UsageError("give --project, or --local to train on this machine")
        else:
            place = options.bucket or _local_bucket(options.endpoint_url)
            service = make_service(options.region, options.profile, options.endpoint_url)
            target = RekognitionProject(
                options.project,
                place,
                prefix=options.prefix,
                note=say,
                options=ProjectOptions(service=service),
            )
        if options.dry_run:
            _show_plan(target.plan(train, test, version=options.version), as_json)
            return
        if not options.local:
            warn_all_unkept(target.service)
        with progress_bar("uploading", hidden=as_json) as progress:
            model = target.train(
                train,
                test,
                version=options.version,
                check=not options.no_check,
                state=options.state / "train" if options.local else None,
                options=TrainingOptions(
                    tags=marks,
                    description=options.description,
                    kms_key=options.kms_key,
                    replace=options.replace or options.local,
                    retry_failed=options.retry_failed,
                    workers=options.workers,
                ),
                progress=progress,
            )
        if options.onnx is not None:
            _export(model, options.state, train, options.onnx)
        _told(model, as_json, train, options)


@contextlib.contextmanager
def _local_project(
    state: Path, name: str, prefix: str | None, settings: dict[str, Any]
) -> Iterator[RekognitionProject]:
    """A project on a local server that runs for as long as the block."""
    from tilekit.aws.project import RekognitionProject
    from tilekit.aws.service import Service
    from tilekit.aws.waiting import Polling
    from tilekit.aws.workspace import ProjectOptions
    from tilekit.local import ServerSettings, running
    from tilekit.storage.s3 import keyed_access

    polling = Polling(dataset=0.2, training=1.0, running=0.2)
    with running(state, **settings) as url:
        service = Service(keyed_access(url), rate=200.0, note=say)
        yield RekognitionProject(
            name,
            ServerSettings().bucket,
            prefix=prefix,
            note=say,
            options=ProjectOptions(service=service, polling=polling),
        )


def _local_bucket(endpoint_url: str | None) -> str:
    """The bucket that a local server made; UsageError where the endpoint is none."""
    from tilekit.local.usage import bucket_of

    url = endpoint_url or os.environ.get("AWS_ENDPOINT_URL_REKOGNITION") or os.environ.get("AWS_ENDPOINT_URL")
    bucket = bucket_of(url) if url else None
    if bucket is None:
        raise click.UsageError(
            "give --bucket, or --local to train on this machine; only a local server has one ready"
        )
    return bucket


def _export(model: Model, state: Path, train: Path, onnx: Path) -> None:
    """Write a locally trained model as ONNX, with the recipe of its dataset where there is one."""
    from tilekit.local.exporting import export_model, trained_folder
    from tilekit.scales import tiling_from_json

    beside = train.parent / "tiling.json"
    made = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    recipe = tiling_from_json(made) if made else None
    decoys = (made["decoy"],) if made.get("decoy") else ()
    export_model(
        trained_folder(state, f"{model.project}/{model.version}"), onnx, tiling=recipe, decoys=decoys
    )


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InvalidArgument(f"--tag {text!r}: write KEY=VALUE")
    return key, value


def _show_plan(plan: TrainingPlan, as_json: bool) -> None:
    from tilekit.rekognition.pricing import dollars

    if as_json:
        print_json(
            {
                "version": plan.version,
                "calls": [
                    {"operation": call.operation, "count": call.count, "bytes": call.bytes, "for": call.note}
                    for call in plan.calls
                ],
                "bytes": plan.bytes,
                "hours": plan.hours,
                "cost": round(plan.cost, 2),
            }
        )
        return
    rows = [(call.operation, call.count, call.bytes, call.note) for call in plan.calls]
    print_table(("call", "times", "bytes", "what for"), rows, title=f"training {plan.version}")
    say(
        f"the training and its uploads: about {dollars(plan.cost)}, at some {plan.hours:.1f} h (a guess; AWS says 0.5 to 24 h)"
    )
    next_again(without=["--dry-run"])


def _figures(model: Model) -> tuple[list[Any], Any]:
    """The service's figures, a row a label, and how the training ended; nothing where they cannot be read."""
    try:
        metrics = model.metrics
    except TilekitError as exc:  # the model is trained all the same
        say(f"the service's figures per label could not be read: {exc}")
        return [], None
    if metrics is None:
        return [], None
    keys = ("label", "test_images", "threshold", "precision", "recall", "f1")
    return [[getattr(row, key) for key in keys] for row in metrics.rows], metrics.training


def _print_model(model: Model, onnx: Path | None) -> None:
    rows, training = _figures(model)
    keys = ("label", "test_images", "threshold", "precision", "recall", "f1")
    print_json(
        {
            "project": model.project,
            "version": model.version,
            "arn": model.arn,
            "f1": model.f1,
            "converged": training.converged if training is not None else None,
            "onnx": str(onnx) if onnx is not None else None,
            "labels": [dict(zip(keys, row, strict=True)) for row in rows],
        }
    )


def _show_model(model: Model) -> None:
    rows, training = _figures(model)
    if rows:
        names = ("label", "test images", "threshold", "precision", "recall", "F1")
        print_table(names, rows, title=f"{model.project}/{model.version}: the service's own figures")
    said = model.f1 if model.f1 is not None else "not given"
    say(f"trained {model.arn}; F1 {said} on the service's own test")
    if training is not None:
        say(training.sentence)


def _told(model: Model, as_json: bool, train: Path, options: TrainOptions) -> None:
    if as_json:
        _print_model(model, options.onnx)
        return
    _show_model(model)
    reach = passed(region=options.region, profile=options.profile, endpoint_url=options.endpoint_url)
    _hint(model, train, options.state if options.local else None, options.onnx, reach)


def _hint(model: Model, train: Path, state: Path | None, onnx: Path | None, reach: list[str]) -> None:
    """Detect with the file there is, write it where the model is local (`state`), else start the model."""
    name = f"{model.project}/{model.version}"
    if onnx is not None:
        say(f"wrote {onnx}")
        detect_with(pages_beside(train), onnx)
    elif state is not None:
        recipe = train.parent / "tiling.json"
        where = passed(state=None if state == Path("tilekit-local") else state)
        where += passed(tiling=recipe if recipe.is_file() else None)
        next_command("local", "export", name, f"{model.version}.onnx", *where)
    else:
        next_command("deploy", name, "--for", "1h", *reach)
