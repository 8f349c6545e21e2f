"""What the command line says of label files: what became of every entry, in words of its options, for every reader."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.cli.test_speaking import PYTHON_WORDS
from tilekit.cli import all_commands, cli
from tilekit.cli.output import run_guarded
from tilekit.cli.reading import Reading, reading_options
from tilekit.labels.reading import read_labels

META = {
    "human-annotated": "yes",
    "creation-date": "2026-01-01T00:00:00.000000",
    "job-name": "labeling-job/a",
}
SHARES = {
    "images": [{"id": 1, "file_name": "p.png", "width": 640, "height": 480}],
    "categories": [{"id": 1, "name": "tap"}],
    "annotations": [
        {"id": n, "image_id": 1, "category_id": 1, "bbox": [x, 0.1, 0.2, 0.2], "area": 1, "iscrowd": 0}
        for n, x in enumerate((0.1, 0.5), 1)
    ],
}


def manifest(path: Path, kind: str, **more: Any) -> Path:
    """Four pages: `unlabeled`, `classes` (a label of the whole page), `segments` (a mask image) or `nul`."""
    lines = []
    for n in range(4):
        line: dict[str, Any] = {"source-ref": "a\0.jpg" if kind == "nul" else f"{n}.jpg"}
        if kind == "classes":
            named = {"class-name": "ab"[n % 2], "confidence": 0.9, "type": "groundtruth/image-classification"}
            line |= {"kind": n % 2, "kind-metadata": named | META}
        if kind == "segments":
            color = {"0": {"class-name": "BACKGROUND"}, "1": {"class-name": "chip", "hex-color": "#2ca02c"}}
            of = {"type": "groundtruth/semantic-segmentation", "internal-color-map": color}
            line |= {"seg-ref": f"{n}.png", "seg-ref-metadata": of | META}
        lines.append(json.dumps(line | more))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Runs a command as a shell does; gives its exit code and all it says."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["tilekit", *map(str, words)])
        code = run_guarded(cli)
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return call


def test_labels_of_whole_pages_are_counted_as_such(told: Any, tmp_path: Path) -> None:
    path = manifest(tmp_path / "c.manifest", "classes")
    code, said = told("labels", "stats", path)
    assert (code, "4 entries: 4 labels of whole pages\n" in said) == (0, True)
    assert "4 pages (4 with a label of the whole page), no boxes" in said
    assert "next:" not in said  # nothing can be planned with them
    code, said = told("labels", "convert", path, "c.json", "--to", "coco")
    assert code == 1
    assert "coco has no place for 4 labels of whole pages" in said
    assert not Path("c.json").exists()
    for n in range(4):
        Image.new("RGB", (64, 48), "white").save(f"{n}.jpg")
    code, said = told("labels", "convert", path, "c.xml", "--to", "cvat", "--scans", ".")
    assert (code, "lost: cvat has no place for the confidence of 4 labels" in said) == (0, True), said
    code, said = told("plan", path)
    assert (code, "4 entries: 4 labels of whole pages" in said) == (1, True)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("unlabeled", "4 pages that nobody labeled"),
        ("nul", "4 entries: 4 problems"),
        ("segments", "4 pages whose labels were refused"),
    ],
)
def test_nothing_is_written_of_nothing(told: Any, tmp_path: Path, kind: str, said: str) -> None:
    path = manifest(tmp_path / "u.manifest", kind)
    code, words = told("labels", "convert", path, "u.json", "--to", "coco", "--lenient")
    assert code == 1
    assert (
        f"nothing would be left to write: {'' if kind == 'nul' else 'coco has no place for '}{said}" in words
    )
    assert not Path("u.json").exists()


def test_pages_labeled_by_a_mask_image_are_not_unlabeled(told: Any, tmp_path: Path) -> None:
    path = manifest(tmp_path / "s.manifest", "segments")
    code, said = told("labels", "stats", path)
    assert code == 1
    assert "by a mask image (chip)" in said
    assert "`tilekit labels convert` takes its regions, --lenient leaves the page out" in said
    code, said = told("labels", "stats", path, "--lenient")
    assert (code, "0 pages (4 whose labels were refused), no boxes" in said) == (0, True)


def readers() -> dict[str, Any]:
    """The commands that read labels as a person says."""
    return {
        name: command
        for name, command in all_commands()
        if any(part.name == "no_file" for part in command.params)
    }


def test_every_command_that_reads_labels_can_be_told_how() -> None:
    made = reading_options(lambda **_: None)
    wanted = {option.name for option in made.__click_params__}  # type: ignore[attr-defined]
    wanted_by = {"plan", "dataset", "evaluate", "compare", "report", "tune-merge", "detect"}
    wanted_by |= {f"labels {name}" for name in ("convert", "stats", "match", "job", "merge")}
    assert wanted_by == set(readers())
    for name, command in readers().items():
        assert wanted <= {part.name for part in command.params}, name


@pytest.mark.parametrize("name", ["plan", "dataset", "labels stats", "labels convert"])
def test_shares_are_refused_and_read_by_the_option_that_is_named(
    told: Any, tmp_path: Path, name: str
) -> None:
    Image.new("RGB", (640, 480), "white").save("p.png")
    path = tmp_path / "shares.json"
    path.write_text(json.dumps(SHARES), encoding="utf-8")
    words = [*name.split(), path, *{"dataset": ["out", "--tile", 320]}.get(name, [])]
    words += ["out.csv", "--to", "csv"] if name == "labels convert" else []
    code, said = told(*words)
    assert code == 1
    option = re.search(r"Read them with (--units share),", said)
    assert option, said
    code, said = told(*words, *option[1].split())
    assert code == 0, said
    hints = [line for line in said.splitlines() if line.startswith("next: ")]
    if name in ("plan", "labels stats"):
        assert "--units share" in hints[0]  # what comes next reads the same file


@pytest.mark.parametrize("lenient", [False, True])
def test_what_is_wrong_is_said_in_options(told: Any, tmp_path: Path, lenient: bool) -> None:
    documents: dict[str, Any] = {"shares": SHARES}
    page = SHARES["images"][0]
    documents["twice"] = SHARES | {"images": [page, page | {"id": 2}]}
    documents["beyond"] = SHARES | {"annotations": [SHARES["annotations"][0] | {"bbox": [600, 10, 100, 20]}]}
    mask = {"counts": [40, 30, 450, 30, 306650], "size": [480, 640]}
    brushed = SHARES["annotations"][0] | {"segmentation": mask, "iscrowd": 1}
    documents["brushed"] = SHARES | {"annotations": [brushed | {"bbox": [0, 40, 2, 30]}]}
    for name, document in documents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    table = "ImageID,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf\na,arrow,1,0.1,0.5,0.2,0.5,0\n"
    (tmp_path / "open.csv").write_text(table, encoding="utf-8")
    for path in [*tmp_path.glob("*.json"), tmp_path / "open.csv"]:
        code, said = told("labels", "stats", path, *(["--lenient"] if lenient else []))
        assert (code == 0) == (lenient or path.stem == "brushed"), said
        assert re.search(r"--(units|duplicates|clip|crowd|images)\b", said), said
        assert not PYTHON_WORDS.search(said), said
        assert not re.search(r"(--[a-z]+).{0,20}\(\1", said), said  # each option once


def test_a_hint_repeats_how_the_labels_were_read() -> None:
    how = Reading("coco", "scans", True, True, "union", "share", "box", "empty", ("a", "b"))
    seen: list[Reading] = []
    command = click.command()(reading_options(lambda reading: seen.append(reading)))
    assert CliRunner().invoke(command, how.words).exit_code == 0
    assert CliRunner().invoke(command, Reading().words).exit_code == 0
    assert seen == [how, Reading()]


def test_labels_to_adjust_are_read_as_told(told: Any, tmp_path: Path) -> None:
    Image.new("RGB", (640, 480), "white").save("p.png")
    (tmp_path / "shares.json").write_text(json.dumps(SHARES), encoding="utf-8")
    role, team = (
        "arn:aws:iam::123456789012:role/r",
        "arn:aws:sagemaker:eu-west-1:123456789012:workteam/private-crowd/t",
    )
    words = [
        "labels",
        "job",
        "p.png",
        "--out",
        "job",
        "--name",
        "again",
        "--label",
        "tap",
        "--s3",
        "s3://b/c",
    ]
    words += ["--role", role, "--workteam", team, "--region", "eu-west-1"]
    code, said = told(*words, "--adjust", "shares.json")
    assert (code, "--units share" in said) == (1, True)
    assert told(*words, "--adjust", "shares.json", "--units", "share")[0] == 0
    entry = json.loads((tmp_path / "job/input.manifest").read_text(encoding="utf-8"))
    boxes = next(value for value in entry.values() if isinstance(value, dict) and "annotations" in value)
    assert len(boxes["annotations"]) == 2
    code, said = told(*words, "--units", "share")
    assert (code, "--units says how labels are read: give them as --adjust LABELS" in said) == (2, True)


def test_a_review_is_merged_into_labels_read_as_told(told: Any, tmp_path: Path) -> None:
    Image.new("RGB", (640, 480), "white").save("p.png")
    (tmp_path / "shares.json").write_text(json.dumps(SHARES), encoding="utf-8")
    told("labels", "convert", "shares.json", "review.manifest", "--to", "ground-truth", "--units", "share")
    words = ["labels", "merge", "shares.json", "review.manifest", "--out", "merged.manifest"]
    assert told(*words)[0] == 1
    code, said = told(*words, "--units", "share", "--from", "coco")
    assert code == 0, said
    assert len(read_labels("merged.manifest")) == 1
