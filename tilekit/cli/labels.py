"""`tilekit labels`: convert between formats, count, match pages, and start a Ground Truth labeling job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from tilekit.cli.grouping import grouped
from tilekit.cli.hints import next_command, passed, unused
from tilekit.cli.output import complain, json_option, print_json, print_table, progress_bar, say
from tilekit.cli.parameters import rendition_options

if TYPE_CHECKING:
    from tilekit.labels.label_set import LabelSet


@click.group()
def labels() -> None:
    """Page labels: convert them, look at them, have them drawn."""


_format = click.option(
    "--from", "source_format", metavar="FORMAT", help="Format of IN; found by content unless told."
)
_images = click.option("--images", metavar="FOLDER", help="Where the scans are, if not where the labels say.")
_lenient = click.option(
    "--lenient", is_flag=True, help="Leave bad entries out and list them, instead of stopping."
)


_clip = click.option(
    "--clip", is_flag=True, help="Clip boxes that pass the edge of their page, and count them."
)
_duplicates = click.option(
    "--duplicates",
    type=click.Choice(["refuse", "union", "first", "consensus"]),
    default="refuse",
    show_default=True,
    help="What becomes of a page that is named twice.",
)
_units = click.option(
    "--units",
    type=click.Choice(["px", "share"]),
    help="What the boxes are in, where the format does not say.",
)
_crowd = click.option(
    "--crowd",
    type=click.Choice(["ignore", "box"]),
    help="COCO: what iscrowd entries become (ignore regions).",
)
_no_file = click.option(
    "--no-file", type=click.Choice(["unlabeled", "empty"]), help="YOLO: what an image without a text file is."
)
_attribute = click.option(
    "--attribute",
    "attributes",
    multiple=True,
    metavar="NAME",
    help="Ground Truth: read this label attribute.",
)


def _reading(command: Callable[..., None]) -> Callable[..., None]:
    """The options that decide how labels are read."""
    for option in (_attribute, _no_file, _crowd, _units, _duplicates, _clip, _lenient, _images, _format):
        command = option(command)
    return command


def _read(
    source: str, how: dict[str, Any], ignore_names: tuple[str, ...] = (), shapes: bool = False
) -> LabelSet:
    from tilekit.labels.reading import read_labels

    more = {name: how[name] for name in ("crowd", "no_file") if how[name] is not None}
    if how["attributes"]:
        more["attributes"] = how["attributes"]
    if how["clip"]:
        more["clip"] = True
    return read_labels(
        source,
        how["source_format"],
        strict=not how["lenient"],
        images=how["images"],
        ignore_names=ignore_names,
        duplicates=how["duplicates"],
        units=how["units"],
        shapes=shapes,
        **more,
    )


def _tell(found: LabelSet) -> None:
    """Notes, problems, and the sum of all entries."""
    for note in found.notes:
        say(note)
    for problem in found.problems:
        complain(str(problem))
    if found.tally is not None:
        say(str(found.tally))


@labels.command()
@click.argument("source", metavar="IN")
@click.argument("out", metavar="OUT")
@click.option("--to", "target", required=True, metavar="FORMAT", help="Format of OUT.")
@_reading
@click.option(
    "--ignore-name", "ignore_names", multiple=True, help="Boxes of this label become ignore regions."
)
@click.option("--scans", metavar="ROOT", help="Look every page up as a scan (below ROOT) and take its size.")
@click.option(
    "--scale-to-scan", is_flag=True, help="With --scans: fit boxes to a scan of another size, same shape."
)
@click.option(
    "--map", "on_map", is_flag=True, help="With --to geojson: in map coordinates, of georeferenced TIFFs."
)
@click.option("--drop-scores", is_flag=True, help="Leave out the scores of a detector.")
@json_option
def convert(
    source: str,
    out: str,
    target: str,
    ignore_names: tuple[str, ...],
    scans: str | None,
    scale_to_scan: bool,
    drop_scores: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Convert labels between formats; what OUT cannot hold is said, and every entry of IN is accounted for."""
    from tilekit.labels.holding import losses
    from tilekit.labels.maps import write_map_geojson
    from tilekit.labels.reading import FORMATS, WRITABLE, write_labels
    from tilekit.labels.scans import resolve_scans

    for given, known in ((target, WRITABLE), (how["source_format"], FORMATS)):
        if given is not None and given not in known:
            raise click.BadParameter(f"{given!r}: use one of {', '.join(known)}")
    on_map = how.pop("on_map")
    if on_map and target != "geojson":
        raise click.BadParameter(f"--map is for --to geojson, not {target}")
    found = _read(source, how, ignore_names, shapes=True)
    if scans is not None:
        with progress_bar("scans", hidden=as_json) as progress:
            found = resolve_scans(
                found, scans, scale_to_scan=scale_to_scan, strict=not how["lenient"], progress=progress
            )
    if drop_scores:
        found = found.replace(scores={})
    if on_map:
        lost: tuple[str, ...] = losses(found, target)
        note = write_map_geojson(found, out) or "coordinates are longitude and latitude"
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
    _tell(found)
    for part in lost:
        complain(f"lost: {part}")
    say(f"{len(found)} pages, {found.boxes} boxes, {len(found.names)} labels: {found.format} to {target}")
    if not on_map:
        next_command("labels", "stats", out)


