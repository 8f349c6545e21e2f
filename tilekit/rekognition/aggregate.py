"""What the service would say of whole manifests: the 20 % rule, buckets, labels, their overlap.

Source: Custom Labels guide, pages "tm-debugging-aggregate-errors", "tm-debugging-summary",
"md-create-manifest-file-validation-rules".
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tilekit.rekognition.checked import CheckedLine, UseCase
from tilekit.rekognition.findings import Finding
from tilekit.rekognition.limits import LIMITS, Limits

_MOST_TOGETHER = 10_000


@dataclass
class Tally:
    """Counts over the lines of one manifest. Memory: the labels, and 8 bytes a line with an error.

    Lines mostly repeat their labels, so those are counted together, and apart only when asked for.
    """

    total: int = 0
    valid: int = 0
    invalid: int = 0
    ignored: int = 0
    error_lines: array[int] = field(default_factory=lambda: array("q"))
    lines: Counter[UseCase] = field(default_factory=Counter)
    buckets: Counter[str] = field(default_factory=Counter)
    _images: dict[UseCase, Counter[str]] = field(default_factory=dict)
    _together: Counter[tuple[UseCase, tuple[str, ...]]] = field(default_factory=Counter)
    _named: set[str] = field(default_factory=set)
    _last: tuple[str, ...] = ()

    def add(self, number: int, line: CheckedLine) -> None:
        """Count a line; `number` from one."""
        self.total += 1
        if line.bucket:
            self.buckets[line.bucket] += 1
        if line.named is not self._last:
            self._named.update(line.named)
            self._last = line.named
        if line.status == "valid":
            self.valid += 1
            self.lines[line.use_case] += 1
            self._together[line.use_case, line.labels] += 1
            if len(self._together) > _MOST_TOGETHER:
                self._take_apart()
        elif line.status == "ignored":
            self.ignored += 1
        else:
            self.invalid += 1
        if line.findings and any(finding.about.error for finding in line.findings):
            self.error_lines.append(number)

    def add_many(self, labels: tuple[str, ...], named: tuple[str, ...], lines: int) -> None:
        """Count valid lines with boxes of just these labels, whose class map names `named`."""
        self.total += lines
        self.valid += lines
        self.lines["OBJECT_LOCALIZATION"] += lines
        self._named.update(named)
        self._together["OBJECT_LOCALIZATION", labels] += lines
        if len(self._together) > _MOST_TOGETHER:
            self._take_apart()

    def _take_apart(self) -> None:
        for (use_case, labels), count in self._together.items():
            counts = self._images.setdefault(use_case, Counter())
            for label in labels:
                counts[label] += count
        self._together.clear()

    @property
    def named(self) -> set[str]:
        """Every label the lines speak of, used or not."""
        return self._named

    @property
    def use_case(self) -> UseCase:
        """What the manifest would be used for: the kind most of its valid lines have."""
        if self.invalid > LIMITS.max_invalid_share * max(1, self.total) or not self.lines:
            return "NOT_DETERMINED"
        return self.kind

    @property
    def kind(self) -> UseCase:
        """Boxes, or labels of whole images: what more valid lines have, boxes where they are equal."""
        boxes, whole = self.lines["OBJECT_LOCALIZATION"], self.lines["IMAGE_LEVEL_LABELS"]
        return "OBJECT_LOCALIZATION" if boxes >= whole else "IMAGE_LEVEL_LABELS"

    def usable(self, use_case: UseCase | None = None) -> Counter[str]:
        """Images of each label among the lines of the use case."""
        self._take_apart()
        return self._images.get(use_case or self.kind, Counter())

    def statistics(self, errors: list[Finding]) -> dict[str, Any]:
        """The manifest's part of `manifest_summary.json`."""
        return {
            "use_case": self.use_case,
            "total_json_lines": self.total,
            "valid_json_lines": self.valid,
            "invalid_json_lines": self.invalid,
            "ignored_json_lines": self.ignored,
            "error_json_line_indices": self.error_lines.tolist(),
            "errors": [plain(finding) for finding in errors],
        }


@dataclass(frozen=True)
class Verdict:
    """Content errors and advice of a training manifest, a test manifest, and the two together."""

    training: list[Finding]
    testing: list[Finding]
    both: list[Finding]

    @property
    def terminal(self) -> list[Finding]:
        """Those that end the training."""
        return [f for f in [*self.training, *self.testing, *self.both] if f.about.terminal]


