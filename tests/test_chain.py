"""The whole chain through the command line: dataset, check, train, detect, evaluate, compare, report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chain import SYMBOLS, asked, reach, run, write_pages
from tilekit.cli.detect import EXPORTS
from tilekit.errors import InvalidArgument, RecipeMismatch
from tilekit.labels.prediction_lines import iter_predictions, read_predictions
from tilekit.labels.reading import read_labels
from tilekit.local import running
from tilekit.rekognition.arns import parse_version_arn
from tilekit.storage.s3 import S3Store

BUCKET = "chain"
TILES = ("--tile", 256, "--overlap", 64)


class Chain:
    """A folder with pages, a dataset and a model trained on it."""

    def __init__(self, folder: Path, store: S3Store) -> None:
        self.folder, self.store = folder, store
        self.truth = write_pages(folder, 8, 640, 448)
        self.data = folder / "data"
        asked("dataset", self.truth, self.data, *TILES, "--split", "0.5,0.25,0.25", "--baseline")
        self.model = self.train(self.data, "symbols", "v1")

    def train(self, data: Path, project: str, version: str) -> str:
        manifests = (data / "train.manifest", data / "test.manifest")
        asked("check", *manifests)
        options = ("--project", project, "--bucket", BUCKET, "--version", version)
        return str(asked("train", *manifests, *options)["arn"])


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with running(canned=True, time_scale=0.0) as url, pytest.MonkeyPatch.context() as patch:
        yield Chain(tmp_path_factory.mktemp("chain"), reach(patch, url, BUCKET))


@pytest.mark.slow
def test_a_model_is_named_in_three_ways(chain: Chain, tmp_path: Path) -> None:
    found, scan = [], chain.folder / "scans" / "p0.png"
    for number, name in enumerate(("symbols", "symbols/v1", chain.model)):
        out = tmp_path / f"{number}.jsonl"
        told = asked("detect", scan, "--model", name, "--out", out)
        assert told["model"] == chain.model
        assert told["counts"] == {SYMBOLS[0]: told["counts"][SYMBOLS[0]], SYMBOLS[1]: 0}
        found.append(out.read_bytes())
    assert found[0] == found[1] == found[2]
    page = next(iter_predictions(out))
    assert page.tilings[0].tile_size == (256, 256)
    assert {row["status"] for row in asked("models", "symbols")["models"]} == {"STOPPED"}
    assert "symbols/v1: starting" not in run("detect", scan, "--model", "symbols", "--out", out).stderr
    with pytest.raises(InvalidArgument, match="tilekit models"):
        run("detect", chain.folder / "scans", "--model", "nothing", "--out", tmp_path / "none.jsonl")


@pytest.mark.slow
def test_tiles_of_another_size_are_refused(chain: Chain, tmp_path: Path) -> None:
    page = chain.folder / "scans" / "p0.png"
    for more in (("--tile", 300), ("--whole",)):
        with pytest.raises(RecipeMismatch, match="256"):
            run("detect", page, "--model", "symbols", *more, "--out", tmp_path / "no.jsonl")
        asked(
            "detect", page, "--model", "symbols", *more, "--force", "--fresh", "--out", tmp_path / "no.jsonl"
        )


@pytest.mark.slow
def test_scans_on_s3_give_what_files_give(chain: Chain, tmp_path: Path) -> None:
    pages = sorted((chain.folder / "scans").glob("p[01].png"))
    for page in pages:
        chain.store.client.put_object(Bucket=BUCKET, Key=f"in/{page.name}", Body=page.read_bytes())
    near, far = tmp_path / "near.jsonl", tmp_path / "far.jsonl"
    asked("detect", *pages, "--model", "symbols", "--out", near)
    told = asked(
        "detect", f"s3://{BUCKET}/in/", "--model", "symbols", "--out", far, "--draw", tmp_path / "drawn"
    )
    assert told["pages"] == 2
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["p0.jpg", "p1.jpg"]
    there = read_predictions(far)
    assert [key.source for key in there] == [f"s3://{BUCKET}/in/p{number}.png" for number in (0, 1)]
    for one, other in zip(iter_predictions(near), iter_predictions(far), strict=True):
        assert one.detections.boxes.tolist() == other.detections.boxes.tolist()
    assert asked("detect", f"s3://{BUCKET}/in/", "--model", "symbols", "--out", far)["skipped"] == 2


def test_every_export_holds_the_same_boxes(chain: Chain, tmp_path: Path) -> None:
    out = tmp_path / "found.jsonl"
    plain = {
        name: export for name, export in EXPORTS.items() if export[0] != "map"
    }  # these pages lie on no map
    formats = [word for name in plain for word in ("--format", name)]
    told = asked("detect", chain.folder / "scans" / "p0.png", "--model", "symbols", "--out", out, *formats)
    assert len(told["exports"]) == len(plain)
    count = sum(told["counts"].values())
    assert count > 0
    for format, ending in plain.values():
        file = tmp_path / f"found{ending}"
        if format == "label-studio":  # predictions of a model, which are no labels until somebody has looked
            (task,) = json.loads(file.read_text())
            assert len(task["predictions"][0]["result"]) == count
            continue
        assert sum(len(page) for page in read_labels(file, format).values()) == count


@pytest.mark.slow
def test_false_alarms_become_decoys_that_are_dropped_again(chain: Chain, tmp_path: Path) -> None:
    found = tmp_path / "train.jsonl"
    told = asked("detect", chain.data / "pages-train.manifest", "--model", "symbols", "--out", found)
    assert told["pages"] == 4
    data = tmp_path / "data"
    more = ("--split", chain.data / "split.json", "--decoys", found, "--decoy-name", "a decoy")
    made = asked("dataset", chain.truth, data, *TILES, *more)
    assert any("decoys on" in note for note in made["notes"])
    assert "a decoy" in read_labels(data / "train.manifest").names
    chain.train(data, "decoyed", "v1")
    # The canned model answers with its first label, which is now the decoy: it must not come through.
    out = tmp_path / "out.jsonl"
    assert asked("detect", chain.folder / "scans" / "p0.png", "--model", "decoyed", "--out", out)[
        "counts"
    ] == dict.fromkeys(SYMBOLS, 0)


@pytest.mark.slow
def test_a_killed_run_goes_on_and_its_model_is_stopped(tmp_path: Path) -> None:
    with running(canned=True, time_scale=0.0, latency=0.15) as url, pytest.MonkeyPatch.context() as patch:
        chain = Chain(tmp_path / "chain", reach(patch, url, BUCKET))
        out = tmp_path / "found.jsonl"
        command = [
            str(part) for part in ("detect", chain.folder / "scans", "--model", "symbols", "--out", out)
        ]
        killed = subprocess.Popen(
            [sys.executable, "-m", "tilekit", *command],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        wait_for(lambda: out.exists() and out.read_bytes().count(b"\n") >= 2)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        kept = out.read_bytes()
        assert kept.count(b"\n") < 8
        wait_for(lambda: {row["status"] for row in asked("models", "symbols")["models"]} == {"STOPPED"})
        told = asked(*command)
        assert told["pages"] + told["skipped"] == 8
        assert told["skipped"] >= 2
        whole = kept[: kept.rindex(b"\n") + 1]
        assert out.read_bytes().startswith(whole)
        assert asked(*command[:-1], tmp_path / "again.jsonl")["pages"] == 8
        assert out.read_bytes() == (tmp_path / "again.jsonl").read_bytes()


def wait_for(done, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    folder = tmp_path_factory.mktemp("trained")
    with (
        running(folder / "server", steps=60, limit=448, threads=1, time_scale=0.0) as url,
        pytest.MonkeyPatch.context() as patch,
    ):
        yield Chain(folder / "work", reach(patch, url, BUCKET))


@pytest.mark.slow
def test_from_labels_to_a_report_with_a_model_that_learned(trained: Chain, tmp_path: Path) -> None:
    folder, data = trained.folder, trained.data
    model = parse_version_arn(trained.model)
    assert asked("models", "symbols")["models"][0]["f1"] > 0.5
    for side in ("tune", "test"):
        for name, more in (("detections", ()), ("baseline", ("--whole", "--force"))):
            pages, out = data / f"pages-{side}.manifest", folder / f"{name}-{side}.jsonl"
            asked("detect", pages, "--model", f"{model.project}/{model.version}", "--out", out, *more)
    sides = []
    for name in ("baseline", "detections"):
        fit = ("--fit", data / "pages-tune.manifest", folder / f"{name}-tune.jsonl")
        judged = asked(
            "evaluate", data / "pages-test.manifest", folder / f"{name}-test.jsonl", *fit,
            "--out", folder / f"{name}.json",
        )  # fmt: skip
        assert judged["threshold_source"].startswith("fitted on 2 other pages")
        sides.append(folder / f"{name}.json")
    assert judged["f1"] > 0.6
    gain = asked("compare", *sides)
    assert gain["names"] == ["baseline", "detections"]

    # A file of thresholds, fitted on tune pages and applied in detection, gives the figures of --fit.
    limits = ("--thresholds", folder / "detections.json")
    few = tmp_path / "few.jsonl"
    told = asked("detect", data / "pages-test.manifest", "--model", "symbols", "--out", few, *limits)
    rows = {row["label"]: row for row in judged["labels"]}
    assert told["counts"] == {name: rows[name]["tp"] + rows[name]["fp"] for name in SYMBOLS}

    # The same network as an ONNX file, without a server: about the same boxes.
    onnx = tmp_path / "symbols.onnx"
    exported = asked(
        "local",
        "export",
        "symbols/v1",
        onnx,
        "--state",
        folder.parent / "server",
        "--tiling",
        data / "tiling.json",
    )
    assert exported["names"] == list(SYMBOLS)
    alone = asked(
        "detect", data / "pages-test.manifest", "--model", onnx, "--out", tmp_path / "o.jsonl", *limits
    )
    for name in SYMBOLS:
        assert alone["counts"][name] == pytest.approx(told["counts"][name], abs=2)

    found = ("--detections", folder / "detections-test.jsonl", "--baseline", folder / "baseline-test.jsonl")
    report = asked("report", folder, "--truth", data / "pages-test.manifest", *found)
    assert report["pages"] == 2
    assert Path(report["index"]).stat().st_size > 1000
    assert json.loads((data / "split.json").read_text())["test"]