@labels.command()
@click.argument("source", metavar="LABELS")
@_reading
@click.option("--plot", metavar="FILE", help="Also draw sizes and boxes per page (PNG, SVG or PDF).")
@json_option
def stats(source: str, plot: str | None, as_json: bool, **how: Any) -> None:
    """Count pages, boxes and box sizes of each label; every entry of the file is accounted for."""
    from tilekit.labels.stats import label_stats, plot_stats

    found = _read(source, how)
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
    _tell(found)
    parts = [f"{numbers.empty} without boxes", f"{numbers.unlabeled} unlabeled"]
    parts += [f"{numbers.refused} whose labels were refused"] if numbers.refused else []
    parts += [f"{len(found.image_labels)} with a label of the whole page"] if found.image_labels else []
    say(
        f"{numbers.pages} pages ({', '.join(parts)}), "
        f"{numbers.boxes} boxes; boxes a page: {_range(numbers.per_page)}; over 50: {numbers.crowded} pages"
    )
    if drawn := ", ".join(f"{count} {kind}" for kind, count in sorted(numbers.shapes.items())):
        say(f"boxes around shapes: {drawn}")
    next_command("plan", source, *passed(images=how["images"]))


@labels.command()
@click.argument("source", metavar="LABELS")
@click.argument("document", metavar="PDF")
@click.option("--out", required=True, metavar="FILE", help="Where the labels on the document's pages go.")
@click.option(
    "--to", "target", default="ground-truth", show_default=True, metavar="FORMAT", help="Format of FILE."
)
@click.option("--dpi", type=float, help="Resolution the pages will be tiled at (default: 150).")
@_reading
@json_option
def match(
    source: str, document: str, out: str, target: str, dpi: float | None, as_json: bool, **how: Any
) -> None:
    """Take labels drawn on pictures of pages (plan-1.png, plan_page_2.jpg) over to the pages of plan.pdf itself.

    Pages are found by the number in the pictures' names, boxes scaled by the sizes of both.
    """
    from tilekit.labels.matching import match_pages
    from tilekit.labels.reading import write_labels

    found = match_pages(_read(source, how, shapes=True), document, dpi=dpi, strict=not how["lenient"])
    lost = write_labels(found, out, target)
    if as_json:
        print_json({"out": out, "pages": len(found), "boxes": found.boxes, "lost": list(lost)})
        return
    _tell(found)
    for part in lost:
        complain(f"lost: {part}")
    say(f"{len(found)} pages of {document}, {found.boxes} boxes: {out}")
    next_command("plan", out)


def _range(quantiles: tuple[float, ...]) -> str:
    return f"{quantiles[3]:.4g} ({quantiles[1]:.4g} to {quantiles[5]:.4g})" if quantiles else "-"


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
@json_option
@grouped(JobOptions)
def job(
    sources: tuple[str, ...],
    as_json: bool,
    options: JobOptions,
) -> None:
    """Write the files of a SageMaker Ground Truth box job over pages or tiles, and the request to start it."""
    from tilekit.labels.jobs import labeling_job
    from tilekit.labels.reading import read_labels
    from tilekit.rendition import Rendering

    with progress_bar("pages", hidden=as_json) as progress:
        made = labeling_job(
            sources,
            options.out,
            name=options.name,
            labels=options.names,
            s3=options.s3,
            role=options.role,
            workteam=options.workteam,
            region=options.region,
            rendering=Rendering(options.bands, options.levels, options.dpi),
            instructions=options.instructions,
            adjust=None if options.adjust is None else read_labels(options.adjust),
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
@json_option
def merge(base: str, reviewed: tuple[str, ...], out: str, target: str, as_json: bool) -> None:
    """Take reviewed pages (a Ground Truth job's output manifest) back into LABELS, to train again.

    A reviewed page replaces the page it is of, boxes the reviewer removed are gone; new pages are added.
    """
    from tilekit.labels.merging import merge_labels
    from tilekit.labels.reading import read_labels, write_labels

    merged = merge_labels(read_labels(base), *(read_labels(path) for path in reviewed))
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
