"""The service's datasets: made from our manifests, waited for, and compared with what was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tilekit.aws.manifests import PreparedManifest, SentLine, Split
from tilekit.aws.recipe import MANIFESTS_TAG
from tilekit.aws.service import Service
from tilekit.aws.waiting import Note, Polling, poll, silent
from tilekit.errors import LabelError, ServiceError
from tilekit.storage.s3 import S3Location

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class LineFault:
    """A line the service dropped or found at fault: where it stands, its image, and why."""

    line: SentLine | None
    source_ref: str
    codes: tuple[str, ...]

    def __str__(self) -> str:
        where = f"{self.line.path}, line {self.line.line}" if self.line else self.source_ref
        return f"{where}: {', '.join(self.codes) or 'dropped without a reason'} ({self.source_ref})"


@dataclass(frozen=True)
class DatasetReport:
    """What became of the lines sent: `total` arrived, `labeled` carry labels, `dropped` vanished."""

    split: Split
    arn: str
    sent: int
    total: int
    labeled: int
    dropped: tuple[LineFault, ...]
    faulty: tuple[LineFault, ...]

    def words(self) -> list[str]:
        """Sentences for people."""
        out = [f"{self.split} dataset: {self.total} of {self.sent} lines arrived, {self.labeled} with labels"]
        for kind, faults in (("dropped", self.dropped), ("at fault", self.faulty)):
            if faults:
                out.append(f"{self.split} dataset: {len(faults)} lines {kind}:")
                out.extend(f"  {fault}" for fault in faults[:_SHOWN])
                if len(faults) > _SHOWN:
                    out.append(f"  and {len(faults) - _SHOWN} more")
        return out


def project_datasets(service: Service, project: str) -> dict[Split, tuple[str, str]]:
    """The datasets of a project by kind: (ARN, status)."""
    found: dict[Split, tuple[str, str]] = {}
    for item in service.pages("DescribeProjects", "ProjectDescriptions", project, ProjectNames=[project]):
        for entry in item.get("Datasets", ()):
            split: Split = "train" if entry["DatasetType"] == "TRAIN" else "test"
            found[split] = (entry["DatasetArn"], entry["Status"])
    return found


class DatasetMaker:
    """Makes a project's datasets equal to prepared manifests, from whatever state they are in."""

    def __init__(
        self,
        service: Service,
        project: str,
        project_arn: str,
        *,
        polling: Polling,
        note: Note = silent,
        replace: bool = False,
    ) -> None:
        self.service = service
        self.project = project
        self.project_arn = project_arn
        self.polling = polling
        self.note = note
        self.replace = replace

    def begin(self, prepared: PreparedManifest, manifest: S3Location) -> str:
        """Begin the dataset, or find it begun; a dataset of other content is replaced if we made it.

        Gives its ARN. Raises ServiceError for a dataset that was not made by tilekit, unless `replace`.
        """
        split = prepared.split
        existing = project_datasets(self.service, self.project).get(split)
        if existing is not None:
            arn, status = existing
            if status == "DELETE_IN_PROGRESS":
                self._wait_gone(split)
            elif self._is_ours(arn, prepared.digest) and not status.endswith("FAILED"):
                return arn
            else:
                self._remove(split, arn, status)
        self.note(f"making the {split} dataset from {manifest}")
        answer = self.service.call(
            "CreateDataset",
            self.project,
            expect=("ResourceAlreadyExistsException", "ResourceInUseException"),
            ProjectArn=self.project_arn,
            DatasetType=split.upper(),
            DatasetSource={
                "GroundTruthManifest": {"S3Object": {"Bucket": manifest.bucket, "Name": manifest.key}}
            },
            Tags={MANIFESTS_TAG: prepared.digest},
        )
        if "expected" in answer:  # an answer lost on the way: the first try had made it
            found = project_datasets(self.service, self.project).get(split)
            if found is None or not self._is_ours(found[0], prepared.digest):
                raise ServiceError(
                    f"{self.project}: its {split} dataset is being changed by somebody else; wait and run again",
                    code=answer["expected"],
                    operation="CreateDataset",
                )
            return found[0]
        return str(answer["DatasetArn"])

    def finish(self, prepared: PreparedManifest, arn: str) -> DatasetReport:
        """Wait for a dataset and compare it with the lines sent.

        Raises LabelError where the service refuses the manifest, with its reason.
        """
        split = prepared.split

        def look() -> dict[str, Any]:
            found: dict[str, Any] = self.service.call("DescribeDataset", arn, DatasetArn=arn)[
                "DatasetDescription"
            ]
            return found

        def words(found: dict[str, Any]) -> str:
            return f"{split} dataset {found['Status'].lower().replace('_', ' ')}"

        found = poll(
            look,
            lambda item: not item["Status"].endswith("IN_PROGRESS"),
            every=self.polling.dataset,
            words=words,
            note=self.note,
        )
        if found["Status"].endswith("FAILED"):
            reason = found.get("StatusMessage") or "the service gives no reason"
            raise LabelError(
                f"{prepared.source}: the service refused it as {split} dataset: {reason}; "
                "`tilekit check` shows what it looks for"
            )
        stats = found.get("DatasetStats", {})
        total = int(stats.get("TotalEntries", 0))
        dropped: tuple[LineFault, ...] = ()
        if total < prepared.lines:
            dropped = tuple(_dropped(prepared, {_source_ref(text) for text in self._entries(arn)}))
        faulty: tuple[LineFault, ...] = ()
        if int(stats.get("ErrorEntries", 0)):
            faulty = tuple(_faulty(prepared, self._entries(arn, HasErrors=True)))
        report = DatasetReport(
            split, arn, prepared.lines, total, int(stats.get("LabeledEntries", 0)), dropped, faulty
        )
        for sentence in report.words():
            self.note(sentence)
        return report

    def _entries(self, arn: str, **filters: Any) -> Iterator[str]:
        return self.service.pages(
            "ListDatasetEntries", "DatasetEntries", arn, DatasetArn=arn, MaxResults=100, **filters
        )

    def _is_ours(self, arn: str, digest: str | None) -> bool:
        tags = self.service.call("ListTagsForResource", arn, ResourceArn=arn).get("Tags", {})
        mark = tags.get(MANIFESTS_TAG)
        return mark is not None and digest in (None, mark)

    def _remove(self, split: Split, arn: str, status: str) -> None:
        if not self.replace and not self._is_ours(arn, None):
            raise ServiceError(
                f"{self.project}: it has a {split} dataset that tilekit did not make; "
                "use another project, or say to replace it with replace=True (--replace)"
            )
        if status.endswith("IN_PROGRESS"):
            poll(
                lambda: project_datasets(self.service, self.project).get(split, ("", "GONE"))[1],
                lambda found: not found.endswith("IN_PROGRESS"),
                every=self.polling.dataset,
                words=lambda found: f"waiting for the former {split} dataset: {found.lower()}",
                note=self.note,
            )
        self.note(f"removing the former {split} dataset, which has other content")
        self.service.call("DeleteDataset", arn, expect=("ResourceNotFoundException",), DatasetArn=arn)
        self._wait_gone(split)

    def _wait_gone(self, split: Split) -> None:
        poll(
            lambda: split in project_datasets(self.service, self.project),
            lambda there: not there,
            every=self.polling.dataset,
            words=lambda there: f"the former {split} dataset is {'being removed' if there else 'gone'}",
            note=self.note,
        )


