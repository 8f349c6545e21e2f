"""`tilekit bench`: how fast on this machine, with which settings, against what, and what bounds it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from tilekit.cli.grouping import grouped
from tilekit.cli.hints import next_again, next_look
from tilekit.cli.output import json_option, print_json, print_table, progress_bar, say
from tilekit.errors import InvalidArgument, MissingExtra, ScanError


class BenchGroup(click.Group):
    """`bench boxes` and `bench detect` are commands; anything else is a scan to tile."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command in front where none is named."""
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = ["tiling", *args]
        return super().parse_args(ctx, args)


_html = click.option("--html", metavar="FILE", help="Also write a page with plots.")
_compare = click.option(
    "--compare", "old", metavar="OLD.json", help="Say what changed since an earlier --json."
)
_quick = click.option("--quick", is_flag=True, help="Fewer rounds on a smaller scan.")
_peers = click.option(
    "--peers",
    "peers_module",
    metavar="MODULE",
    help="Whom to time beside (default: benchmarks/peers of the source, and installed plug-ins).",
)
_cache = click.option("--cache", metavar="DIR", help="Where made scans are kept.")


@click.group(cls=BenchGroup)
def bench() -> None:
    """Benchmark tiling on your scans or on made ones: settings, peers, limits.

    tilekit bench [SCAN...] finds the best settings for this machine and says what bounds it;
    `bench boxes` and `bench detect` do the same for box functions and detection.
    """


@dataclass(frozen=True)
class TilingOptions:
    """Options of `tilekit bench tiling`."""

    tiles: tuple[int, ...]
    overlaps: tuple[int, ...]
    formats: tuple[str, ...]
    workers: tuple[int, ...]
    quality: int
    size: float | None
    rounds: int | None
    peers_module: str | None
    no_peers: bool
    quick: bool
    cache: str | None
    html: str | None
    old: str | None


@bench.command("tiling")
@click.argument("scans", nargs=-1, metavar="[SCAN...]")
@click.option("--tile", "tiles", type=int, multiple=True, help="Tile side in px; may be repeated.")
@click.option("--overlap", "overlaps", type=int, multiple=True, help="Overlap in px; may be repeated.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["jpeg", "png", "webp"]),
    help="Of the tiles; may be repeated.",
)
@click.option("--workers", "workers", type=int, multiple=True, help="Threads; may be repeated.")
@click.option("--quality", type=click.IntRange(1, 100), default=90, show_default=True, help="Of JPEG tiles.")
@click.option("--size", type=float, metavar="Mpx", help="Size of the made scan (default 100, quick 16).")
@click.option("--rounds", type=click.IntRange(1, 100), help="Interleaved rounds (default 5, quick 2).")
@_peers
@click.option("--no-peers", is_flag=True, help="Time tilekit alone.")
@_quick
@_cache
@_html
@_compare
@json_option
@grouped(TilingOptions)
def tiling(
    scans: tuple[str, ...],
    as_json: bool,
    options: TilingOptions,
) -> None:
    """Tile with several settings and with every peer that is there."""
    from tilekit.bench.command import TilingPlan, bench_tiling
    from tilekit.bench.peers import NO_PEERS

    _check_first(options.old, options.html)
    peers = NO_PEERS if options.no_peers else named_peers(options.peers_module)
    plan = TilingPlan(
        scans,
        options.tiles,
        options.overlaps,
        options.formats,
        options.workers,
        options.quality,
        options.size,
        options.rounds,
        peers,
        options.no_peers,
        options.quick,
        options.cache,
    )
    with progress_bar("bench", hidden=as_json) as progress:
        document = bench_tiling(plan, say=_quiet if as_json else say, progress=progress)
    _finish(document, options.old, options.html, as_json, _show_tiling)
    if document["failed"]:
        raise ScanError(f"{len(document['failed'])} scan(s) could not be benchmarked")


@bench.command("boxes")
@click.option("--size", "sizes", type=click.IntRange(1), multiple=True, help="Boxes; may be repeated.")
@click.option("--rounds", type=click.IntRange(1, 100), help="Interleaved rounds (default 5, quick 2).")
@_peers
@_quick
@_html
@_compare
@json_option
def boxes(
    sizes: tuple[int, ...],
    rounds: int | None,
    peers_module: str | None,
    quick: bool,
    html: str | None,
    old: str | None,
    as_json: bool,
) -> None:
    """Suppress, fuse, carry and merge boxes, beside every peer that is there."""
    from tilekit.bench.command import bench_boxes

    _check_first(old, html)
    told = _quiet if as_json else say
    document = bench_boxes(sizes, named_peers(peers_module), rounds=rounds, quick=quick, say=told)
    _finish(document, old, html, as_json, _show_boxes)


@dataclass(frozen=True)
class DetectOptions:
    """Options of `tilekit bench detect`."""

    model: str | None
    endpoint: str | None
    region: str | None
    profile: str | None
    nap: float
    tile: int
    overlap: int
    workers: tuple[int, ...]
    size: float | None
    quick: bool
    cache: str | None
    html: str | None
    old: str | None


