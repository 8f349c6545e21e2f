"""Records tell the truth about now: what a run did not come across any more is dropped, by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tilekit.archive.sources import ScanFile
from tilekit.archive.working import Job, Task
from tilekit.ledger import Ledger, Record
from tilekit.pages import PageKey

_FEW = 20  # results of so many vanished scans are dropped without asking, however small the archive


@dataclass(frozen=True)
class Stale:
    """A record whose scan or page is there no more."""

    record: Record
    reason: str

    @property
    def task(self) -> Task:
        """What was done."""
        key = PageKey.parse(self.record.key)
        return Task(ScanFile(str(self.record.info.get("uri", key.source)), key.source, ""), key.page)


def stale_records(
    ledger: Ledger, inputs: Sequence[str | os.PathLike[str]], unreadable: Sequence[str]
) -> Iterator[Stale]:
    """Records that the run did not come across although it would have, were they still true.

    A page of a source that was seen is gone; a source that was not seen is gone where nothing is at its path, or,
    on S3, where it lies below an input that was listed. One that is there but no input of this run stays: it is
    another run's. `unreadable`: folders that could not be looked into; nothing is known of what is in them.
    """
    prefixes = tuple(os.fspath(item) for item in inputs if os.fspath(item).startswith("s3://"))
    for record in ledger.unseen():
        uri = str(record.info.get("uri", ""))
        page = PageKey.parse(record.key)
        if page.page and ledger.is_seen(str(PageKey(page.source, 0))):
            yield Stale(record, f"{record.key}: the file has no such page any more")
        elif any(uri.startswith(folder + os.sep) or uri == folder for folder in unreadable):
            continue
        elif uri.startswith("s3://"):
            if uri.startswith(prefixes or ("\0",)):
                yield Stale(record, f"{uri}: is not there any more")
        elif uri and not os.path.lexists(uri):
            yield Stale(record, f"{uri}: is not there any more")


def drop_stale(
    ledger: Ledger, job: Job, out: str, found: Callable[[], Iterator[Stale]], *, force: bool
) -> tuple[dict[str, str], str]:
    """Remove outputs and records of what is stale: key -> reason, and why nothing was dropped ("" where it was).

    Where most of the records would go, more likely a disk is not mounted than an archive was emptied: nothing is
    dropped then without `force`.
    """
    count = sum(1 for _ in found())
    if count > _FEW and 2 * count > len(ledger) and not force:
        return {}, (
            f"{count} of {len(ledger)} recorded pages have no scan any more; nothing was dropped. "
            "If they were really removed, run again with --drop (drop=True)"
        )
    dropped: dict[str, str] = {}
    for stale in list(found()) if count else []:
        job.discard(stale.task, out)
        ledger.remove([stale.record.key])
        dropped[stale.record.key] = stale.reason
    return dropped, ""


def told(dropped: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Events for the log."""
    for key, reason in dropped.items():
        yield {"event": "dropped", "page_key": key, "reason": reason}
