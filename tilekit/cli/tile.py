"""tilekit tile, join, info."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilekit.cli.grouping import grouped
from tilekit.cli.hints import next_command, next_look, unused
from tilekit.cli.output import complain, json_option, print_json, print_table, progress_bar, say
from tilekit.cli.parameters import (
    Dpi,
    Overlap,
    Quality,
    align_option,
    chosen_scales,
    rendition_options,
    scale_options,
    untrusted_option,
)
from tilekit.errors import InvalidArgument, ScanError, StorageNotFound, TilekitError
from tilekit.grid import Tiling
from tilekit.pages import PageKey

if TYPE_CHECKING:
    from tilekit.scales import Scales
    from tilekit.scans.scan import Scan
    from tilekit.tiles.recipe import TilesRecipe
    from tilekit.tiles.writing import TileRun, TileSet


_DPI_HELP = (
    "Tile at this resolution: PDF pages are rendered at it, scans that know theirs are reduced to it, "
    "others are taken to have it. Or native: a PDF page that is one image at that image's own size."
)


def _tiling_options(command: Any) -> Any:
    for option in (
        align_option,
        click.option("--scale", type=float, default=1.0, show_default=True, help="Tile a reduced scan: 0.5 is half size."),
        click.option("--parts", type=int, help="Cut into this many equal parts instead."),
        click.option("--edge", type=click.Choice(["shift", "clip", "pad"]), default="shift", show_default=True,
                     help="Right and bottom: move the last tile inward, let it be smaller, or fill it up."),
        click.option("--overlap", type=Overlap(), help="px (128) or a ratio of the tile (0.125). [default: 0]"),
        click.option("--tile", type=int, help="Tile size in px. [default: 1024]"),
    ):  # fmt: skip
        command = option(command)
    return rendition_options(untrusted_option(command))


def _tiling(cut: dict[str, Any], dpi: Any) -> Tiling:
    """The recipe that `_tiling_options` say."""
    target = None if isinstance(dpi, str) else dpi
    shared = {"overlap": cut["overlap"] or 0, "scale": cut["scale"], "dpi": target, "align": cut["align"]}
    if cut["parts"] is not None:
        made = Tiling.parts(cut["parts"], **shared)
    else:
        made = Tiling(1024 if cut["tile"] is None else cut["tile"], edge=cut["edge"], **shared)
    return replace(made, bands=cut["bands"], levels=cut["levels"])


@dataclass(frozen=True)
class TileOptions:
    """Options of `tilekit tile`."""

    dpi: Any
    format: Any
    quality: Any
    subsampling: Any
    workers: int | None
    skip_blank: bool
    max_bytes: int | None
    preview: str | None


@click.command("tile")
@click.argument("inputs", nargs=-1, required=True)
@click.argument("out")
@_tiling_options
@scale_options
@click.option("--dpi", type=Dpi(), help=_DPI_HELP)
@click.option(
    "--format",
    type=click.Choice(["jpeg", "png", "webp"]),
    default="jpeg",
    show_default=True,
    help="Of the tiles; png and webp are lossless.",
)
@click.option(
    "--quality",
    type=Quality(),
    default="keep",
    show_default=True,
    help="JPEG quality; keep: tiles of a JPEG are cut from its bits or made with its tables, others have 90.",
)
@click.option(
    "--subsampling",
    type=click.Choice(["444", "422", "420"]),
    help="Of JPEG color; 444 keeps it all (default: as the scan, if it is a JPEG, else 444).",
)
@click.option("--workers", type=int, help="Threads that encode (default: one a core).")
@click.option("--skip-blank", is_flag=True, help="Do not write tiles that hold only paper; they are counted.")
@click.option("--max-bytes", type=int, help="Lower the JPEG quality of a tile until it fits.")
@click.option(
    "--preview",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write one picture of the tiles on the first page, and no tiles.",
)
@json_option
@grouped(TileOptions)
def tile_command(
    inputs: tuple[str, ...],
    out: str,
    as_json: bool,
    options: TileOptions,
    **cut: Any,
) -> None:
    """Cut scans into tiles: files, folders, globs, PDFs (all pages), into a folder, .zip, .tar or s3://.

    One bad input is reported and the others go on; the exit code is then 1.
    """
    from tilekit.tiles.recipe import make_recipe

    if options.preview is not None:
        _preview(
            inputs, options.preview, (options.dpi, _scales(cut, options.dpi)[0], cut["untrusted"]), as_json
        )
        return
    recipes = [
        make_recipe(
            one,
            options.format,
            options.quality,
            options.subsampling,
            options.skip_blank,
            options.max_bytes,
        )
        for one in _scales(cut, options.dpi)
    ]
    failures: list[dict[str, str]] = []
    total: dict[str, Any] = {"out": out} | dict.fromkeys(
        ("pages", "tiles", "kept", "blank", "lowered", "bytes"), 0
    )
    started, pixels = time.perf_counter(), 0
    with (
        _runs(out, recipes, options.workers) as runs,
        progress_bar("tiling", hidden=as_json) as progress,
    ):
        for uri, stem in _inputs(inputs, out, failures):
            for made in _tile_file(runs, uri, stem, (options.dpi, cut["untrusted"]), progress, failures):
                total["pages"] += made.recipe.tiling == recipes[0].tiling
                for count in ("tiles", "kept", "blank", "lowered", "bytes"):
                    total[count] += getattr(made, count)
                pixels += made.grid.width * made.grid.height
    seconds = max(time.perf_counter() - started, 1e-9)
    total |= {"seconds": round(seconds, 3), "failed": failures}
    if as_json:
        print_json(total)
    elif total["pages"]:
        speed = f"{total['tiles'] / seconds:.0f} tiles/s, {pixels / 1e6 / seconds:.0f} Mpx/s"
        extra = f", {total['kept']} of them the scan's own bits" if total["kept"] else ""
        extra += f", {total['blank']} blank left out" if total["blank"] else ""
        extra += f", {total['lowered']} at lower quality to fit" if total["lowered"] else ""
        say(f"{total['tiles']} tiles of {total['pages']} page(s) in {out}{extra} ({speed})")
        if out.startswith("s3://") or out.endswith((".zip", ".tar")) or total["pages"] > 1:
            say(f"what is where: tiles.jsonl in {out}")
        else:
            next_command("join", out, unused("again.tif"))
    if failures:
        raise click.exceptions.Exit(1)


def _preview(inputs: tuple[str, ...], out: str, how: tuple[Any, Tiling, bool], as_json: bool) -> None:
    """Draw the tiles on the first page of the inputs."""
    from tilekit.scans.encoding import encode_image
    from tilekit.scans.picture import grid_picture
    from tilekit.storage.local import write_bytes

    failures: list[dict[str, str]] = []
    first = next((uri for uri, _ in _inputs(inputs, out, failures)), None)
    form = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp"}.get(Path(out).suffix.lower())
    if form is None:
        raise click.UsageError(f"--preview {out}: name a .jpg, .png or .webp file")
    if first is None:
        raise click.exceptions.Exit(1)
    with _opened(first, 0, *how) as scan:
        grid = scan.grid(how[1])
        write_bytes(out, encode_image(grid_picture(scan, how[1]), form).data)  # type: ignore[arg-type]
        told = {
            "out": out,
            "source": str(scan.key),
            "tiles": len(grid),
            "columns": grid.cols,
            "rows": grid.rows,
        }
    if as_json:
        print_json(told)
        return
    say(
        f"{told['tiles']} tiles, {told['columns']} across and {told['rows']} down: blue are borders, orange what "
        "tiles share"
    )
    next_look(out)


def _scales(cut: dict[str, Any], dpi: Any) -> Scales:
    """The recipe or recipes that were asked for."""
    from tilekit.scales import Scales

    others = {
        "--tile": cut["tile"],
        "--overlap": cut["overlap"],
        "--scale": None if cut["scale"] == 1 else cut["scale"],
        "--parts": cut["parts"],
        "--dpi": None if isinstance(dpi, str) else dpi,
    }
    found = chosen_scales(cut["scales"], cut["at"], others, _nothing_planned)
    if found is None:
        return Scales(_tiling(cut, dpi))
    return found.changed(lambda one: replace(one, bands=cut["bands"], levels=cut["levels"]))


def _nothing_planned() -> Scales:
    raise InvalidArgument(
        "--scales auto plans from labels, which `tilekit tile` has none of; give the JSON of `tilekit plan --json`, or --at"
    )


@contextlib.contextmanager
def _runs(out: str, recipes: list[TilesRecipe], workers: int | None) -> Iterator[list[TileRun]]:
    """A run for each scale: the first into OUT, the second into OUT/scale-2 and so on."""
    from tilekit.tiles.outputs import sink_for
    from tilekit.tiles.writing import TileRun, place_of_scale

    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                TileRun(
                    sink_for(place_of_scale(out, place) if len(recipes) > 1 else out), recipe, workers=workers
                )
            )
            for place, recipe in enumerate(recipes)
        ]


def _inputs(inputs: tuple[str, ...], out: str, failures: list[dict[str, str]]) -> Iterator[tuple[str, str]]:
    """(file, stem with relative folder), as the inputs are walked, `out` left aside; only names are remembered.

    A file that a list names more than once, as a manifest of a PDF's pages does, is given once, with all its pages.
    """
    from tilekit.archive.checking import check_apart
    from tilekit.archive.sources import iter_sources

    for item in inputs:
        check_apart(item, out)
    taken: dict[str, int] = {}
    for item in inputs:
        name, found = Path(item).name, False
        below = f"{name}/" if len(inputs) > 1 and Path(item).is_dir() and name else ""
        seen: set[str] = set()
        try:
            for source in iter_sources(item, out=out):
                found = True
                if source.uri in seen:
                    continue
                seen.add(source.uri)
                stem = _stem(source.uri, below + source.relative)
                taken[stem] = taken.get(stem, 0) + 1
                yield source.uri, stem if taken[stem] == 1 else f"{stem}-{taken[stem]}"
        except TilekitError as exc:
            _failed(item, exc, failures)
            continue
        if not found:
            _failed(item, StorageNotFound(f"{item}: holds no scans"), failures)


def _stem(uri: str, relative: str) -> str:
    """`relative` without its extension, unless another scan beside it has the same stem."""
    from tilekit.scans.suffixes import SCAN_SUFFIXES
    from tilekit.tiles.naming import stem_of

    folder = relative.rpartition("/")[0]
    root, own = os.path.splitext(uri)
    if not uri.startswith("s3://"):
        twins = (root + ending for low in SCAN_SUFFIXES - {own.lower()} for ending in (low, low.upper()))
        if any(map(os.path.exists, twins)):
            return relative
    return f"{folder}/{stem_of(relative)}".lstrip("/")


def _tile_file(
    runs: list[TileRun],
    uri: str,
    stem: str,
    how: tuple[Any, bool],
    progress: Any,
    failures: list[dict[str, str]],
) -> Iterator[TileSet]:
    """What each scale made of each page; a page that fails at one scale is left out at the coarser ones too."""
    from tilekit.scales import Scales

    scales, (dpi, untrusted) = Scales(run.tiling for run in runs), how
    page, pages = 0, 1
    while page < pages:
        try:
            with _opened(uri, page, dpi, scales[0], untrusted) as scan:
                pages = scan.pages
                scales.grids(scan.width, scan.height, dpi=scan.dpi)
                for place in scales.on(scan.width, scan.height, dpi=scan.dpi):
                    yield runs[place].add(scan, stem=stem, progress=progress)
        except (ScanError, InvalidArgument) as exc:
            _failed(f"{uri}#page={page + 1}" if page else uri, exc, failures)
        page += 1


def _opened(uri: str, page: int, dpi: Any, tiling: Tiling, untrusted: bool) -> Scan:
    """Vector pages are rendered at `dpi`; scans that know their resolution keep it (the tiling reduces them)."""
    from tilekit.scans.opening import open_scan

    if isinstance(dpi, float) and not uri.lower().endswith(".pdf"):
        scan = open_scan(uri, page=page, untrusted=untrusted, **tiling.shown)
        if scan.info.kind != "pdf" and scan.dpi is not None:
            return scan
        scan.close()
    return open_scan(uri, page=page, dpi=dpi, untrusted=untrusted, **tiling.shown)


def _failed(item: str, exc: Exception, failures: list[dict[str, str]]) -> None:
    failures.append({"input": item, "error": str(exc)})
    complain(f"error: {exc}")


@click.command("join")
@click.argument("folder")
@click.argument("out")
@click.option("--source", help="Which scan, where the folder holds several.")
@click.option("--page", type=click.IntRange(1), help="Which page of it, counted from 1.")
@json_option
def join_command(folder: str, out: str, source: str | None, page: int | None, as_json: bool) -> None:
    """Put a folder of tiles back together as one image (.tif, .jpg, .png, .webp), overlap cropped."""
    from tilekit.tiles.index import read_index
    from tilekit.tiles.joining import join_tiles

    key = None
    if source is not None or page is not None:
        sources = {one.source for one in read_index(folder).pages} if source is None else {source}
        if len(sources) > 1:
            raise click.UsageError(f"{folder} holds tiles of {len(sources)} scans; give --source too")
        key = PageKey(sources.pop(), (page or 1) - 1)
    made = join_tiles(folder, out, key=key)
    if as_json:
        print_json({"out": str(made), "bytes": made.stat().st_size})
    else:
        next_command("info", made)


@click.command("info")
@click.argument("files", nargs=-1, required=True)
@_tiling_options
@click.option("--dpi", type=Dpi(), help=_DPI_HELP)
@json_option
def info_command(
    files: tuple[str, ...],
    dpi: Any,
    as_json: bool,
    **cut: Any,
) -> None:
    """Say what a scan is: size, kind, pages, the tiles it would give, the memory tiling it would take.

    kept: how many of the tiles are cut from the scan's own bits, without decoding.
    """
    from tilekit.scans.jpegmending import NO_END

    tiling = _tiling(cut, dpi)
    rows: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for file in files:
        try:
            rows.extend(_describe_file(file, tiling, dpi, cut["untrusted"]))
        except TilekitError as exc:
            _failed(file, exc, failures)
    if as_json:
        print_json({"pages": rows, "failed": failures})
    elif rows:
        names = ("scan", "kind", "size", "bands", "dpi", "pages", "tiles", "kept", "memory MB")
        print_table(names, [_info_row(row) for row in rows])
        for row in rows:
            if row["kind"] in ("jpeg", "tiff", "slide") and row["decoded_because"]:
                say(f"{PageKey(row['source'], row['page'])}: {_told(row)}")
            for words in row["warnings"]:
                complain(f"warning: {row['source']}: {words}")
        sound = [row["source"] for row in rows if NO_END not in row["warnings"]]
        if sound:
            next_command("tile", sound[0], unused("tiles/"), *_cut_words(cut, dpi))
    if failures:
        raise click.exceptions.Exit(1)


def _cut_words(cut: dict[str, Any], dpi: Any) -> list[str]:
    """What was asked of the tiling beyond the defaults, as it was typed."""
    ctx = click.get_current_context()
    typed: list[str] = []
    for part in ctx.command.params:
        name = str(part.name)
        if isinstance(part, click.Option) and (name in cut or name == "dpi"):
            if ctx.get_parameter_source(name) is not click.core.ParameterSource.COMMANDLINE:
                continue
            typed.append(part.opts[0])
            if not part.is_flag:
                typed.append(_typed(dpi if name == "dpi" else cut[name]))
    return typed


def _typed(value: Any) -> str:
    """An option's value as one writes it: bands 0,1,2 and levels 0:4095."""
    if isinstance(value, tuple):
        return (":" if any(isinstance(part, float) for part in value) else ",").join(
            f"{part:g}" for part in value
        )
    return f"{value:g}" if isinstance(value, float) and value >= 1 else str(value)


