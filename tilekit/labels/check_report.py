"""What a check found: findings with file and line, counts, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tilekit.rekognition.aggregate import Tally
from tilekit.rekognition.findings import Finding


@dataclass(frozen=True, slots=True)
class Located:
    """A finding with its file and line (from one; 0: the file as a whole)."""

    file: str
    line: int
    finding: Finding

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{where}: {self.finding.code}: {self.finding.message} Fix: {self.finding.about.fix}."

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        about = self.finding.about
        return {
            "file": self.file,
            "line": self.line or None,
            "code": self.finding.code,
            "level": about.level,
            "field": self.finding.place.removesuffix(": ") or None,
            "message": self.finding.message,
            "fix": about.fix,
        }


@dataclass
class ManifestReport:
    """One manifest. `role`: "train", "tune" or "test". `counts`: every finding by code, kept or not.

    `findings`: the first few of each code, in order of lines.
    """

    file: str
    role: str
    bytes: int = 0
    tally: Tally = field(default_factory=Tally)
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[Located] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        labels = self.tally.usable()
        return {
            "file": self.file,
            "role": self.role,
            "bytes": self.bytes,
            "lines": self.tally.total,
            "valid": self.tally.valid,
            "invalid": self.tally.invalid,
            "ignored": self.tally.ignored,
            "use_case": self.tally.use_case,
            "buckets": dict(self.tally.buckets),
            "images_per_label": dict(sorted(labels.items())),
            "codes": dict(self.counts),
        }


@dataclass
class CheckReport:
    """What `check_manifest` found in one or several manifests together."""

    manifests: list[ManifestReport]
    both: list[Located] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Located]:
        for manifest in self.manifests:
            yield from manifest.findings
        yield from self.both

    @property
    def terminal(self) -> list[Located]:
        """What would end the import or the training."""
        return [located for located in self if located.finding.about.terminal]

    @property
    def errors(self) -> list[Located]:
        """Everything by which something is lost: terminal, line and silent findings."""
        return [located for located in self if located.finding.about.error]

    @property
    def ok(self) -> bool:
        """Whether the service would take it: nothing terminal."""
        return not self.terminal

    @property
    def clean(self) -> bool:
        """Whether nothing is lost."""
        return not self.errors

    def total(self) -> Counter[str]:
        """How often each code was found, over all manifests."""
        return sum((manifest.counts for manifest in self.manifests), Counter(self.counts))

    def text(self, most: int = 50) -> str:
        """Sentences for people, worst first: one for each file and code, with a count, and the first `most` lines."""
        order = {"file": 0, "content": 1, "silent": 2, "line": 3, "advice": 4, "warning": 5}
        kinds: dict[tuple[str, str], list[Located]] = {}
        for located in self:
            kinds.setdefault((located.file, located.finding.code), []).append(located)
        counts = {manifest.file: manifest.counts for manifest in self.manifests}
        rows = []
        for (file, code), found in kinds.items():
            count = counts.get(file, Counter())[code] if found[0] not in self.both else self.counts[code]
            more = _more(found, max(count, len(found)), most)
            rows.append((order[found[0].finding.about.level], f"{found[0]}{more}"))
        return "\n".join(text for _, text in sorted(rows, key=lambda row: row[0]))

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "ok": self.ok,
            "clean": self.clean,
            "codes": dict(self.total()),
            "manifests": [manifest.to_json() for manifest in self.manifests],
            "findings": [located.to_json() for located in self],
        }


def _more(found: list[Located], count: int, most: int) -> str:
    """How many findings of a kind there are beside the first, and where."""
    if count < 2:
        return ""
    lines = [str(one.line) for one in found[1:most] if one.line]
    left = count - 1 - len(lines)
    where = f": lines {', '.join(lines)}" if lines else ""
    return f" {count} such findings{', also in' if where else ''}{where.removeprefix(':')}" + (
        f" and {left} more." if left and where else "."
    )
