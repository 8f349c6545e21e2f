"""Jobs: what is done with each page of an archive. Frozen, picklable, deterministic."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tilekit.archive.working import Task
from tilekit.errors import InvalidArgument
from tilekit.grid import Tiling
from tilekit.ledger import Record
from tilekit.scans.formats import ImageFormat, Subsampling
from tilekit.storage.local import parts_of
from tilekit.storage.place import Place, place_of
from tilekit.storage.s3 import default_store, is_s3
from tilekit.tiles.recipe import make_recipe

if TYPE_CHECKING:
    from tilekit.scans.scan import Scan
    from tilekit.tiles.sinks import Sink

Container = Literal["folder", "tar", "zip"]
PROCESS = 96 * 1024 * 1024  # the interpreter and the libraries of a worker; up to 91 MB were measured


@dataclass(frozen=True)
class TileJob:
    """Tile every page: `<relative path>.p<page>/` below the output, or one `.tar` or `.zip` a page.

    The folder is named by the whole file name, so that plan.tif and plan.jpg never collide; it holds
    the tiles, tiles.jsonl and tiling.json as `tile_scan` writes them. Settings as there.
    """

    tiling: Tiling
    format: ImageFormat = "jpeg"
    quality: int | Literal["keep"] = "keep"
    subsampling: Subsampling | None = None
    skip_blank: bool = False
    max_bytes: int | None = None
    container: Container = "folder"
    dpi: float | None = None
    threads: int = 1
    untrusted: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.tiling, Tiling):
            raise InvalidArgument(
                f"tiling={self.tiling!r}: a TileJob cuts at one scale; run one job for each"
            )
        make_recipe(self.tiling, self.format, self.quality, self.subsampling, self.skip_blank, self.max_bytes)
        if self.container not in ("folder", "tar", "zip"):
            raise InvalidArgument(f"container={self.container!r} must be folder, tar or zip")

    def recipe(self) -> str:
        """All settings that shape the tiles."""
        return recipe_text("tile", self, leave_out=("threads", "untrusted"))

    def cost(self, scan: Scan) -> int:
        """Bytes at most: see `Scan.cost`."""
        return PROCESS + scan.cost(scan.grid(self.tiling))

    @contextlib.contextmanager
    def session(self, note: Callable[[str], None]) -> Iterator[None]:
        """Tiling needs nothing around the run."""
        yield

    def run(self, task: Task, scan: Scan, out: str) -> dict[str, Any]:
        """Tile the page; gives counts and the files by which `verify_archive` checks."""
        from tilekit.tiles.index import TILES_FILE, TILING_FILE
        from tilekit.tiles.options import TileScanOptions
        from tilekit.tiles.writing import tile_scan

        place = page_place(task)
        if is_s3(out) and self.container != "folder":
            raise InvalidArgument("tar and zip are for local outputs; tiles on S3 are objects of their own")
        done = tile_scan(
            scan,
            self._sink(out, place),
            self.tiling,
            format=self.format,
            quality=self.quality,
            skip_blank=self.skip_blank,
            workers=self.threads,
            options=TileScanOptions(subsampling=self.subsampling, max_bytes=self.max_bytes),
        )
        info: dict[str, Any] = {
            "tiles": done.tiles,
            "blank": done.blank,
            "bytes": done.bytes,
            "pixels": scan.width * scan.height,
        }
        if not is_s3(out):
            self._leave_alone(Path(out, place))
        root = place_of(out)
        if self.container != "folder":
            return info | {"outputs": [output_of(root, f"{place}.{self.container}")]}
        found = [output_of(root, f"{place}/{name}") for name in (TILES_FILE, TILING_FILE)]
        info["outputs"] = found
        return info if is_s3(out) else info | {"index": place, "roll": roll_of(os.path.join(out, place))}

    def _leave_alone(self, place: Path) -> None:
        """Remove what an earlier run left of this page in another kind of container."""
        if self.container != "folder":
            shutil.rmtree(place, ignore_errors=True)
        for kind in {"tar", "zip"} - {self.container}:
            place.with_name(f"{place.name}.{kind}").unlink(missing_ok=True)

    def discard(self, task: Task, out: str) -> None:
        """Remove the page's tiles, whole or not."""
        discard_page(task, out)

    def finish(self, out: str, records: Iterator[Record]) -> None:
        """Each page has its own index; nothing is joined."""

    def _sink(self, out: str, place: str) -> Sink:
        from tilekit.tiles.containers import TarSink, ZipSink
        from tilekit.tiles.sinks import FolderSink, S3Sink

        if is_s3(out):
            return S3Sink(f"{out.rstrip('/')}/{place}")
        if self.container == "tar":
            return TarSink(Path(out, f"{place}.tar"))
        return ZipSink(Path(out, f"{place}.zip")) if self.container == "zip" else FolderSink(Path(out, place))


def output_of(root: Place, name: str) -> list[Any]:
    """Name, bytes and checksum of a file of the output, as `verify_archive` compares them."""
    size, crc = 0, 0
    with root.open(name) as file:
        while chunk := file.read(1 << 20):
            size, crc = size + len(chunk), zlib.crc32(chunk, crc)
    return [name, size, crc]


def roll_of(folder: str | os.PathLike[str]) -> str:
    """A hash of the names and sizes in a page's folder, by one listing; "" where that cannot be said of it.

    A page whose roll is as recorded has all its files with their sizes: its index need not be read to know it.
    """
    try:
        if os.scandir in os.supports_fd:
            place = os.open(folder, os.O_RDONLY)
            try:  # names are looked up from the folder, not from the root: a third less time
                rows = _rows(place)
            finally:
                os.close(place)
        else:
            rows = _rows(folder)
    except OSError:
        return ""
    return hashlib.blake2b("\n".join(rows).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _rows(folder: int | str | os.PathLike[str]) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            f"{entry.name}\0{entry.stat(follow_symlinks=False).st_size}"
            for entry in entries
            if entry.name[0] != "."
        )


def page_place(task: Task) -> str:
    """Where a page's outputs go below the archive's output: `<relative path>.p<page>`."""
    return f"{task.source.relative}.p{task.page}"


def discard_page(task: Task, out: str) -> None:
    """Remove a page's outputs and what an interrupted writer left beside them."""
    place = page_place(task)
    if is_s3(out):
        store = default_store()
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
