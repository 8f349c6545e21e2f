"""Several scales on the command line: tile, archive; and what makes no sense is one sentence with its option."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tilekit import Scales, Tiling, read_predictions, tile_scan
from tilekit.boxes.annotations import Annotations
from tilekit.cli import cli
from tilekit.errors import TilekitError
from tilekit.labels.label_set import LabelSet
from tilekit.labels.reading import write_labels
from tilekit.pages import PageKey
from tilekit.scans.encoding import encode_image

AT = ("--at", "256/32", "--at", "256/32@0.5", "--at", "page@200")
SCALES = Scales(Tiling(256, 32), Tiling(256, 32, scale=0.5), Tiling.whole(200))


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page of 700 x 500 with a dark mark."""
    pixels = np.full((500, 700, 1), 255, np.uint8)
    pixels[100:120, 300:330] = 0
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "p.png").write_bytes(encode_image(pixels, "png").data)
    return folder / "p.png"


def run(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_tile_writes_each_scale_as_tile_scan_does(page: Path, tmp_path: Path) -> None:
    told = json.loads(run("tile", page, tmp_path / "cli", *AT, "--format", "png", "--json"))
    tile_scan(page, tmp_path / "python", SCALES, format="png")
    found, known = (
        {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.png"))}
        for folder in (tmp_path / "cli", tmp_path / "python")
    )
    assert found == known
    assert {path.parts[0] for path in found} >= {"scale-2", "scale-3"}
    assert (told["pages"], told["tiles"]) == (1, len(found))
    file = tmp_path / "scales.json"
    file.write_text(json.dumps(SCALES.to_json()))
    run("tile", page, tmp_path / "file", "--scales", file, "--format", "png")
    assert {p.relative_to(tmp_path / "file") for p in (tmp_path / "file").rglob("*.png")} == found.keys()


def refusal(*arguments: object) -> str:
    """What a command says that refuses; one sentence, no traceback. "" where it does not."""
    done = CliRunner().invoke(cli, [str(one) for one in arguments])
    if isinstance(done.exception, TilekitError):
        assert "\n" not in str(done.exception)
        return str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return "" if done.exit_code == 0 else done.output


def find_dark(pixels):
    """The box of everything dark."""
    ys, xs = np.nonzero(pixels.min(axis=2) < 100)
    return [[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1, 0.9, 0]] if len(ys) else []


def test_an_archive_detects_at_scales(page: Path, tmp_path: Path) -> None:
    file = tmp_path / "scales.json"
    file.write_text(json.dumps(SCALES.to_json()))
    more = (
        "--job",
        "detect",
        "--model",
        f"{__name__}:find_dark",
        "--names",
        "dark",
        "--workers",
        1,
        "--json",
    )
    for name, how in (("at", AT), ("file", ("--scales", file))):
        run("archive", "run", page.parent, tmp_path / name, *how, *more)
        (found,) = read_predictions(tmp_path / name / "detections.jsonl").pages()
        assert found.tilings == tuple(SCALES)
        assert found.detections.boxes.round().tolist() == [[300, 100, 330, 120]]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (("--at", "256/32", "--at", "256/32"), "given twice"),
        (("--at", "page@200", "--at", "256/32"), "finer than page@200 before it"),
        (("--at", "256/32@2", "--at", "page@200"), "finer than the scan"),
        (("--at", "256/32", "--tile", "512"), "so --tile cannot"),
        (("--at", "nothing"), "is no scale"),
        (("--scales", "auto"), "--at"),
        (("--scales", "gone.json"), "gone.json"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    how: tuple[str, ...], said: str, page: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert said in refusal("tile", page, out, *how)
    assert said in refusal("archive", "run", page.parent, out, "--job", "dataset", *how)
    assert not out.exists()


def test_a_scale_coarser_than_a_page_is_told_of_that_page(page: Path, tmp_path: Path) -> None:
    told = refusal("tile", page, tmp_path / "out", "--at", "256/32", "--at", "1024/32@0.5")
    assert "coarser than the page" in told
    assert "--at" in told


def test_labels_without_sizes_say_the_option(tmp_path: Path) -> None:
    labels = LabelSet({PageKey("gone.png"): Annotations([[1, 1, 20, 20]], [0], ("x",))}, names=("x",))
    write_labels(labels, tmp_path / "l.csv", "csv")
    assert "--images" in refusal("plan", tmp_path / "l.csv")


def test_one_tiling_against_scales_from_the_scan_to_the_report(page: Path, tmp_path: Path) -> None:
    labels = LabelSet(
        {PageKey(str(page)): Annotations([[300, 100, 330, 120]], [0], ("dark",))},
        sizes={PageKey(str(page)): (700, 500)},
        names=("dark",),
    )
    truth = tmp_path / "truth.manifest"
    write_labels(labels, truth, "ground-truth")
    model = ("--model", f"{__name__}:find_dark", "--names", "dark")
    run("detect", truth, *model, "--tile", 256, "--overlap", 32, "--out", tmp_path / "tiles.jsonl")
    run("detect", truth, *model, *AT, "--out", tmp_path / "scales.jsonl")
    for name in ("tiles", "scales"):
        text = run("evaluate", truth, tmp_path / f"{name}.jsonl", "--out", tmp_path / f"{name}.json")
        assert ("hits by it" in text) == (name == "scales")
    text = run("compare", tmp_path / "tiles.json", tmp_path / "scales.json")
    assert "whole pages" not in text.lower()
    files = ("--baseline", tmp_path / "tiles.jsonl", "--detections", tmp_path / "scales.jsonl")
    run("report", tmp_path, "--truth", truth, *files)
    index = (tmp_path / "report" / "index.html").read_text()
    assert "scales: which scale found what" in index
    assert "<h2" in index
    assert "whole pages" not in index.lower()
