# What the room offers; loaded on first use.
from .dataset import DatasetJob as DatasetJob
from .detecting import DetectJob as DetectJob
from .inspecting import ArchiveStatus as ArchiveStatus
from .inspecting import archive_status as archive_status
from .jobs import TileJob as TileJob
from .merging import merge_ledgers as merge_ledgers
from .options import ArchiveOptions as ArchiveOptions
from .processing import process_archive as process_archive
from .retrying import retry_archive as retry_archive
from .sources import ScanFile as ScanFile
from .sources import Shard as Shard
from .sources import iter_sources as iter_sources
from .summary import ArchiveSummary as ArchiveSummary
from .verifying import verify_archive as verify_archive
from .working import Task as Task
