"""A training run: check, upload, datasets, version, wait, fetch. Each step finds what is done already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tilekit.aws.datasets import DatasetMaker, DatasetReport, fault_codes
from tilekit.aws.manifests import PreparedManifest, Split, prepare_manifest
from tilekit.aws.model import Model, delete_version
from tilekit.aws.recipe import (
    MANIFESTS_TAG,
    TILING_TAG,
    ModelRecipe,
    recipe_place,
    tiling_tag,
    write_recipe,
)
from tilekit.aws.uploading import upload_files
from tilekit.aws.waiting import poll
from tilekit.aws.workspace import Workspace
from tilekit.errors import InvalidArgument, LabelError, ServiceError, StorageError, TrainingFailed
from tilekit.grid import Tiling
from tilekit.ledger import Ledger
from tilekit.rekognition.arns import check_description, check_name, check_tags, parse_version_arn
from tilekit.rekognition.evaluation_files import ManifestSummary, read_manifest_summary
from tilekit.rekognition.pricing import PRICES, Prices, dollars, duration
from tilekit.scales import Scales, tiling_from_json
from tilekit.storage.local import storage_errors
from tilekit.storage.s3 import S3Location

_SHOWN = 20
_TO_UPLOAD = "TILEKIT_LOCAL_IMAGES"


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """An operation a run would call: how often, with how many bytes; `note` says what for."""

    operation: str
    count: int = 1
    bytes: int = 0
    note: str = ""


@dataclass(frozen=True)
class TrainingPlan:
    """What a training would do. `cost` is in US$: the training for `hours`, and the uploads."""

    version: str
    calls: tuple[PlannedCall, ...]
    hours: float
    cost: float

    @property
    def bytes(self) -> int:
        """Bytes to send at most; what is in the bucket already is skipped."""
        return sum(call.bytes for call in self.calls)


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How a model is made beside its data. `tags`, `description`, `kms_key`: of the version, as the service has them.
    `replace` replaces datasets that tilekit did not make. `retry_failed` removes a failed model of this name and trains
    again. `workers`: uploads at once."""

    tags: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None
    kms_key: str | None = None
    replace: bool = False
    retry_failed: bool = False
    workers: int = 16

    def __post_init__(self) -> None:
        if self.description is not None:
            check_description(self.description)


