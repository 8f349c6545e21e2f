"""`tilekit deploy` and `tilekit stop`: a model that stays running, and its end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from tilekit.cli.cloud import all_models, cloud_options, make_service, unkept_words, warn_unkept
from tilekit.cli.grouping import grouped
from tilekit.cli.hints import detect_with, next_again, next_command, passed
from tilekit.cli.output import json_option, print_json, print_table, say
from tilekit.cli.parameters import units_option

if TYPE_CHECKING:
    from tilekit.aws.model import Model


@dataclass(frozen=True)
class DeployOptions:
    """Options of `tilekit deploy`."""

    units: int
    max_units: int | None
    duration_text: str | None
    idle_text: str | None
    guard: bool
    guard_role: str | None
    yes: bool
    dry_run: bool
    region: str | None
    profile: str | None
    endpoint_url: str | None


@click.command("deploy")
@click.argument("model")
@units_option("Inference units; each is billed by the minute.")
@click.option("--max-units", type=int, help="Let the service add units up to this many.")
@click.option("--for", "duration_text", metavar="TIME", help="Stop it after this time: 2h, 90m.")
@click.option("--idle", "idle_text", metavar="TIME", help="Stop it after this time without use by tilekit.")
@click.option("--guard", is_flag=True, help="With --for: let EventBridge Scheduler stop it too.")
@click.option("--guard-role", metavar="ARN", help="Role that the scheduler takes to stop the model.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show the calls and the estimated cost; start nothing.")
@cloud_options
@json_option
@grouped(DeployOptions)
def deploy_command(
    model: str,
    as_json: bool,
    options: DeployOptions,
) -> None:
    """Start MODEL (project/version or ARN) and leave it running; it is billed until it stops.

    Without --for or --idle nothing stops it but `tilekit stop`, so it asks first. Both are kept by a process on
    this machine; --guard also works while this machine sleeps.
    """
    # Long because a command reads from top to bottom: check, do, show.
    from tilekit.aws.deploying import deploy
    from tilekit.rekognition.pricing import PRICES, dollars, parse_duration

    seconds = parse_duration(options.duration_text) if options.duration_text else None
    idle = parse_duration(options.idle_text) if options.idle_text else None
    service = make_service(options.region, options.profile, options.endpoint_url)
    from tilekit.aws.naming import find_model

    found = find_model(service, model)
    warn_unkept(found)
    hourly = dollars(PRICES.unit_hour * (options.max_units or options.units))
    if options.dry_run:
        calls = [*(["scheduler:CreateSchedule"] if options.guard else []), "StartProjectVersion"]
        cost = (
            None if seconds is None else round(PRICES.running(seconds, options.max_units or options.units), 2)
        )
        if as_json:
            print_json({"arn": found.arn, "calls": calls, "cost": cost})
            return
        say(
            f"{found.project}/{found.version} would be started by {', '.join(calls)}, at about {hourly} an hour"
        )
        if cost is not None:
            say(f"its units: {dollars(cost)} at most, stopped after {options.duration_text}")
        else:
            say(
                "no deadline is set"
                if idle is None
                else f"it is stopped after {options.idle_text} without use"
            )
        next_again(without=["--dry-run"])
        return
    if seconds is None and idle is None and not options.yes:
        click.confirm(
            f"{found.project}/{found.version} will run, at about {hourly} an hour, until somebody stops it. Start it?",
            abort=True,
            err=True,
        )
    made = deploy(
        found,
        options.units,
        options.max_units,
        seconds=seconds,
        idle=idle,
        guard=options.guard,
        guard_role=options.guard_role,
    )
    if as_json:
        print_json(
            {
                "arn": found.arn,
                "status": "RUNNING",
                "started": made.started,
                "units": made.units,
                "until": made.until,
                "idle": made.idle,
                "watcher": made.watcher,
                "guard": made.guard,
            }
        )
        return
    say(f"{found.project}/{found.version} is running, at about {hourly} an hour")
    if made.until is not None:
        say(
            f"it is stopped at {time.strftime('%Y-%m-%d %H:%M', time.localtime(made.until))} by process {made.watcher}"
        )
    if made.idle is not None:
        say(f"it is stopped after {options.idle_text} without use, by process {made.watcher}")
    if made.guard is not None:
        say(f"and by the schedule {made.guard}, even if this machine sleeps")
    _hint(found, passed(**{name: getattr(options, name) for name in ("region", "profile", "endpoint_url")}))


def _hint(found: Model, reach: list[str]) -> None:
    name = f"{found.project}/{found.version}"
    detect_with("SCANS", name, *reach)
    next_command("stop", name, *reach, note="when done; it is billed until then")


@click.command("stop")
@click.argument("models", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All running models of the account and region.")
@click.option("--stale", is_flag=True, help="Those that run and that nobody will stop: their keeper is gone.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@cloud_options
@json_option
def stop_command(
    models: tuple[str, ...],
    everything: bool,
    stale: bool,
    yes: bool,
    region: str | None,
    profile: str | None,
    endpoint_url: str | None,
    as_json: bool,
) -> None:
    """Stop MODELS (project/version or ARN), or with --all whatever runs, and wait until that is acknowledged.

    --stale stops without asking what tilekit started and nobody keeps any more.
    """
    from tilekit.aws.deploying import running_cost
    from tilekit.aws.keeping import unkept
    from tilekit.rekognition.pricing import dollars

    if bool(models) + everything + stale != 1:
        raise click.UsageError("name the models to stop, or say --all or --stale")
    service = make_service(region, profile, endpoint_url)
    if everything:
        found = [
            item for item in all_models(service) if item.description["Status"] in {"STARTING", "RUNNING"}
        ]
        if found and not yes:
            say(f"running in {service.region}:")
            for item in found:
                cost = running_cost(item)
                say(
                    f"  {item.project}/{item.version}"
                    + (f", about {dollars(cost.dollars)} for it so far" if cost else "")
                )
            click.confirm(f"Stop these {len(found)}?", abort=True, err=True)
    elif stale:
        lonely = [lone for item in all_models(service) if (lone := unkept(item)) is not None]
        for lone in lonely:
            say(unkept_words(lone))
        found = [lone.model for lone in lonely]
    else:
        from tilekit.aws.naming import find_model

        found = [find_model(service, text) for text in models]
    for item in found:
        item.stop()
    if as_json:
        print_json({"stopped": [item.arn for item in found]})
    elif not found:
        say(f"nothing runs {'without a keeper ' if stale else ''}in {service.region}")
    else:
        print_table(
            ("project", "version", "state"), [(item.project, item.version, item.status) for item in found]
        )
        next_command(
            "models",
            "--running",
            *passed(region=region, profile=profile, endpoint_url=endpoint_url),
            note="to see what else runs",
        )
