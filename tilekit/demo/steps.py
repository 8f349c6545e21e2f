"""run_demo: the steps one after another."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tilekit.datasets.building import tile_dataset
from tilekit.datasets.options import DatasetOptions
from tilekit.datasets.plan import Plan
from tilekit.datasets.planning import recommend_tiling
from tilekit.datasets.sources import open_page
from tilekit.demo.outcome import SIDES, DemoOutcome
from tilekit.demo.pages import FULL, DemoPages, DemoScale, make_pages, user_pages
from tilekit.detection.detecting import detect_tiles, detect_whole
from tilekit.errors import InvalidArgument
from tilekit.evaluation.evaluating import evaluate
from tilekit.evaluation.result import Evaluation, text_of
from tilekit.grid import Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.labels.prediction_lines import write_predictions
from tilekit.labels.predictions import PageDetections
from tilekit.labels.reading import write_labels
from tilekit.pages import PageKey
from tilekit.scales import Scales, as_scales, words_of
from tilekit.storage.local import write_bytes, write_text

if TYPE_CHECKING:
    from tilekit.aws.model import Model
    from tilekit.aws.project import RekognitionProject
    from tilekit.aws.training import Training

Note = Callable[[str], None]
_AT_LEAST = Tiling(1024, 128)


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
    plan = recommend_tiling(_known(pages))
    tiling = _tiling(scale.tiling, plan)
    tune = "the same" if pages.shared else f"{len(pages.tune)} others"
    cut = " and ".join(words_of(one) for one in as_scales(tiling))
    say(f"{len(pages.train)} pages to train, {tune} for thresholds, {len(pages.test)} to judge; cut at {cut}")
    for note_on_pages in pages.notes:
        say(note_on_pages)
    say(_said(plan))
    outcome = DemoOutcome(folder, pages, tiling, plan, seconds=run.seconds)
    with run.timed("tiles"):
        summary = tile_dataset(
            {"train": pages.train} if pages.shared else {"train": pages.train, "test": pages.tune},
            folder / "dataset",
            tiling,
            options=DatasetOptions(baseline=True, overwrite=True),
            progress=run.count("tiles"),
        )
    if pages.shared:
        _test_as_trained(folder / "dataset")
    if summary.baseline is None or not summary.baseline.possible:
        reason = summary.baseline.reason if summary.baseline else ""
        raise InvalidArgument(f"whole pages cannot be trained on, so there is nothing to compare: {reason}")
    for place in range(repeats):
        with _service(scale, seed + place, bucket, say) as project_of:
            _one_training(run, outcome, project_of, place, together=bucket is None)
    _write(run, outcome)
    return outcome


def _tiling(chosen: Tiling | Scales | None, plan: Plan) -> Tiling | Scales:
    """What was asked for, else the plan's; its best tiles where it finds that none are needed."""
    if chosen is not None:
        return chosen
    if plan.needed:
        return plan.scales[0] if len(plan.scales) == 1 else plan.scales
    return _AT_LEAST if plan.tiling.is_whole else plan.tiling


def _said(plan: Plan) -> str:
    """The plan's verdict, and why pages are cut where it wants none cut."""
    first = str(plan).split("\n", 1)[0]
    return first if plan.needed else f"{first} They are cut all the same, to show what tiles would change."


def _known(pages: DemoPages) -> LabelSet:
    """All pages but the ones to judge on: what a plan is made from."""
    parts = [pages.train] if pages.shared else [pages.train, pages.tune]
    return LabelSet(
        {key: page for part in parts for key, page in part.items()},
        sizes={key: size for part in parts for key, size in part.sizes.items()},
    )


def _test_as_trained(dataset: Path) -> None:
    """The service's own test on the training images, where no pages are set aside for it."""
    for place in (dataset, dataset / "baseline"):
        lines = place / "train.manifest"
        if lines.exists():
            write_bytes(place / "test.manifest", lines.read_bytes())


