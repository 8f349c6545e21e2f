"""`tilekit models`, `tilekit copy`, `tilekit delete`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from tilekit.cli.cloud import all_models, cloud_options, make_service, unkept_words, warn_all_unkept
from tilekit.cli.grouping import grouped
from tilekit.cli.hints import next_command, passed
from tilekit.cli.output import json_option, print_json, print_table, say


@click.command("models")
@click.argument("project", required=False)
@click.option("--running", "only_running", is_flag=True, help="Only those that run.")
@cloud_options
@json_option
def models_command(
    project: str | None,
    only_running: bool,
    region: str | None,
    profile: str | None,
    endpoint_url: str | None,
    as_json: bool,
) -> None:
    """List the models of the account and region, or of PROJECT: state, F1, units, cost so far."""
    from tilekit.aws.keeping import unkept

    service = make_service(region, profile, endpoint_url)
    rows = []
    lonely = []
    for model in all_models(service):
        status = model.description["Status"]
        live = status in {"STARTING", "RUNNING"}
        if (project is not None and model.project != project) or (only_running and not live):
            continue
        row = _row(model, status, live)
        found = unkept(model) if live else None
        row["unkept_since"] = None if found is None else round(found.since)
        rows.append(row)
        if found is not None:
            lonely.append(unkept_words(found))
    if as_json:
        print_json({"models": rows})
        return
    columns = ("project", "version", "state", "F1", "units", "running for", "cost so far", "stops at")
    keys = ("project", "version", "status", "f1", "units", "running", "cost", "until")
    print_table(columns, [[row[key] for key in keys] for row in rows], title=f"models in {service.region}")
    for words in lonely:
        click.secho(words, fg="red", err=True)
    if any(row["status"] in {"STARTING", "RUNNING"} for row in rows):
        say(
            "what runs is billed; where no cost is shown it was not started by tilekit, and AWS does not say when"
        )
        next_command(
            "stop",
            "--stale" if lonely else "--all",
            *passed(region=region, profile=profile, endpoint_url=endpoint_url),
        )
    else:
        reach = passed(region=region, profile=profile, endpoint_url=endpoint_url)
        trained = [row for row in rows if row["status"] in {"TRAINING_COMPLETED", "STOPPED"}]
        if trained:
            name = f"{trained[0]['project']}/{trained[0]['version']}"
            next_command("deploy", name, "--for", "1h", *reach)
        else:
            train = ("train", "TRAIN.manifest", "TEST.manifest")
            next_command(*train, "--local", note="on AWS: --project NAME --bucket BUCKET")


def _row(model: Any, status: str, live: bool) -> dict[str, Any]:
    import time

    from tilekit.aws.deploying import running_cost
    from tilekit.rekognition.pricing import dollars, duration

    cost = running_cost(model) if live else None
    until = cost.started.until if cost is not None else None
    return {
        "project": model.project,
        "version": model.version,
        "arn": model.arn,
        "status": status,
        "f1": model.f1,
        "units": model.description.get("MinInferenceUnits") if live else None,
        "running": duration(cost.seconds) if cost is not None else None,
        "cost": dollars(cost.dollars) if cost is not None else None,
        "until": time.strftime("%H:%M", time.localtime(until)) if until is not None else None,
    }


@dataclass(frozen=True)
class CopyOptions:
    """Options of `tilekit copy`."""

    target: str
    bucket: str
    version: str | None
    yes: bool
    region: str | None
    profile: str | None
    endpoint_url: str | None


@click.command("copy")
@click.argument("model")
@click.option("--to", "target", required=True, help="Project to copy into; made if there is none.")
@click.option("--bucket", required=True, help="Bucket for the copy's files.")
@click.option("--version", help="Name of the copy [default: the same].")
@click.option("--yes", is_flag=True, help="Do not ask.")
@cloud_options
@json_option
@grouped(CopyOptions)
def copy_command(
    model: str,
    as_json: bool,
    options: CopyOptions,
) -> None:
    """Copy MODEL (project/version or ARN) into another project of the same region."""
    from tilekit.aws.naming import find_model
    from tilekit.aws.project import RekognitionProject

    service = make_service(options.region, options.profile, options.endpoint_url)
    warn_all_unkept(service)
    found = find_model(service, model)
    if not options.yes:
        click.confirm(
            f"Copy {found.project}/{found.version} to {options.target}/{options.version or found.version}?",
            abort=True,
            err=True,
        )
    project = RekognitionProject(
        options.target,
        options.bucket,
        region=options.region,
        profile=options.profile,
        endpoint_url=options.endpoint_url,
        note=say,
    )
    copied = found.copy(project, options.version)
    if as_json:
        print_json({"arn": copied.arn, "status": copied.description["Status"]})
        return
    say(f"copied to {copied.arn}")
    reach = passed(region=options.region, profile=options.profile, endpoint_url=options.endpoint_url)
    next_command("deploy", f"{copied.project}/{copied.version}", "--for", "1h", *reach)


@click.command("delete")
@click.argument("name", metavar="PROJECT[/VERSION]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@cloud_options
@json_option
def delete_command(
    name: str,
    yes: bool,
    region: str | None,
    profile: str | None,
    endpoint_url: str | None,
    as_json: bool,
) -> None:
    """Delete a model, or a project with all its models and datasets. Files in buckets stay."""
    from tilekit.aws.model import models_of
    from tilekit.aws.project import delete_project, project_arn_of
    from tilekit.errors import InvalidArgument

    service = make_service(region, profile, endpoint_url)
    warn_all_unkept(service)
    if "/" in name:
        from tilekit.aws.naming import find_model

        found = find_model(service, name)
        if not yes:
            click.confirm(f"Delete the model {found.project}/{found.version} for good?", abort=True, err=True)
        found.delete()
        deleted = [found.arn]
    else:
        arn = project_arn_of(service, name)
        if arn is None:
            raise InvalidArgument(f"{name!r}: there is no such project in this account and region")
        models = list(models_of(service, arn))
        if not yes:
            click.confirm(
                f"Delete project {name} with its datasets and {len(models)} models for good?",
                abort=True,
                err=True,
            )
        delete_project(service, name)
        deleted = [*(model.arn for model in models), arn]
    if as_json:
        print_json({"deleted": deleted})
        return
    say(f"deleted {name}; what lies in buckets stays")
    next_command("models", *passed(region=region, profile=profile, endpoint_url=endpoint_url))
