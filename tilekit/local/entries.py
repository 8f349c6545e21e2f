"""Dataset entries: what the service keeps of a manifest's lines.

Lines that are too long, are no JSON, or lack a well-formed `source-ref` are removed without a word,
and of lines with the same `source-ref` one stays (Custom Labels guide, "debugging datasets").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tilekit.rekognition.evaluation_files import validation_line
from tilekit.rekognition.limits import LIMITS
from tilekit.rekognition.rules import check_line

_DROPPED = {"ERROR_INVALID_JSON_LINE", "ERROR_MISSING_SOURCE_REF", "ERROR_INVALID_SOURCE_REF_FORMAT"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One kept line: its key, its text, its labels and whether it has errors."""

    source_ref: str
    line: str
    labels: tuple[str, ...]
    errors: bool

    @property
    def labeled(self) -> bool:
        """Whether any label stands in it."""
        return bool(self.labels)


def read_entries(lines: Iterable[str]) -> Iterator[Entry]:
    """The entries of a manifest's lines, in order; what the service drops silently is left out."""
    for line in lines:
        if not line.strip() or len(line) > LIMITS.max_line_chars:
            continue
        checked = check_line(line.encode())
        if any(finding.code in _DROPPED for finding in checked.findings):
            continue
        errors = any(finding.about.level == "line" for finding in checked.findings)
        yield Entry(checked.source_ref, line.strip(), checked.labels or checked.named, errors)


def shown_entry(line: str, labeled: bool) -> str:
    """A line as ListDatasetEntries gives it: with `cl-metadata`, and `cl-errors` where they belong."""
    raw = line.encode()
    document = validation_line(raw, check_line(raw), key="cl-errors")
    document["cl-metadata"] = {"is_labeled": labeled}
    return json.dumps(document, ensure_ascii=False)
