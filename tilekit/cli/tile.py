"""tilekit tile, join, info."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilekit.cli.output import json_option, next_step, print_json, print_table, progress_bar, say
from tilekit.errors import InvalidArgument, ScanError, StorageNotFound, TilekitError
from tilekit.grid import Tiling

if TYPE_CHECKING:
    from tilekit.scans.scan import Scan
    from tilekit.tiles.writing import TileRun, TileSet


class _Dpi(click.ParamType[Any]):
    name = "dpi"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """A number, or "native"."""
        try:
            return value if value == "native" else float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor native", param, ctx)


class _Overlap(click.ParamType[Any]):
    name = "px|ratio"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """A whole number is px, one with a point a ratio."""
        try:
            return value if not isinstance(value, str) else float(value) if "." in value else int(value)
        except ValueError:
            self.fail(f"{value!r} is neither px (128) nor a ratio (0.125)", param, ctx)


def _tiling_options(command: Any) -> Any:
    for option in (
        click.option("--scale", type=float, default=1.0, help="Tile a reduced scan: 0.5 is half size."),
        click.option("--parts", type=int, help="Cut into this many equal parts instead."),
        click.option("--edge", type=click.Choice(["shift", "clip", "pad"]), default="shift", show_default=True,
                     help="Right and bottom: move the last tile inward, let it be smaller, or fill it up."),
        click.option("--overlap", type=_Overlap(), default="0", help="px (128) or a ratio of the tile (0.125)."),
        click.option("--tile", type=int, default=1024, show_default=True, help="Tile size in px."),
    ):  # fmt: skip
        command = option(command)
    return command


def _tiling(tile: int, overlap: float, edge: Any, parts: int | None, scale: float) -> Tiling:
    if parts is not None:
        return Tiling.parts(parts, overlap=overlap, scale=scale)
    return Tiling(tile, overlap, edge=edge, scale=scale)


@click.command("tile")
@click.argument("inputs", nargs=-1, required=True)
@click.argument("out")
@_tiling_options
@click.option("--dpi", type=_Dpi(), help="Resolution to render PDF pages at, or native.")
@click.option(
    "--format",
    type=click.Choice(["jpeg", "png", "webp"]),
    default="jpeg",
    show_default=True,
    help="Of the tiles; png and webp are lossless.",
)
@click.option("--quality", type=int, default=90, show_default=True, help="JPEG quality.")
@click.option(
    "--subsampling",
    type=click.Choice(["444", "422", "420"]),
    default="444",
    show_default=True,
    help="Of JPEG color; 444 keeps it all.",
)
@click.option("--workers", type=int, help="Threads that encode (default: one a core).")
@click.option("--skip-blank", is_flag=True, help="Do not write tiles that hold only paper; they are counted.")
@click.option("--max-bytes", type=int, help="Lower the JPEG quality of a tile until it fits.")
@json_option
def tile_command(
    inputs: tuple[str, ...],
    out: str,
    tile: int,
    overlap: float,
    edge: str,
    parts: int | None,
    scale: float,
    dpi: Any,
    format: Any,
    quality: int,
    subsampling: Any,
    workers: int | None,
    skip_blank: bool,
    max_bytes: int | None,
    as_json: bool,
) -> None:
    """Cut scans into tiles: files, folders, globs, PDFs (all pages), into a folder, .zip, .tar or s3://.

    One bad input is reported and the others go on; the exit code is then 1.
    """
    from tilekit.tiles.sinks import sink_for
    from tilekit.tiles.writing import TileRun, make_recipe

    recipe = make_recipe(
        _tiling(tile, overlap, edge, parts, scale), format, quality, subsampling, skip_blank, max_bytes
    )
    failures: list[dict[str, str]] = []
    sets: list[TileSet] = []
    started, pixels = time.perf_counter(), 0
    with (
        TileRun(sink_for(out), recipe, workers=workers) as run,
        progress_bar("tiling", quiet=as_json) as progress,
    ):
        for uri, stem in _inputs(inputs, failures):
            for made in _tile_file(run, uri, stem, dpi, progress, failures):
                sets.append(made)
                pixels += made.grid.width * made.grid.height
    seconds = max(time.perf_counter() - started, 1e-9)
    total: dict[str, Any] = {
        "out": out,
        "pages": len(sets),
        "tiles": sum(made.tiles for made in sets),
        "blank": sum(made.blank for made in sets),
        "lowered": sum(made.lowered for made in sets),
        "bytes": sum(made.bytes for made in sets),
        "seconds": round(seconds, 3),
        "failed": failures,
    }
    if as_json:
        print_json(total)
    else:
        speed = f"{total['tiles'] / seconds:.0f} tiles/s, {pixels / 1e6 / seconds:.0f} Mpx/s"
        extra = f", {total['blank']} blank left out" if total["blank"] else ""
        extra += f", {total['lowered']} at lower quality to fit" if total["lowered"] else ""
        say(f"{total['tiles']} tiles of {total['pages']} page(s) in {out}{extra} ({speed})")
        if sets:
            next_step(f"tilekit join {out} again.tif, or look into {out}/tiles.jsonl")
    if failures:
        raise click.exceptions.Exit(1)


def _inputs(inputs: tuple[str, ...], failures: list[dict[str, str]]) -> Iterator[tuple[str, str]]:
    """(file, stem with relative folder); stems that two files share get their extension too."""
    from tilekit.archive.sources import iter_sources
    from tilekit.tiles.naming import stem_of

    found: list[tuple[str, str]] = []
    for item in inputs:
        try:
            matched = [(source.uri, source.relative) for source in iter_sources(item)]
        except TilekitError as exc:
            _failed(item, exc, failures)
            continue
        if not matched:
            _failed(item, StorageNotFound(f"{item}: holds no scans"), failures)
        name = Path(item).name
        below = f"{name}/" if len(inputs) > 1 and Path(item).is_dir() and name else ""
        found += [(uri, below + relative) for uri, relative in sorted(matched, key=lambda pair: pair[1])]
    stems = [f"{relative.rpartition('/')[0]}/{stem_of(relative)}".lstrip("/") for _, relative in found]
    taken: dict[str, int] = {}
    for stem in stems:
        taken[stem] = taken.get(stem, 0) + 1
    seen: dict[str, int] = {}
    for (uri, relative), stem in zip(found, stems, strict=True):
        name = relative if taken[stem] > 1 else stem
        seen[name] = seen.get(name, 0) + 1
        yield uri, name if seen[name] == 1 else f"{name}-{seen[name]}"


def _tile_file(
    run: TileRun, uri: str, stem: str, dpi: Any, progress: Any, failures: list[dict[str, str]]
) -> Iterator[TileSet]:
    from tilekit.scans.opening import open_scan

    page, pages = 0, 1
    while page < pages:
        try:
            with open_scan(uri, page=page, dpi=dpi) as scan:
                pages = scan.pages
                made = run.add(scan, stem=stem, progress=progress)
            yield made
        except (ScanError, InvalidArgument) as exc:
            _failed(f"{uri}#page={page + 1}" if page else uri, exc, failures)
        page += 1


def _failed(item: str, exc: Exception, failures: list[dict[str, str]]) -> None:
    failures.append({"input": item, "error": str(exc)})
    say(f"error: {exc}")


@click.command("join")
@click.argument("folder")
@click.argument("out")
@click.option("--source", help="Which scan, where the folder holds several.")
@click.option("--page", type=int, default=1, show_default=True, help="Which page of it, counted from 1.")
@json_option
def join_command(folder: str, out: str, source: str | None, page: int, as_json: bool) -> None:
    """Put a folder of tiles back together as one image (.tif, .jpg, .png, .webp), overlap cropped."""
    from tilekit.pages import PageKey
    from tilekit.tiles.joining import join_tiles

    made = join_tiles(folder, out, key=None if source is None else PageKey(source, page - 1))
    if as_json:
        print_json({"out": str(made), "bytes": made.stat().st_size})
    else:
        next_step(f"tilekit info {made}")


@click.command("info")
@click.argument("files", nargs=-1, required=True)
@_tiling_options
@click.option("--dpi", type=_Dpi(), help="Resolution to render PDF pages at, or native.")
@json_option
def info_command(
    files: tuple[str, ...],
    tile: int,
    overlap: float,
    edge: str,
    parts: int | None,
    scale: float,
    dpi: Any,
    as_json: bool,
) -> None:
    """Say what a scan is: size, kind, pages, the tiles it would give, the memory tiling it would take."""
    from tilekit.scans.opening import scan_pages

    tiling = _tiling(tile, overlap, edge, parts, scale)
    rows: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for file in files:
        try:
            rows.extend(_describe(scan, tiling) for scan in scan_pages(file, dpi=dpi))
        except TilekitError as exc:
            _failed(file, exc, failures)
    if as_json:
        print_json({"pages": rows, "failed": failures})
    elif rows:
        names = ("source", "page", "kind", "width", "height", "bands", "dpi", "pages", "tiles", "memory_mb")
        print_table(names, [[row[name] for name in names] for row in rows])
        next_step(f"tilekit tile {rows[0]['source']} tiles/")
    if failures:
        raise click.exceptions.Exit(1)


def _describe(scan: Scan, tiling: Tiling) -> dict[str, Any]:
    from tilekit.tiles.reading import memory_needed

    info, grid = scan.info, scan.grid(tiling)
    return {
        "source": info.key.source,
        "page": info.key.page,
        "kind": info.kind,
        "access": info.access,
        "width": info.width,
        "height": info.height,
        "bands": info.bands,
        "dpi": info.dpi,
        "pages": info.pages,
        "tiles": len(grid),
        "memory_mb": round(memory_needed(scan, grid) / 2**20),
    }
