"""What the commands that talk to AWS share: how to reach it, and how a model is named."""

from __future__ import annotations

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


def unkept_words(found: Unkept) -> str:
    """For people."""
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.since))
    return (
        f"{found.model.project}/{found.model.version}: running without a keeper since {since}, about "
        f"{dollars(found.dollars)} so far; `tilekit stop --stale` ends it"
    )
