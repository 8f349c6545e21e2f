"""What was taught on each scale goes from plan and dataset through models to whatever detects, and weighs there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tilekit import (
    CallableDetector,
    Scales,
    Tiling,
    detect_tiles,
    open_scan,
    read_predictions,
    recommend_tiling,
    tile_dataset,
)
from tilekit.archive import DetectJob, process_archive
from tilekit.aws.training import read_beside
from tilekit.boxes.annotations import Annotations
from tilekit.cli import cli
from tilekit.datasets import DatasetOptions
from tilekit.datasets.carrying import CarryingRules
from tilekit.detection.batch import detect_scans
from tilekit.errors import InvalidArgument
from tilekit.labels.label_set import LabelSet
from tilekit.pages import PageKey
from tilekit.rekognition.belonging import SizeRule
from tilekit.scans.encoding import encode_image

NAMES = ("mark", "table")
SCALES = Scales(Tiling(200, 40), Tiling.whole(300))
TAUGHT = ({"mark": (12.0, 12.0)}, {"table": (300.0, 400.0)})
KNOWN = Scales(SCALES, taught=TAUGHT)
TABLE, PATCH, MARK = [100.0, 150, 500, 450], [670.0, 60, 710, 90], [600.0, 600, 612, 612]


def drawn(folder: Path, name: str = "page.png") -> Path:
    """A page with a table (gray), a mark (black) and a darker patch that is nothing."""
    pixels = np.full((700, 900, 1), 255, np.uint8)
    for shade, box in ((150, TABLE), (90, PATCH), (0, MARK)):
        x0, y0, x1, y1 = map(int, box)
        pixels[y0:y1, x0:x1] = shade
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(encode_image(pixels, "png").data)
    return folder / name


def grays(pixels: Any) -> list[list[float]]:
    """A box around each shade: two grays are called a table, if they are 15 px, black a mark."""
    found = []
    shown = pixels[..., 0]
    for label, low, high, least in ((1, 140, 160, 15), (1, 80, 100, 15), (0, 0, 40, 1)):
        here = (shown >= low) & (shown <= high)
        xs, ys = (np.flatnonzero(here.sum(axis=side) >= least) for side in (0, 1))
        if len(xs) and len(ys):
            found.append([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1, 0.9, label])
    return found


knowing = CallableDetector(grays, names=NAMES, tiling=KNOWN)
plain = CallableDetector(grays, names=NAMES)


def scores_of(page: Any) -> dict[tuple[str, int], float]:
    """(label, x of the middle in hundreds) -> best score."""
    best: dict[tuple[str, int], float] = {}
    for label, box, score in zip(page.labels, page.boxes, page.scores, strict=True):
        key = label, round(float(box[0] + box[2]) / 200)
        best[key] = max(best.get(key, 0.0), round(float(score), 3))
    return best


def detected(path: Path, detector: Any, scales: Any) -> Any:
    with open_scan(path) as scan:
        return detect_tiles(scan, detector, scales)


def test_a_patch_that_looks_like_a_table_on_a_fine_tile_counts_less(tmp_path: Path) -> None:
    path = drawn(tmp_path)
    before = scores_of(detected(path, plain, SCALES))
    for detector, scales in ((knowing, SCALES), (plain, KNOWN), (knowing, KNOWN), ([knowing] * 2, SCALES)):
        found = scores_of(detected(path, detector, scales))
        assert found["table", 3] == before["table", 3] == 0.9
        assert found["mark", 6] == before["mark", 6] == 0.9
        assert before["table", 7] == 0.9
        assert found["table", 7] == 0.09
    nothing = Scales(SCALES, taught=[{}, {}])
    assert (
        scores_of(detected(path, knowing, nothing)) == before
    )  # what is asked for comes before what a model says
    one = detected(path, knowing, SCALES[0])
    assert scores_of(one) == scores_of(detected(path, plain, SCALES[0]))


def test_a_run_that_goes_on_is_refused_where_other_things_were_taught(tmp_path: Path) -> None:
    path, out = str(drawn(tmp_path)), tmp_path / "found.jsonl"
    assert detect_scans([path], knowing, SCALES, out).done == 1
    assert detect_scans([path], knowing, SCALES, out).skipped == 1
    assert detect_scans([path], plain, KNOWN, out).skipped == 1
    (page,) = read_predictions(out).pages()
    assert scores_of(page) == scores_of(detected(Path(path), knowing, SCALES))
    other = Scales(SCALES, taught=[TAUGHT[0] | {"table": (20.0, 90.0)}, TAUGHT[1]])
    for detector, scales in ((plain, SCALES), (knowing, other)):
        with pytest.raises(InvalidArgument, match="taught=") as caught:
            detect_scans([path], detector, scales, out)
        assert "--fresh" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert detect_scans([path], plain, SCALES, out, fresh=True).done == 1


def test_an_archive_weighs_and_its_ledger_knows(tmp_path: Path) -> None:
    path = drawn(tmp_path / "in")
    job = DetectJob(KNOWN, f"{__name__}:plain")
    done = process_archive(path.parent, tmp_path / "out", job)
    assert (done.done, done.failed) == (1, 0)
    (page,) = read_predictions(tmp_path / "out" / "detections.jsonl").pages()
    assert scores_of(page) == scores_of(detected(path, plain, KNOWN))
    assert process_archive(path.parent, tmp_path / "out", job).skipped == 1
    assert replace(job, tiling=SCALES).recipe() != job.recipe()
    (other,) = [replace(job, tiling=Scales(SCALES, taught=[{}, {}]))]
    assert other.recipe() != job.recipe()


@pytest.fixture
def labels(tmp_path: Path) -> LabelSet:
    """Ten pages with a table each and marks, the last with a larger table."""
    pages, sizes = {}, {}
    for number in range(10):
        path = drawn(tmp_path / "pages", f"{number}.png")
        table = [*TABLE[:2], TABLE[2] + 10 * number, TABLE[3]]
        marks = [[600 + 20 * n, 600, 612 + 20 * n, 612] for n in range(8)]
        pages[PageKey(str(path))] = Annotations([table, *marks], [1] + [0] * 8, NAMES)
        sizes[PageKey(str(path))] = (900, 700)
    return LabelSet(pages, sizes=sizes, names=NAMES)


def test_a_dataset_says_what_it_teaches_on_each_scale(labels: LabelSet, tmp_path: Path) -> None:
    rules = CarryingRules(sizes=SizeRule(enough=16, share=0.5))
    summary = tile_dataset(labels, tmp_path / "set", SCALES, options=DatasetOptions(rules=rules))
    assert isinstance(summary.tiling, Scales)
    fine, coarse = summary.tiling.taught
    assert (set(fine), set(coarse)) == ({"mark"}, {"table"})
    assert fine["mark"] == (12, 12)
    sizes = [
        float(np.sqrt(np.prod(labels[key].boxes[0, 2:] - labels[key].boxes[0, :2])))
        for key in summary.split.train
    ]
    assert coarse["table"] == (np.floor(min(sizes)), np.ceil(max(sizes)))
    for text in ("tiling.json", "summary.json"):
        value = json.loads((tmp_path / "set" / text).read_text())
        assert Scales.from_json(value).taught == (fine, coarse)
    beside = read_beside(tmp_path / "set" / "train.manifest").tiling
    assert isinstance(beside, Scales)
    assert beside.taught == (fine, coarse)
    again = tile_dataset(labels, tmp_path / "set", KNOWN, options=DatasetOptions(rules=rules))
    assert again.bytes == 0
    assert again.tiling.taught == (fine, coarse)


def test_a_plan_says_it_as_well(labels: LabelSet) -> None:
    large = {key: Annotations(page.boxes * 8, page.class_ids, NAMES) for key, page in labels.items()}
    small = {key: replace_marks(page) for key, page in large.items()}
    plan = recommend_tiling(LabelSet(small, sizes=dict.fromkeys(small, (7200, 5600)), names=NAMES))
    assert len(plan.scales) > 1
    assert plan.scales.taught == tuple(one.taught for one in plan.at)
    assert plan.scales.taught[0]["mark"] == (20, 20)
    assert plan.scales.taught[-1]["table"] == (2771, 3068)
    assert Scales.from_json(json.loads(json.dumps(plan.to_json()))).taught == plan.scales.taught


def replace_marks(page: Annotations) -> Annotations:
    """Marks of 20 px where they are."""
    boxes = page.boxes.copy()
    boxes[1:, 2:] = boxes[1:, :2] + 20
    return Annotations(boxes, page.class_ids, NAMES)


def run(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout + done.stderr


def test_the_command_line_says_what_each_scale_looks_for(tmp_path: Path) -> None:
    path = drawn(tmp_path / "in")
    file = tmp_path / "scales.json"
    file.write_text(json.dumps(KNOWN.to_json()))
    at = ("--at", "200/40", "--at", "page@300")
    said = "looks for, at 200/40: mark (12 px)", "looks for, at page@300: table (300 to 400 px)"
    for model, how in (
        ("knowing", ()),
        ("knowing", at),
        ("plain", ("--scales", file)),
        ("knowing", ("--scales", "auto")),
    ):
        text = run("detect", path, "--model", f"{__name__}:{model}", *how, "--dry-run")
        assert all(words in text for words in said)
        told = json.loads(run("detect", path, "--model", f"{__name__}:{model}", *how, "--dry-run", "--json"))
        assert Scales.from_json(told["scales"]).taught == TAUGHT
    text = run("detect", path, "--model", f"{__name__}:plain", *at, "--dry-run")
    assert "looks for, at page@300: every label" in text
    text = run("detect", path, "--model", f"{__name__}:plain", "--tile", 200, "--dry-run")
    assert "looks for" not in text


@pytest.mark.slow
def test_detect_and_archive_find_the_same_on_the_command_line(tmp_path: Path) -> None:
    path = drawn(tmp_path / "in")
    file = tmp_path / "scales.json"
    file.write_text(json.dumps(KNOWN.to_json()))
    wanted = scores_of(detected(path, knowing, SCALES))
    for number, (model, how) in enumerate(
        (
            ("plain", ("--scales", file)),
            ("knowing", ("--at", "200/40", "--at", "page@300")),
            ("knowing", ("--scales", "auto")),
        )
    ):
        one, many = tmp_path / f"{number}.jsonl", tmp_path / f"out-{number}"
        run("detect", path, "--model", f"{__name__}:{model}", *how, "--out", one, "--json")
        more = ("--job", "detect", "--workers", 1, "--json")
        text = run("archive", "run", path.parent, many, "--model", f"{__name__}:{model}", *how, *more)
        assert text
        told = json.loads(
            run(
                "archive",
                "run",
                path.parent,
                tmp_path / "x",
                "--model",
                f"{__name__}:{model}",
                *how,
                *more,
                "--dry-run",
            )
        )
        if model == "plain" or "auto" in how:
            assert Scales.from_json(told["scales"]).taught == TAUGHT
        for found in (one, many / "detections.jsonl"):
            (page,) = read_predictions(found).pages()
            assert scores_of(page) == wanted


def test_an_archive_asks_for_what_a_model_does_not_say(tmp_path: Path) -> None:
    drawn(tmp_path / "in")
    more = ("--job", "detect", "--scales", "auto")
    done = CliRunner().invoke(
        cli,
        [
            "archive",
            "run",
            str(tmp_path / "in"),
            str(tmp_path / "out"),
            *more,
            "--model",
            f"{__name__}:plain",
        ],
    )
    assert done.exit_code != 0
    said = str(done.exception) + done.output
    assert "does not say what it was trained on" in said
