"""Archives: many scans, each tiled, made a dataset of or detected on, resumable, on any `concurrent.futures.Executor`.

For users with thousands of scans, and for `cli`; nothing below calls it. One scan is one task, which writes its own
outputs and then one line of the ledger; a rerun skips what ledger and outputs prove done. It never schedules machines,
never stops at one bad scan, and holds no scan's pixels itself. Names load on first use: a worker that tiles need not
import what builds datasets or detects.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilekit.archive.dataset import DatasetJob as DatasetJob
    from tilekit.archive.detecting import DetectJob as DetectJob
    from tilekit.archive.inspecting import ArchiveStatus as ArchiveStatus
    from tilekit.archive.inspecting import archive_status as archive_status
    from tilekit.archive.inspecting import merge_ledgers as merge_ledgers
    from tilekit.archive.inspecting import verify_archive as verify_archive
    from tilekit.archive.jobs import TileJob as TileJob
    from tilekit.archive.options import ArchiveOptions as ArchiveOptions
    from tilekit.archive.processing import process_archive as process_archive
    from tilekit.archive.retrying import retry_archive as retry_archive
    from tilekit.archive.sources import ScanFile as ScanFile
    from tilekit.archive.sources import Shard as Shard
    from tilekit.archive.sources import iter_sources as iter_sources
    from tilekit.archive.summary import ArchiveSummary as ArchiveSummary
    from tilekit.archive.working import Task as Task

_HOME = {
    "ArchiveOptions": "options",
    "ArchiveStatus": "inspecting",
    "ArchiveSummary": "summary",
    "DatasetJob": "dataset",
    "DetectJob": "detecting",
    "Shard": "sources",
    "ScanFile": "sources",
    "Task": "working",
    "TileJob": "jobs",
    "archive_status": "inspecting",
    "iter_sources": "sources",
    "merge_ledgers": "inspecting",
    "process_archive": "processing",
    "retry_archive": "retrying",
    "verify_archive": "inspecting",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'tilekit.archive' has no attribute {name!r}")
    value = getattr(import_module(f"tilekit.archive.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_HOME)