class Training:
    """A training of a project: `wait` gives its model. A `dry` one can only be planned, and writes nothing."""

    def __init__(
        self,
        project: Workspace,
        train: Path,
        test: Path,
        *,
        version: str | None = None,
        tiling: Tiling | Scales | None = None,
        state: str | Path | None = None,
        dry: bool = False,
    ) -> None:
        self.project = project
        self.sources: dict[Split, Path] = {"train": train, "test": test}
        beside = read_beside(train)
        self.tiling = tiling if tiling is not None else beside.tiling
        if isinstance(self.tiling, Scales):
            self.tiling = self.tiling.knowing(beside.tiling)
        self.decoys = beside.decoys
        self.state = Path(state) if state is not None else train.parent / ".tilekit-train"
        self.dry = dry
        self.wanted = version if version is None else check_name(version, "version")
        self._prepared: tuple[PreparedManifest, PreparedManifest] | None = None

    def check(self) -> None:
        """Check the manifests by the service's own rules; raises LabelError with what would end the training."""
        from tilekit.labels.checking import check_manifest

        report = check_manifest(self.sources["train"], test=self.sources["test"])
        if not report.ok:
            raise LabelError(f"the service would refuse these manifests:\n{report.text(_SHOWN)}")
        for found in [item for item in report if item.finding.code != _TO_UPLOAD][:_SHOWN]:
            self.project.note(str(found))

    def prepared(self) -> tuple[PreparedManifest, PreparedManifest]:
        """Both manifests with their images' places in the bucket."""
        if self._prepared is None:
            images = self.project.root / "images"
            train, test = (
                prepare_manifest(split, source, self.state / f"{split}.manifest", images, dry=self.dry)
                for split, source in self.sources.items()
            )
            self._prepared = train, test
        return self._prepared

    @property
    def digest(self) -> str:
        """Fingerprint of what shapes the model: both manifests, the images' names and sizes, the tiling."""
        train, test = self.prepared()
        text = f"{train.digest} {test.digest} {train.images_digest} {test.images_digest} {tiling_tag(self.tiling)}"
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def version(self) -> str:
        """The model's name: as given, or made of the content."""
        return self.wanted or f"v-{self.digest[:12]}"

    def plan(self, prices: Prices = PRICES) -> TrainingPlan:
        """The calls of a run on an empty bucket. Hours are a guess: AWS says 30 minutes to 24 hours."""
        manifests = self.prepared()
        images = {place: file for item in manifests for file, place in item.images}
        hours = min(24.0, 1.0 + manifests[0].lines / 1000)
        puts = len(images) + 3
        calls = (
            PlannedCall("CreateProject", note=f"project {self.project.name}, if there is none"),
            PlannedCall(
                "s3:PutObject",
                len(images),
                sum(file.stat().st_size for file in images.values()),
                "images, those not there yet",
            ),
            PlannedCall("s3:PutObject", 3, sum(item.bytes for item in manifests), "manifests and recipe"),
            PlannedCall(
                "CreateDataset", 2, note=f"{manifests[0].lines} train and {manifests[1].lines} test lines"
            ),
            PlannedCall("CreateProjectVersion", note=f"version {self.version}"),
        )
        return TrainingPlan(
            self.version, calls, hours, prices.training(hours * 3600) + puts / 1000 * prices.thousand_puts
        )

    def begin(self, options: TrainingOptions, progress: Callable[[int, int], None] | None = None) -> None:
        """Go through all steps that come before the waiting."""
        project = self.project
        own_tags = {**options.tags, MANIFESTS_TAG: self.digest, TILING_TAG: tiling_tag(self.tiling)}
        check_tags(own_tags)
        arn = project.find_or_create()
        existing = self._existing(arn, retry_failed=options.retry_failed)
        if existing is None:
            self._upload(options.workers, progress)
            reports = self._datasets(arn, replace=options.replace)
            self._write_recipe(arn)
            project.note(f"training {self.version} on {reports[0].labeled} images")
            project.service.call(
                "CreateProjectVersion",
                self.version,
                expect=("ResourceInUseException",),  # an answer lost on the way: the first try had begun it
                ProjectArn=arn,
                VersionName=self.version,
                OutputConfig={"S3Bucket": project.output.bucket, "S3KeyPrefix": project.output.key},
                Tags=own_tags,
                VersionDescription=options.description,
                KmsKeyId=options.kms_key,
            )

    def _existing(self, arn: str, *, retry_failed: bool) -> dict[str, Any] | None:
        found = self._describe(arn)
        if found is None:
            return None
        version_arn = found["ProjectVersionArn"]
        if found["Status"] == "TRAINING_FAILED" and retry_failed:
            self.project.note(f"removing the failed {self.version}")
            delete_version(self.project.service, arn, self.version, version_arn, self.project.polling)
            return None
        tags = self.project.service.call("ListTagsForResource", version_arn, ResourceArn=version_arn).get(
            "Tags", {}
        )
        if tags.get(MANIFESTS_TAG) != self.digest:
            raise InvalidArgument(
                f"version={self.version!r}: project {self.project.name} has a model of this name, trained on other "
                "manifests; give another version="
            )
        self.project.note(f"{self.version} is there already: {found['Status'].lower().replace('_', ' ')}")
        return found

    def _upload(self, workers: int, progress: Callable[[int, int], None] | None) -> None:
        project = self.project
        images = {place: file for item in self.prepared() for file, place in item.images}
        with Ledger(self.state / "uploads.ledger") as ledger:
            report = upload_files(
                project.store,
                [(file, place) for place, file in images.items()],
                prefix=project.root / "images/",
                ledger=ledger,
                workers=workers,
                progress=progress,
            )
            upload_files(
                project.store,
                [(item.path, self._manifest_place(item)) for item in self.prepared()],
                prefix=project.root / "manifests" / f"{self.digest[:12]}",
                ledger=ledger,
                workers=1,
            )
        project.note(
            f"images: {report.sent} sent ({report.bytes_sent / 1e6:.1f} MB), {report.skipped} there already"
        )

    def _manifest_place(self, prepared: PreparedManifest) -> S3Location:
        return self.project.root / "manifests" / self.digest[:12] / f"{prepared.split}.manifest"

    def _datasets(self, arn: str, *, replace: bool) -> tuple[DatasetReport, ...]:
        project = self.project
        maker = DatasetMaker(
            project.service, project.name, arn, polling=project.polling, note=project.note, replace=replace
        )
        begun = [(item, maker.begin(item, self._manifest_place(item))) for item in self.prepared()]
        return tuple(maker.finish(item, dataset) for item, dataset in begun)

    def _write_recipe(self, arn: str) -> None:
        labels: dict[str, None] = {}
        for item in self.prepared():
            labels.update(dict.fromkeys(item.labels))
        place = recipe_place(self.project.output, self.version)
        write_recipe(
            self.project.store, place, ModelRecipe(self.tiling, tuple(labels), self.digest, arn, self.decoys)
        )

    def _describe(self, arn: str) -> dict[str, Any] | None:
        for item in self.project.service.pages(
            "DescribeProjectVersions",
            "ProjectVersionDescriptions",
            self.version,
            ProjectArn=arn,
            VersionNames=[self.version],
            expect=("ResourceNotFoundException",),
        ):
            found: dict[str, Any] = item
            if parse_version_arn(found["ProjectVersionArn"]).version == self.version:
                return found
        return None

    def wait(self) -> Model:
        """Wait for the end and give the model; TrainingFailed with the lines at fault."""
        arn = self.project.find_or_create()

        def look() -> dict[str, Any]:
            found = self._describe(arn)
            if found is None:
                raise ServiceError(
                    f"{self.version}: the model has vanished from project {self.project.name} while training"
                )
            return found

        found = poll(
            look,
            lambda item: item["Status"] != "TRAINING_IN_PROGRESS",
            every=self.project.polling.training,
            words=_words,
            note=self.project.note,
        )
        if found["Status"] == "TRAINING_FAILED":
            raise self.failure(found)
        model = Model.from_description(
            self.project.service,
            arn,
            found,
            store=self.project.store,
            polling=self.project.polling,
            note=self.project.note,
        )
        billed = found.get("BillableTrainingTimeInSeconds")
        if billed:
            self.project.note(
                f"the training took {duration(billed)} that are billed: about {dollars(PRICES.training(billed))} for it"
            )
        return model

    def failure(self, found: dict[str, Any]) -> TrainingFailed:
        """The reason, what the manifest summary says, and the lines at fault from the validation files."""
        reason = found.get("StatusMessage") or "the service gives no reason"
        parts = [f"{self.version}: training failed: {reason}"]
        try:
            summary = _s3_object(found.get("ManifestSummary"))
            if summary is not None:
                parts.extend(_summary_words(read_manifest_summary(self.project.store.get(summary))))
            for split, key in (("train", "TrainingDataResult"), ("test", "TestingDataResult")):
                assets = found.get(key, {}).get("Validation", {}).get("Assets", [])
                for asset in assets:
                    place = _s3_object(asset.get("GroundTruthManifest"))
                    if place is not None:
                        parts.extend(self._fault_words(split, place))
        except (StorageError, ValueError) as exc:
            parts.append(f"(the files with the reasons could not be read: {exc})")
        parts.append(
            "mend the manifests and run again, or retry_failed=True (--retry-failed) to try the same again"
        )
        return TrainingFailed("\n".join(parts), code="TRAINING_FAILED", operation="CreateProjectVersion")

    def _fault_words(self, split: str, place: S3Location) -> list[str]:
        lines = {
            item.source_ref: item
            for prepared in self.prepared()
            if prepared.split == split
            for item in prepared.sent()
        }
        out: list[str] = []
        count = 0
        for raw in self.project.store.get_text(place).splitlines():
            entry = json.loads(raw) if raw.strip() else {}
            codes = fault_codes(entry)
            if not codes:
                continue
            count += 1
            if count <= _SHOWN:
                reference = str(entry.get("source-ref", "?"))
                sent = lines.get(reference)
                where = f"{sent.path}, line {sent.line}" if sent else reference
                out.append(f"  {where}: {', '.join(codes)}")
        if count > _SHOWN:
            out.append(f"  and {count - _SHOWN} more lines of the {split} manifest, all in {place}")
        return out


