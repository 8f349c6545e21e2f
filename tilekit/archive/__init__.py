"""Archives: many scans, resumable, on any concurrent.futures.Executor."""

from tilekit.archive.dataset import DatasetJob as DatasetJob
from tilekit.archive.detecting import DetectJob as DetectJob
from tilekit.archive.inspecting import ArchiveStatus as ArchiveStatus
from tilekit.archive.inspecting import archive_status as archive_status
from tilekit.archive.inspecting import merge_ledgers as merge_ledgers
from tilekit.archive.inspecting import verify_archive as verify_archive
from tilekit.archive.jobs import TileJob as TileJob
from tilekit.archive.retrying import retry_archive as retry_archive
from tilekit.archive.running import process_archive as process_archive
from tilekit.archive.sources import Shard as Shard
from tilekit.archive.sources import Source as Source
from tilekit.archive.sources import iter_sources as iter_sources
from tilekit.archive.summary import ArchiveSummary as ArchiveSummary
from tilekit.archive.working import Task as Task