def judge(
    training: Tally, testing: Tally | None, limits: Limits = LIMITS, region: str | None = None
) -> Verdict:
    """The terminal content errors of a training, and advice; `testing` None means the service splits itself."""
    kind = training.kind
    train = manifest_findings(training, kind, limits, region=region)
    for label, count in sorted(training.usable(kind).items()):
        if count < 10:
            train.append(Finding("TILEKIT_FEW_IMAGES", f"{label!r} has {count}"))
    if testing is None:
        short = sorted(label for label, count in training.usable(kind).items() if count < 2)
        if short:
            train.append(
                Finding(
                    "ERROR_INSUFFICIENT_IMAGES_PER_LABEL_FOR_AUTOSPLIT",
                    f"fewer than 2 images: {_some(short)}",
                )
            )
        return Verdict(train, [], [])
    test = manifest_findings(testing, kind, limits, test=True, region=region)
    return Verdict(train, test, _overlap(training, testing, kind, limits))


def manifest_findings(
    tally: Tally, kind: UseCase, limits: Limits = LIMITS, *, test: bool = False, region: str | None = None
) -> list[Finding]:
    """What is wrong with one manifest as a whole."""
    found = []
    if tally.total == 0:
        return [Finding("ERROR_EMPTY_MANIFEST")]
    most = limits.max_dataset_images(region, test=test)
    if tally.total > most:
        found.append(
            Finding("ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM", f"{tally.total:,} lines, {most:,} allowed")
        )
    if tally.invalid > limits.max_invalid_share * tally.total:
        share = 100 * tally.invalid / tally.total
        found.append(
            Finding(
                "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST", f"{tally.invalid} of {tally.total}, {share:.1f} %"
            )
        )
    if len(tally.buckets) > 1:
        rows = ", ".join(f"{name} ({count} lines)" for name, count in tally.buckets.most_common(5))
        found.append(Finding("ERROR_IMAGES_IN_MULTIPLE_S3_BUCKETS", rows))
    found += _labels(tally, kind, limits)
    other = sum(count for use, count in tally.lines.items() if use != kind)
    if other:
        found.append(Finding("TILEKIT_OTHER_USE_CASE", f"{other} lines are not {kind} and would be dropped"))
    if test:
        found += [
            Finding("TILEKIT_TOO_MANY_TEST_IMAGES", f"{label!r} stands on {count:,}")
            for label, count in sorted(tally.usable(kind).items())
            if count > limits.max_test_images_per_label
        ]
    return found


def _labels(tally: Tally, kind: UseCase, limits: Limits) -> list[Finding]:
    least = limits.min_labels_detection if kind == "OBJECT_LOCALIZATION" else limits.min_labels_classification
    usable = len(tally.usable(kind))
    if len(tally.named) > limits.max_labels:
        return [Finding("ERROR_MANIFEST_TOO_MANY_LABELS", f"{len(tally.named)}, {limits.max_labels} allowed")]
    if len(tally.named) < least:
        return [Finding("ERROR_MANIFEST_TOO_FEW_LABELS", f"{len(tally.named)}, {least} needed")]
    if usable < least:
        return [Finding("ERROR_MANIFEST_TOO_FEW_USABLE_LABELS", f"{usable}, {least} needed")]
    if usable == 1 and kind == "OBJECT_LOCALIZATION":
        return [Finding("TILEKIT_ONE_LABEL")]
    return []


def _overlap(training: Tally, testing: Tally, kind: UseCase, limits: Limits) -> list[Finding]:
    pairs = (
        ("ERROR_INSUFFICIENT_LABEL_OVERLAP", training.named, testing.named),
        (
            "ERROR_INSUFFICIENT_USABLE_LABEL_OVERLAP",
            set(training.usable(kind)),
            set(testing.usable(kind)),
        ),
    )
    for code, train, test in pairs:
        if train and len(train & test) < limits.min_label_overlap * len(train):
            missing = _some(sorted(train - test))
            return [
                Finding(
                    code, f"{len(train & test)} of {len(train)} training labels are in test; not: {missing}"
                )
            ]
    return []


def plain(finding: Finding) -> dict[str, str]:
    """A finding as the service's files hold it."""
    return {"code": finding.code, "message": finding.about.message}


def manifest_summary(training: Tally, testing: Tally | None, verdict: Verdict) -> dict[str, Any]:
    """The content of `manifest_summary.json`; only the service's own codes stand in it."""

    def own(findings: list[Finding]) -> list[Finding]:
        return [finding for finding in findings if finding.about.level == "content"]

    statistics = {"training": training.statistics(own(verdict.training))}
    statistics["testing"] = (testing or Tally()).statistics(own(verdict.testing))
    return {"statistics": statistics, "errors": [plain(finding) for finding in own(verdict.both)]}


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
