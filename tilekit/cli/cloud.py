"""What the commands that talk to AWS share: how to reach it, and how a model is named."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tilekit.cli.output import say
from tilekit.rekognition.pricing import dollars

if TYPE_CHECKING:
    from tilekit.aws.keeping import Unkept
    from tilekit.aws.model import Model
    from tilekit.aws.service import Service
    from tilekit.detectors.naming import ModelRef

F = TypeVar("F", bound=Callable[..., Any])


def cloud_options(function: F) -> F:
    """`--region`, `--profile`, `--endpoint-url`; whatever is not given comes from boto3's own chain."""
    for option in (
        click.option("--endpoint-url", "--endpoint", help="Another endpoint, such as a local server's."),
        click.option("--profile", help="Profile of the AWS configuration."),
        click.option("--region", help="AWS region."),
    ):
        function = option(function)
    return function


def deadline_options(function: F) -> F:
    """`--for`, `--guard` and `--guard-role`, for commands that start a model and stop it again."""
    for option in (
        click.option(
            "--guard-role",
            metavar="ARN",
            help="With --guard: role that the scheduler takes to stop the model.",
        ),
        click.option(
            "--guard",
            is_flag=True,
            help="With --for: let EventBridge Scheduler stop it too, even if this machine is gone.",
        ),
        click.option(
            "--for",
            "duration_text",
            metavar="TIME",
            help="Stop the model after this time in any case: 2h, 90m.",
        ),
    ):
        function = option(function)
    return function


def deadline_of(
    text: str | None, guard: bool, role: str | None, ref: ModelRef | None = None
) -> dict[str, Any]:
    """What `deadline_options` say, as options of `Model.running`: empty, or `deadline` and `guard_role`."""
    if guard and (text is None or role is None):
        raise click.UsageError("--guard needs --for TIME and --guard-role ARN")
    if role is not None and not guard:
        raise click.UsageError("--guard-role goes with --guard")
    if text is None:
        return {}
    if ref is not None and ref.kind != "model":
        raise click.UsageError(
            f"--for: {ref.name} is no Custom Labels model, so nothing of it is left running"
        )
    from tilekit.rekognition.pricing import parse_duration

    return {"deadline": parse_duration(text), "guard_role": role}


def make_service(region: str | None, profile: str | None, endpoint_url: str | None) -> Service:
    """The control side of the service."""
    from tilekit.aws.service import Service
    from tilekit.storage.s3 import Access

    return Service(Access(region, profile, endpoint_url), note=say)


def all_models(service: Service) -> Iterator[Model]:
    """Every model of the account and region."""
    from tilekit.aws.model import models_of
    from tilekit.aws.project import all_projects
    from tilekit.storage.s3 import S3Store

    store = S3Store(service.access)
    for _, arn in all_projects(service):
        yield from models_of(service, arn, store=store, note=say)


def warn_unkept(model: Model) -> bool:
    """Say in red that a model runs and nobody will stop it; whether it is so."""
    from tilekit.aws.keeping import unkept
    from tilekit.errors import StorageError

    try:
        found = unkept(model)
    except StorageError:
        return False
    if found is not None:
        click.secho(unkept_words(found), fg="red", err=True)
    return found is not None


def warn_all_unkept(service: Service) -> None:
    """One line in red on whatever runs in the account and region and nobody will stop.

    For commands about something else: where it cannot be known, they go on without a word.
    """
    from tilekit.aws.keeping import unkept
    from tilekit.errors import ServiceDenied, StorageError

    found: list[Unkept] = []
    with contextlib.suppress(ServiceDenied, StorageError):
        found += [lone for model in all_models(service) if (lone := unkept(model)) is not None]
    if len(found) == 1:
        click.secho(unkept_words(found[0]), fg="red", err=True)
    elif found:
        names = ", ".join(f"{one.model.project}/{one.model.version}" for one in found)
        spent = dollars(sum(one.dollars for one in found))
        click.secho(
            f"{len(found)} models run without a keeper, about {spent} so far: {names}; `tilekit stop --stale` ends them",
            fg="red",
            err=True,
        )


def unkept_words(found: Unkept) -> str:
    """For people."""
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.since))
    return (
        f"{found.model.project}/{found.model.version}: running without a keeper since {since}, about "
        f"{dollars(found.dollars)} so far; `tilekit stop --stale` ends it"
    )