def _told(row: dict[str, Any]) -> str:
    """Why tiles are decoded, and what to do where something can be done."""
    left = row["tiles"] - row["kept"]
    text = f"{left} of {row['tiles']} tiles are decoded and encoded: {row['decoded_because']}"
    return text + ("; --align 16 keeps them on the grid" if row["kept"] and "off the grid" in text else "")


def _info_row(row: dict[str, Any]) -> list[Any]:
    size, dpi = f"{row['width']} x {row['height']}", row["dpi"] and round(row["dpi"])
    key = PageKey(row["source"], row["page"])
    return [
        str(key),
        row["kind"],
        size,
        row["bands"],
        dpi,
        row["pages"],
        row["tiles"],
        row["kept"],
        row["memory_mb"],
    ]


def _describe_file(file: str, tiling: Tiling, dpi: Any, untrusted: bool) -> Iterator[dict[str, Any]]:
    page, pages = 0, 1
    while page < pages:
        with _opened(file, page, dpi, tiling, untrusted) as scan:
            pages = scan.pages
            yield _describe(scan, tiling)
        page += 1


def _describe(scan: Scan, tiling: Tiling) -> dict[str, Any]:
    from tilekit.tiles.keeping import keep_plan

    info, grid = scan.info, scan.grid(tiling)
    plan = keep_plan(scan, tiling)
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
        "warnings": list(info.warnings),
        "tiles": len(grid),
        "kept": plan.kept,
        "decoded_because": plan.why_not_all,
        "memory_mb": round(scan.cost(grid) / 2**20),
    }
