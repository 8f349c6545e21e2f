"""`tilekit check`: the service's rules over manifests, before a byte is uploaded."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tilekit.cli.grouping import grouped
from tilekit.cli.hints import next_command, passed
from tilekit.cli.output import explain, json_option, print_json, print_table, progress_bar, say

if TYPE_CHECKING:
    from tilekit.labels.check_report import CheckReport


@dataclass(frozen=True)
class CheckOptions:
    """Options of `tilekit check`."""

    test: str | None
    images: str | None
    uploaded: bool
    pixels: bool
    region: str | None
    out: str | None
    most: int


@click.command()
@click.argument("manifests", nargs=-1, required=True, metavar="MANIFEST...")
@click.option(
    "--test", metavar="MANIFEST", help="The test manifest, where its name does not begin with 'test'."
)
@click.option("--images", metavar="FOLDER", help="Look for the images here; by default where the lines say.")
@click.option("--uploaded", is_flag=True, help="Paths are errors: every source-ref must be s3://bucket/key.")
@click.option(
    "--pixels",
    is_flag=True,
    help="Decode every image: damaged ones, and the same pixels in training and test, are found.",
)
@click.option("--region", help="AWS region; Mumbai and London take fewer images.")
@click.option("--fix", "out", metavar="OUT", help="Write a corrected copy of the one manifest given.")
@click.option("--max", "most", default=50, show_default=True, help="Lines named for each kind of finding.")
@json_option
@grouped(CheckOptions)
def check(
    manifests: tuple[str, ...],
    as_json: bool,
    options: CheckOptions,
) -> None:
    """Check manifests by Rekognition's own rules, with its codes, lines and fixes.

    Several are checked together: names beginning with 'test' or 'tune' (or 'val') are those splits, others the
    training manifest. Exit code 1 where anything would be lost.
    """
    from tilekit.labels.checking import check_manifest

    if options.out is not None:
        _fix(manifests, options.out, options.images, options.uploaded, as_json)
        return
    with progress_bar("check", hidden=as_json) as progress:
        report = check_manifest(
            *manifests,
            test=options.test,
            images=options.images,
            uploaded=options.uploaded,
            pixels=options.pixels,
            region=options.region,
            progress=progress,
        )
    if as_json:
        print_json(report.to_json())
    else:
        rows = [
            [item.file, item.role, item.tally.total, item.tally.valid, item.tally.ignored, item.tally.invalid]
            for item in report.manifests
        ]
        print_table(["manifest", "role", "lines", "valid", "ignored", "invalid"], rows)
        if text := report.text(options.most):
            say(text)
            explain(text)
        for item in report.manifests if not report.clean else ():
            if item.tally.invalid and (lost := _lost(item.file, options.images, options.uploaded)):
                say(lost)
        if not report.ok:
            say("the training would end with an error")
        elif not report.clean:
            say("lines with errors would be left out of the training")
        _hint(report, options.images, options.uploaded)
    if not report.clean:
        raise click.exceptions.Exit(1)


def _lost(manifest: str, images: str | None, uploaded: bool) -> str:
    """What --fix would leave out, and what keeps it."""
    from tilekit.labels.fixing import would_fix

    fixed = would_fix(manifest, images=images, uploaded=uploaded)
    if not fixed.left_out:
        return ""
    words = f"{manifest}: --fix would leave out {len(fixed.left_out)} of {fixed.read} lines"
    if not fixed.pages_lost:
        return f"{words}."
    return (
        f"{words}, {fixed.pages_lost} of them for what tiles mend (too large, too many boxes, or boxes lost in the "
        f"shrink): `tilekit dataset {shlex.quote(manifest)} OUT` keeps them."
    )


def _hint(report: CheckReport, images: str | None, uploaded: bool) -> None:
    """Mend the first manifest with lines at fault; train where nothing is."""
    from tilekit.labels.fixing import would_fix

    for item in report.manifests:
        if item.tally.ignored or item.tally.invalid:
            fix = would_fix(item.file, images=images, uploaded=uploaded)
            if len(fix.left_out) == fix.read:
                return  # a corrected copy would be empty
            where = [*passed(images=images), *(["--uploaded"] if uploaded else [])]
            fixed = Path(item.file).with_suffix(".fixed.manifest")
            next_command("check", item.file, "--fix", fixed, *where, note="writes a corrected manifest")
            return
    if not report.clean:  # not of single lines, so nothing that a corrected copy would mend
        return
    roles = {item.role: item.file for item in report.manifests}
    train, test = roles.get("train", "TRAIN.manifest"), roles.get("test", "TEST.manifest")
    next_command("train", train, test, "--local", note="on AWS: --project NAME --bucket BUCKET")


def _fix(manifests: tuple[str, ...], out: str, images: str | None, uploaded: bool, as_json: bool) -> None:
    from tilekit.labels.fixing import fix_manifest

    if len(manifests) != 1:
        raise click.UsageError("--fix takes one manifest at a time")
    report = fix_manifest(manifests[0], out, images=images, uploaded=uploaded)
    if as_json:
        changes = [
            {"line": change.line, "what": change.what, "kept": change.kept} for change in report.changes
        ]
        print_json({"out": out, "read": report.read, "written": report.written, "changes": changes})
        return
    for change in report.changes:
        click.echo(str(change))
    say(f"{report.read} lines read, {report.written} written, {len(report.changes)} changes")
    next_command("check", out, *passed(images=images), *(["--uploaded"] if uploaded else []))