@bench.command("detect")
@click.argument("scan", required=False)
@click.option("--model", metavar="M", help="What `tilekit detect --model` takes; else a detector that waits.")
@click.option(
    "--endpoint",
    "--endpoint-url",
    metavar="URL",
    help="Where the service of --model is, such as a local one.",
)
@click.option("--region", help="Region of the service.")
@click.option("--profile", help="Named profile of the credentials.")
@click.option("--nap", type=float, default=20.0, show_default=True, help="ms a tile of the waiting detector.")
@click.option("--tile", type=int, default=1024, show_default=True, help="Tile side in px.")
@click.option("--overlap", type=int, default=128, show_default=True, help="Overlap in px.")
@click.option("--workers", type=click.IntRange(1), multiple=True, help="Calls at once; may be repeated.")
@click.option("--size", type=float, metavar="Mpx", help="Size of the made scan (default 36, quick 9).")
@_quick
@_cache
@_html
@_compare
@json_option
@grouped(DetectOptions)
def detect(
    scan: str | None,
    as_json: bool,
    options: DetectOptions,
) -> None:
    """Detect on one scan with several numbers of workers: is the detector kept busy?

    A model that is started for this is stopped at the end.
    """
    from tilekit.bench.command import DetectPlan, bench_detect
    from tilekit.cli.detect import Cut, named_detector
    from tilekit.detectors.naming import ModelRef

    if options.endpoint and not options.model:
        raise InvalidArgument("--endpoint needs --model: the model that runs there")
    _check_first(options.old, options.html)
    plan = DetectPlan(
        scan,
        options.tile,
        options.overlap,
        options.workers,
        options.size,
        options.nap / 1e3,
        options.quick,
        options.cache,
    )
    if options.model is None:
        document = bench_detect(plan)
    else:
        cloud = (options.region, options.profile, options.endpoint)
        with named_detector(ModelRef(options.model), cloud, 1, Cut(options.tile, options.overlap), True) as (
            detector,
            _,
            title,
        ):
            document = bench_detect(plan, detector, title)
    _finish(document, options.old, options.html, as_json, _show_detect)


def named_peers(module: str | None) -> Any:
    """The peers of a module, the current folder looked in too; without one, those that are found."""
    from tilekit.bench.peers import find_peers

    if module is not None and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return find_peers(module)


def _check_first(old: str | None, html: str | None) -> None:
    """What would spoil the end of a long run is told at its beginning."""
    from tilekit.bench.document import read_document

    if old:
        read_document(old)
    if html and find_spec("matplotlib") is None:
        raise MissingExtra("--html needs matplotlib", "report")


def _quiet(text: str) -> None:
    """Say nothing: the output is for machines."""


def _finish(document: dict[str, Any], old: str | None, html: str | None, as_json: bool, show: Any) -> None:
    from tilekit.bench.document import compare_documents, read_document
    from tilekit.bench.page import write_page

    if old:
        document["compared"] = compare_documents(read_document(old), document)
    if html:
        write_page(document, html)
    if as_json:
        print_json(document)
        return
    show(document)
    if old:
        rows = [
            [row["what"], row["old"], row["new"], row["times"], row["verdict"]]
            for row in document["compared"]
        ]
        print_table(["what", "old", "new", "times", ""], rows, "compared")
    for note in document["notes"]:
        say(note)
    if html:
        next_look(Path(html))
    else:
        next_again(plus=["--html", "bench.html"], note="with plots")


def _show_tiling(document: dict[str, Any]) -> None:
    rows = [
        [row["scan"], f"{row['tile']}/{row['overlap']} {row['format']}", row["workers"], row["seconds"],
         row["cpu"], row["mpx_s"], row["peak_mb"]]
        for row in document["settings"]
    ]  # fmt: skip
    print_table(
        ["scan", "tiles", "workers", "seconds", "CPU", "Mpx/s", "peak MB"], rows, "tilekit, by settings"
    )
    _show_peers(document, "scan")
    columns = ["scan", "decode", "encode", "write", "limit", "share", "bound"]
    if document["limits"]:
        print_table(
            columns, [[row[name] for name in columns] for row in document["limits"]], "the limit here"
        )


def _show_boxes(document: dict[str, Any]) -> None:
    _show_peers(document, "case")


def _show_peers(document: dict[str, Any], first: str) -> None:
    rows = [
        [
            " ".join([row[first], row.get("how", "")]).strip(),
            row["who"],
            row.get("seconds"),
            row.get("slower"),
            _range(row),
            row["note"],
        ]
        for row in document["peers"]
    ]
    if rows:
        print_table([first, "who", "seconds", "times slower", "spread", ""], rows, "beside others")


def _range(row: dict[str, Any]) -> str | None:
    return None if row.get("low") is None else f"{row['low']:.2f} to {row['high']:.2f}"


def _show_detect(document: dict[str, Any]) -> None:
    columns = ["scan", "workers", "seconds", "tiles_s", "busy", "call_ms", "call_p95_ms", "retried", "bound"]
    print_table(columns, [[row[name] for name in columns] for row in document["detect"]], "detection")
