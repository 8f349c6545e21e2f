"""The whole story on one machine: the same pages whole and in tiles, each trained, run and judged alike.

Pages are made (or a user's own are taken), labels carried to tiles, one model is trained on whole pages and
one on tiles, both find the symbols on the same test pages, and what was found is compared. On a local server,
or with a bucket on the real service: the code is the same. Test pages take no part in training or thresholds.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tilekit.boxes.annotations import Annotations
from tilekit.datasets.building import tile_dataset
from tilekit.datasets.splitting import split_pages
from tilekit.detection.detecting import detect_tiles, detect_whole
from tilekit.errors import InvalidArgument, LabelError
from tilekit.evaluation.comparison import Comparison, compare
from tilekit.evaluation.evaluating import evaluate
from tilekit.evaluation.result import Evaluation, text_of
from tilekit.grid import Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.labels.predictions import PageDetections, write_predictions
from tilekit.labels.reading import read_labels, write_labels
from tilekit.pages import PageKey
from tilekit.rekognition.shrink import shrink_factor
from tilekit.scans.encoding import encode_image
from tilekit.scans.opening import open_scan
from tilekit.storage.local import write_bytes, write_text

if TYPE_CHECKING:
    from tilekit.aws.model import Model
    from tilekit.aws.project import RekognitionProject

Note = Callable[[str], None]
SIDES = ("whole pages", "tiles")
GOOD = 0.85
SLIGHT = 0.05


@dataclass(frozen=True, slots=True)
class DemoScale:
    """How much is made and trained. Sizes in px; `steps` and `limit` are the local server's."""

    train: int = 18
    tune: int = 8
    test: int = 24
    width: int = 4000
    height: int = 2828
    symbol_px: tuple[float, float] = (13.0, 16.0)
    count: int = 12
    tile: int = 1024
    steps: int = 400
    limit: int = 1280
    threads: int = 2


FULL = DemoScale()
QUICK = DemoScale(train=14, tune=6, test=20, steps=260)


@dataclass(frozen=True)
class DemoPages:
    """Labeled pages: trained on, for thresholds (and the service's own test), and judged on."""

    train: LabelSet
    tune: LabelSet
    test: LabelSet


