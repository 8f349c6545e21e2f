"""`tilekit dataset`: labeled scans to tiles and manifests, ready to train on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tilekit.cli.hints import next_command
from tilekit.cli.output import complain, explain, json_option, print_json, print_table, progress_bar, say
from tilekit.cli.parameters import (
    Overlap,
    Quality,
    align_option,
    chosen_scales,
    rendition_options,
    say_scales,
    scale_options,
    untrusted_option,
)
from tilekit.cli.reading import Reading, reading_options

if TYPE_CHECKING:
    from tilekit.datasets.options import DatasetOptions
    from tilekit.grid import Tiling
    from tilekit.labels.label_set import LabelSet
    from tilekit.scales import Scales


def _shares(text: str) -> tuple[float, ...] | None:
    """`0.7,0.15,0.15` as numbers, or None where it is a file's name."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        return None


@click.command()
@click.argument("labels", metavar="LABELS")
@click.argument("out", metavar="OUT")
@click.option("--tile", type=int, help="Side of a tile, px; by default what `tilekit plan` recommends.")
@click.option("--overlap", type=Overlap(), help="Overlap of tiles, px (128) or a ratio of the tile (0.125).")
@click.option("--scale", type=float, default=1.0, show_default=True, help="Reduce the scans first.")
@align_option
@scale_options
@click.option(
    "--elsewhere",
    type=click.Choice(["leave", "mask"]),
    default="leave",
    show_default=True,
    help="Small objects that do not belong to a coarse scale: leave unlabeled, or paint over.",
)
@click.option("--min-visible", type=float, default=0.5, show_default=True, help="Share of a box that counts.")
@click.option(
    "--split",
    metavar="SHARES|FILE",
    help="Train, tune, test; by default the sides that LABELS names, else 0.7,0.15,0.15.",
)
@click.option(
    "--split-by",
    type=click.Choice(["document", "page", "region"]),
    default="document",
    show_default=True,
    help="Keep all pages of a document on one side; split page by page; or split parts of pages, a tile apart.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the split.")
@click.option("--baseline", is_flag=True, help="Also a dataset of whole pages from the same split.")
@click.option(
    "--keep-empty", type=int, default=0, show_default=True, help="Tiles without objects to keep, per page."
)
@click.option(
    "--slivers",
    type=click.Choice(["mask", "leave", "keep"]),
    default="mask",
    show_default=True,
    help="What a tile shows of an object below --min-visible: paint over, leave the tile out, or keep it.",
)
@click.option(
    "--ignored",
    type=click.Choice(["leave", "mask", "keep"]),
    default="leave",
    show_default=True,
    help="Tiles that touch an ignore region: leave out, paint over, or keep.",
)
@click.option(
    "--decoys",
    metavar="DETECTIONS",
    help="Teach false alarms on training pages as decoys: a label of their own, dropped after merging.",
)
@click.option("--decoy-name", default="decoy", show_default=True, help="Label of the decoys.")
@click.option("--decoy-score", type=float, default=0.3, show_default=True, help="Lowest score of a decoy.")
@click.option("--bucket", metavar="S3", help="s3://bucket/prefix for the images; the rest goes to OUT.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jpeg", "png"]),
    default="jpeg",
    show_default=True,
    help="Of the tiles.",
)
@click.option(
    "--quality",
    type=Quality(),
    default="keep",
    show_default=True,
    help="Of JPEG tiles; keep: as a JPEG scan has it, cut from its bits where nothing is painted; others have 90.",
)
@click.option("--export", type=click.Choice(["coco", "yolo"]), multiple=True, help="Also for other trainers.")
@reading_options
@rendition_options
@untrusted_option
@click.option("--dpi", type=float, help="Render PDF pages at this; by default the labeled size says.")
@click.option("--workers", type=int, help="Threads; by default one a core.")
@click.option("--skip-bad", is_flag=True, help="Set scans aside that cannot be read.")
@click.option("--overwrite", is_flag=True, help="Replace a dataset made with other settings.")
@json_option
def dataset(labels: str, out: str, as_json: bool, reading: Reading, **options: Any) -> None:
    """Cut the scans of LABELS into tiles at OUT (a folder or s3://bucket/prefix), split by page."""
    from tilekit.datasets.building import tile_dataset
    from tilekit.scales import as_aligned, as_shown

    truth = reading.read_aloud(labels)
    tiling = as_shown(as_aligned(_cut(truth, options), options["align"]), options["bands"], options["levels"])
    with progress_bar("tiles", hidden=as_json) as progress:
        summary = tile_dataset(
            truth,
            out,
            tiling,
            split=_shares(options["split"] or "") or options["split"],
            options=_options(options),
            progress=progress,
        )
    if as_json:
        print_json({"out": out, **summary.to_json()})
        return
    print_table(*summary.table(), title=f"{summary.tiles} tiles in {out}")
    if len(summary.scale_table()[1]):
        print_table(*summary.scale_table(), title="Objects that belong to each scale")
    say_scales(summary.tiling)
    for note in summary.notes:
        say(f"note: {note}")
    for key, reason in summary.failed.items():
        complain(f"left out: {key}: {reason}")
    explain(*summary.notes, *summary.failed.values())
    if summary.baseline is not None:
        say(_baseline_words(summary.baseline))
    place = out.rstrip("/")
    say(f"look at {place}/contact-train.jpg")
    next_command("check", f"{place}/train.manifest", f"{place}/test.manifest")


