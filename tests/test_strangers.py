"""What a stranger types wrong: one clear sentence, exit code 1 or 2, never a traceback."""

from __future__ import annotations

import shlex

import pytest
from click.testing import CliRunner

import tilekit as tk
from tilekit.cli import cli
from tilekit.errors import InvalidArgument, TilekitError
from tilekit.testing.scans import write_scan


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_scan("scan.jpg", 700, 500, "jpeg")
    (tmp_path / "text.tif").write_text("a letter, not a scan\n", encoding="utf-8")
    (tmp_path / "empty.png").touch()
    (tmp_path / "bad.json").write_text("{nope", encoding="utf-8")
    key = tk.PageKey("scan.jpg")
    boxes = tk.Annotations([[10, 10, 40, 40]], [0], ["valve"])
    tk.write_labels(tk.LabelSet({key: boxes}, sizes={key: (700, 500)}), "page.manifest")
    seen = tk.Detections([[10, 10, 40, 40]], [0.9], [0], ["valve"])
    tk.write_predictions([tk.PageDetections(key, 700, 500, seen)], "page.jsonl")
    tk.write_predictions([tk.PageDetections(tk.PageKey("other.jpg"), 700, 500, seen)], "other.jsonl")
    tk.tile_scan("scan.jpg", "tiles", tk.Tiling(256))
    return tmp_path


WRONG = [
    "tile none.tif out",
    "tile text.tif out",
    "tile empty.png out",
    "tile scan.jpg out --tile 0",
    "tile scan.jpg out --overlap 5000",
    "tile scan.jpg out --overlap much",
    "tile scan.jpg out --quality 500",
    "tile scan.jpg scan.jpg",
    "tile scan.jpg ''",
    "tile '' out",
    "labels convert page.manifest '' --to coco",
    "detect scan.jpg --out scan.jpg --model math:sqrt --names a",
    "detect scan.jpg --out scan.jpg --model math:sqrt --names a --fresh",
    "report . --truth page.manifest --detections other.jsonl",
    "join none again.tif",
    "join tiles again.doc",
    "join tiles again.tif --page 9",
    "info none",
    "info text.tif",
    "info .",
    "labels stats none",
    "labels stats bad.json",
    "labels stats page.manifest --plot sizes.doc",
    "labels convert page.jsonl out.json --to coco",
    "labels convert page.manifest out --to papyrus",
    "labels merge page.manifest none --out next.manifest",
    "plan none",
    "plan text.tif",
    "plan page.manifest --budget -1",
    "plan page.manifest --plot plan.doc",
    "dataset none out",
    "dataset page.manifest out --tile 0",
    "dataset page.manifest out --split 1,2",
    "dataset page.manifest out --min-visible 7",
    "check none",
    "check scan.jpg",
    "train none none --project p --bucket my-bucket --dry-run",
    "deploy model --for ages",
    "detect scan.jpg --out out.jsonl --model none.onnx",
    "detect scan.jpg --out out.jsonl --model no_such_module:name",
    "detect none.png --out out.jsonl --model math:sqrt --names a",
    "evaluate none page.jsonl",
    "evaluate page.manifest other.jsonl",
    "evaluate page.manifest page.jsonl --iou 3",
    "compare page.jsonl",
    "compare page.manifest page.jsonl none",
    "report none",
    "archive run none out",
    "archive run scan.jpg out --shard 9/3",
    "archive run scan.jpg out --memory much",
    "archive run scan.jpg out --memory -1",
    "archive run scan.jpg out --memory inf",
    "archive status none",
    "bench tiling none.tif --quick",
    "demo --aws",
    "demo --data none",
    "local serve --port 999999",
]


@pytest.mark.parametrize("line", WRONG)
def test_a_mistake_is_one_sentence_and_costs_no_scan(folder, line):
    scan = (folder / "scan.jpg").read_bytes()
    ran = CliRunner().invoke(cli, shlex.split(line))
    if isinstance(ran.exception, TilekitError):
        said, code = str(ran.exception), 1  # `run_guarded` prints it
    else:
        assert ran.exception is None or isinstance(ran.exception, SystemExit), repr(ran.exception)
        said, code = ran.output, ran.exit_code
    assert code in (1, 2), f"{line}: exit code {code}"
    assert said.strip()
    assert "Traceback" not in said
    assert scan == (folder / "scan.jpg").read_bytes()


MISTAKES = {
    "a name for a scan": lambda: tk.read_tiles("scan.jpg", tk.Tiling(256)),
    "a name for a scan to detect on": lambda: tk.detect_tiles("scan.jpg", len, tk.Tiling(256)),
    "a name for a page": lambda: tk.detect_whole("scan.jpg", len),
    "a number for a tiling": lambda: tk.tile_scan("scan.jpg", "out", 256),
    "a name for labels": lambda: tk.evaluate("page.manifest", "page.jsonl"),
    "predictions for truth": lambda: tk.evaluate(tk.read_predictions("page.jsonl"), "page.jsonl"),
    "a name for a page key": lambda: tk.LabelSet({"scan.jpg": tk.Annotations.empty()}),
    "one label for a list": lambda: tk.Annotations([[0, 0, 1, 1]], [0], "valve"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_in_python_is_named(folder, what):
    with pytest.raises(InvalidArgument, match="must be"):
        MISTAKES[what]()


def test_a_closed_scan_is_not_read(folder):
    with tk.open_scan("scan.jpg") as scan:
        tile = next(iter(tk.read_tiles(scan, tk.Tiling(256))))
    assert repr(scan).endswith("closed>")
    assert len(repr(tile)) < 120
    for read in (tk.read_tiles, tk.encode_tiles):
        with pytest.raises(InvalidArgument, match="open"):
            read(scan, tk.Tiling(256))
