from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tilekit.demo import DemoOutcome, DemoScale, run_demo, user_pages
from tilekit.errors import LabelError, StorageNotFound
from tilekit.grid import Tiling

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]  # one training for all

TINY = DemoScale(
    train=6,
    tune=3,
    test=5,
    width=1280,
    height=900,
    count=8,
    tiling=Tiling(512, 64),
    steps=60,
    limit=448,
    threads=1,
)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> DemoOutcome:
    return run_demo(tmp_path_factory.mktemp("demo"), scale=TINY)


def test_tells_both_sides_and_the_gain(outcome: DemoOutcome) -> None:
    told = json.loads((outcome.out / "demo.json").read_text())
    assert list(told)[-3:] == ["baseline", "tiled", "gain"]
    assert told["gain"]["f1"] == pytest.approx(told["tiled"]["f1"] - told["baseline"]["f1"])
    assert told["gain"]["low"] <= told["gain"]["f1"] <= told["gain"]["high"]
    assert told["gain"]["f1"] > 0
    assert set(told["tiled"]["f1_by_criterion"]) == {"IoU 0.5", "IoU 0.3", "center hit"}


def test_judges_every_test_page_also_those_without_a_symbol(outcome: DemoOutcome) -> None:
    assert len(outcome.tiled[0].pages) == len(outcome.pages.test) == 5
    assert any(not len(page) for page in outcome.pages.test.values())
    assert outcome.tiled[0].threshold_source.startswith("fitted on 3 other pages")


def test_says_the_outcome_in_words_and_a_table(outcome: DemoOutcome) -> None:
    assert outcome.comparison.sentence in outcome.words
    assert any("median symbol at" in sentence for sentence in outcome.words)
    columns, rows = outcome.table()
    assert all(len(row) == len(columns) for row in rows)
    assert [row[0] for row in rows[-3:]] == ["mean, IoU 0.5", "mean, IoU 0.3", "mean, center hit"]


def test_writes_what_the_report_needs(outcome: DemoOutcome) -> None:
    for name in ("drawings.pdf", "truth.manifest", "baseline.jsonl", "detections.jsonl", "report/index.html"):
        assert (outcome.out / name).stat().st_size > 0


def test_takes_a_users_own_pages(outcome: DemoOutcome, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(outcome.out / "pages", data / "pages")
    for name in ("train", "test"):
        shutil.copy(outcome.out / f"{name}.manifest", data / f"{name}.manifest")
    again = user_pages(data)
    assert len(again.train) + len(again.tune) == TINY.train
    assert len(again.test) == TINY.test


def test_refuses_test_pages_that_are_trained_on(outcome: DemoOutcome, tmp_path: Path) -> None:
    shutil.copytree(outcome.out / "pages", tmp_path / "pages")
    for name in ("train", "test"):
        shutil.copy(outcome.out / "test.manifest", tmp_path / f"{name}.manifest")
    with pytest.raises(LabelError, match="in both manifests"):
        run_demo(tmp_path / "out", data=tmp_path)


@pytest.fixture
def data(outcome: DemoOutcome, tmp_path: Path) -> Path:
    shutil.copytree(outcome.out / "pages", tmp_path / "pages")
    for name in ("train", "test"):
        shutil.copy(outcome.out / f"{name}.manifest", tmp_path / f"{name}.manifest")
    return tmp_path


def test_says_what_is_wrong_with_a_users_pages(data: Path) -> None:
    train = (data / "train.manifest").read_text().splitlines()
    first = json.loads(train[0])

    def with_first(**changed: object) -> None:
        (data / "train.manifest").write_text("\n".join([json.dumps(first | changed), *train[1:]]) + "\n")

    with_first(**{"source-ref": "s3://bucket/page.png"})
    with pytest.raises(LabelError, match="not on this machine"):
        user_pages(data)
    with_first(**{"source-ref": "pages/none.png"})
    with pytest.raises(StorageNotFound, match="source-ref counts from"):
        user_pages(data)
    with_first(**{"source-ref": str((data / first["source-ref"]).resolve())})
    assert len(user_pages(data).test) == TINY.test
    (data / "test.manifest").unlink()
    with pytest.raises(StorageNotFound, match=r"train\.manifest and test\.manifest"):
        user_pages(data)


def test_too_few_pages_serve_twice(data: Path) -> None:
    train = (data / "train.manifest").read_text().splitlines()
    (data / "train.manifest").write_text(train[0] + "\n")
    pages = user_pages(data)
    assert pages.shared
    assert "fitted on them all" in pages.notes[-1]
    told = run_demo(
        data / "out", data=data, scale=DemoScale(tiling=Tiling(512, 64), steps=4, limit=448, threads=1)
    ).to_json()
    assert told["pages"] == {"train": 1, "tune": 1, "test": TINY.test}
