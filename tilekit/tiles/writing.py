"""encode_tiles and tile_scan: tiles as bytes, and as files with their index."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Literal, TypeVar

from isal import isal_zlib

from tilekit.errors import InvalidArgument, checked_kind
from tilekit.flow import DEFAULT_BUDGET, Gate, ordered_map
from tilekit.grid import TileGrid, Tiling, Window
from tilekit.pages import PageKey
from tilekit.scales import AnyTiling, as_scales, shown
from tilekit.scans.blank import is_blank
from tilekit.scans.encoding import (
    EXTENSIONS,
    Encoded,
    decode_image,
)
from tilekit.scans.formats import ImageFormat
from tilekit.scans.opening import open_scan
from tilekit.scans.scan import Scan, check_open
from tilekit.scans.source import ScanSource
from tilekit.tiles.encoder import TileEncoder
from tilekit.tiles.index import PageRecord, TileIndex, TileRecord, read_index
from tilekit.tiles.naming import check_stem, stem_of, tile_name
from tilekit.tiles.options import EncodeOptions, TileScanOptions
from tilekit.tiles.outputs import sink_for
from tilekit.tiles.pieces import RawTile
from tilekit.tiles.reading import chosen_rows, expected, worker_count
from tilekit.tiles.recipe import KEEP, TilesRecipe, make_recipe
from tilekit.tiles.sinks import FolderSink, Sink

Progress = Callable[[int, int], object]
_T = TypeVar("_T")
_SPOOL_BYTES = 1024 * 1024
_ENCODING, _TILING = EncodeOptions(), TileScanOptions()


@dataclass(frozen=True, slots=True)
class EncodedTile:
    """A window as bytes of an image file.

    `quality`: JPEG quality it was made with, None where lossless, kept, or made with the scan's own
    tables. `blank`: left out as blank; `data` is then empty. `kept`: its bits are the scan's own.
    `lowered`: its quality was, for `max_bytes`.
    """

    index: int
    row: int
    col: int
    window: Window
    data: bytes = field(repr=False)
    format: str
    quality: int | None
    blank: bool
    kept: bool = False
    lowered: bool = False


@dataclass(frozen=True)
class TileSet:
    """What `tile_scan` wrote: `tiles` files, `blank` left out, `lowered` in quality, `bytes` in all.

    `kept` of the files have the bits of the scan itself. `coarser`: the sets of the further scales.
    """

    out: str
    key: PageKey
    grid: TileGrid
    recipe: TilesRecipe
    tiles: int
    blank: int
    lowered: int
    bytes: int
    kept: int = 0
    coarser: tuple[TileSet, ...] = ()

    def __len__(self) -> int:
        return self.tiles

    def index(self) -> TileIndex:
        """The folder's index; raises StorageNotFound where tiles went elsewhere."""
        return read_index(self.out)

    def records(self) -> Iterator[TileRecord]:
        """The page's lines of tiles.jsonl, in grid order."""
        return self.index().tiles(self.key)

    def paths(self) -> Iterator[Path]:
        """The files written, in grid order."""
        return (Path(self.out) / record.file for record in self.records() if record.file is not None)


def encode_tiles(
    scan: Scan,
    tiling: Tiling,
    *,
    format: ImageFormat = "jpeg",
    quality: int | Literal["keep"] = KEEP,
    skip_blank: bool = False,
    only: Iterable[int] | None = None,
    workers: int | None = None,
    options: EncodeOptions = _ENCODING,
) -> Iterator[EncodedTile]:
    """The tiles of an open scan as JPEG, PNG or WebP bytes, in grid order.

    `quality` "keep": tiles of a JPEG scan that begin on its grid of 8 or 16 px blocks are cut out of
    its bits, not decoded, nothing lost (`keep_plan` tells which); its other tiles are encoded with its
    own tables; other scans with quality 90, 4:4:4. A number: all are encoded, as `encode_image`
    documents. `skip_blank`: a tile that `is_blank` is given with `blank` set and no data. The bytes do not
    depend on `workers`. `options`: see EncodeOptions. Other arguments, memory and errors as in `read_tiles`.
    """
    options = checked_kind(options, EncodeOptions)
    recipe = make_recipe(tiling, format, quality, options.subsampling, skip_blank, options.max_bytes)
    check_open(scan)
    grid = scan.grid(tiling)
    rows = chosen_rows(grid, only)
    threads = worker_count(workers)
    return _encode(scan, grid, rows, recipe, threads, options.budget, lambda tile: tile)


