"""What everything about one project shares: its name, its bucket, and the way to the service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tilekit.aws.service import Service
from tilekit.aws.waiting import Note, Polling, poll, silent
from tilekit.errors import InvalidArgument, checked_kind
from tilekit.rekognition.arns import check_bucket, check_name
from tilekit.storage.s3 import Access, S3Location, S3Store

_POLLING = Polling()


@dataclass(frozen=True, kw_only=True)
class ProjectOptions:
    """How a project reaches the service: by a boto3 `session`, or by a `service` and `store` made elsewhere, which then
    say region, profile and endpoint; `polling` says how often it looks."""

    session: Any = None
    service: Service | None = None
    store: S3Store | None = None
    polling: Polling = _POLLING


_OPTIONS = ProjectOptions()


class Workspace:
    """A project's name and the bucket its data lives in; the arguments are `RekognitionProject`'s."""

    def __init__(
        self,
        name: str,
        bucket: str,
        *,
        prefix: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        endpoint_url: str | None = None,
        note: Note | None = None,
        options: ProjectOptions = _OPTIONS,
    ) -> None:
        self.name = check_name(name, "project")
        self.bucket = check_bucket(bucket)
        self.root = S3Location(bucket, (prefix if prefix is not None else name).strip("/"))
        options = checked_kind(options, ProjectOptions)
        access = Access(region, profile, endpoint_url, options.session)
        if options.service is not None and access != Access():
            raise InvalidArgument("options.service says region, profile, endpoint and session; give either")
        self.service = options.service or Service(access, note=note or silent)
        self.store = options.store or S3Store(self.service.access, connections=16)
        self.polling = options.polling
        self.note = note or silent

    @property
    def output(self) -> S3Location:
        """Where the service writes what it makes of a training."""
        return self.root / "models"

    def arn(self) -> str | None:
        """The project's ARN, or None while there is no such project."""
        found = self._describe()
        return None if found is None else str(found["ProjectArn"])

    def find_or_create(self) -> str:
        """The project's ARN; makes the project if there is none, and waits until it can be used."""
        while True:
            found = self._describe()
            if found is None:
                self.note(f"making project {self.name}")
                self.service.call(
                    "CreateProject", self.name, expect=("ResourceInUseException",), ProjectName=self.name
                )
            found = poll(
                self._describe,
                lambda item: item is None or item["Status"] != "CREATING",
                every=self.polling.dataset,
                words=lambda item: (
                    f"project {self.name} {item['Status'].lower() if item else 'not listed yet'}"
                ),
                note=silent,
            )
            if found is not None and found["Status"] == "CREATED":
                return str(found["ProjectArn"])
            if found is not None:
                self.note(f"project {self.name} is being deleted; waiting to make it anew")
                poll(
                    self._describe,
                    lambda item: item is None,
                    every=self.polling.dataset,
                    words=lambda item: "",
                    note=silent,
                )

    def _describe(self) -> dict[str, Any] | None:
        return describe_project(self.service, self.name)


def describe_project(service: Service, name: str) -> dict[str, Any] | None:
    """What the service says of a project, or None where there is none."""
    for item in service.pages(
        "DescribeProjects",
        "ProjectDescriptions",
        name,
        ProjectNames=[name],
        expect=("ResourceNotFoundException",),
    ):
        found: dict[str, Any] = item
        return found
    return None
