"""The three commands from end to end, at tiny sizes, and the page in a real browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, sync_playwright

from tests.report.test_browser import ARGS
from tilekit.cli import cli
from tilekit.cli.output import run_guarded
from tilekit.testing.scans import write_scan

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bench commands")]  # one run for all


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bench")
    write_scan(made / "plan.jpg", 900, 700)
    return made


@pytest.fixture(scope="module")
def tiled(folder: Path) -> dict[str, Any]:
    """A run on one scan that is there and one that is not."""
    scan = folder / "plan.jpg"
    result = CliRunner().invoke(
        cli,
        ["bench", str(scan), str(folder / "gone.tif"), "--quick", "--peers", "benchmarks.peers", "--tile", "256", "--overlap", "32", "--rounds", "1",
         "--cache", str(folder), "--json", "--html", str(folder / "bench.html")],
    )  # fmt: skip
    assert "gone.tif" in result.stdout
    assert result.exit_code == 1, "one scan could not be read"
    found: dict[str, Any] = json.loads(result.stdout)
    (folder / "run.json").write_text(result.stdout)
    return found


def test_tiling_finds_settings_peers_and_the_limit(tiled: dict[str, Any]) -> None:
    assert {row["scan"] for row in tiled["settings"]} == {"plan.jpg"}
    assert {row["format"] for row in tiled["settings"]} == {"jpeg", "png"}
    who = {row["who"] for row in tiled["peers"]}
    assert {"tilekit", "dzsave", "image_slicer", "sahi", "opencv", "pillow"} <= who
    assert tiled["limits"][0]["bound"]
    assert tiled["best"][0]["mpx_s"] == max(row["mpx_s"] for row in tiled["settings"])
    assert [row["scan"].endswith("gone.tif") for row in tiled["failed"]] == [True]
    assert tiled["inputs"][0]["hash"]
    assert tiled["machine"]["cores"] >= 1


def test_no_scratch_is_left(tiled: dict[str, Any], folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["bench.html", "plan.jpg", "run.json"]


def test_a_rerun_is_compared(tiled: dict[str, Any], folder: Path) -> None:
    result = CliRunner().invoke(
        cli,
        ["bench", str(folder / "plan.jpg"), "--quick", "--tile", "256", "--overlap", "32", "--rounds", "1",
         "--no-peers", "--cache", str(folder), "--compare", str(folder / "run.json")],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "compared" in result.stdout
    assert "of the limit, bound by" in result.stderr


def test_boxes_beside_their_peers(folder: Path) -> None:
    page = folder / "boxes.html"
    arguments = [
        "bench", "boxes", "--peers", "benchmarks.peers", "--size", "50", "--size", "1000", "--quick", "--rounds", "1", "--json",
    ]  # fmt: skip
    result = CliRunner().invoke(cli, [*arguments, "--html", str(page)])
    assert result.exit_code == 0, result.output
    run = json.loads(result.stdout)
    cases = {row["case"] for row in run["peers"]}
    assert {"spread 50", "spread 1,000", "tile-merge 1,000", "soft_nms 1,000", "wbf 1,000"} <= cases
    assert run["merge"]["times_nms"] > 0
    page.unlink()


def test_detection_with_a_detector_that_waits(folder: Path) -> None:
    result = CliRunner().invoke(
        cli, ["bench", "detect", str(folder / "plan.jpg"), "--tile", "256", "--overlap", "32", "--nap", "2",
              "--workers", "1", "--workers", "2"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "tiles/s" in result.stderr


def test_detection_with_a_callable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    module = folder / "bench_model.py"
    module.write_text("def find(pixels):\n    return [[0, 0, 5, 5, 0.9]]\n")
    arguments = ["bench", "detect", str(folder / "plan.jpg"), "--model", "bench_model:find", "--tile", "256"]
    result = CliRunner().invoke(cli, [*arguments, "--overlap", "32", "--workers", "1", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["detect"][0]["found"] > 0
    module.unlink()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["bench", "--size", "-3"], "megapixels"),
        (["bench", "--tile", "0"], "--tile 0"),
        (["bench", "--tile", "100"], "--overlap 128"),
        (["bench", "--overlap", "-5"], "--overlap -5"),
        (["bench", "--workers", "0"], "--workers 0"),
        (["bench", "--size", "9e12"], "GB of disk"),
        (["bench", "boxes", "--size", "999999999999"], "GB of memory"),
        (["bench", "detect", "--endpoint", "http://127.0.0.1:1"], "--endpoint needs --model"),
        (["bench", "boxes", "--size", "5", "--quick", "--compare", "none.json"], "none.json"),
        (["bench", "boxes", "--size", "5", "--quick", "--peers", "no_such_peers"], "no_such_peers"),
        (["bench", "--quick", "--size", "1", "--peers", "json"], "no PEERS"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], sentence: str, folder: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("sys.argv", ["tilekit", *arguments])
    monkeypatch.setenv("HOME", str(folder / "home"))
    assert run_guarded(cli) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("error: ")
    assert sentence in told
    shutil.rmtree(folder / "home", ignore_errors=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "the page is tested in a real browser: install chromium"
    with sync_playwright() as tool:
        launched = tool.chromium.launch(executable_path=program, args=ARGS)
        yield launched
        launched.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_opens_without_a_problem(
    tiled: dict[str, Any], folder: Path, browser: Browser, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("request", lambda request: problems.append(request.url) if not request.url.startswith(("file:", "data:")) else None)  # fmt: skip
    page.goto((folder / "bench.html").as_uri())
    assert page.locator("figure svg").count() >= 4
    assert page.locator("h2").all_inner_texts()[:3] == ["Settings", "Beside others", "The limit here"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert problems == []
    page.close()
