"""Names that are not UTF-8, very long, with line breaks or `#page=`: on every command that opens scans."""

from __future__ import annotations

import io
import json
import os
import sys

import numpy as np
import pillow_heif
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image

import tilekit as tk
from tilekit.cli import cli
from tilekit.cli.voice import SAID
from tilekit.errors import TilekitError

STEMS = [b"caf\xe9", b"a\nb", b"p#page=2", b"n" * 180, b"%s {0} 'q'"]
PIXELS = np.random.default_rng(4).integers(0, 256, (40, 30, 3), np.uint8)
FINDS = """
import numpy as np
import tilekit as tk
def finds(pixels):
    return tk.Detections(np.array([[1.0, 1.0, 9.0, 9.0]]), np.array([0.9]), np.array([0]), ("mark",))
"""


def files() -> dict[str, bytes]:
    picture, found = Image.fromarray(PIXELS), {}
    for form, ending in (
        ("PNG", "png"),
        ("PPM", "ppm"),
        ("PDF", "pdf"),
        ("JPEG", "jpg"),
        ("JPEG2000", "jp2"),
    ):
        out = io.BytesIO()
        picture.save(out, form)
        found[ending] = out.getvalue()
    out = io.BytesIO()
    picture.save(out, "GIF", save_all=True, append_images=[picture.rotate(90), picture.rotate(180)])
    found["gif"] = out.getvalue()
    out = io.BytesIO()
    pillow_heif.from_bytes("RGB", (30, 40), PIXELS.tobytes()).save(out)
    found["heic"] = out.getvalue()
    out = io.BytesIO()
    tifffile.imwrite(out, PIXELS, photometric="rgb", compression="zlib")
    found["tif"] = out.getvalue()
    out = io.BytesIO()
    slide = {"tile": (16, 16), "compression": "jpeg", "photometric": "rgb", "metadata": None}
    tifffile.imwrite(out, PIXELS, description="Aperio Image Library v1\n30x40 |MPP = 0.5", **slide)
    found["svs"] = out.getvalue()
    return found


FILES = files()
SMALL = ("--tile", "16", "--overlap", "0", "--workers", "1", "--json")
CONVERTED = {
    "coco": "coco.json",
    "ground-truth": "out.manifest",
    "csv": "out.csv",
    "voc": "voc",
    "via": "via.json",
    "createml": "out.json",
}


def run(*words: str) -> object:
    """What a command prints as JSON; a traceback is an error."""
    done = CliRunner().invoke(cli, list(words))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output[-2000:]
    done.stdout.encode()  # as UTF-8, whatever the names
    return json.loads(done.stdout.splitlines()[-1] if words[:2] == ("archive", "run") else done.stdout)


def said(*words: str) -> str:
    """What a command says that may fail, in words."""
    done = CliRunner().invoke(cli, list(words))
    if not isinstance(done.exception, SystemExit | TilekitError | type(None)):
        raise done.exception
    done.output.encode()
    return f"{done.output}{done.exception or ''}"


@pytest.fixture(autouse=True)
def _nothing_captured_of_the_log(monkeypatch):
    """A worker tells the log of a test to its parent in UTF-8, where some of these names have no place."""
    monkeypatch.setattr(SAID, "disabled", True)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