@dataclass
class DemoOutcome:
    """What came out. One Evaluation a training on each side; `words` says it in sentences."""

    out: Path
    pages: DemoPages
    tiling: Tiling
    baseline: list[Evaluation] = field(default_factory=list)
    tiled: list[Evaluation] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def comparison(self) -> Comparison:
        """The gain with its interval, over all trainings."""
        return compare(self.baseline, self.tiled, names=("Detection on whole pages", "Detection on tiles"))

    @property
    def words(self) -> list[str]:
        """The outcome in plain sentences."""
        return _words(self)

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Column names and rows: precision, recall and F1 of each label and of all, both ways."""
        return _table(self)

    def to_json(self) -> dict[str, Any]:
        """Plain values; ends with `baseline`, `tiled` and `gain`."""
        gain = self.comparison.f1
        return {
            "pages": {name: len(getattr(self.pages, name)) for name in ("train", "tune", "test")},
            "tiling": self.tiling.to_json(),
            "seconds": {name: round(value, 1) for name, value in self.seconds.items()},
            "words": self.words,
            "report": str(self.out / "report" / "index.html"),
            "baseline": _side_json(self.baseline, gain.baseline),
            "tiled": _side_json(self.tiled, gain.tiled),
            "gain": {"f1": gain.difference, "low": gain.low, "high": gain.high, "outcome": gain.outcome},
        }


def run_demo(
    out: str | os.PathLike[str],
    *,
    scale: DemoScale = FULL,
    seed: int = 0,
    repeats: int = 1,
    data: str | os.PathLike[str] | None = None,
    bucket: str | None = None,
    note: Note | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> DemoOutcome:
    """Run the demo into the folder `out`; a rerun keeps pages and tiles that are there.

    `data`: folder with `train.manifest` and `test.manifest` (Ground Truth lines, `source-ref` relative to
    it) instead of made pages. `bucket`: train and detect on the real service, which costs money, instead
    of a local server. `repeats`: trainings of each side, the local ones with seeds from `seed` on.
    `note(text)` gets a sentence for each step, `progress(step, done, total)` counts inside one.

    Raises InvalidArgument, LabelError, ScanError, StorageError, ServiceError, MissingExtra.
    """
    if repeats < 1:
        raise InvalidArgument(f"repeats={repeats}: must be at least 1")
    folder = Path(out)
    say: Note = note or (lambda text: None)
    run = _Run(folder, scale, say, progress or (lambda step, done, total: None))
    with run.timed("pages"):
        pages = (
            user_pages(Path(data), seed)
            if data is not None
            else make_pages(folder, scale, seed, run.count("pages"))
        )
    tiling = Tiling(tile=scale.tile, overlap=_overlap(pages, scale.tile))
    say(
        f"{len(pages.train)} pages to train, {len(pages.tune)} for thresholds, {len(pages.test)} to judge; {tiling}"
    )
    outcome = DemoOutcome(folder, pages, tiling, seconds=run.seconds)
    with run.timed("tiles"):
        summary = tile_dataset(
            {"train": pages.train, "test": pages.tune},
            folder / "dataset",
            tiling,
            baseline=True,
            overwrite=True,
            progress=run.count("tiles"),
        )
    if summary.baseline is None or not summary.baseline.possible:
        reason = summary.baseline.reason if summary.baseline else ""
        raise InvalidArgument(f"whole pages cannot be trained on, so there is nothing to compare: {reason}")
    for place in range(repeats):
        with _service(folder, scale, seed + place, bucket, say) as project:
            _one_training(run, outcome, project, place)
    _write(run, outcome)
    return outcome


def make_pages(
    folder: Path, scale: DemoScale, seed: int, count: Callable[[int, int], None] | None = None
) -> DemoPages:
    """Draw engineering pages into a PDF, render them to PNG, and write their labels as manifests."""
    from tilekit.testing.scenes import scene_pdf

    total = scale.train + scale.tune + scale.test
    pdf = folder / "drawings.pdf"
    dpi = 144.0
    known = scene_pdf(
        pdf,
        total,
        seed,
        dpi=dpi,
        width=scale.width,
        height=scale.height,
        symbol_px=scale.symbol_px,
        count=scale.count,
    )
    images: dict[PageKey, Annotations] = {}
    sizes = {}
    for place, (key, _, labels) in enumerate(known):
        image = folder / "pages" / f"drawing-{place + 1:03d}.png"
        with open_scan(pdf, page=key.page, dpi=dpi) as scan:
            sizes[PageKey(str(image))] = (scan.width, scan.height)
            if not image.exists():
                pixels = np.array(scan.read(0, 0, scan.width, scan.height))
                write_bytes(image, encode_image(_scanned(pixels, seed + place), "png").data)
        images[PageKey(str(image))] = labels
        if count is not None:
            count(place + 1, total)
    keys = list(images)
    cuts = (0, scale.train, scale.train + scale.tune, total)
    parts = []
    for name, start, stop in zip(("train", "tune", "test"), cuts, cuts[1:], strict=False):
        side = keys[start:stop]
        part = LabelSet({key: images[key] for key in side}, sizes={key: sizes[key] for key in side})
        write_labels(part, folder / f"{name}.manifest")
        parts.append(part)
    return DemoPages(*parts)


def _scanned(pixels: Any, seed: int) -> Any:
    """A clean page as a scanner would give it: gray, off-white, with grain."""
    gray = pixels.mean(axis=2) if pixels.shape[2] == 3 else pixels[:, :, 0].astype(np.float64)
    grain = np.random.default_rng([seed, 2]).normal(0, 4, gray.shape)
    return np.clip(gray * (248 / 255) + grain, 0, 255).astype(np.uint8)[:, :, None]


def user_pages(folder: Path, seed: int = 0) -> DemoPages:
    """A user's pages; a fifth of the training pages is set aside for thresholds.

    Raises LabelError where train and test share a page or a side has no symbol.
    """
    train, test = read_labels(folder / "train.manifest"), read_labels(folder / "test.manifest")
    shared = sorted(set(train) & set(test))
    if shared:
        raise LabelError(
            f"{folder}: {shared[0]} is in both manifests; judge on pages that are not trained on"
        )
    for name, part in (("train", train), ("test", test)):
        if not part.boxes:
            raise LabelError(f"{folder / f'{name}.manifest'}: no page has a box; label some symbols first")
    split = split_pages(train, (0.8, 0.2, 0.0), by="page", seed=seed)
    tune = {key: train[key] for key in split.tune}
    if sum(len(part) for part in tune.values()) == 0 or len(split.train) < 2:
        return DemoPages(train, train, test)
    return DemoPages(_part(train, split.train), _part(train, split.tune), test)


def _part(labels: LabelSet, keys: Sequence[PageKey]) -> LabelSet:
    sizes = {key: labels.sizes[key] for key in keys if key in labels.sizes}
    return LabelSet({key: labels[key] for key in keys}, sizes=sizes, names=labels.names)


def _overlap(pages: DemoPages, tile: int) -> int:
    """Overlap in px: the largest object with a margin, at least an eighth of the tile, at most half of it."""
    largest = 0.0
    for part in (pages.train, pages.tune):
        for page in part.values():
            sides = page.boxes[:, 2:] - page.boxes[:, :2]
            largest = max(largest, float(sides.max(initial=0)))
    return int(np.clip(np.ceil(1.1 * largest) + 16, tile // 8, tile // 2))


@contextlib.contextmanager
def _service(
    folder: Path, scale: DemoScale, seed: int, bucket: str | None, say: Note
) -> Iterator[RekognitionProject]:
    """A project on the real service (with a bucket) or on a fresh local one."""
    from tilekit.aws.project import RekognitionProject

    if bucket is not None:
        yield RekognitionProject("tilekit-demo", bucket, note=say)
        return
    from tilekit.aws.service import Service
    from tilekit.aws.waiting import Polling
    from tilekit.local import running
    from tilekit.storage.s3 import S3Store, keyed_access

    polling = Polling(dataset=0.2, training=1.0, running=0.2)
    with running(limit=scale.limit, seed=seed, steps=scale.steps, threads=scale.threads) as url:
        access = keyed_access(url)
        S3Store(access).client.create_bucket(Bucket="tilekit-demo")
        service = Service(access, rate=200.0)
        yield RekognitionProject("tilekit-demo", "tilekit-demo", service=service, polling=polling, note=say)


def _one_training(run: _Run, outcome: DemoOutcome, project: RekognitionProject, place: int) -> None:
    """Train both sides, find on tune and test pages, judge on test pages."""
    dataset = run.folder / "dataset"
    for name, source in zip(SIDES, (dataset / "baseline", dataset), strict=True):
        short = name.replace(" ", "-")
        with run.timed(f"train {name}"):
            run.say(f"training on {name}")
            model = _train(project, source, f"{short}-{place}", run.folder / "state" / f"{short}-{place}")
        with run.timed(f"detect {name}"):
            found = _detect(run, model, outcome, name)
        evaluation = _judge(outcome.pages, found, name)
        (outcome.baseline if name == SIDES[0] else outcome.tiled).append(evaluation)
        run.say(f"{name}: F1 {text_of(evaluation.f1)} on {len(outcome.pages.test)} test pages")
        if place == 0:
            file = "baseline.jsonl" if name == SIDES[0] else "detections.jsonl"
            write_predictions([found[key] for key in outcome.pages.test], run.folder / file)


def _train(project: RekognitionProject, folder: Path, version: str, state: Path) -> Model:
    return project.train(
        folder / "train.manifest", folder / "test.manifest", version=version, replace=True, state=state
    )


def _detect(run: _Run, model: Model, outcome: DemoOutcome, name: str) -> dict[PageKey, PageDetections]:
    """Everything found on tune and test pages, scores down to the least."""
    keys = [*outcome.pages.tune, *outcome.pages.test]
    found: dict[PageKey, PageDetections] = {}
    count = run.count(f"detect {name}")
    with model.running(share=False, watchdog=False) as detector:
        for done, key in enumerate(keys, 1):
            with open_scan(key.source, page=key.page) as scan:
                if name == SIDES[0]:
                    found[key] = detect_whole(scan, detector)
                else:
                    found[key] = detect_tiles(scan, detector, outcome.tiling)
            count(done, len(keys))
    return found


def _judge(pages: DemoPages, found: Mapping[PageKey, PageDetections], name: str) -> Evaluation:
    tune = [found[key] for key in pages.tune]
    test = [found[key] for key in pages.test]
    return evaluate(pages.test, test, fit=(pages.tune, tune), name=name)


def _write(run: _Run, outcome: DemoOutcome) -> None:
    """Evaluations, comparison, pictures and the report."""
    from tilekit.report.building import write_report

    folder = run.folder
    write_labels(outcome.pages.test, folder / "truth.manifest")
    outcome.baseline[0].save(folder / "baseline.json")
    outcome.tiled[0].save(folder / "tiled.json")
    outcome.comparison.save(folder / "comparison.json")
    with run.timed("report"):
        run.say("writing the report")
        runs = {SIDES[0]: folder / "baseline.jsonl", SIDES[1]: folder / "detections.jsonl"}
        judged = {SIDES[0]: outcome.baseline[0], SIDES[1]: outcome.tiled[0]}
        write_report(
            folder / "report", outcome.pages.test, runs, evaluations=judged, progress=run.count("report")
        )
    write_text(folder / "demo.json", json.dumps(outcome.to_json(), indent=2) + "\n")


@dataclass(frozen=True)
class _Run:
    """Where things go, who is told, and how long each step took."""

    folder: Path
    scale: DemoScale
    say: Note
    progress: Callable[[str, int, int], None]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the block's wall seconds to the step's."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.monotonic() - begun

    def count(self, step: str) -> Callable[[int, int], None]:
        """A callback that counts inside a step."""
        return lambda done, total: self.progress(step, done, total)


def _side_json(evaluations: Sequence[Evaluation], f1: float | None) -> dict[str, Any]:
    first = evaluations[0]
    return {
        "f1": f1,
        "f1_of_trainings": [one.f1 for one in evaluations],
        "precision": first.precision,
        "recall": first.recall,
        "f1_by_criterion": {side.title: side.f1 for side in first.sides},
        "labels": {
            row.label: {"precision": row.precision, "recall": row.recall, "f1": row.f1, "truth": row.truths}
            for row in first.labels
        },
    }


def _table(outcome: DemoOutcome) -> tuple[list[str], list[list[Any]]]:
    columns = ["label", "symbols"]
    columns += [f"{side}: {figure}" for side in SIDES for figure in ("precision", "recall", "F1")]
    before, after = outcome.baseline[0], outcome.tiled[0]
    rows: list[list[Any]] = []
    for one in before.labels:
        other = after[one.label]
        rows.append(
            [
                one.label,
                one.truths,
                one.precision,
                one.recall,
                one.f1,
                other.precision,
                other.recall,
                other.f1,
            ]
        )
    every = sum(one.truths for one in before.labels)
    seen = set()
    for one_side, other_side in zip(before.sides, after.sides, strict=True):
        if one_side.title in seen:
            continue
        seen.add(one_side.title)
        figures = [
            getattr(side, name) for side in (one_side, other_side) for name in ("precision", "recall", "f1")
        ]
        rows.append([f"mean, {one_side.title}", every, *figures])
    return columns, rows


def _words(outcome: DemoOutcome) -> list[str]:
    comparison = outcome.comparison
    gain = comparison.f1
    sentences = [comparison.sentence]
    size = _shrunk_size(outcome.pages.test)
    if size is not None:
        sentences.append(
            f"Whole pages, shrunk as the service shrinks them, show the median symbol at {size:.1f} px."
        )
    if gain.baseline is not None and gain.difference is not None:
        if gain.difference < SLIGHT and gain.baseline >= GOOD:
            sentences.append(
                f"Whole pages are good enough here (F1 {gain.baseline:.2f}): tiles add {gain.difference:+.2f} "
                "and cost several calls a page instead of one."
            )
        elif comparison.outcome == "better":
            sentences.append("Tiling pays here: the symbols are too small once a whole page is shrunk.")
        elif comparison.outcome == "worse":
            sentences.append("Tiles are worse here: train on whole pages.")
    if len(outcome.tiled) > 1:
        spread = "; ".join(
            f"{name} " + ", ".join(text_of(one.f1) for one in runs)
            for name, runs in zip(SIDES, (outcome.baseline, outcome.tiled), strict=True)
        )
        sentences.append(f"F1 of {len(outcome.tiled)} trainings: {spread}.")
    return sentences


def _shrunk_size(labels: LabelSet) -> float | None:
    """Median longer side (px) of the symbols after the service's shrink of whole pages."""
    sides: list[float] = []
    for key, page in labels.items():
        if key in labels.sizes and len(page):
            ratio = shrink_factor(*labels.sizes[key])
            sides += (ratio * (page.boxes[:, 2:] - page.boxes[:, :2]).max(axis=1)).tolist()
    return float(np.median(sides)) if sides else None
