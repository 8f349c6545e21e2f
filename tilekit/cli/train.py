"""`tilekit train`: from two manifests to a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilekit.cli.cloud import cloud_options
from tilekit.cli.output import json_option, next_step, print_json, print_table, progress_bar, say
from tilekit.errors import InvalidArgument, TilekitError

if TYPE_CHECKING:
    from tilekit.aws.model import Model
    from tilekit.aws.training import TrainingPlan


@click.command("train")
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("test", type=click.Path(path_type=Path))
@click.option("--project", required=True, help="Project; made if there is none.")
@click.option("--bucket", required=True, help="Bucket for tiles, manifests and output.")
@click.option("--prefix", help="Folder in the bucket [default: the project's name].")
@click.option("--version", help="Name of the model [default: made of the data].")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Tag of the model; again for more.")
@click.option("--description", help="Description of the model.")
@click.option("--kms-key", help="KMS key for the training's output.")
@click.option("--no-check", is_flag=True, help="Leave out the local check of the manifests.")
@click.option("--replace", is_flag=True, help="Replace datasets that tilekit did not make.")
@click.option("--retry-failed", is_flag=True, help="Remove a failed model of this name and train again.")
@click.option("--workers", default=16, show_default=True, help="Uploads at once.")
@click.option("--dry-run", is_flag=True, help="Show calls, bytes and estimated cost; call nothing.")
@cloud_options
@json_option
def train_command(
    train: Path,
    test: Path,
    project: str,
    bucket: str,
    prefix: str | None,
    version: str | None,
    tags: tuple[str, ...],
    description: str | None,
    kms_key: str | None,
    no_check: bool,
    replace: bool,
    retry_failed: bool,
    workers: int,
    dry_run: bool,
    region: str | None,
    profile: str | None,
    endpoint_url: str | None,
    as_json: bool,
) -> None:
    """Train a model on TRAIN and TEST, two Ground Truth manifests.

    Uploads what is not in the bucket yet, makes the datasets, names the lines the service dropped, and waits for
    the training, which takes half an hour to a day. Interrupt it at any time: the same command goes on.
    """
    from tilekit.aws.project import RekognitionProject

    marks = dict(_tag(text) for text in tags)
    target = RekognitionProject(
        project, bucket, prefix=prefix, region=region, profile=profile, endpoint_url=endpoint_url, note=say
    )
    if dry_run:
        _show_plan(target.plan(train, test, version=version), as_json)
        return
    with progress_bar("uploading", quiet=as_json) as progress:
        model = target.train(
            train,
            test,
            version=version,
            tags=marks,
            description=description,
            kms_key=kms_key,
            check=not no_check,
            replace=replace,
            retry_failed=retry_failed,
            workers=workers,
            progress=progress,
        )
    _show_model(model, as_json)


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
    say(f"about {dollars(plan.cost)} for some {plan.hours:.1f} h of training (a guess; AWS says 0.5 to 24 h)")
    next_step("run the same without --dry-run")


def _show_model(model: Model, as_json: bool) -> None:
    metrics = None
    try:
        metrics = model.metrics
    except TilekitError as exc:  # the model is trained all the same
        say(f"the service's figures per label could not be read: {exc}")
    rows: list[Any] = []
    if metrics is not None:
        rows = [
            (row.label, row.test_images, row.threshold, row.precision, row.recall, row.f1)
            for row in metrics.rows
        ]
    names = ("label", "test images", "threshold", "precision", "recall", "F1")
    if as_json:
        print_json(
            {
                "project": model.project,
                "version": model.version,
                "arn": model.arn,
                "f1": model.f1,
                "labels": [
                    dict(
                        zip(
                            ("label", "test_images", "threshold", "precision", "recall", "f1"),
                            row,
                            strict=True,
                        )
                    )
                    for row in rows
                ],
            }
        )
        return
    if rows:
        print_table(names, rows, title=f"{model.project}/{model.version}: the service's own figures")
    say(
        f"trained {model.arn}; F1 {model.f1 if model.f1 is not None else 'not given'} on the service's own test"
    )
    next_step(f"tilekit deploy {model.project}/{model.version} --for 1h, or Model.running() in Python")
