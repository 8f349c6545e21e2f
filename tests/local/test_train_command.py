"""`tilekit train`: on this machine, and against a local server, without a bucket made by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from tilekit.cli import cli
from tilekit.datasets.building import tile_dataset
from tilekit.detectors.onnx import OnnxDetector
from tilekit.grid import Tiling
from tilekit.labels.label_set import LabelSet
from tilekit.local.usage import bucket_of
from tilekit.pages import PageKey
from tilekit.scans.encoding import encode_image
from tilekit.testing.scenes import scene_page


@pytest.fixture
def data(tmp_path: Path) -> Path:
    pages, sizes = {}, {}
    for seed in range(4):
        pixels, labels = scene_page(seed, 400, 300, symbols=("valve",), symbol_px=(16, 20), count=3)
        file = tmp_path / f"{seed}.png"
        file.write_bytes(encode_image(pixels, "png").data)
        pages[PageKey(str(file))], sizes[PageKey(str(file))] = labels, (400, 300)
    tile_dataset(LabelSet(pages, sizes=sizes), tmp_path / "data", Tiling(256, 64), split=(0.5, 0.0, 0.5))
    return tmp_path / "data"


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_train_on_this_machine_and_take_the_model_along(data: Path, tmp_path: Path) -> None:
    words = ("train", data / "train.manifest", data / "test.manifest", "--local", "--steps", 3)
    onnx = tmp_path / "model.onnx"
    code, out, said = run(*words, "--state", tmp_path / "state", "--export", onnx, "--json")
    assert code == 0, said
    told = json.loads(out)
    assert (told["converged"], told["onnx"]) == (False, str(onnx))
    detector = OnnxDetector(onnx)
    assert detector.names == ("valve",)
    assert detector.tiling == Tiling(256, 64)
    again = (*words, "--state", tmp_path / "state", "--version", "v2", "--warm-start", told["version"])
    code, out, said = run(*again)
    assert code == 0, said
    assert "Not converged" in said
    assert "earlier model" not in said


@pytest.mark.slow
def test_a_local_server_has_a_bucket_ready(
    canned_url: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    words = ("train", data / "train.manifest", data / "test.manifest", "--project", f"ready-{os.getpid()}")
    code, out, said = run(*words, "--endpoint-url", canned_url, "--json")
    assert code == 0, said
    assert json.loads(out)["converged"] is None
    assert bucket_of(canned_url) == "tilekit-local"
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    code, _, said = run(*words)
    assert (code, "--bucket" in said) == (2, True)
    assert bucket_of("http://127.0.0.1:9") is None


def test_what_goes_together_is_said(data: Path) -> None:
    words = ("train", data / "train.manifest", data / "test.manifest")
    assert "--project" in run(*words)[2]
    assert "--local" in run(*words, "--project", "p", "--bucket", "abc", "--export", "m.onnx")[2]
    assert run(*words, "--local", "--minutes", 0)[0] == 2


def test_a_bucket_name_that_is_none_is_named() -> None:
    code, _, said = run("info", "s3://ab/page.tif")
    assert (code, "'ab' cannot be the name of a bucket" in said) == (1, True)