def _source_ref(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return ""
    return str(value.get("source-ref", "")) if isinstance(value, dict) else ""


def _dropped(prepared: PreparedManifest, arrived: set[str]) -> Iterator[LineFault]:
    seen: set[str] = set()
    for line in prepared.sent():
        if line.source_ref not in arrived:
            yield LineFault(line, line.source_ref, ())
        elif line.source_ref in seen:
            yield LineFault(line, line.source_ref, ("the image stands in the manifest twice",))
        seen.add(line.source_ref)


def _faulty(prepared: PreparedManifest, entries: Iterator[str]) -> Iterator[LineFault]:
    codes = {_source_ref(text): fault_codes(json.loads(text)) for text in entries}
    for line in prepared.sent():
        if line.source_ref in codes:
            yield LineFault(line, line.source_ref, codes[line.source_ref])


def fault_codes(value: Any) -> tuple[str, ...]:
    """All error and warning codes anywhere in a line of the service's, in order, each once."""
    found: dict[str, None] = {}

    def walk(item: Any) -> None:
        if isinstance(item, dict):
            for key, inner in item.items():
                if key in {"errors", "cl-errors", "warnings"} and isinstance(inner, list):
                    for entry in inner:
                        if isinstance(entry, dict) and "code" in entry:
                            found[str(entry["code"])] = None
                else:
                    walk(inner)
        elif isinstance(item, list):
            for inner in item:
                walk(inner)

    walk(value)
    return tuple(found)
