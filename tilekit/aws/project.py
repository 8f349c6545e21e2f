"""RekognitionProject: from two manifests to a trained model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from tilekit.aws.datasets import project_datasets
from tilekit.aws.model import Model, model_of, models_of
from tilekit.aws.service import Service
from tilekit.aws.training import Training, TrainingOptions, TrainingPlan
from tilekit.aws.waiting import Polling, poll
from tilekit.aws.workspace import Workspace, describe_project
from tilekit.errors import InvalidArgument, StorageNotFound, checked_kind
from tilekit.grid import Tiling
from tilekit.rekognition.arns import check_name, parse_project_arn
from tilekit.scales import Scales
from tilekit.storage.s3 import S3Location, is_s3, parse_s3

_OPTIONS = TrainingOptions()


class RekognitionProject(Workspace):
    """A Custom Labels project and the bucket its data lives in.

    `name`: found, or made at the first training. `bucket`: takes tiles, manifests and training output, all
    below `prefix` (default: the project's name). `region`, `profile`, `endpoint_url`: beside
    boto3's own chain. `note(text)` gets a sentence for everything that happens. `options`: see ProjectOptions.
    """

    def models(self) -> Iterator[Model]:
        """The project's models, newest first."""
        arn = self.arn()
        if arn is not None:
            yield from models_of(self.service, arn, store=self.store, polling=self.polling, note=self.note)

    def model(self, version: str) -> Model:
        """A model by its version name; raises ServiceError where there is none."""
        return model_of(self, version, self.arn())

    def train(
        self,
        train: str | Path,
        test: str | Path,
        *,
        version: str | None = None,
        tiling: Tiling | Scales | None = None,
        check: bool = True,
        state: str | Path | None = None,
        options: TrainingOptions = _OPTIONS,
        progress: Callable[[int, int], None] | None = None,
    ) -> Model:
        """Train a model on two manifests and wait for it: `begin`, then `wait`; a rerun with the same names goes on.

        `train`, `test`: Ground Truth manifests, local or `s3://`; local images are uploaded. `version`: the model's name
        (default: made of the manifests' content, so the same data finds the same model). `tiling`: how the
        tiles were cut (default: the tiling.json beside the train manifest). `check=False` leaves out the local check.
        `state`: folder for what a rerun needs (default: `.tilekit-train` beside the train manifest). `options`: see
        TrainingOptions. `progress(done, total)` counts files uploaded.

        Raises LabelError for manifests at fault, TrainingFailed with the lines at fault, QuotaExceeded,
        ServiceDenied, StorageError.
        """
        return self.begin(
            train,
            test,
            version=version,
            tiling=tiling,
            check=check,
            state=state,
            options=options,
            progress=progress,
        ).wait()

    def begin(
        self,
        train: str | Path,
        test: str | Path,
        *,
        version: str | None = None,
        tiling: Tiling | Scales | None = None,
        check: bool = True,
        state: str | Path | None = None,
        options: TrainingOptions = _OPTIONS,
        progress: Callable[[int, int], None] | None = None,
    ) -> Training:
        """As `train`, without waiting: `wait()` of what it gives does that, when it is time to.

        A training that nobody waits for goes on, and is billed, all the same.
        """
        options = checked_kind(options, TrainingOptions)
        files = self._local(train, state), self._local(test, state)
        begun = Training(self, *files, version=version, tiling=tiling, state=state)
        if check:
            begun.check()
        begun.begin(options, progress)
        return begun

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


def project_arn_of(service: Service, name: str) -> str | None:
    """The ARN of the project of this name, or None."""
    found = describe_project(service, check_name(name, "project"))
    return None if found is None else str(found["ProjectArn"])


def delete_project(service: Service, name: str, polling: Polling | None = None) -> None:
    """Remove a project with its datasets and models and wait until it is gone."""
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
        lambda: describe_project(service, name) is not None,
        lambda there: not there,
        every=every,
        words=lambda there: "being deleted" if there else "gone",
    )


def all_projects(service: Service) -> Iterator[tuple[str, str]]:
    """Name and ARN of every Custom Labels project of the account and region."""
    for item in service.pages("DescribeProjects", "ProjectDescriptions", Features=["CUSTOM_LABELS"]):
        try:
            name = parse_project_arn(item["ProjectArn"]).project
        except InvalidArgument:
            name = item["ProjectArn"]
        yield name, item["ProjectArn"]
