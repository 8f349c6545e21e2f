"""Tiles of a planned page to the output: read once, painted where the plan says, encoded, written."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tilekit.datasets.carrying import SHIFTED, TilePlan, painted
from tilekit.datasets.output import Output
from tilekit.datasets.sources import Dpi, Page, open_page
from tilekit.flow import Gate, ordered_map
from tilekit.grid import TileGrid, Tiling, Window
from tilekit.scans.blank import background
from tilekit.scans.encoding import EXTENSIONS
from tilekit.scans.formats import ImageFormat, Subsampling
from tilekit.scans.scan import Scan
from tilekit.scans.versions import pixel_versions
from tilekit.storage.identity import source_identity
from tilekit.tiles.encoder import TileEncoder
from tilekit.tiles.naming import tile_name
from tilekit.tiles.pieces import RawTile
from tilekit.tiles.reading import chosen_rows, expect_after, page_paper
from tilekit.tiles.recipe import Quality, TilesRecipe, make_recipe

Pixels = NDArray[np.uint8]
TILES, COPIES = "tiles", "copies"
_SAMPLES = 4096


@dataclass(frozen=True)
class Encoding:
    """How tiles become files."""

    format: ImageFormat = "jpeg"
    quality: Quality = "keep"
    subsampling: Subsampling | None = None
    max_bytes: int | None = None

    def recipe(self, tiling: Tiling) -> TilesRecipe:
        """The same for tiles of this tiling."""
        return make_recipe(tiling, self.format, self.quality, self.subsampling, max_bytes=self.max_bytes)

    @property
    def extension(self) -> str:
        """Of the files."""
        return EXTENSIONS[self.format]


@dataclass(frozen=True)
class PageTask:
    """One page to write: where it is, how it is cut, what is taken from it, under which name."""

    page: Page
    tiling: Tiling
    tiles: Sequence[TilePlan]
    stem: str
    encoding: Encoding
    dpi: Dpi = None
    scale: int = 0

    @property
    def name(self) -> str:
        """Of the task in what a run remembers: the page, and the scale where it is not the first."""
        return f"scale {self.scale + 1} {self.page.key}" if self.scale else str(self.page.key)

    def names(self) -> list[str]:
        """File name of every tile, in their order, relative to the dataset."""
        page, extension = self.page.key.page, self.encoding.extension
        return [tile_path(self.stem, page, tile, extension, self.scale) for tile in self.tiles]

    def fingerprint(self) -> str:
        """Changes whenever the written bytes may: the scan's identity, the plan, the encoding, our versions of
        what makes pixels."""
        digest = hashlib.sha256()
        what = [
            str(self.page.key),
            self.page.width,
            self.page.height,
            self.stem,
            self.tiling.to_json(),
            repr(self.encoding),
            self.dpi,
            source_identity(self.page.key.source),
            pixel_versions(),
        ]
        digest.update(json.dumps(what).encode())
        for tile in self.tiles:
            digest.update(np.array([*tile.window, tile.index, tile.copy, len(tile.masks)]).tobytes())
            if len(tile.masks):
                digest.update(tile.masks.tobytes() + tile.boxes.tobytes())
        return digest.hexdigest()


def tile_path(stem: str, page: int, tile: TilePlan, extension: str, scale: int = 0) -> str:
    """`tiles/<relative folder>/<stem>.p0.x0.y0.w1024.h1024.jpg`; further copies below `copies/<n>/`; of scales
    after the first below `scale-2/tiles/`, and so on."""
    top = f"{COPIES}/{tile.copy + 1}" if tile.copy else TILES
    return f"{scale_folder(scale)}{top}/{tile_name(stem, tile.window, extension, page)}"


def scale_folder(scale: int) -> str:
    """Folder of the tiles of a scale, with its slash: none for the first."""
    return f"scale-{scale + 1}/" if scale else ""


def write_page(tasks: Sequence[PageTask], output: Output, workers: int) -> Iterator[int]:
    """Write the tiles of a page, scale after scale, and give the bytes of each.

    `tasks`: of one page, its finer scales first; it is opened and read once for all of them, as by `tile_scan`. Tiles of a
    JPEG scan that nothing is painted on keep its bits where they can. `workers`: threads that
    encode and write. Memory: as `read_tiles`, with the bytes in flight
    bounded by flow.DEFAULT_BUDGET; a page with tiles beside the grid that is stored in scanlines
    is decoded a second time for them.
    """
    wanted = [task for task in tasks if task.tiles]
    with contextlib.ExitStack() as stack:
        scan = stack.enter_context(_opened(wanted)) if wanted else None
        for task in tasks:
            yield _write_scale(scan, task, output, workers) if scan is not None and task.tiles else 0


def _opened(tasks: Sequence[PageTask]) -> Scan:
    """The page of some tasks, which expects all of them."""
    first = tasks[0]
    size = (first.page.width, first.page.height)
    scan = open_page(first.page.key, size, first.dpi, first.tiling, first.page.untrusted)
    expect_after(scan, [scan.grid(task.tiling) for task in tasks])
    return scan


def _write_scale(scan: Scan, task: PageTask, output: Output, workers: int) -> int:
    gate = Gate(workers) if workers > 1 else None
    block = scan.info.access == "block"
    recipe = task.encoding.recipe(task.tiling)
    encoder = TileEncoder(scan, scan.grid(task.tiling), recipe, max(1, workers))
    done = ordered_map(
        partial(_write, output=output, encoder=encoder, gate=gate),
        _jobs(scan, task, encoder, gate),
        workers=workers,
        cost=lambda job: job.bytes,
        # a row of tiles comes at once, unless they come block by block
        ahead=4 * workers if block else max(4 * workers, scan.grid(task.tiling).cols),
    )
    return sum(done)


@dataclass(frozen=True, eq=False)
class _Job:
    """Pixels that become one or several files."""

    pixels: Callable[[], Pixels]
    bytes: int
    files: list[tuple[str, TilePlan]]
    raw: RawTile | None = None


def _jobs(scan: Scan, task: PageTask, encoder: TileEncoder, gate: Gate | None) -> Iterator[_Job]:
    grid = scan.grid(task.tiling)
    files: dict[int, list[tuple[str, TilePlan]]] = defaultdict(list)
    beside: dict[Window, list[tuple[str, TilePlan]]] = defaultdict(list)
    for name, tile in zip(task.names(), task.tiles, strict=True):
        if tile.index == SHIFTED:
            beside[tile.window].append((name, tile))
        else:
            files[tile.index].append((name, tile))
    if files:
        with encoder.tiles(chosen_rows(grid, files), gate) as tiles:
            for raw in tiles:
                yield _Job(raw.pixels, raw.nbytes, files[raw.index], raw)
    for window, wanted in beside.items():
        size = window.width * window.height * scan.bands
        yield _Job(partial(_read, scan, grid, window), size, wanted)


def _read(scan: Scan, grid: TileGrid, window: Window) -> Pixels:
    """A window beside the grid; where it reaches over the scan (edge "pad") filled as other tiles are."""
    scale = (grid.width, grid.height) if grid.is_scaled else None
    x1, y1 = min(window.x1, grid.width), min(window.y1, grid.height)
    inside = scan.read(window.x0, window.y0, x1, y1, scale=scale)
    if inside.shape[:2] == (window.height, window.width):
        return inside
    whole = np.empty((window.height, window.width, inside.shape[2]), np.uint8)
    whole[:] = page_paper(scan, grid)
    whole[: inside.shape[0], : inside.shape[1]] = inside
    return whole


def _write(job: _Job, *, output: Output, encoder: TileEncoder, gate: Gate | None) -> int:
    total = 0
    with contextlib.closing(_encoded(job, encoder)) as files:
        for _ in job.files:
            with gate.inside() if gate is not None else contextlib.nullcontext():
                name, data = next(files)
            output.put(name, data)
            total += len(data)
    return total


def _encoded(job: _Job, encoder: TileEncoder) -> Generator[tuple[str, bytes], None, None]:
    """Name and bytes of each file of a job."""
    plain = [file for file in job.files if not len(file[1].masks)]
    cut = encoder.cut(job.raw) if plain and job.raw is not None else None
    if cut is not None:
        yield from ((name, cut) for name, _ in plain)
    files = job.files if cut is None else [file for file in job.files if len(file[1].masks)]
    if not files:
        return
    pixels = job.pixels()
    color = paper_color(pixels) if any(len(tile.masks) for _, tile in files) else ()
    own = len(files) == 1 and pixels.flags.owndata
    if own:
        pixels.flags.writeable = True
    for name, tile in files:
        yield name, encoder.encode(painted(pixels, tile.masks, tile.boxes, color, own=own)).data


def paper_color(pixels: Pixels) -> tuple[int, ...]:
    """The background of a tile from a few thousand samples: what is painted over takes this color."""
    step = max(1, round((pixels.shape[0] * pixels.shape[1] / _SAMPLES) ** 0.5))
    return background(pixels[step // 2 :: step, step // 2 :: step])
