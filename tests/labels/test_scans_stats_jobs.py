from __future__ import annotations

import json
from pathlib import Path

import botocore.session
import numpy as np
import pytest
from botocore.validate import ParamValidator
from click.testing import CliRunner
from PIL import Image

from tilekit.boxes.annotations import Annotations
from tilekit.cli.labels import labels as command
from tilekit.errors import InvalidArgument, LabelError
from tilekit.labels.ground_truth import iter_manifest
from tilekit.labels.jobs import JobAccount, labeling_job
from tilekit.labels.label_set import LabelSet
from tilekit.labels.reading import read_labels, write_labels
from tilekit.labels.scans import resolve_scans
from tilekit.labels.stats import label_stats, plot_stats
from tilekit.pages import PageKey

ARN = "arn:aws:iam::123456789012:role/labels"
TEAM = "arn:aws:sagemaker:us-east-1:123456789012:workteam/private-crowd/me"
ACCOUNT = JobAccount("s3://bucket/jobs", ARN, TEAM, "us-east-1")


def picture(path: Path, size: tuple[int, int] = (60, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), 200, np.uint8)).save(path)


def one(source: str, size: tuple[int, int] | None) -> LabelSet:
    key = PageKey(source)
    page = Annotations([[1, 2, 30, 40]], None, ["arrow"])
    return LabelSet({key: page}, sizes={key: size} if size else {})