def _options(given: dict[str, Any]) -> DatasetOptions:
    from tilekit.datasets import CarryingRules, DatasetOptions, Decoys, Encoding

    rules = ("min_visible", "slivers", "ignored", "keep_empty", "elsewhere")
    same = ("split_by", "seed", "baseline", "export", "bucket", "dpi", "untrusted", "overwrite", "workers")
    decoys = given["decoys"]
    return DatasetOptions(
        rules=CarryingRules(**{name: given[name] for name in rules}),
        encoding=Encoding(given["form"], given["quality"]),
        decoys=Decoys(decoys, given["decoy_name"], given["decoy_score"]) if decoys else None,
        strict=not given["skip_bad"],
        **{name: given[name] for name in same},
    )


def _cut(truth: LabelSet, options: dict[str, Any]) -> Tiling | Scales:
    """The tiling or scales that were asked for, else what the plan recommends."""
    from tilekit.datasets.planning import recommend_tiling
    from tilekit.grid import Tiling

    others = {
        "--tile": options["tile"],
        "--overlap": options["overlap"],
        "--scale": None if options["scale"] == 1 else options["scale"],
    }

    def auto() -> Scales:
        planned = recommend_tiling(truth)
        say(str(planned))
        return planned.scales

    scales = chosen_scales(options["scales"], options["at"], others, auto)
    if scales is not None:
        return scales[0] if len(scales) == 1 else scales
    tile, overlap = options["tile"], options["overlap"]
    if tile is None and overlap is None and options["scale"] == 1:
        planned = auto()
        return planned[0] if len(planned) == 1 else planned
    if tile is None:
        tile = recommend_tiling(truth).chosen.tile or 1024
    return Tiling(tile, overlap or 0, scale=options["scale"])


def _baseline_words(baseline: Any) -> str:
    if not baseline.possible:
        return f"no baseline possible: {baseline.reason}"
    images = ", ".join(f"{side} {count}" for side, count in baseline.images.items())
    words = f"baseline of whole pages: {images}"
    if baseline.shrunk:
        words += f"; {len(baseline.shrunk)} pages over 4096 px are shrunk"
    if baseline.crowded:
        words += f"; {len(baseline.crowded)} pages with more than 50 boxes are written several times, each with other boxes painted over"
    if baseline.refused:
        words += f"; {len(baseline.refused)} pages of sides that the service refuses are left out"
    if baseline.lost:
        words += f"; {baseline.lost} boxes vanish in the service's shrink"
    return words