def tile_scan(
    scan: Scan | ScanSource,
    out: str | os.PathLike[str] | Callable[[str, bytes], object] | Sink,
    tiling: AnyTiling | None = None,
    *,
    format: ImageFormat = "jpeg",
    quality: int | Literal["keep"] = KEEP,
    skip_blank: bool = False,
    workers: int | None = None,
    options: TileScanOptions = _TILING,
) -> TileSet:
    """Write a page's tiles to a folder, with `tiles.jsonl` and `tiling.json` when all are written.

    `scan`: an open Scan, or what `open_scan` takes (with the options' `page` and `dpi`). `out`: a folder, a
    `.zip` or `.tar` file, an `s3://` prefix, a function(name, data), or a Sink for
    more. `tiling`: 1024 px tiles without overlap unless given; of Scales the first go to `out`, the second
    to `out/scale-2` and so on, each a set of its own (`coarser`). `skip_blank`: blank tiles are counted and recorded,
    not written. `quality`: as in `encode_tiles`. `options`: see TileScanOptions; `lowered` counts the tiles whose
    quality went down for `max_bytes`.

    Tiles are named `<stem>.p<page>.x<left>.y<top>.w<width>.h<height>.<ext>`. A folder keeps other
    pages tiled by the same recipe; the same page again replaces its tiles. On an error, or when
    interrupted, what the run wrote of the page is removed. Memory as in `read_tiles`.
    Raises ScanError, StorageError (StorageFull on a full disk), InvalidArgument.
    """
    options = checked_kind(options, TileScanOptions)
    scales = as_scales(tiling or Tiling())
    recipes = [
        make_recipe(one, format, quality, options.subsampling, skip_blank, options.max_bytes)
        for one in scales
    ]
    with contextlib.ExitStack() as stack:
        if isinstance(scan, Scan):
            opened = scan
        else:
            opened = stack.enter_context(open_scan(scan, page=options.page, dpi=options.dpi, **shown(scales)))
        check_open(opened)
        found = []
        if len(scales) > 1:
            scales.grids(opened.width, opened.height, dpi=opened.dpi)
        for place in expected(opened, scales):
            sink = sink_for(place_of_scale(out, place) if len(scales) > 1 else out)
            recipe = _as_opened(recipes[place], opened)
            with TileRun(sink, recipe, workers=workers, budget=options.budget) as run:
                found.append(run.add(opened, stem=options.stem, progress=options.progress))
        return replace(found[0], coarser=tuple(found[1:]))


def _as_opened(recipe: TilesRecipe, scan: Scan) -> TilesRecipe:
    """The recipe with the bands and levels its scan was opened with."""
    return replace(recipe, tiling=scan.grid(recipe.tiling).tiling)


def place_of_scale(out: object, scale: int) -> str:
    """Where the tiles of one of several scales go: the first to `out`, the second to `out/scale-2`."""
    if not isinstance(out, (str, os.PathLike)) or str(out).lower().endswith((".zip", ".tar")):
        raise InvalidArgument(f"out={out!r}: several scales go to a folder or an s3:// prefix")
    return f"{os.fspath(out).rstrip('/')}/scale-{scale + 1}" if scale else os.fspath(out)


