"""tile_dataset: scans and page labels to tiles, manifests and pictures, resumable and repeatable."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tilekit.boxes.annotations import Annotations
from tilekit.datasets import exporting
from tilekit.datasets import papers as paper
from tilekit.datasets.baseline import write_baseline
from tilekit.datasets.decoys import with_decoys
from tilekit.datasets.options import DatasetOptions, Decoys
from tilekit.datasets.output import FolderOutput, Output, Progress, S3Output, output_for, progress_for
from tilekit.datasets.planned import PlannedPage, plan_pages, with_taught, within_test_limit
from tilekit.datasets.regions import part_of, room_of, split_regions
from tilekit.datasets.sources import page_of, stems_of
from tilekit.datasets.splitting import (
    SHARES,
    SIDES,
    Split,
    split_from_file,
    split_from_inputs,
    split_from_labels,
    split_pages,
)
from tilekit.datasets.summary import BaselineSummary, DatasetSummary, SideSummary, side_notes, summarize_side
from tilekit.datasets.writing import (
    COPIES,
    TILES,
    PageTask,
    scale_folder,
    write_page,
)
from tilekit.errors import InvalidArgument, LabelError, ScanError, StorageNotFound, checked_kind
from tilekit.flow import Submits, ordered_map
from tilekit.labels.label_set import LabelSet
from tilekit.labels.prediction_lines import read_predictions
from tilekit.labels.predictions import PredictionSet
from tilekit.labels.reading import read_labels
from tilekit.pages import PageKey
from tilekit.rekognition.limits import LIMITS
from tilekit.scales import AnyTiling, Scales, as_scales
from tilekit.storage.s3 import S3Store, is_s3
from tilekit.tiles.naming import parse_tile_name
from tilekit.tiles.reading import worker_count

Labels = LabelSet | str | os.PathLike[str]
_OPTIONS = DatasetOptions()
_MOST_SCALES = 8
_SMALL_PAGE = 50_000_000  # px; pages up to here are worked on side by side, larger ones tile by tile


def tile_dataset(
    labels: Labels | Mapping[str, Labels],
    out: str | os.PathLike[str],
    tiling: AnyTiling,
    *,
    min_visible: float | None = None,
    split: Sequence[float] | str | os.PathLike[str] | Split | None = None,
    options: DatasetOptions = _OPTIONS,
    executor: Submits | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> DatasetSummary:
    """Cut labeled scans into tiles with their labels, split by page, ready to train on.

    `labels`: a LabelSet or label file; or a mapping train/tune/test -> either, which is then the split.
    `out`: a folder, or an `s3://bucket/prefix` that takes everything. Written are `tiles/`,
    `train|tune|test.manifest` (source-ref relative to the manifest, or s3://), `pages-train|tune|test.manifest`
    (the truth of whole pages, for evaluation), `tiling.json`, `split.json`, `contact-*.jpg`, and at the very
    end `summary.json`.

    `tiling` may be Scales: a page is then cut at each that suits its size, and an object is labeled where it
    belongs (see CarryingRules); one model learns them all. Tiles of scales after the first are below `scale-2/`
    and so on. A page is on one side at all scales. `min_visible`: short for that of `options.rules`: the share
    of a box's area that makes it a positive. `split`: shares, a split file (see `split_from_file`) or a Split; None:
    the sides that the label file names (see `split_from_labels`), else shares of 0.7, 0.15, 0.15.
    `options`: see DatasetOptions. `executor`: writes pages on any concurrent.futures.Executor, each in one
    thread. `progress(done, total)` counts tiles.

    The same input and seed give the same bytes, for any number of workers. A run that was stopped goes on
    where it was; without `summary.json` a dataset is not whole. Memory: the labels, about 100 bytes for each
    box in a tile, and what `read_tiles` says (pages up to 50 Mpx: for each worker).

    Raises LabelError, ScanError, StorageError, InvalidArgument.
    """
    build = _Build(_checked(tiling), _resolved(options, min_visible), executor, progress)
    options = build.options
    truth, parts = _labels_of(labels, options.images)
    chosen = _split_of(truth, parts, split, build)
    if options.export and (is_s3(out) or options.bucket):
        raise InvalidArgument(
            "export= needs the images in a local folder; leave out bucket= or the s3:// address"
        )
    taught, notes = _with_decoys(truth, chosen, options.decoys)
    store = S3Store(options.access, connections=max(10, build.workers))
    target = output_for(out, store)
    place = output_for(options.bucket, store) if options.bucket is not None else target
    if options.bucket is not None and not isinstance(place, S3Output):
        raise InvalidArgument(f"bucket={options.bucket!r} must be an s3://bucket/prefix address")
    state = progress_for(target)
    try:
        _begin(target, state, build.recipe(), options.overwrite, chosen)
        return _Run(build, truth, chosen, dict(truth) | taught, target, place, state).write(str(out), notes)
    finally:
        state.close()


@dataclass(frozen=True)
class _Build:
    """Settings of a run; the options' encoding and workers are resolved."""

    scales: Scales
    options: DatasetOptions
    executor: Submits | None
    progress: Callable[[int, int], object] | None

    @property
    def workers(self) -> int:
        """Pages, or tiles of a large one, at once."""
        return worker_count(self.options.workers)

    @property
    def decoy(self) -> str | None:
        """The label of decoys, if they are taught."""
        return self.options.decoys.name if self.options.decoys is not None else None

    def recipe(self) -> str:
        """A digest of the settings that the written bytes follow from; the labels are not among them."""
        options = self.options
        values = [
            self.scales.to_json(),
            repr(options.rules),
            repr(options.encoding),
            options.seed,
            options.dpi,
            options.bucket,
            self.decoy,
            options.max_test_images,
        ]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _resolved(options: DatasetOptions, min_visible: float | None) -> DatasetOptions:
    options = checked_kind(options, DatasetOptions)
    rules = options.rules if min_visible is None else replace(options.rules, min_visible=min_visible)
    most = LIMITS.max_image_bytes if options.encoding.format == "jpeg" else None
    return replace(
        options,
        rules=rules,
        encoding=replace(options.encoding, max_bytes=most),
        workers=worker_count(options.workers),
    )


def _with_decoys(
    truth: LabelSet, chosen: Split, decoys: Decoys | None
) -> tuple[dict[PageKey, Annotations], list[str]]:
    """Training pages with decoys added, and what is to be said."""
    notes = list(chosen.notes)
    if truth.unlabeled:
        notes.append(f"{len(truth.unlabeled)} pages are listed but nobody labeled them; they are on no side")
    if decoys is None:
        return {}, notes
    found = decoys.found if isinstance(decoys.found, PredictionSet) else read_predictions(decoys.found)
    taught, count = with_decoys(truth, chosen.train, found, score=decoys.score, name=decoys.name)
    count -= _keep_in_regions(taught, truth, chosen)
    return taught, [*notes, f"{count} decoys on {len(taught)} of {len(chosen.train)} training pages"]


@dataclass
class _Run:
    """One run: what is written where."""

    build: _Build
    labels: LabelSet
    split: Split
    annotations: Mapping[PageKey, Annotations]
    papers: FolderOutput | S3Output
    images: FolderOutput | S3Output
    state: Progress

    @property
    def names(self) -> tuple[str, ...]:
        """Labels, the decoys' last."""
        return (*self.labels.names, *([self.build.decoy] if self.build.decoy is not None else []))

    def write(self, out: str, notes: list[str]) -> DatasetSummary:
        """Everything, `summary.json` last."""
        build, options = self.build, self.build.options
        failed: dict[PageKey, str] = {}
        planned = plan_pages(
            self.split,
            self.annotations,
            self.labels.sizes,
            build.scales,
            options.rules,
            seed=options.seed,
            opened=(options.dpi, options.untrusted),
            failed=None if options.strict else failed,
        )
        planned, sampled_out = within_test_limit(planned, options.max_test_images, options.seed)
        stems = stems_of(self.labels)
        tasks = _tasks(planned, stems, build)
        written = write_tasks(tasks, self.images, self.state, build, failed)
        planned = [item for item in planned if item.page.key not in failed]
        tasks = [task for task in tasks if task.page.key not in failed]
        _remove_stale(self.images, tasks)
        extension = options.encoding.extension
        places = paper.Places(self.papers, self.images, stems, extension)
        for side in SIDES:
            paper.write_manifest(places, side, planned)
            paper.write_pages(self.papers, side, planned, self.labels)
            paper.write_sheet(places, side, planned, self.names, options.seed, build.workers)
        exported: list[str] = []
        if (folder := paper.local_folder(self.papers)) is not None:
            for kind in options.export:
                exported += exporting.export(kind, folder, planned, stems, extension, self.names)
        whole = self._baseline(planned, stems, failed) if options.baseline else None
        scales = with_taught(build.scales, planned)
        paper.write_tiling(self.papers, scales, options.encoding, self.names, build.decoy)
        paper.write_json(self.papers, paper.SPLIT, paper.split_json(self.papers, self.split))
        sides: dict[str, SideSummary] = {
            side: summarize_side(
                [item for item in planned if item.side == side],
                self.names,
                sampled_out if side == "test" else (),
            )
            for side in SIDES
        }
        summary = DatasetSummary(
            out=out,
            tiling=scales if len(scales) > 1 else scales[0],
            seed=options.seed,
            split=self.split,
            sides=sides,
            names=self.names,
            decoy=build.decoy,
            baseline=whole,
            failed=failed,
            exports=tuple(exported),
            notes=(*notes, *side_notes(sides, options.max_test_images), *_tiling_notes(build.scales)),
            bytes=written,
        )
        paper.write_json(self.papers, paper.SUMMARY, summary.to_json())
        return summary

    def _baseline(
        self, planned: list[PlannedPage], stems: Mapping[str, str], failed: dict[PageKey, str]
    ) -> BaselineSummary:
        if self.split.regions:
            return BaselineSummary(False, "whole pages cannot be split by region", dict.fromkeys(SIDES, 0))
        papers, images = self.papers.inside("baseline"), self.images.inside("baseline")
        plain = [
            replace(item, annotations=self.labels[item.page.key], sampled_out=False)
            for item in planned
            if item.first
        ]

        def write(tasks: list[PageTask]) -> None:
            quiet = replace(self.build, progress=None, options=replace(self.build.options, strict=True))
            write_tasks(tasks, images, self.state, quiet, failed, "baseline ")
            _remove_stale(images, tasks)

        options, places = self.build.options, paper.Places(papers, images, stems, "jpg")
        return write_baseline(
            plain, places, options.encoding, options.dpi, options.seed, self.build.workers, write
        )


def _tasks(planned: Sequence[PlannedPage], stems: Mapping[str, str], build: _Build) -> list[PageTask]:
    """What is to be written: one task a page and scale, whichever sides its tiles are on."""
    tasks: dict[tuple[PageKey, int], PageTask] = {}
    for item in planned:
        if item.sampled_out:
            continue
        place = (item.page.key, item.scale)
        if place in tasks:
            tasks[place] = replace(tasks[place], tiles=(*tasks[place].tiles, *item.plan.tiles))
        else:
            stem = stems[item.page.key.source]
            more = (build.options.encoding, build.options.dpi, item.scale)
            tasks[place] = PageTask(item.page, item.tiling, item.plan.tiles, stem, *more)
    return list(tasks.values())


def write_tasks(
    tasks: Sequence[PageTask],
    images: FolderOutput | S3Output,
    state: Progress,
    build: _Build,
    failed: dict[PageKey, str],
    prefix: str = "",
) -> int:
    """Write the pages that are not done; returns the bytes written. Pages up to 50 Mpx go side by side."""
    total = sum(len(task.tiles) for task in tasks)
    done = 0
    todo: list[tuple[PageTask, str]] = []
    for task in tasks:
        fingerprint = task.fingerprint()
        if state.is_done(f"{prefix}{task.name}", fingerprint) and _is_there(images, task):
            done += len(task.tiles)
        else:
            todo.append((task, fingerprint))
    pages: dict[PageKey, list[tuple[PageTask, str]]] = {}
    for task, fingerprint in todo:
        pages.setdefault(task.page.key, []).append((task, fingerprint))
    largest = max((task.page.width * task.page.height for task, _ in todo), default=0)
    small = len(pages) >= 2 * build.workers and largest <= _SMALL_PAGE
    together = build.workers if small or build.executor is not None else 1
    write = partial(_write_one, images=images, workers=build.workers if together == 1 else 1)
    groups = [[task for task, _ in page] for page in pages.values()]
    results = ordered_map(write, groups, workers=together, executor=build.executor)

    written = 0
    for page, (sizes, error) in zip(pages.values(), results, strict=True):
        for task, fingerprint in page[: len(sizes)]:
            state.done(f"{prefix}{task.name}", fingerprint)
        if error is not None and build.options.strict:
            raise error
        if error is not None:
            failed[page[0][0].page.key] = str(error)
        done += sum(len(task.tiles) for task, _ in page)
        written += sum(sizes)
        if build.progress is not None:
            build.progress(done, total)
    return written


def _write_one(
    tasks: Sequence[PageTask], *, images: FolderOutput | S3Output, workers: int
) -> tuple[list[int], Exception | None]:
    """Bytes written of each scale of a page, or of those before one that cannot be, and why it cannot."""
    sizes: list[int] = []
    try:
        for size in write_page(tasks, images, workers):
            sizes.append(size)  # noqa: PERF402 - what came before an error is kept
    except (ScanError, LabelError, StorageNotFound) as exc:
        return sizes, exc
    return sizes, None


def _labels_of(
    labels: Labels | Mapping[str, Labels], images: str | os.PathLike[str] | None
) -> tuple[LabelSet, dict[str, LabelSet] | None]:
    if isinstance(labels, LabelSet):
        return labels, None
    if isinstance(labels, Mapping):
        parts = {str(side): _part_of(part, images) for side, part in labels.items()}
        split_from_inputs(parts)  # a page on two sides is told before anything is put together
        return _united(parts), parts
    return read_labels(labels, images=images), None


def _part_of(part: object, images: str | os.PathLike[str] | None) -> LabelSet:
    if isinstance(part, LabelSet):
        return part
    if isinstance(part, (str, os.PathLike)):
        return read_labels(part, images=images)
    raise InvalidArgument(f"labels={part!r} must be a LabelSet, a label file, or train/tune/test -> either")


def _united(parts: Mapping[str, LabelSet]) -> LabelSet:
    names = tuple(dict.fromkeys(name for part in parts.values() for name in part.names))
    return LabelSet(
        {key: value for part in parts.values() for key, value in part.items()},
        names=names,
        sizes={key: size for part in parts.values() for key, size in part.sizes.items()},
        image_labels={key: value for part in parts.values() for key, value in part.image_labels.items()},
        extra={key: value for part in parts.values() for key, value in part.extra.items()},
    )


def _split_of(
    labels: LabelSet,
    parts: Mapping[str, LabelSet] | None,
    split: Sequence[float] | str | os.PathLike[str] | Split | None,
    build: _Build,
) -> Split:
    if parts is not None:
        return split_from_inputs(parts)
    if isinstance(split, Split):
        return split
    if isinstance(split, (str, os.PathLike)):
        return split_from_file(labels, split, access=build.options.access)
    options = build.options
    if split is None:
        named = split_from_labels(labels) if options.split_by != "region" else None
        if named is not None:
            return named
        split = SHARES
    if options.split_by != "region":
        return split_pages(labels, split, by=options.split_by, seed=options.seed)
    rooms = {}
    for key in labels:
        try:
            page = page_of(key, labels.sizes, build.scales, options.dpi, options.untrusted)
        except (ScanError, StorageNotFound):
            if options.strict:
                raise
            continue  # told where it is planned
        places = build.scales.on(page.width, page.height, dpi=page.dpi)
        rooms[key] = room_of(key, [page.grid(build.scales[place]) for place in places])
    chosen = split_regions({key: labels[key] for key in rooms}, rooms, split, seed=options.seed)
    return replace(chosen, train=(*chosen.train, *(key for key in labels if key not in rooms)))


def _keep_in_regions(taught: dict[PageKey, Annotations], truth: LabelSet, split: Split) -> int:
    """Take away decoys that no training region holds alone; returns how many."""
    gone = 0
    for key in taught.keys() & split.regions.keys():
        page = taught[key]
        here, shared, inside = part_of(page, split.regions[key], "train")
        decoys = here[inside & ~shared & (here.class_ids == len(truth.names))]
        gone += len(page) - len(truth[key]) - len(decoys)
        taught[key] = Annotations.concat([page[: len(truth[key])], decoys])
    return gone


def _begin(
    target: FolderOutput | S3Output, state: Progress, recipe: str, overwrite: bool, chosen: Split
) -> None:
    """Refuse a folder of another dataset; take away the papers, so that nothing looks whole until it is."""
    found = state.recipe()
    if found != recipe and not overwrite and (found is not None or target.has(paper.manifest_name("train"))):
        raise InvalidArgument(
            f"{target} holds a dataset made with other settings; choose another place, or overwrite it with "
            "overwrite=True (--overwrite)"
        )
    if not overwrite:
        paper.check_sides(target, chosen)
    for name in paper.paper_names():
        target.remove(name)
    if found != recipe:
        state.begin(recipe)


def _is_there(images: Output, task: PageTask) -> bool:
    """Whether the files of a page that the ledger calls done are there; on S3 the ledger is trusted."""
    return not isinstance(images, FolderOutput) or all(images.has(name) for name in task.names())


def _remove_stale(images: FolderOutput | S3Output, tasks: Sequence[PageTask]) -> None:
    """Take away tiles of an earlier run that no longer belong: only files with a tile's name."""
    wanted = {name for task in tasks for name in task.names()}
    folders = [f"{scale_folder(scale)}{top}" for scale in range(_MOST_SCALES) for top in (TILES, COPIES)]
    for folder in folders:
        for name in list(images.names(folder)):
            if name not in wanted and _is_tile(name):
                images.remove(name)


def _is_tile(name: str) -> bool:
    try:
        parse_tile_name(name)
    except InvalidArgument:
        return False
    return True


def _tiling_notes(scales: Scales) -> list[str]:
    if any(one.division is None and max(one.tile_size) > LIMITS.shrink_side for one in scales):
        return [f"tiles over {LIMITS.shrink_side} px are shrunk by the service before training"]
    return []


def _checked(tiling: AnyTiling) -> Scales:
    scales = Scales(as_scales(tiling).tilings)  # what is taught there is for the dataset itself to say
    if len(scales) > _MOST_SCALES:
        raise InvalidArgument(f"{len(scales)} scales are more than a dataset takes; {_MOST_SCALES} at most")
    for one in scales:
        if one.division is None and (
            max(one.tile_size) > LIMITS.max_side or min(one.tile_size) < LIMITS.min_side
        ):
            raise InvalidArgument(
                f"tile={one.tile!r}: the service takes images of {LIMITS.min_side} to {LIMITS.max_side} px a side"
            )
    return scales
