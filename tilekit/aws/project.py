"""RekognitionProject: from two manifests to a trained model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilekit.aws.service import Service
from tilekit.aws.waiting import Note, Polling, poll, silent
from tilekit.errors import InvalidArgument, ServiceError, StorageNotFound
from tilekit.rekognition.arns import check_bucket, check_name
from tilekit.storage.s3 import Access, S3Location, S3Store, is_s3, parse_s3

if TYPE_CHECKING:
    from tilekit.aws.model import Model
    from tilekit.aws.training import TrainingPlan
    from tilekit.grid import Tiling
    from tilekit.scales import Scales


class RekognitionProject:
    """A Custom Labels project and the bucket its data lives in.

    `name`: found, or made at the first training. `bucket`: takes tiles, manifests and training output, all
    below `prefix` (default: the project's name). `region`, `profile`, `endpoint_url`, `session`: beside
    boto3's own chain. `note(text)` gets a sentence for everything that happens; `polling` says how often
    to look.
    """

    def __init__(
        self,
        name: str,
        bucket: str,
        *,
        prefix: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        endpoint_url: str | None = None,
        session: Any = None,
        polling: Polling | None = None,
        note: Note | None = None,
        service: Service | None = None,
        store: S3Store | None = None,
    ) -> None:
        self.name = check_name(name, "project")
        self.bucket = check_bucket(bucket)
        self.root = S3Location(bucket, (prefix if prefix is not None else name).strip("/"))
        access = Access(region, profile, endpoint_url, session)
        self.service = service or Service(access, note=note or silent)
        self.store = store or S3Store(self.service.access, connections=16)
        self.polling = polling or Polling()
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

    def models(self) -> Iterator[Model]:
        """The project's models, newest first."""
        from tilekit.aws.model import models_of

        arn = self.arn()
        if arn is not None:
            yield from models_of(self.service, arn, store=self.store, polling=self.polling, note=self.note)

    def model(self, version: str) -> Model:
        """A model by its version name; raises ServiceError where there is none."""
        from tilekit.aws.model import models_of

        arn = self.arn()
        found = (
            ()
            if arn is None
            else tuple(
                models_of(
                    self.service,
                    arn,
                    versions=[version],
                    store=self.store,
                    polling=self.polling,
                    note=self.note,
                )
            )
        )
        if not found:
            raise ServiceError(
                f"project {self.name} has no model {version!r} in this region; see `tilekit models`",
                code="ResourceNotFoundException",
            )
        return found[0]

    def train(
        self,
        train: str | Path,
        test: str | Path,
        *,
        version: str | None = None,
        tiling: Tiling | Scales | None = None,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
        kms_key: str | None = None,
        check: bool = True,
        replace: bool = False,
        retry_failed: bool = False,
        workers: int = 16,
        progress: Callable[[int, int], None] | None = None,
        state: str | Path | None = None,
    ) -> Model:
        """Train a model on two manifests and wait for it; a rerun with the same names goes on.

        `train`, `test`: Ground Truth manifests, local or `s3://`; local images are uploaded. `version`: the model's name
        (default: made of the manifests' content, so the same data finds the same model). `tiling`: how the
        tiles were cut (default: the tiling.json beside the train manifest). `check=False` leaves out the local check. `replace` replaces datasets that tilekit did not make. `retry_failed` removes a failed model of
        this name and trains again. `progress(done, total)` counts files uploaded. `state`: folder for what
        a rerun needs (default: `.tilekit-train` beside the train manifest).

        Raises LabelError for manifests at fault, TrainingFailed with the lines at fault, QuotaExceeded,
        ServiceDenied, StorageError.
        """
        from tilekit.aws.training import Training

        files = self._local(train, state), self._local(test, state)
        run = Training(self, *files, version=version, tiling=tiling, state=state)
        if check:
            run.check()
        return run.run(
            tags=tags,
            description=description,
            kms_key=kms_key,
            replace=replace,
            retry_failed=retry_failed,
            workers=workers,
            progress=progress,
        )

    def plan(
        self,
        train: str | Path,
        test: str | Path,
        *,
        version: str | None = None,
        tiling: Tiling | Scales | None = None,
        state: str | Path | None = None,
    ) -> TrainingPlan:
        """What `train` would do: calls, bytes and estimated cost. Calls and writes nothing for local manifests."""
        from tilekit.aws.training import Training

        files = self._local(train, state), self._local(test, state)
        return Training(self, *files, version=version, tiling=tiling, state=state, dry=True).plan()

    def delete(self) -> None:
        """Remove the project with its datasets and models; none of them may be running or training.

        Objects in the bucket stay.
        """
        delete_project(self.service, self.name, self.polling)

    def _local(self, manifest: str | Path, state: str | Path | None) -> Path:
        """A manifest as a local file; one in a bucket is fetched, with the tiling.json beside it."""
        if not is_s3(manifest):
            return Path(manifest)
        place = parse_s3(str(manifest))
        above, _, name = place.key.rpartition("/")
        folder = Path(state if state is not None else ".tilekit-train") / self.name / "given" / above
        with contextlib.suppress(StorageNotFound):
            self.store.download(S3Location(place.bucket, above) / "tiling.json", folder / "tiling.json")
        return self.store.download(place, folder / name)

    def _describe(self) -> dict[str, Any] | None:
        return _describe_project(self.service, self.name)


def project_arn_of(service: Service, name: str) -> str | None:
    """The ARN of the project of this name, or None."""
    found = _describe_project(service, check_name(name, "project"))
    return None if found is None else str(found["ProjectArn"])


def delete_project(service: Service, name: str, polling: Polling | None = None) -> None:
    """Remove a project with its datasets and models and wait until it is gone."""
    from tilekit.aws.datasets import project_datasets
    from tilekit.aws.model import models_of

    every = (polling or Polling()).dataset
    arn = project_arn_of(service, name)
    if arn is None:
        return
    for model in list(models_of(service, arn, polling=polling)):
        model.delete()
    for dataset, _ in project_datasets(service, name).values():
        service.call("DeleteDataset", dataset, expect=("ResourceNotFoundException",), DatasetArn=dataset)
    poll(
        lambda: len(project_datasets(service, name)),
        lambda count: not count,
        every=every,
        words=lambda count: f"{count} datasets left",
    )
    service.call("DeleteProject", name, expect=("ResourceNotFoundException",), ProjectArn=arn)
    poll(
        lambda: _describe_project(service, name) is not None,
        lambda there: not there,
        every=every,
        words=lambda there: "being deleted" if there else "gone",
    )


def _describe_project(service: Service, name: str) -> dict[str, Any] | None:
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


def all_projects(service: Service) -> Iterator[tuple[str, str]]:
    """Name and ARN of every Custom Labels project of the account and region."""
    from tilekit.rekognition.arns import parse_project_arn

    for item in service.pages("DescribeProjects", "ProjectDescriptions", Features=["CUSTOM_LABELS"]):
        try:
            name = parse_project_arn(item["ProjectArn"]).project
        except InvalidArgument:
            name = item["ProjectArn"]
        yield name, item["ProjectArn"]