class TileRun:
    """Pages written to one sink by one recipe; the index is written when the block ends well.

    A page that fails leaves no tile and no line, and others can go on. An exception out of the
    block aborts the sink. With no page written nothing is left either.
    """

    def __init__(
        self,
        sink: Sink,
        recipe: TilesRecipe,
        *,
        workers: int | None = None,
        budget: int = DEFAULT_BUDGET,
    ) -> None:
        self._sink = sink
        self._budget = budget
        self._recipe = recipe
        self._workers = worker_count(workers)
        self._stack = contextlib.ExitStack()
        self._lines: IO[bytes] = self._stack.enter_context(_spool())
        self._spans: dict[PageKey, tuple[int, int]] = {}
        self._pages: list[PageRecord] = []

    @property
    def tiling(self) -> Tiling:
        """How pages are cut."""
        return self._recipe.tiling

    def __enter__(self) -> TileRun:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with self._stack:
            if kind is not None or not self._pages:
                self._sink.abort()
                return
            try:
                lines = {key: self._span(*span) for key, span in self._spans.items()}
                self._sink.finish(self._recipe, self._pages, lines)
            except BaseException:
                self._sink.abort()
                raise

    def add(self, scan: Scan, *, stem: str | None = None, progress: Progress | None = None) -> TileSet:
        """Tile one open page. Errors as in `tile_scan`; the run can go on after one."""
        recipe = self._recipe
        name = check_stem(stem if stem is not None else stem_of(scan.key.source))
        if scan.key in self._spans:
            raise InvalidArgument(f"{scan.key}: is tiled twice in one run")
        grid = scan.grid(recipe.tiling)
        first = self._lines.seek(0, os.SEEK_END)
        self._sink.begin(recipe, scan.key)
        identity = scan.source.identity if scan.source is not None else ""
        page = PageRecord(
            scan.key.source,
            scan.key.page,
            name,
            scan.width,
            scan.height,
            scan.dpi,
            scan.bands,
            identity=identity,
        )
        started: list[str] = []
        try:
            page = self._write(scan, grid, page, started, progress)
        except BaseException:
            self._lines.truncate(first)
            with contextlib.suppress(OSError):
                self._sink.discard(started)
            raise
        self._pages.append(page)
        self._spans[scan.key] = first, self._lines.tell()
        out = str(self._sink.folder) if isinstance(self._sink, FolderSink) else ""
        return TileSet(
            out, scan.key, grid, recipe, page.tiles, page.blank, page.lowered, page.bytes, page.kept
        )

    def _write(
        self, scan: Scan, grid: TileGrid, page: PageRecord, started: list[str], progress: Progress | None
    ) -> PageRecord:
        recipe, sink, ext = self._recipe, self._sink, EXTENSIONS[self._recipe.format]
        rows = chosen_rows(grid, None)

        def store(tile: EncodedTile) -> tuple[TileRecord, bytes, bool]:
            name = None if tile.blank else tile_name(page.stem, tile.window, ext, page.page)
            size, data = len(tile.data), tile.data
            crc = None if name is None else isal_zlib.crc32(data)
            if sink.concurrent and name is not None:
                started.append(name)
                sink.put(name, data)
                data = b""
            record = TileRecord(
                page.key,
                tile.index,
                tile.row,
                tile.col,
                tile.window,
                name,
                size,
                tile.quality,
                tile.blank,
                crc,
                tile.kept,
            )
            return record, data, tile.lowered

        done, blank, lowered, size, kept = 0, 0, 0, 0, 0
        stored = _encode(scan, grid, rows, recipe, self._workers, self._budget, store)
        with contextlib.closing(stored):
            for record, data, less in stored:
                if data and record.file is not None:
                    started.append(record.file)
                    sink.put(record.file, data)
                self._lines.write(record.to_line())
                done, size, blank = done + 1, size + record.size, blank + record.blank
                lowered, kept = lowered + less, kept + record.kept
                if progress is not None:
                    progress(done, len(grid))
        return replace(page, tiles=done - blank, blank=blank, lowered=lowered, bytes=size, kept=kept)

    def _span(self, first: int, last: int) -> Iterator[bytes]:
        at = first
        while at < last:
            self._lines.seek(at)
            line = self._lines.readline()
            at += len(line)
            yield line


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(_SPOOL_BYTES)


def _encode(
    scan: Scan,
    grid: TileGrid,
    rows: dict[int, Collection[int]],
    recipe: TilesRecipe,
    threads: int,
    budget: int,
    then: Callable[[EncodedTile], _T],
) -> Generator[_T, None, None]:
    """Encode in the pool and run `then` on each there; results in grid order."""

    encoder = TileEncoder(scan, grid, recipe, threads)

    def work(raw: RawTile) -> _T:
        with gate.inside() if gate is not None else contextlib.nullcontext():
            tile = _encoded(raw, encoder)
        del raw
        return then(tile)

    threads = min(threads, len(grid))  # a scan of one tile is not worth a pool
    gate = Gate(threads) if threads > 1 else None
    # Tiles of one band share its rows, so many may wait at no cost; tiles of blocks hold their own.
    ahead = 4 * threads if scan.info.access == "block" else max(4 * threads, grid.cols)
    with encoder.tiles(rows, gate) as tiles:
        yield from ordered_map(
            work,
            tiles,
            workers=threads,
            cost=lambda tile: tile.nbytes,
            budget=budget,
            ahead=max(1, ahead),
        )


def _encoded(raw: RawTile, encoder: TileEncoder) -> EncodedTile:
    recipe, cut = encoder.recipe, encoder.cut(raw)
    if cut is not None:
        blank = recipe.skip_blank and is_blank(decode_image(cut))
        encoded = Encoded(b"" if blank else cut, None)
    else:
        pixels = raw.pixels()
        blank = recipe.skip_blank and is_blank(pixels)
        encoded = Encoded(b"", None) if blank else encoder.encode(pixels)
    return EncodedTile(
        raw.index, raw.row, raw.col, raw.window, encoded.data, recipe.format, encoded.quality, blank,
        kept=cut is not None and not blank, lowered=encoder.lowered(encoded),
    )  # fmt: skip
