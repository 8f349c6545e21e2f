"""`tilekit archive run | status | retry | verify | merge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilekit.cli.archive_telling import Watch, say_left_aside, tell
from tilekit.cli.cloud import deadline_of, deadline_options
from tilekit.cli.hints import next_again, next_command, passed
from tilekit.cli.output import complain, json_option, print_json, print_table, say
from tilekit.cli.parameters import (
    Overlap,
    Quality,
    align_option,
    chosen_scales,
    model_options,
    model_ref,
    rendition_options,
    say_scales,
    scale_options,
    units_option,
    untrusted_option,
)
from tilekit.errors import InvalidArgument

if TYPE_CHECKING:
    from tilekit.grid import Tiling
    from tilekit.scales import Scales

_state_option = click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="Folder of ledger, locks and log, instead of OUT/.tilekit (also on S3).",
)


_force_option = click.option(
    "--force", is_flag=True, help="For --job detect: use tiles of another size than the model was trained on."
)


@click.group()
def archive() -> None:
    """Process many scans, resumable, on one machine or a cluster."""


@archive.command()
@click.argument("inputs", nargs=-1, required=True)
@click.argument("out")
@click.option(
    "--job",
    type=click.Choice(["tile", "detect", "dataset"]),
    default="tile",
    show_default=True,
    help="What is done with each page.",
)
@click.option("--tile", type=int, help="Tile size in px. [default: 1024]")
@click.option(
    "--overlap",
    type=Overlap(),
    help="px (128) or a ratio of the tile (0.125). [default: 128]",
)
@scale_options
@click.option(
    "--edge",
    type=click.Choice(["shift", "clip", "pad"]),
    default="shift",
    show_default=True,
    help="The last tile moves inward, is smaller, or is filled up.",
)
@align_option
@click.option("--scale", default=1.0, show_default=True, help="Tile a reduced scan.")
@click.option("--dpi", type=float, help="Tile at this physical resolution.")
@rendition_options
@untrusted_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(["jpeg", "png", "webp"]),
    default="jpeg",
    show_default=True,
    help="Of the tiles.",
)
@click.option("--quality", type=Quality(), default="keep", show_default=True,
              help="Of JPEG tiles; keep: as `tilekit tile` does.")  # fmt: skip
@click.option("--skip-blank", is_flag=True, help="Leave blank tiles out; they are counted.")
@click.option(
    "--container",
    type=click.Choice(["folder", "tar", "zip"]),
    default="folder",
    show_default=True,
    help="Tiles as files, or one tar or zip a page.",
)
@click.option("--model", help="For --job detect: what `tilekit detect --model` takes.")
@model_options
@click.option(
    "--thresholds",
    metavar="FILE",
    help="For --job detect: least score per label, JSON label -> 0..1, or an evaluation.",
)
@click.option(
    "--decoy", multiple=True, metavar="LABEL", help="A label to drop after merging; may be repeated."
)
@units_option("Inference units, where the model is started.")
@_force_option
@deadline_options
@click.option("--workers", type=int, help="Processes. [default: one a core]")
@click.option("--dask", metavar="ADDRESS", help="Run on the Dask cluster at this scheduler address.")
@click.option("--shard", metavar="I/N", help="Do part I of N only, for array jobs.")
@click.option("--join", is_flag=True, help="Share the archive with other machines that run the same command.")
@click.option(
    "--lease",
    default="5m",
    show_default=True,
    metavar="TIME",
    help="After so long without a sign of life a machine's part is free again.",
)
@click.option(
    "--identity",
    type=click.Choice(["sample", "full", "stat"]),
    default="sample",
    show_default=True,
    help="How inputs are known to be unchanged: size, time and a sample; every byte; size and time.",
)
@click.option("--drop", is_flag=True, help="Drop results of vanished scans also where that is most of them.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say pages, tiles, bytes, time and cost, from a timed sample; write nothing.",
)
@click.option("--max-failures", type=int, help="Stop when more pages than this have failed.")
@click.option("--memory", metavar="BYTES", help="Memory all running pages may take, e.g. 8G.")
@click.option("--staging", metavar="BYTES", help="Disk for scans fetched ahead from S3, e.g. 20G.")
@_state_option
@json_option
def run(inputs: tuple[str, ...], out: str, **options: Any) -> None:
    """Process every page of INPUTS (folders, globs, list files, S3 prefixes) into OUT.

    Interrupted or failed runs go on where they were: run the same command again.
    """
    _run(inputs, out, **options)


@archive.command()
@click.argument("out")
@_state_option
@click.option("--workers", type=int, help="Processes. [default: one a core]")
@click.option("--staging", metavar="BYTES", help="Disk for scans fetched ahead from S3, e.g. 20G.")
@_force_option
@deadline_options
@json_option
def retry(
    out: str,
    state: Path | None,
    workers: int | None,
    staging: str | None,
    force: bool,
    as_json: bool,
    **until: Any,
) -> None:
    """Try the pages again that failed in OUT."""
    from tilekit.archive.options import ArchiveOptions
    from tilekit.archive.retrying import retry_archive

    room = _bytes(staging, "--staging")
    until = deadline_of(until["duration_text"], until["guard"], until["guard_role"])
    with Watch(as_json, None, out) as watch:
        options = ArchiveOptions(staging=room, state=state)
        summary = retry_archive(
            out, workers=workers, options=options, on_event=watch.event, force=force, **until
        )
    tell(summary, out, state, as_json)


@archive.command()
@click.argument("out")
@_state_option
@json_option
def status(out: str, state: Path | None, as_json: bool) -> None:
    """Say what is done and what failed in OUT."""
    from tilekit.archive import archive_status

    found = archive_status(out, state)
    if as_json:
        print_json(found.to_json())
        return
    rows = [
        ("pages done", found.done),
        ("pages failed", found.failed),
        ("pages begun and not ended", found.unfinished),
        ("tiles", found.tiles),
        ("megapixels", round(found.pixels / 1e6, 1)),
        ("worker seconds", round(found.seconds, 1)),
        ("ledgers", found.ledgers),
    ]
    print_table(("what", "count"), rows)
    for reason in found.failures.values():
        complain(f"failed: {reason}")
    if found.failed:
        next_command("archive", "retry", out, *passed(state=state))


@archive.command()
@click.argument("out")
@click.option("--forget", is_flag=True, help="Drop the records at fault, so that the next run redoes them.")
@click.option("--deep", is_flag=True, help="Read every byte: checksums of outputs, content of inputs.")
@_state_option
@json_option
def verify(out: str, forget: bool, deep: bool, state: Path | None, as_json: bool) -> None:
    """Check that every output the ledger names is there and whole, and made from what its scan is now."""
    from tilekit.archive import verify_archive

    wrong = verify_archive(out, state, forget=forget, deep=deep)
    if as_json:
        print_json({"wrong": wrong})
    else:
        for problem in wrong.values():
            complain(problem)
        say(f"{len(wrong)} pages at fault" if wrong else "every recorded output is there")
        if wrong:
            if forget:
                say("run the archive again; it redoes them")
            else:
                next_command("archive", "verify", out, "--forget", *passed(state=state))
    if wrong:
        raise click.exceptions.Exit(1)


@archive.command()
@click.argument("out")
@_state_option
@json_option
def merge(out: str, state: Path | None, as_json: bool) -> None:
    """Join the ledgers of all shards of OUT into one."""
    from tilekit.archive import merge_ledgers

    count = merge_ledgers(out, state)
    if as_json:
        print_json({"pages": count})
    else:
        say(f"joined the records of {count} pages")
        next_command("archive", "status", out, *passed(state=state))


def _run(inputs: tuple[str, ...], out: str, *, as_json: bool, **options: Any) -> None:
    from tilekit.archive.checking import check_run
    from tilekit.archive.options import ArchiveOptions
    from tilekit.archive.processing import process_archive
    from tilekit.archive.retrying import remember_run
    from tilekit.rekognition.pricing import parse_duration

    job = _job(options)
    given = ArchiveOptions(
        max_failures=options["max_failures"],
        memory=_bytes(options["memory"]),
        staging=_bytes(options["staging"], "--staging"),
        state=options["state"],
        identity=options["identity"],
        join=options["join"],
        lease=parse_duration(options["lease"]),
        drop=options["drop"],
    )
    limits = {"workers": options["workers"], "shard": options["shard"], "options": given}
    check_run(inputs, out, job, **limits)
    if options["dry_run"]:
        _forecast(inputs, out, job, options["workers"], given, as_json)
        return
    with _executor(options["dask"]) as executor, Watch(as_json, inputs, out) as watch:
        if options["job"] != "dataset":
            remember_run(out, list(inputs), job, options["state"])
        summary = process_archive(
            list(inputs),
            out,
            job,
            executor,
            **limits,
            on_event=watch.event,
        )
    tell(summary, out, options["state"], as_json)


def _forecast(
    inputs: tuple[str, ...], out: str, job: Any, workers: int | None, options: Any, as_json: bool
) -> None:
    from tilekit.archive.forecast import forecast
    from tilekit.archive.working import WholeJob
    from tilekit.rekognition.pricing import dollars, duration
    from tilekit.scales import as_scales

    if isinstance(job, WholeJob):
        raise click.UsageError("--dry-run is for --job tile and detect; `tilekit plan` tells of a dataset")
    found = forecast(list(inputs), out, job, workers=workers, options=options)
    if as_json:
        print_json(found.to_json() | {"scales": as_scales(job.tiling).to_json()})
    else:
        rows = [
            ("pages", found.pages),
            ("done before", found.done),
            ("tiles", found.tiles),
            ("megapixels", round(found.pixels / 1e6, 1)),
            ("megabytes out", round(found.bytes / 1e6, 1)),
            ("megabytes free", None if found.free is None else round(found.free / 1e6)),
            ("megabytes of memory, largest page", round(found.memory / 1e6)),
            ("time", f"{duration(found.seconds)} on {found.workers} workers"),
            ("pages timed", found.timed),
        ]
        if found.dollars is not None:
            rows += [("calls of the model", found.calls), ("cost", dollars(found.dollars))]
        print_table(("what", "about"), rows)
        say_scales(job.tiling)
        for reason in found.unreadable.values():
            complain(f"would fail: {reason}")
        say_left_aside(found.left_aside)
        if not found.fits:
            complain("the disk has not that much room")
        next_again(without=["--dry-run"])
    if not found.fits:
        raise click.exceptions.Exit(1)


def _job(options: dict[str, Any]) -> Any:
    from tilekit import Tiling
    from tilekit.archive import DatasetJob, DetectJob, TileJob
    from tilekit.datasets import DatasetOptions, Encoding
    from tilekit.labels.thresholds import read_thresholds
    from tilekit.scales import Scales

    until = deadline_of(options["duration_text"], options["guard"], options["guard_role"])
    if until and options["job"] != "detect":
        raise click.UsageError("--for is for --job detect: nothing else here starts a model")
    tiling = _scales(options) or Tiling(
        tile=1024 if options["tile"] is None else options["tile"],
        overlap=128 if options["overlap"] is None else options["overlap"],
        edge=options["edge"],
        align=options["align"],
        scale=options["scale"],
        dpi=options["dpi"],
        bands=options["bands"],
        levels=options["levels"],
    )
    if options["job"] == "dataset":
        encoding = Encoding(options["format_"], options["quality"])
        return DatasetJob(
            tiling,
            options=DatasetOptions(encoding=encoding, dpi=options["dpi"], untrusted=options["untrusted"]),
        )
    if options["job"] == "detect":
        if options["model"] is None:
            raise click.UsageError("--job detect needs --model")
        file = options["thresholds"]
        return DetectJob(
            tiling,
            model_ref(options["model"], options),
            decoy=options["decoy"],
            thresholds=read_thresholds(file) if file else None,
            units=options["units"],
            force=options["force"],
            **until,
            untrusted=options["untrusted"],
        )
    if isinstance(tiling, Scales):
        raise click.UsageError("--job tile cuts at one scale; run one job for each, or use `tilekit tile`")
    return TileJob(
        tiling,
        format=options["format_"],
        quality=options["quality"],
        skip_blank=options["skip_blank"],
        container=options["container"],
        untrusted=options["untrusted"],
    )


def _scales(options: dict[str, Any]) -> Tiling | Scales | None:
    """What --scales or --at say; None where neither is given."""
    from tilekit.aws.naming import trained_tiling
    from tilekit.scales import as_scales

    others = {"--tile": options["tile"], "--overlap": options["overlap"], "--dpi": options["dpi"]}
    others["--scale"] = None if options["scale"] == 1 else options["scale"]

    def auto() -> Scales:
        if options["job"] != "detect" or options["model"] is None:
            raise click.UsageError(
                "--scales auto is as the model of --job detect was trained, and for `tilekit dataset` and `tilekit detect`; "
                "give the JSON of `tilekit plan --json`, or --at"
            )
        trained = trained_tiling(model_ref(options["model"], options))
        if trained is None:
            raise InvalidArgument(
                "--scales auto: the model does not say what it was trained on; give --at or --scales FILE"
            )
        return as_scales(trained)

    found = chosen_scales(options["scales"], options["at"], others, auto)
    return found[0] if found is not None and len(found) == 1 else found


def _bytes(text: str | None, option: str = "--memory") -> int | None:
    if text is None:
        return None
    units = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
    number, unit = (text[:-1], units[text[-1].upper()]) if text[-1:].upper() in units else (text, 1)
    try:
        found = int(float(number) * unit)
    except (ValueError, OverflowError):
        found = 0
    if found < 1:
        raise click.UsageError(f"{option} {text}: give bytes above 0, or a number with K, M, G or T")
    return found


class _executor:  # noqa: N801 - used as a function
    """The Dask executor of `--dask`, or None."""

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._client: Any = None

    def __enter__(self) -> Any:
        if self._address is None:
            return None
        from tilekit.archive.clusters import dask_client

        self._client = dask_client(self._address)
        return self._client.get_executor()

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()
