"""Jobs: what is done with each page of an archive. Frozen, picklable, deterministic."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tilekit.archive.working import Task
from tilekit.errors import InvalidArgument
from tilekit.grid import Tiling
from tilekit.ledger import Record
from tilekit.scans.encoding import ImageFormat, Subsampling
from tilekit.scans.scan import Scan, ScanInfo
from tilekit.storage.local import parts_of
from tilekit.storage.s3 import S3Store, is_s3, parse_s3
from tilekit.tiles.index import TILES_FILE, TILING_FILE
from tilekit.tiles.sinks import FolderSink, S3Sink, Sink, TarSink, ZipSink
from tilekit.tiles.writing import make_recipe, tile_scan

Container = Literal["folder", "tar", "zip"]
_BASE = 64 * 1024 * 1024  # interpreter, libvips and a tile or two


@dataclass(frozen=True)
class TileJob:
    """Tile every page: `<relative path>.p<page>/` below the output, or one `.tar` or `.zip` a page.

    The folder is named by the whole file name, so that plan.tif and plan.jpg never collide; it holds
    the tiles, tiles.jsonl and tiling.json as `tile_scan` writes them. Settings as there.
    """

    tiling: Tiling
    format: ImageFormat = "jpeg"
    quality: int = 90
    subsampling: Subsampling = "444"
    skip_blank: bool = False
    max_bytes: int | None = None
    container: Container = "folder"
    dpi: float | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        make_recipe(self.tiling, self.format, self.quality, self.subsampling, self.skip_blank, self.max_bytes)
        if self.container not in ("folder", "tar", "zip"):
            raise InvalidArgument(f"container={self.container!r} must be folder, tar or zip")

    def recipe(self) -> str:
        """All settings that shape the tiles."""
        return recipe_text("tile", self, leave_out=("threads",))

    def cost(self, info: ScanInfo) -> int:
        """Bytes at most: see `streaming_cost`."""
        return streaming_cost(info, self.tiling)

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Tiling needs nothing around the run."""
        yield

    def run(self, task: Task, scan: Scan, out: str) -> dict[str, Any]:
        """Tile the page; gives counts and the files by which `verify_archive` checks."""
        place = page_place(task)
        if is_s3(out) and self.container != "folder":
            raise InvalidArgument("tar and zip are for local outputs; tiles on S3 are objects of their own")
        done = tile_scan(
            scan,
            tiling=self.tiling,
            format=self.format,
            quality=self.quality,
            subsampling=self.subsampling,
            skip_blank=self.skip_blank,
            max_bytes=self.max_bytes,
            workers=self.threads,
            sink=self._sink(out, place),
        )
        info: dict[str, Any] = {
            "tiles": done.tiles,
            "blank": done.blank,
            "bytes": done.bytes,
            "pixels": scan.width * scan.height,
        }
        if self.container != "folder":
            name = f"{place}.{self.container}"
            return info | {"outputs": [[name, Path(out, name).stat().st_size]]}
        names = (f"{place}/{TILES_FILE}", f"{place}/{TILING_FILE}")
        if is_s3(out):
            store = S3Store()
            return info | {"outputs": [[name, store.head(parse_s3(out) / name).size] for name in names]}
        return info | {"outputs": [[name, Path(out, name).stat().st_size] for name in names], "index": place}

    def discard(self, task: Task, out: str) -> None:
        """Remove the page's tiles, whole or not."""
        discard_page(task, out)

    def finish(self, out: str, records: Iterator[Record]) -> None:
        """Each page has its own index; nothing is joined."""

    def _sink(self, out: str, place: str) -> Sink:
        if is_s3(out):
            return S3Sink(f"{out.rstrip('/')}/{place}")
        if self.container == "tar":
            return TarSink(Path(out, f"{place}.tar"))
        return ZipSink(Path(out, f"{place}.zip")) if self.container == "zip" else FolderSink(Path(out, place))


def page_place(task: Task) -> str:
    """Where a page's outputs go below the archive's output: `<relative path>.p<page>`."""
    return f"{task.source.relative}.p{task.page}"


def discard_page(task: Task, out: str) -> None:
    """Remove a page's outputs and what an interrupted writer left beside them."""
    place = page_place(task)
    if is_s3(out):
        store = S3Store()
        for item in list(store.list(f"{out.rstrip('/')}/{place}/")):
            store.delete(item.location)
        return
    path = Path(out, place)
    shutil.rmtree(path, ignore_errors=True)
    if not path.parent.is_dir():
        return
    for suffix in (".tar", ".zip", ".jsonl"):
        file = path.with_name(path.name + suffix)
        for left in (file, *parts_of(file)):
            with contextlib.suppress(OSError):
                left.unlink()


def recipe_text(kind: str, job: Any, leave_out: tuple[str, ...] = ()) -> str:
    """A job's settings as stable JSON text, the tiling among them."""
    values = {name: value for name, value in asdict(job).items() if name not in leave_out}
    values["tiling"] = job.tiling.to_json()
    return json.dumps({"job": kind, **values}, sort_keys=True, default=str)


def streaming_cost(info: ScanInfo, tiling: Tiling) -> int:
    """Peak bytes of streaming one page: three bands of tile rows for scanlines, all of it where it
    is decoded at once, a row of blocks for blocks, and the process itself."""
    grid = tiling.grid(info.width, info.height, dpi=info.dpi)
    tallest = max(1, min(grid.height, grid.lines.stop(0) - grid.lines.start(0)))
    wide = max(info.width, grid.width) * info.bands
    if info.access == "whole":
        return _BASE + info.width * info.height * info.bands * 2
    return _BASE + wide * (3 * tallest + 512)
