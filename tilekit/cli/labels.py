"""`tilekit labels`: convert between formats, count, match pages, and start a Ground Truth labeling job."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from tilekit.cli.grouping import grouped
from tilekit.cli.hints import next_command, unused
from tilekit.cli.output import complain, json_option, print_json, print_table, progress_bar, say
from tilekit.cli.parameters import rendition_options
from tilekit.cli.reading import Reading, reading_options, tell
from tilekit.labels.tally import counted

if TYPE_CHECKING:
    from tilekit.labels.label_set import LabelSet
    from tilekit.labels.stats import LabelStats


@click.group()
def labels() -> None:
    """Page labels: convert them, look at them, have them drawn."""


@dataclass(frozen=True)
class ConvertOptions:
    """Options of `tilekit labels convert`."""

    ignore_names: tuple[str, ...]
    scans: str | None
    scale_to_scan: bool
    on_map: bool
    drop_scores: bool


@labels.command()
@click.argument("source", metavar="IN")
@click.argument("out", metavar="OUT")
@click.option("--to", "target", required=True, metavar="FORMAT", help="Format of OUT.")
@reading_options
@click.option(
    "--ignore-name", "ignore_names", multiple=True, help="Boxes of this label become ignore regions."
)
@click.option("--scans", metavar="ROOT", help="Look every page up as a scan (below ROOT) and take its size.")
@click.option(
    "--scale-to-scan", is_flag=True, help="With --scans: fit boxes to a scan of another size, same shape."
)
@click.option(
    "--map",
    "on_map",
    is_flag=True,
    help="With --to geojson: in map coordinates, of georeferenced TIFFs; a GeoPackage where OUT ends in .gpkg.",
)
@click.option("--drop-scores", is_flag=True, help="Leave out the scores of a detector.")
@json_option
@grouped(ConvertOptions)
def convert(
    source: str,
    out: str,
    target: str,
    as_json: bool,
    reading: Reading,
    options: ConvertOptions,
) -> None:
    """Convert labels between formats; what OUT cannot hold is said, and every entry of IN is accounted for."""
    from tilekit.labels.holding import losses
    from tilekit.labels.maps import write_map
    from tilekit.labels.reading import WRITABLE, write_labels
    from tilekit.labels.scans import resolve_scans

    if target not in WRITABLE:
        raise click.BadParameter(f"{target!r}: use one of {', '.join(WRITABLE)}")
    if options.on_map and target != "geojson":
        raise click.BadParameter(f"--map is for --to geojson, not {target}")
    found = reading.read(source, options.ignore_names, shapes=True)
    if options.scans is not None:
        with progress_bar("scans", hidden=as_json) as progress:
            found = resolve_scans(
                found,
                options.scans,
                scale_to_scan=options.scale_to_scan,
                strict=not reading.lenient,
                progress=progress,
            )
    if options.drop_scores:
        found = found.replace(scores={})
    if options.on_map:
        lost: tuple[str, ...] = losses(found, target)
        note = write_map(found, out)
        found = found.replace(reading=replace(found.reading, notes=(*found.notes, note)))
    else:
        lost = write_labels(found, out, target)
    if as_json:
        told = {name: list(map(str, getattr(found, name))) for name in ("problems", "notes")}
        tally = None if found.tally is None else found.tally.to_json()
        print_json(
            {
                "out": out,
                "pages": len(found),
                "boxes": found.boxes,
                **told,
                "lost": list(lost),
                "tally": tally,
            }
        )
        return
    tell(found)
    for part in lost:
        complain(f"lost: {part}")
    say(f"{_held(found)}, {counted(len(found.names), 'label', 'labels')}: {found.format} to {target}")
    if not options.on_map:
        next_command("labels", "stats", out)


@labels.command()
@click.argument("source", metavar="LABELS")
@reading_options
@click.option("--plot", metavar="FILE", help="Also draw sizes and boxes per page (PNG, SVG or PDF).")
@json_option
def stats(source: str, plot: str | None, as_json: bool, reading: Reading) -> None:
    """Count pages, boxes and box sizes of each label; every entry of the file is accounted for."""
    from tilekit.labels.stats import label_stats, plot_stats

    found = reading.read(source)
    numbers = label_stats(found)
    if plot is not None:
        plot_stats(found, plot)
    if as_json:
        print_json(numbers.to_json())
        return
    rows = [
        [
            row.label,
            row.pages,
            row.boxes,
            row.ignored,
            *(_range(sides) for sides in (row.width, row.height, row.longest)),
        ]
        for row in numbers.rows
    ]
    columns = ["label", "pages", "boxes", "ignored", "width px", "height px", "longest px"]
    print_table(columns, rows, title="px: median (5 % to 95 %)")
    tell(found)
    say(_pages_said(numbers, len(found.image_labels)))
    if drawn := ", ".join(f"{count} {kind}" for kind, count in sorted(numbers.shapes.items())):
        say(f"boxes around shapes: {drawn}")
    if numbers.boxes:
        next_command("plan", source, *reading.words)


@labels.command()
@click.argument("source", metavar="LABELS")
@click.argument("document", metavar="PDF")
@click.option("--out", required=True, metavar="FILE", help="Where the labels on the document's pages go.")
@click.option(
    "--to", "target", default="ground-truth", show_default=True, metavar="FORMAT", help="Format of FILE."
)
@click.option("--dpi", type=float, help="Resolution the pages will be tiled at (default: 150).")
@reading_options
@json_option
def match(
    source: str, document: str, out: str, target: str, dpi: float | None, as_json: bool, reading: Reading
) -> None:
    """Take labels drawn on pictures of pages (plan-1.png, plan_page_2.jpg) over to the pages of plan.pdf itself.

    Pages are found by the number in the pictures' names, boxes scaled by the sizes of both.
    """
    from tilekit.labels.matching import match_pages
    from tilekit.labels.reading import write_labels

    found = match_pages(reading.read(source, shapes=True), document, dpi=dpi, strict=not reading.lenient)
    lost = write_labels(found, out, target)
    if as_json:
        print_json({"out": out, "pages": len(found), "boxes": found.boxes, "lost": list(lost)})
        return
    tell(found)
    for part in lost:
        complain(f"lost: {part}")
    say(f"{_held(found)} of {document}: {out}")
    next_command("plan", out)


def _held(found: LabelSet) -> str:
    return f"{counted(len(found), 'page', 'pages')}, {counted(found.boxes, 'box', 'boxes')}"


def _pages_said(numbers: LabelStats, marked: int) -> str:
    """How many pages there are, what they hold, and what of the file is no page; `marked` have a label of the whole."""
    parts = {
        "without boxes": numbers.empty,
        "with a label of the whole page": marked,
        "unlabeled beside them": numbers.unlabeled,
        "whose labels were refused": numbers.refused,
    }
    said = ", ".join(f"{count:,} {words}" for words, count in parts.items() if count)
    pages = counted(numbers.pages, "page", "pages") + (f" ({said})" if said else "")
    if not numbers.boxes:
        return f"{pages}, no boxes"
    crowded = counted(numbers.crowded, "page", "pages")
    boxes = counted(numbers.boxes, "box", "boxes")
    return f"{pages}, {boxes}; boxes a page: {_range(numbers.per_page)}; over 50: {crowded}"


def _range(quantiles: tuple[float, ...]) -> str:
    if not quantiles:
        return "-"
    middle, least, most = (f"{quantiles[place]:.4g}" for place in (3, 1, 5))
    return middle if least == most else f"{middle} ({least} to {most})"


@dataclass(frozen=True)
class JobOptions:
    """Options of `tilekit labels job`."""

    out: str
    name: str
    names: tuple[str, ...]
    s3: str
    role: str
    workteam: str
    region: str
    dpi: float
    bands: Any
    levels: Any
    instructions: str
    adjust: str | None


@labels.command()
@click.argument("sources", nargs=-1, required=True, metavar="SCAN...")
@click.option("--out", required=True, metavar="FOLDER", help="Folder for the job's files.")
@click.option("--name", required=True, help="The job's name, which is also its label attribute.")
@click.option("--label", "names", multiple=True, required=True, help="A label to draw; repeat for more.")
@click.option("--s3", required=True, metavar="S3://BUCKET/PREFIX", help="Where the files will be.")
@click.option("--role", required=True, metavar="ARN", help="Role SageMaker works under.")
@click.option("--workteam", required=True, metavar="ARN", help="Who draws.")
@click.option("--region", required=True, help="AWS region of the job.")
@click.option("--dpi", default=150.0, show_default=True, help="Resolution PDF pages are rendered at.")
@rendition_options
@click.option(
    "--instructions",
    default="Draw a tight box around every symbol.",
    show_default=True,
    help="What the people who draw are told.",
)
@click.option("--adjust", metavar="LABELS", help="Labels of these scans for people to adjust, not draw anew.")
@reading_options
@json_option
@grouped(JobOptions)
def job(
    sources: tuple[str, ...],
    as_json: bool,
    options: JobOptions,
    reading: Reading,
) -> None:
    """Write the files of a SageMaker Ground Truth box job over pages or tiles, and the request to start it."""
    from tilekit.labels.jobs import JobAccount, LabelingOptions, labeling_job
    from tilekit.rendition import Rendering

    reading.require(options.adjust is not None, "give them as --adjust LABELS")
    adjust = None if options.adjust is None else reading.read_aloud(options.adjust)
    with progress_bar("pages", hidden=as_json) as progress:
        made = labeling_job(
            sources,
            options.out,
            name=options.name,
            labels=options.names,
            account=JobAccount(options.s3, options.role, options.workteam, options.region),
            adjust=adjust,
            options=LabelingOptions(
                rendering=Rendering(options.bands, options.levels, options.dpi),
                instructions=options.instructions,
            ),
            progress=progress,
        )
    if as_json:
        uploads = {str(file): uri for file, uri in made.uploads.items()}
        print_json({"images": made.images, "uploads": uploads, "request": made.request})
        return
    say(f"{made.images} images; files in {made.folder}")
    for command in made.commands()[-4:]:
        click.echo(command)
    say("the commands above upload the files and send the request")


@labels.command()
@click.argument("base", metavar="LABELS")
@click.argument("reviewed", nargs=-1, required=True, metavar="REVIEWED...")
@click.option("--out", required=True, metavar="FILE", help="Where the merged labels go.")
@click.option(
    "--to", "target", default="ground-truth", show_default=True, metavar="FORMAT", help="Format of FILE."
)
@reading_options
@json_option
def merge(
    base: str, reviewed: tuple[str, ...], out: str, target: str, as_json: bool, reading: Reading
) -> None:
    """Take reviewed pages (a Ground Truth job's output manifest) back into LABELS, to train again.

    A reviewed page replaces the page it is of, boxes the reviewer removed are gone; new pages are added.
    --from, --units, --crowd, --no-file and --attribute tell of LABELS; what REVIEWED are is found by content.
    """
    from tilekit.labels.merging import merge_labels
    from tilekit.labels.reading import write_labels

    again = reading.of_review()
    merged = merge_labels(reading.read_aloud(base), *(again.read_aloud(path) for path in reviewed))
    write_labels(merged.labels, out, target)
    value = {
        "out": out,
        "pages": len(merged.labels),
        "boxes": merged.labels.boxes,
        "replaced": len(merged.replaced),
        "added": len(merged.added),
        "waiting": len(merged.waiting),
    }
    if as_json:
        print_json(value)
        return
    print_table(list(value), [list(value.values())])
    next_command("dataset", out, unused("dataset/"))