@dataclass(frozen=True, slots=True)
class Beside:
    """What the `tiling.json` beside a manifest says: the tiling, and the decoy label if there is one."""

    tiling: Tiling | Scales | None = None
    decoys: tuple[str, ...] = ()


def read_beside(manifest: Path) -> Beside:
    """Read the `tiling.json` beside a manifest; an empty `Beside` where there is none."""
    path = manifest.parent / "tiling.json"
    if not path.is_file():
        return Beside()
    with storage_errors(path):
        text = path.read_text(encoding="utf-8")
    try:
        value = json.loads(text)
        if isinstance(value, dict) and isinstance(value.get("tiling"), dict):
            decoy = value.get("decoy")
            return Beside(
                tiling_from_json(value.get("scales", value["tiling"])),
                (decoy,) if isinstance(decoy, str) and decoy else (),
            )
        return Beside(Tiling.from_json(value))
    except ValueError as exc:
        raise InvalidArgument(f"{path}: {exc}") from exc


def _words(found: dict[str, Any]) -> str:
    state = found["Status"].lower().replace("_", " ")
    message = found.get("StatusMessage", "").strip()
    return f"{state}: {message}" if message else state


def _s3_object(value: Any) -> S3Location | None:
    place = value.get("S3Object") if isinstance(value, dict) else None
    return S3Location(place["Bucket"], place["Name"]) if place else None


def _summary_words(summary: ManifestSummary) -> Iterator[str]:
    for code, message in summary.errors:
        yield f"  {code}: {message}"
    for split, figures in (("train", summary.training), ("test", summary.testing)):
        yield (
            f"  {split}: {figures.valid} valid, {figures.invalid} invalid and {figures.ignored} ignored "
            f"of {figures.total} lines"
        )
        for code, message in figures.errors:
            yield f"  {split}: {code}: {message}"