@pytest.mark.parametrize("stem", STEMS, ids=["latin-1", "line-break", "page", "long", "format"])
@pytest.mark.parametrize("ending", FILES)
def test_readers(tmp_path, stem, ending):
    path = os.fsdecode(os.path.join(os.fsencode(tmp_path), stem + b"." + ending.encode()))
    with open(path, "wb") as file:
        file.write(FILES[ending])
    pages = [scan.read(0, 0, 5, 5) for scan in tk.scan_pages(path)]
    assert len(pages) == (3 if ending == "gif" else 1)
    with tk.open_scan(FILES[ending]) as scan:
        if ending != "svs":
            assert np.array_equal(pages[0], scan.read(0, 0, 5, 5))


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
@pytest.mark.parametrize("stem", STEMS, ids=["latin-1", "line-break", "page", "long", "format"])
def test_commands(tmp_path, stem, monkeypatch):
    path = os.fsdecode(os.path.join(os.fsencode(tmp_path), stem + b".png"))
    with open(path, "wb") as file:
        file.write(FILES["png"])
    (tmp_path / "finder.py").write_text(FINDS)
    monkeypatch.syspath_prepend(str(tmp_path))
    out = str(tmp_path / "tiles")
    assert run("info", path, "--json")["pages"][0]["source"] == path
    assert run("tile", path, out, "--tile", "16", "--json")["failed"] == []
    run("tile", path, str(tmp_path / "tiles.tar"), "--tile", "16", "--json")
    done = CliRunner().invoke(cli, ["tile", path, str(tmp_path / "tiles.zip"), "--tile", "16"])
    assert done.exit_code == (stem == b"caf\xe9")  # a ZIP has names in UTF-8 only
    assert done.exit_code == 0 or "cannot be named in a ZIP" in done.output
    run("join", out, str(tmp_path / "again.png"), "--json")
    with tk.open_scan(tmp_path / "again.png") as scan:
        assert (scan.width, scan.height) == (30, 40)
    found = str(tmp_path / "found.jsonl")
    made = run(
        "detect",
        path,
        "--model",
        "finder:finds",
        "--tile",
        "16",
        "--overlap",
        "0",
        "--no-strict",
        "--out",
        found,
        "--json",
    )
    assert made["pages"] == 1
    keys = list(tk.read_predictions(found))
    assert [key.source for key in keys] == [path]
    truth = str(tmp_path / "truth.manifest")
    box = tk.Annotations(np.array([[1.0, 1.0, 9.0, 9.0]]), np.array([0]), ("mark",))
    tk.write_labels(tk.LabelSet({keys[0]: box}, sizes={keys[0]: (30, 40)}), truth)
    assert next(iter(tk.read_labels(truth))).source == path
    run("labels", "stats", truth, "--json")
    run("evaluate", truth, found, "--json")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_archives_of_all_names(tmp_path, monkeypatch):
    """One archive holds them all: each run starts processes."""
    scans = tmp_path / "scans"
    scans.mkdir()
    paths = [os.fsdecode(os.path.join(os.fsencode(scans), stem + b".png")) for stem in STEMS]
    for path in paths:
        with open(path, "wb") as file:
            file.write(FILES["png"])
    (tmp_path / "finder.py").write_text(FINDS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    archive, found = str(tmp_path / "archive"), str(tmp_path / "found")
    assert run("archive", "run", str(scans), archive, *SMALL)["done"] == len(STEMS)
    status = run("archive", "status", archive, "--json")
    assert (status["done"], status["failed"]) == (len(STEMS), 0)
    run("archive", "verify", archive, "--json")
    job = ("--job", "detect", "--model", "finder:finds", "--no-strict")
    assert run("archive", "run", str(scans), found, *job, *SMALL)["failed"] == 0
    assert {key.source for key in tk.read_predictions(os.path.join(found, "detections.jsonl"))} == set(paths)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
@pytest.mark.parametrize("stem", STEMS, ids=["latin-1", "line-break", "page", "long", "format"])
def test_labels_and_datasets(tmp_path, stem):
    path = os.fsdecode(os.path.join(os.fsencode(tmp_path), stem + b".png"))
    Image.fromarray(np.tile(PIXELS, (4, 4, 1))).save(path)  # 120 x 160 px
    truth, dataset = str(tmp_path / "truth.manifest"), str(tmp_path / "dataset")
    box = tk.Annotations(np.array([[1.0, 1.0, 9.0, 9.0]]), np.array([0]), ("mark",))
    key = tk.PageKey(path)
    tk.write_labels(tk.LabelSet({key: box}, sizes={key: (120, 160)}), truth)
    run("plan", truth, "--json")
    run("dataset", truth, dataset, "--tile", "64", "--overlap", "0", "--split", "1,0,0", "--json")
    assert len(tk.read_labels(os.path.join(dataset, "train.manifest"))) > 0
    said("check", truth, "--json")
    for form, name in CONVERTED.items():
        if stem == b"caf\xe9" and form in ("csv", "voc"):  # no JSON: nothing there says such bytes
            assert "not UTF-8" in said("labels", "convert", truth, str(tmp_path / form / name), "--to", form)
            continue
        run("labels", "convert", truth, str(tmp_path / form / name), "--to", form, "--json")
        again = tk.read_labels(tmp_path / form / name, images=tmp_path)
        assert [os.path.basename(one.source) for one in again] == [os.path.basename(path)], form
    job = ("--name", "job", "--label", "mark", "--s3", "s3://bucket/x", "--region", "eu-west-1")
    arns = ("--role", "arn:aws:iam::1:role/x", "--workteam", "arn:aws:sagemaker:eu-west-1:1:workteam/x")
    made = run("labels", "job", path, "--out", str(tmp_path / "job"), *job, *arns, "--json")
    assert made["images"] == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_a_report_and_a_training_of_all_names(tmp_path):
    box, scores, ids = np.array([[1.0, 1.0, 9.0, 9.0]]), np.array([0.9]), np.array([0])
    keys = [tk.PageKey(os.fsdecode(os.path.join(os.fsencode(tmp_path), stem + b".png"))) for stem in STEMS]
    for key in keys:
        Image.fromarray(np.tile(PIXELS, (4, 4, 1))).save(key.source)
    truth, found = str(tmp_path / "truth.manifest"), str(tmp_path / "found.jsonl")
    labels = dict.fromkeys(keys, tk.Annotations(box, ids, ("mark",)))
    tk.write_labels(tk.LabelSet(labels, sizes=dict.fromkeys(keys, (120, 160))), truth)
    detections = tk.Detections(box, scores, ids, ("mark",))
    tk.write_predictions([tk.PageDetections(key, 120, 160, detections) for key in keys], found)
    report = run("report", str(tmp_path), "--truth", truth, "--detections", found, "--json")
    assert report["pages"] == len(STEMS)
    said("train", truth, truth, "--local", "--dry-run", "--state", str(tmp_path / "state"), "--json")
