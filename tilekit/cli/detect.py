"""`tilekit detect`: a model over scans, boxes on pages, in one resumable file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from tilekit.cli.cloud import cloud_options, deadline_of, deadline_options
from tilekit.cli.dry_run import show_plan
from tilekit.cli.grouping import grouped
from tilekit.cli.hints import next_again, next_command
from tilekit.cli.output import complain, json_option, print_json, print_table, progress_bar, say
from tilekit.cli.parameters import (
    Overlap,
    align_option,
    chosen_scales,
    model_options,
    model_ref,
    rendition_options,
    scale_options,
    units_option,
    untrusted_option,
)
from tilekit.cli.reading import Reading, reading_options
from tilekit.errors import InvalidArgument

if TYPE_CHECKING:
    from tilekit.boxes.merging import MergePolicy
    from tilekit.detectors.naming import ModelRef
    from tilekit.grid import Tiling
    from tilekit.labels.predictions import PageDetections
    from tilekit.pages import PageKey
    from tilekit.scales import AnyTiling, Scales
    from tilekit.scans.scan import Scan

EXPORTS = {
    "coco": ("coco", ".coco.json"),
    "groundtruth": ("ground-truth", ".manifest"),
    "csv": ("csv", ".csv"),
    "geojson": ("geojson", ".geojson"),
    "pdf-points": ("pdf-points", ".points.json"),
    "yolo": ("yolo", "-yolo"),
    "labelstudio": ("label-studio", ".studio.json"),
    "cvat": ("cvat", ".cvat.xml"),
    "createml": ("createml", ".createml.json"),
    "annotorious": ("annotorious", ".w3c.json"),
    "datumaro": ("datumaro", ".datumaro.json"),
    "labelme": ("labelme", "-labelme"),
    "map": ("map", ".map.geojson"),
    "geopackage": ("map", ".gpkg"),
}
_PICTURE_SIDE = 4000


@dataclass(frozen=True)
class DetectOptions:
    """Options of `tilekit detect`."""

    model: str
    out: str
    tile: int | None
    overlap: float | None
    align: int
    scales: str | None
    at: tuple[Tiling, ...]
    whole: bool
    whole_side: int
    dpi: float | None
    bands: Any
    levels: Any
    untrusted: bool
    thresholds: str | None
    decoy: tuple[str, ...]
    merge: str | None
    keep_tiles: str | None
    workers: int | None
    inference_units: int
    duration_text: str | None
    guard_role: str | None
    guard: bool
    formats: tuple[str, ...]
    pictures: str | None
    force: bool
    fresh: bool
    dry_run: bool
    region: str | None
    profile: str | None
    endpoint_url: str | None


@click.command()
@click.argument("scans", nargs=-1, required=True, metavar="SCANS...")
@click.option(
    "--model",
    required=True,
    metavar="M",
    help="A Custom Labels model (ARN, project or project/version), 'text', 'labels', an ONNX file, a .pt file of Ultralytics, 'hf:NAME' of Hugging Face, or 'module:callable'.",
)
@click.option(
    "--out", default="detections.jsonl", show_default=True, metavar="FILE", help="One JSON line a page."
)
@click.option("--tile", type=int, help="Tile side in px (default: what the model was trained on, or 1024).")
@click.option(
    "--overlap",
    type=Overlap(),
    help="px (128) or a ratio of the tile (0.125); default: the model's, or an eighth of the tile.",
)
@align_option
@scale_options
@click.option("--whole", is_flag=True, help="The baseline: each page as one image, no tiles.")
@click.option(
    "--whole-side", type=int, default=4096, show_default=True, help="Pages sent whole are shrunk to this."
)
@click.option("--dpi", type=float, help="What PDF pages are rendered at.")
@rendition_options
@untrusted_option
@click.option(
    "--thresholds", metavar="FILE", help="Least score per label: JSON label -> 0..1, or an evaluation."
)
@click.option(
    "--decoy", multiple=True, metavar="LABEL", help="A label to drop after merging; may be repeated."
)
@click.option(
    "--merge", metavar="FILE", help="How tiles are merged: a policy, as `tilekit tune-merge` writes it."
)
@click.option(
    "--keep-tiles", metavar="FILE", help="Also write what was found in each tile, for `tilekit tune-merge`."
)
@click.option("--workers", type=int, help="Concurrent calls, at most what the detector allows.")
@units_option("Inference units, where the model is started.", "inference_units")
@deadline_options
@model_options
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(list(EXPORTS)),
    help="Also write this, beside --out; map, geopackage: GeoJSON or GeoPackage in map coordinates, of georeferenced TIFFs.",
)
@click.option("--draw", "pictures", metavar="DIR", help="Also draw each page with its boxes.")
@click.option("--force", is_flag=True, help="Use tiles of another size than the model was trained on.")
@click.option("--fresh", is_flag=True, help="Start over; by default pages already in --out are left alone.")
@click.option("--dry-run", is_flag=True, help="Show calls, bytes and estimated cost; start and call nothing.")
@reading_options
@cloud_options
@json_option
@grouped(DetectOptions)
def detect(
    scans: tuple[str, ...],
    as_json: bool,
    options: DetectOptions,
    reading: Reading,
    **asking: Any,
) -> None:
    """Find objects on scans: files, folders, globs, PDFs, manifests, s3:// prefixes. Run again to go on.

    Of a manifest, or of any labels where --from names their format, the pages are detected on that it names.
    """
    # Long because a command reads from top to bottom: check, do, show.
    from tilekit.detection.batch import anything_left, detect_scans, done_pages
    from tilekit.detection.options import ScansOptions
    from tilekit.labels.thresholds import read_thresholds

    ref = model_ref(options.model, asking)
    limits = read_thresholds(options.thresholds) if options.thresholds else None
    sources = list(dict.fromkeys(_sources(scans, reading)))
    if {"map", "geopackage"} & set(options.formats):
        _require_places(sources)
    policy, kept = _policy(options.merge), list[Any]()
    rows: list[list[Any]] = []
    chosen = Cut(
        options.tile,
        options.overlap,
        options.whole_side if options.whole else None,
        options.scales,
        options.at,
        options.bands,
        options.levels,
        options.align,
    )

    def seen(page: PageDetections, scan: Scan) -> None:
        rows.append([str(page.key), len(page), "yes" if page.complete else "NO", _counts(page)])
        if options.pictures:
            _draw(page, scan, Path(options.pictures))
        for keeper in kept:
            keeper.write(page, scan)

    how = ScansOptions(
        policy=policy,
        workers=options.workers,
        dpi=options.dpi,
        untrusted=options.untrusted,
        on_page=seen,
        decoy=options.decoy,
        force=options.force,
    )

    def needed(tiling: AnyTiling, title: str) -> bool:
        if options.fresh:
            return not options.dry_run and anything_left(sources, (), options.untrusted)
        done = done_pages(options.out, tiling, model=title, options=how.shaping(limits))
        return not options.dry_run and anything_left(sources, done, options.untrusted)

    cloud = (options.region, options.profile, options.endpoint_url)
    until = deadline_of(options.duration_text, options.guard, options.guard_role, ref)
    if options.dry_run:
        with named_detector(ref, cloud, options.inference_units, chosen, options.force, needed) as (
            _,
            tiling,
            title,
        ):
            show_plan(
                sources, tiling, options.dpi, options.inference_units, title, options.untrusted, as_json
            )
        return
    with (
        named_detector(ref, cloud, options.inference_units, chosen, options.force, needed, until) as (
            detector,
            tiling,
            title,
        ),
        progress_bar("detect", hidden=as_json) as progress,
        _keeping(detector, options.keep_tiles, options.fresh, kept) as asked,
    ):
        result = detect_scans(
            sources,
            asked,
            tiling,
            options.out,
            thresholds=limits,
            fresh=options.fresh,
            options=replace(how, model=title),
            progress=progress,
        )
    written = _export(options.out, options.formats) if os.path.exists(options.out) else []
    if as_json:
        print_json(
            {
                "out": options.out,
                "model": title,
                "pages": result.done,
                "skipped": result.skipped,
                "incomplete": [str(key) for key in result.incomplete],
                "failed": [{"page": page, "reason": reason} for page, reason in result.failed],
                "counts": result.counts,
                "exports": written,
            }
        )
    else:
        if rows:
            print_table(["page", "found", "complete", "labels"], rows)
        say(f"{result.done} pages detected, {result.skipped} done before; {options.out}")
        for page, reason in result.failed:
            complain(f"failed: {page}: {reason}")
        for key in result.incomplete:
            complain(f"incomplete: {key}: tiles failed; run the same command again to mend it")
        if limits is None and result.done:
            say("every score is kept, for `tilekit evaluate`; --thresholds FILE leaves the likely boxes")
        _hint(options, scans, reading, again=bool(result.failed or result.incomplete))
    if result.failed or result.incomplete:
        raise click.exceptions.Exit(1)


@dataclass(frozen=True)
class Cut:
    """How a person asked for pages to be cut: a tile and overlap, scales, or (`whole_side`) not at all."""

    tile: int | None = None
    overlap: float | None = None
    whole_side: int | None = None
    scales: str | None = None
    at: tuple[Tiling, ...] = ()
    bands: Any = None
    levels: Any = None
    align: int = 1

    def with_model(self, trained: Tiling | Scales | None) -> Tiling | Scales:
        """What was asked for, else what the model was trained on, with the align, bands and levels asked for, and what
        the model was taught on each scale."""
        from tilekit.scales import Scales, as_aligned, as_shown

        found = as_shown(as_aligned(self._sizes(trained), self.align), self.bands, self.levels)
        return found.knowing(trained) if isinstance(found, Scales) else found

    def _sizes(self, trained: Tiling | Scales | None) -> Tiling | Scales:
        """What was asked for, else what the model was trained on, else 1024 px with an eighth shared."""
        from tilekit.grid import Tiling
        from tilekit.scales import Scales, as_scales

        others = {"--tile": self.tile, "--overlap": self.overlap, "--whole": self.whole_side}
        asked = chosen_scales(
            self.scales, self.at, others, lambda: None if trained is None else as_scales(trained)
        )
        if asked is not None:
            return asked[0] if len(asked) == 1 else asked
        if self.scales == "auto":
            raise InvalidArgument(
                "--scales auto: the model does not say what it was trained on; give --at or --scales FILE"
            )
        if self.whole_side is not None:
            return Tiling.whole(self.whole_side)
        if self.tile is None and self.overlap is None:
            return trained if trained is not None else Tiling(1024, 128)
        if isinstance(trained, Scales) and self.tile is None:
            raise InvalidArgument(
                "--overlap is for one tiling, the model has scales; give --at for each of them"
            )
        if self.tile is None and isinstance(trained, Tiling) and trained.division is None:
            return replace(trained, overlap=self.overlap or 0)
        side = self.tile if self.tile is not None else 1024
        return Tiling(side, self.overlap if self.overlap is not None else side // 8)


def _policy(file: str | None) -> MergePolicy | None:
    from tilekit.labels.merge_policies import read_merge_policy

    return read_merge_policy(file) if file else None


@contextlib.contextmanager
def _keeping(detector: Any, path: str | None, fresh: bool, kept: list[Any]) -> Iterator[Any]:
    """The detector, or one that keeps what it said of tiles in `path`, which `kept` then has."""
    if path is None:
        yield detector
        return
    from tilekit.detection.keeping import KeepingDetector
    from tilekit.detectors.callables import as_detector

    with KeepingDetector(as_detector(detector), path, fresh=fresh) as keeper:
        kept.append(keeper)
        yield keeper


@contextlib.contextmanager
def named_detector(
    ref: ModelRef,
    cloud: tuple[str | None, str | None, str | None],
    units: int,
    cut: Cut,
    force: bool,
    needed: Callable[[AnyTiling, str], bool] = lambda tiling, title: True,
    until: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[tuple[Any, AnyTiling, str]]:
    """The detector of a reference, the tiling or scales to use with it, and its title.

    A cloud model is started only where `needed(tiling, title)`.
    """
    from tilekit.aws.naming import asked, detector_of, model_of
    from tilekit.detectors.naming import trained_on
    from tilekit.storage.s3 import Access

    access = Access(*cloud)
    if ref.kind != "model":
        detector = detector_of(ref, access)
        tiling = cut.with_model(trained_on(detector))
        if ref.kind == "ready-made" and needed(tiling, ref.name):
            access.client("rekognition")  # a missing region is one sentence here, and one a tile later
        yield detector, tiling, ref.name
        return
    from tilekit.cli.cloud import warn_unkept

    found = model_of(ref, access, note=say)
    tiling = cut.with_model(found.tiling)
    checked = None if cut.whole_side is not None else tiling
    found.check_tiling(checked, force=force)
    if not needed(tiling, found.arn):  # nothing is started, so nothing is billed
        yield found.detector(), tiling, found.arn
        return
    warn_unkept(found)
    with found.running(units, tiling=checked, force=force, **asked(ref), **until) as running:
        yield running, tiling, found.arn


def _sources(scans: Sequence[str], reading: Reading) -> Iterator[str | PageKey]:
    """Files, folders, globs, lists and S3 prefixes as scans, each argument's in order of their names.

    Of labels just the pages that they name, as they name them, in their order.
    """
    from tilekit.archive.sources import iter_sources

    reading.require(
        any(_is_labels(scan, reading) for scan in scans),
        "none of SCANS is a manifest; --from FORMAT says that they are labels",
    )
    for scan in scans:
        if _is_labels(scan, reading):
            labels = reading.read_aloud(scan)
            yield from (*labels, *labels.unlabeled)
            continue
        found = sorted(source.uri for source in iter_sources(scan))
        if not found:
            raise InvalidArgument(f"{scan}: no scan in it")
        yield from found


def _require_places(sources: Sequence[str | PageKey]) -> None:
    """Refuse, before a model starts, scans on this machine that no map can be written of."""
    from tilekit.labels.maps import require_places
    from tilekit.pages import PageKey

    keys = [PageKey(source) if isinstance(source, str) else source for source in sources]
    require_places(key for key in keys if os.path.isfile(key.source))


def _hint(options: DetectOptions, scans: Sequence[str], reading: Reading, *, again: bool) -> None:
    labels = len(scans) == 1 and _is_labels(scans[0], reading)
    truth, words = (scans[0], reading.words) if labels else ("TRUTH", [])
    if again:
        next_again(note="does what is missing")
    elif options.keep_tiles:
        next_command("tune-merge", truth, options.keep_tiles, *words)
    elif os.path.exists(options.out):
        next_command("evaluate", truth, options.out, *words)


def _is_labels(scan: str, reading: Reading) -> bool:
    """Whether a thing to detect on is a manifest, or labels of the format that was named, which hold the truth as well."""
    if reading.source_format is not None:
        return True
    return scan.lower().endswith((".manifest", ".jsonl")) and os.path.isfile(scan)


def _counts(page: PageDetections) -> str:
    return ", ".join(f"{name} {count}" for name, count in page.counts.items() if count) or "-"


def _draw(page: PageDetections, scan: Scan, folder: Path) -> None:
    from tilekit.draw import draw
    from tilekit.scans.encoding import encode_image
    from tilekit.storage.local import write_bytes

    picture = draw(scan, page.detections, max_side=_PICTURE_SIDE)
    stem = Path(page.key.source).stem + (f".p{page.key.page}" if scan.pages > 1 else "")
    write_bytes(folder / f"{stem}.jpg", encode_image(picture, "jpeg").data)


def _export(out: str, formats: Sequence[str]) -> list[str]:
    """Write the whole file of predictions in other formats, beside it."""
    from tilekit.labels.maps import write_map
    from tilekit.labels.prediction_lines import read_predictions
    from tilekit.labels.reading import write_labels

    written = []
    for name in formats:
        format, ending = EXPORTS[name]
        path = str(Path(out).with_suffix("")) + ending
        if format == "map":
            say(write_map(read_predictions(out), path))
        else:
            write_labels(read_predictions(out).to_labels(), path, format)
        written.append(path)
        say(f"wrote {path}")
    return written