def test_sizes_come_from_the_scans(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    found = resolve_scans(one(str(tmp_path / "a.png"), None))
    assert list(found.sizes.values()) == [(60, 40)]


def test_scans_are_found_below_a_root(tmp_path: Path) -> None:
    picture(tmp_path / "x/y/a.png")
    for source in ("x/y/a.png", "D:\\old\\a.png", "/elsewhere/a.png", "s3://bucket/a.png"):
        found = resolve_scans(one(source, (60, 40)), tmp_path)
        assert found.pages() == [PageKey(str(tmp_path / "x/y/a.png"))]
    picture(tmp_path / "z/a.png")
    with pytest.raises(LabelError, match="2 times below"):
        resolve_scans(one("/elsewhere/a.png", (60, 40)), tmp_path)


def test_a_missing_scan_and_a_wrong_size_are_told(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(LabelError, match=r"none\.png"):
        resolve_scans(one(str(tmp_path / "none.png"), (60, 40)))
    with pytest.raises(
        LabelError, match="labels say 61 x 90 px, the scan has 60 x 40 px; the labels are of another"
    ):
        resolve_scans(one(str(tmp_path / "a.png"), (61, 90)))
    with pytest.raises(LabelError, match="2 times its size"):
        resolve_scans(one(str(tmp_path / "a.png"), (120, 80)))
    no_page = LabelSet({PageKey(str(tmp_path / "a.png"), 7): Annotations.empty()})
    with pytest.raises(LabelError, match="page=8"):
        resolve_scans(no_page)
    bad = resolve_scans(one(str(tmp_path / "none.png"), (60, 40)), strict=False)
    assert (len(bad), len(bad.problems)) == (0, 1)
    scaled = resolve_scans(one(str(tmp_path / "a.png"), (120, 80)), scale_to_scan=True)
    assert next(iter(scaled.values())).boxes.tolist() == [[0.5, 1, 15, 20]]


def test_stats(tmp_path: Path) -> None:
    pages = {
        PageKey("a"): Annotations(
            [[0, 0, 10, 20], [0, 0, 30, 5], [0, 0, 9, 9]], [0, 0, 1], ("x", "y"), [0 == 1, False, True]
        ),
        PageKey("b"): Annotations.empty(("x", "y")),
    }
    numbers = label_stats(LabelSet(pages, unlabeled={PageKey("c"): "waiting"}))
    assert (numbers.pages, numbers.empty, numbers.unlabeled, numbers.boxes, numbers.ignored) == (
        2,
        1,
        1,
        2,
        1,
    )
    assert numbers.rows[0].longest[0] == 20
    assert numbers.rows[0].longest[-1] == 30
    assert numbers.rows[1].boxes == 0
    assert numbers.rows[1].width == ()
    json.dumps(numbers.to_json(), allow_nan=False)
    plot_stats(LabelSet(pages), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"
    assert label_stats(LabelSet({})).per_page == ()


def test_labeling_job(tmp_path: Path) -> None:
    picture(tmp_path / "a/x.png")
    picture(tmp_path / "b/x.png")
    Image.new("L", (50, 40), 255).save(
        tmp_path / "two.tif", save_all=True, append_images=[Image.new("L", (50, 40), 9)]
    )
    sources = [tmp_path / "a/x.png", tmp_path / "b/x.png", tmp_path / "two.tif", "s3://other/z.jpg"]
    job = labeling_job(
        sources,
        tmp_path / "job",
        name="symbols-1",
        labels=["arrow", "ü <x>"],
        account=ACCOUNT,
    )
    refs = [json.loads(line)["source-ref"] for line in job.manifest.read_text().splitlines()]
    base = "s3://bucket/jobs/symbols-1/images"
    assert refs == [
        f"{base}/x.png",
        f"{base}/x-2.png",
        f"{base}/two.p0.jpg",
        f"{base}/two.p1.jpg",
        "s3://other/z.jpg",
    ]
    assert all(file.is_file() for file in job.uploads)
    model = botocore.session.Session().get_service_model("sagemaker")
    shape = model.operation_model("CreateLabelingJob").input_shape
    assert ParamValidator().validate(job.request, shape).generate_report() == ""
    assert json.loads((tmp_path / "job/labels.json").read_text())["labels"][1] == {"label": "ü <x>"}
    with pytest.raises(InvalidArgument, match="region="):
        JobAccount("s3://b/c", ARN, TEAM, "mars")
    with pytest.raises(InvalidArgument, match="sources= is empty"):
        labeling_job([], tmp_path, name="a", labels=["x"], account=ACCOUNT)


def test_adjustment_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    Image.new("L", (60, 40), 255).save(tmp_path / "c.tif")
    known = one(str(tmp_path / "a.png"), (60, 40))
    wide = one(str(tmp_path / "c.tif"), (120, 80))
    labels = LabelSet({**known, **wide}, sizes={**known.sizes, **wide.sizes})
    arguments = {"name": "again", "account": ACCOUNT}
    monkeypatch.chdir(tmp_path)
    job = labeling_job(
        ["a.png", "b.png", "c.tif"], "job", labels=[*labels.names, "new"], adjust=labels, **arguments
    )
    model = botocore.session.Session().get_service_model("sagemaker")
    shape = model.operation_model("CreateLabelingJob").input_shape
    assert ParamValidator().validate(job.request, shape).generate_report() == ""
    task = job.request["HumanTaskConfig"]
    assert task["PreHumanTaskLambdaArn"].endswith(":PRE-AdjustmentBoundingBox")
    assert "initial-value" in (tmp_path / "job/template.liquid.html").read_text()
    lines = list(iter_manifest(job.manifest))
    assert [line.labeled for line in lines] == [True, False, True]
    page, half = known[PageKey(str(tmp_path / "a.png"))], wide[PageKey(str(tmp_path / "c.tif"))]
    assert lines[0].annotations() == page
    assert lines[2].size == (60, 40)
    assert np.abs(lines[2].annotations().boxes - half.boxes / 2).max() <= 1
    with pytest.raises(InvalidArgument, match="lacks"):
        labeling_job(["a.png"], "other", labels=["new"], adjust=labels, **arguments)
    with pytest.raises(InvalidArgument, match="none of the sources"):
        labeling_job(["b.png"], "other", labels=labels.names, adjust=labels, **arguments)


def test_commands(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    write_labels(one(str(tmp_path / "a.png"), (60, 40)), tmp_path / "x.manifest")
    run = CliRunner().invoke
    result = run(command, ["convert", str(tmp_path / "x.manifest"), str(tmp_path / "c.json"), "--to", "coco"])
    assert result.exit_code == 0, result.output
    assert read_labels(tmp_path / "c.json") == read_labels(tmp_path / "x.manifest")
    looked = run(
        command,
        [
            "convert",
            str(tmp_path / "c.json"),
            str(tmp_path / "v"),
            "--to",
            "voc",
            "--scans",
            str(tmp_path),
            "--json",
        ],
    )
    assert json.loads(looked.stdout)["boxes"] == 1
    shown = run(command, ["stats", str(tmp_path / "c.json"), "--json", "--plot", str(tmp_path / "p.svg")])
    assert json.loads(shown.stdout)["rows"][0]["label"] == "arrow"
    assert run(command, ["stats", str(tmp_path / "c.json")]).exit_code == 0
    assert run(command, ["convert", "a", "b", "--to", "dwg"]).exit_code == 2
    options = ["--out", str(tmp_path / "j"), "--name", "j", "--label", "x", "--s3", "s3://b/p", "--role", ARN]
    made = run(
        command, ["job", str(tmp_path / "a.png"), *options, "--workteam", TEAM, "--region", "us-east-1"]
    )
    assert made.exit_code == 0, made.output
    assert "create-labeling-job" in made.output
