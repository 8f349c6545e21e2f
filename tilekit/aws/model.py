"""Model: a trained version of a project: its figures, its recipe, and the switch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tilekit.aws.guard import CloudGuard
from tilekit.aws.leases import LeaseBook
from tilekit.aws.recipe import (
    TILING_TAG,
    ModelRecipe,
    check_tiling,
    read_recipe,
    recipe_place,
    tiling_of_tag,
    tiling_tag,
    write_recipe,
)
from tilekit.aws.running_model import RunningModel, Safeguards, Signals
from tilekit.aws.service import Service
from tilekit.aws.switching import Switch
from tilekit.aws.waiting import Note, Polling, poll, silent
from tilekit.aws.workspace import Workspace
from tilekit.errors import InvalidArgument, ServiceError, StorageDenied, StorageNotFound
from tilekit.grid import Tiling
from tilekit.rekognition.arns import check_name, parse_version_arn
from tilekit.rekognition.evaluation_files import EvaluationSummary, read_summary
from tilekit.scales import Scales
from tilekit.storage.s3 import Access, S3Location, S3Store

if TYPE_CHECKING:
    from tilekit.aws.detector import RekognitionDetector


@dataclass(frozen=True)
class Model:
    """A model version. `description` is the service's own, as of when it was read; `f1` its F1 or None.

    `recipe` holds the tiling and the labels it was trained with (read from the bucket on first use).
    """

    arn: str
    project_arn: str
    service: Service
    store: S3Store
    description: Mapping[str, Any] = field(default_factory=dict, repr=False)
    polling: Polling = field(default_factory=Polling)
    note: Note = silent

    @classmethod
    def from_description(
        cls,
        service: Service,
        project_arn: str,
        found: Mapping[str, Any],
        *,
        store: S3Store | None = None,
        polling: Polling | None = None,
        note: Note | None = None,
    ) -> Model:
        """A model of what DescribeProjectVersions says."""
        return cls(
            found["ProjectVersionArn"],
            project_arn,
            service,
            store or S3Store(service.access),
            found,
            polling or Polling(),
            note or silent,
        )

    @classmethod
    def find(
        cls,
        arn: str,
        *,
        region: str | None = None,
        profile: str | None = None,
        endpoint_url: str | None = None,
        session: Any = None,
        polling: Polling | None = None,
        note: Note | None = None,
    ) -> Model:
        """The model of an ARN; its project is looked up. ServiceError where there is none."""
        parsed = parse_version_arn(arn)
        access = Access(region or parsed.region, profile, endpoint_url, session)
        service = Service(access, note=note or silent)
        for item in service.pages(
            "DescribeProjects",
            "ProjectDescriptions",
            parsed.project,
            ProjectNames=[parsed.project],
            expect=("ResourceNotFoundException",),
        ):
            for model in models_of(
                service, item["ProjectArn"], versions=[parsed.version], polling=polling, note=note
            ):
                if model.arn == arn:
                    return model
        raise ServiceError(
            f"{arn}: there is no such model in this account; see `tilekit models`",
            code="ResourceNotFoundException",
        )

    @property
    def project(self) -> str:
        """The project's name."""
        return parse_version_arn(self.arn).project

    @property
    def version(self) -> str:
        """The version's name."""
        return parse_version_arn(self.arn).version

    @property
    def f1(self) -> float | None:
        """The service's own F1: the mean of its labels' F1 on the test images that have labels."""
        value = self.description.get("EvaluationResult", {}).get("F1Score")
        return None if value is None else float(value)

    @cached_property
    def metrics(self) -> EvaluationSummary | None:
        """The service's evaluation of its own test images, per label and overall; None before training ends."""
        place = self.description.get("EvaluationResult", {}).get("Summary", {}).get("S3Object")
        if not place:
            return None
        try:
            return read_summary(self.store.get(S3Location(place["Bucket"], place["Name"])))
        except (StorageNotFound, StorageDenied) as exc:
            self.note(
                f"{self.project}/{self.version}: its evaluation cannot be read ({exc}); it can be used, without the "
                "labels and thresholds from there"
            )
            return None

    @property
    def status(self) -> str:
        """The state now, in the service's words."""
        return str(self.switch.describe()["Status"])

    @property
    def switch(self) -> Switch:
        """Start, stop, wait."""
        return Switch(self.service, self.project_arn, self.arn, self.polling, self.note)

    @property
    def output(self) -> S3Location:
        """Where the training's output lies."""
        place = self.description.get("OutputConfig", {})
        return S3Location(place.get("S3Bucket", ""), place.get("S3KeyPrefix", "").strip("/"))

    @property
    def folder(self) -> S3Location:
        """This model's own folder: recipe, leases."""
        return self.output / self.version

    @cached_property
    def recipe(self) -> ModelRecipe:
        """How its tiles were cut and what its labels are; an empty one for models trained elsewhere."""
        found = read_recipe(self.store, recipe_place(self.output, self.version))
        if found is not None:
            return found
        tags = self.service.call("ListTagsForResource", self.arn, ResourceArn=self.arn).get("Tags", {})
        tag = tags.get(TILING_TAG)
        labels = self.metrics.labels if self.metrics is not None else ()
        return ModelRecipe(tiling_of_tag(tag) if tag else None, labels, project_arn=self.project_arn)

    @property
    def tiling(self) -> Tiling | Scales | None:
        """The tiling of its training images; None: whole images, or not known."""
        return self.recipe.tiling

    def check_tiling(self, given: Tiling | Scales | None, *, force: bool = False) -> None:
        """Refuse tiles of another size or scale than it was trained on; RecipeMismatch unless `force`.

        A model that was not trained by tilekit takes any.
        """
        if self.recipe.digest or self.recipe.tiling is not None:
            check_tiling(self.recipe.tiling, given, f"{self.project}/{self.version}", force=force)

    def detector(self, **options: Any) -> RekognitionDetector:
        """A detector for this model, which must run for its calls; options as RekognitionDetector's."""
        from tilekit.aws.detector import RekognitionDetector, Trained

        if "trained" not in options:
            known, metrics = self.recipe, self.metrics
            note = metrics.training if metrics is not None else None
            options["trained"] = Trained(known.names, known.tiling, known.decoys, note)
        made = RekognitionDetector(self.arn, access=self.service.access, **options)
        made.note = self.note
        return made

    @contextlib.contextmanager
    def running(
        self,
        units: int = 1,
        max_units: int | None = None,
        *,
        tiling: Tiling | Scales | None = None,
        force: bool = False,
        share: bool = True,
        watchdog: bool = True,
        deadline: float | None = None,
        guard_role: str | None = None,
        **options: Any,
    ) -> Iterator[RekognitionDetector]:
        """Run the model for a block of code: starts it, waits, gives a detector, and stops what it started.

        Stops on success, errors, Ctrl-C and SIGTERM, and waits until the service acknowledges; a second
        Ctrl-C does not skip that. A model that was running before is used and left running. `share`: workers
        of tilekit, also on other machines, share the model by leases in the bucket and the last one out stops
        it. `watchdog`: a process of its own stops the model if this one is killed. `deadline`: seconds after
        which it stops the model in any case; `guard_role`: a role by which EventBridge Scheduler stops it then too,
        even if this machine is gone. `tiling`: checked against the model's, unless `force`.
        Other options are RekognitionDetector's.

        Guaranteed: no path out of this block, and no death of this process alone, leaves a model running that
        it started. Not guaranteed: the machine going down or to sleep, or credentials that expire with nobody
        to renew them; for those arm a cloud guard (`tilekit deploy --for 2h --guard`).
        """
        for name, value in (("units", units), ("max_units", max_units)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InvalidArgument(f"{name}={value!r} must be a whole number of at least 1")
        if max_units is not None and max_units < units:
            raise InvalidArgument(f"max_units={max_units!r} must not be less than units={units!r}")
        if tiling is not None:
            self.check_tiling(tiling, force=force)
        detector = self.detector(**options)
        kept = Safeguards(share, watchdog, deadline, guard_role)
        session = RunningModel(self.switch, self.store, self.folder, units, max_units, kept)
        signals = Signals(self.note)
        signals.install()
        try:
            try:
                session.enter()
                yield detector
            finally:
                try:
                    signals.hold()
                finally:
                    session.leave()
        finally:
            signals.restore()

    def start(self, units: int = 1, max_units: int | None = None) -> bool:
        """Start it and wait until it runs; it stays running and is billed. False where it ran already."""
        began = False
        while not began:
            status = self.status
            if status in {"RUNNING", "STARTING"}:
                break
            if status == "STOPPING":
                self.switch.wait_stopped()
                continue
            began = self.switch.start(units, max_units)
        self.switch.wait_running()
        return began

    def stop(self) -> None:
        """Stop it whoever started it, and forget its deadlines."""
        self.switch.stop()
        if not self.output.bucket:
            return
        book = LeaseBook(self.store, self.folder)
        started = book.started()
        if started is None:
            return
        book.clear_started()
        if started.guard:
            CloudGuard(self.service.access, self.arn).disarm()

    def copy(self, to: Workspace, version: str | None = None, *, kms_key: str | None = None) -> Model:
        """Copy it into another project of the same region and wait; its recipe goes along."""
        name = check_name(version or self.version, "version")
        target = to.find_or_create()
        answer = self.service.call(
            "CopyProjectVersion",
            f"{self.project}/{self.version}",
            expect=("ResourceInUseException",),
            SourceProjectArn=self.project_arn,
            SourceProjectVersionArn=self.arn,
            DestinationProjectArn=target,
            VersionName=name,
            OutputConfig={"S3Bucket": to.output.bucket, "S3KeyPrefix": to.output.key},
            Tags={TILING_TAG: self._tiling_tag()},
            KmsKeyId=kms_key,
        )
        copied = model_of(to, name, target)
        if "expected" in answer and copied.description.get("SourceProjectVersionArn") != self.arn:
            raise InvalidArgument(f"version={name!r}: project {to.name} has another model of this name")
        found = poll(
            copied.switch.describe,
            lambda item: item["Status"] != "COPYING_IN_PROGRESS",
            every=self.polling.training,
            words=lambda item: f"{to.name}/{name}: {item['Status'].lower().replace('_', ' ')}",
            note=self.note,
        )
        if found["Status"] == "COPYING_FAILED":
            raise ServiceError(
                f"{to.name}/{name}: copying failed: {found.get('StatusMessage') or 'no reason given'}",
                code="COPYING_FAILED",
                operation="CopyProjectVersion",
            )
        if self.recipe.digest:
            write_recipe(to.store, recipe_place(to.output, name), self.recipe)
        return model_of(to, name, target)

    def delete(self) -> None:
        """Remove it; it must not be running or training. Objects in the bucket stay."""
        delete_version(self.service, self.project_arn, self.version, self.arn, self.polling)

    def _tiling_tag(self) -> str:
        return tiling_tag(self.recipe.tiling)


def models_of(
    service: Service,
    project_arn: str,
    *,
    versions: Sequence[str] | None = None,
    store: S3Store | None = None,
    polling: Polling | None = None,
    note: Note | None = None,
) -> Iterator[Model]:
    """The models of a project, newest first."""
    shared = store or S3Store(service.access)
    for found in service.pages(
        "DescribeProjectVersions",
        "ProjectVersionDescriptions",
        project_arn,
        ProjectArn=project_arn,
        VersionNames=list(versions) if versions else None,
        expect=("ResourceNotFoundException",),
    ):
        yield Model.from_description(service, project_arn, found, store=shared, polling=polling, note=note)


def model_of(space: Workspace, version: str, project_arn: str | None) -> Model:
    """The model of this version; raises ServiceError where there is none."""
    if project_arn is not None:
        for found in models_of(
            space.service,
            project_arn,
            versions=[version],
            store=space.store,
            polling=space.polling,
            note=space.note,
        ):
            return found
    raise ServiceError(
        f"project {space.name} has no model {version!r} in this region; see `tilekit models`",
        code="ResourceNotFoundException",
    )


def delete_version(service: Service, project_arn: str, version: str, arn: str, polling: Polling) -> None:
    """Remove a version and wait until it is gone."""
    service.call(
        "DeleteProjectVersion",
        version,
        expect=("ResourceNotFoundException",),
        ProjectVersionArn=arn,
    )
    switch = Switch(service, project_arn, arn, polling)
    poll(
        lambda: switch.describe()["Status"],
        lambda status: status == "GONE",
        every=polling.dataset,
        words=lambda status: status.lower(),
    )