@contextlib.contextmanager
def _service(
    scale: DemoScale, seed: int, bucket: str | None, say: Note
) -> Iterator[Callable[[str], RekognitionProject]]:
    """Projects of a side on the real service (with a bucket) or on a fresh local one."""
    from tilekit.aws.project import RekognitionProject

    if bucket is not None:
        yield lambda short: RekognitionProject(f"tilekit-demo-{short}", bucket, note=say)
        return
    from tilekit.aws.service import Service
    from tilekit.aws.waiting import Polling
    from tilekit.aws.workspace import ProjectOptions
    from tilekit.local import running
    from tilekit.storage.s3 import S3Store, keyed_access

    say(
        "a local server trains and detects: nothing is billed, the costs named are what the service would take"
    )
    polling = Polling(dataset=0.2, training=1.0, running=0.2)
    with running(limit=scale.limit, seed=seed, steps=scale.steps, minutes=scale.minutes, threads=1) as url:
        access = keyed_access(url)
        S3Store(access).client.create_bucket(Bucket="tilekit-demo")
        service = Service(access, rate=200.0)
        options = ProjectOptions(service=service, polling=polling)
        yield lambda short: RekognitionProject(
            f"tilekit-demo-{short}", "tilekit-demo", note=say, options=options
        )


def _one_training(
    run: _Run,
    outcome: DemoOutcome,
    project_of: Callable[[str], RekognitionProject],
    place: int,
    *,
    together: bool,
) -> None:
    """Train both sides, find on tune and test pages, judge on test pages.

    `together`: both are trained at once, a thread each, and tiles, which are learned sooner, are judged first. On the
    real service, where what runs is billed and may hit a quota, one side comes after the other.
    """
    dataset = run.folder / "dataset"
    begun: dict[str, Training] = {}
    for name, source in zip(SIDES, (dataset / "baseline", dataset), strict=True):
        short = name.replace(" ", "-")
        with run.timed(f"train {name}"):
            run.say(f"training on {name}")
            begun[name] = _begin(
                project_of(short), source, f"{short}-{place}", run.folder / "state" / f"{short}-{place}"
            )
        if not together:
            _finish(run, outcome, begun[name], name, place)
    if together:
        for name in reversed(SIDES):
            _finish(run, outcome, begun[name], name, place)


def _finish(run: _Run, outcome: DemoOutcome, training: Training, name: str, place: int) -> None:
    """Wait for a side's model, find with it and judge it."""
    with run.timed(f"train {name}"):
        model = training.wait()
    with run.timed(f"detect {name}"):
        found = _detect(run, model, outcome, name)
    evaluation = _judge(outcome.pages, found, name)
    (outcome.baseline if name == SIDES[0] else outcome.tiled).append(evaluation)
    run.say(f"{name}: F1 {text_of(evaluation.f1)} on {len(outcome.pages.test)} test pages")
    if place == 0:
        file = "baseline.jsonl" if name == SIDES[0] else "detections.jsonl"
        write_predictions([found[key] for key in outcome.pages.test], run.folder / file)


def _begin(project: RekognitionProject, folder: Path, version: str, state: Path) -> Training:
    from tilekit.aws.training import TrainingOptions

    return project.begin(
        folder / "train.manifest",
        folder / "test.manifest",
        version=version,
        state=state,
        options=TrainingOptions(replace=True),
    )


def _detect(run: _Run, model: Model, outcome: DemoOutcome, name: str) -> dict[PageKey, PageDetections]:
    """Everything found on tune and test pages, scores down to the least."""
    sizes = {**outcome.pages.tune.sizes, **outcome.pages.test.sizes}
    keys = [*outcome.pages.tune, *outcome.pages.test]
    found: dict[PageKey, PageDetections] = {}
    count = run.count(f"detect {name}")
    with model.running(share=False, watchdog=False) as detector:
        for done, key in enumerate(keys, 1):
            with open_page(key, sizes[key]) as scan:
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
