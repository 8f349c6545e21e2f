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


def run(*words: str) -> object:
    """What a command prints as JSON; a traceback is an error."""
    done = CliRunner().invoke(cli, list(words))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output[-2000:]
    done.stdout.encode()  # as UTF-8, whatever the names
    return json.loads(done.stdout.splitlines()[-1] if words[:2] == ("archive", "run") else done.stdout)


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
    scans = tmp_path / "scans"
    scans.mkdir()
    path = os.fsdecode(os.path.join(os.fsencode(scans), stem + b".png"))
    with open(path, "wb") as file:
        file.write(FILES["png"])
    (tmp_path / "finder.py").write_text(FINDS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    out, archive = str(tmp_path / "tiles"), str(tmp_path / "archive")
    assert run("info", path, "--json")["pages"][0]["source"] == path
    assert run("tile", path, out, "--tile", "16", "--json")["failed"] == []
    run("tile", path, str(tmp_path / "tiles.tar"), "--tile", "16", "--json")
    done = CliRunner().invoke(cli, ["tile", path, str(tmp_path / "tiles.zip"), "--tile", "16"])
    assert done.exit_code == (stem == b"caf\xe9")  # a ZIP has names in UTF-8 only
    assert done.exit_code == 0 or "cannot be named in a ZIP" in done.output
    run("join", out, str(tmp_path / "again.png"), "--json")
    with tk.open_scan(tmp_path / "again.png") as scan:
        assert (scan.width, scan.height) == (30, 40)
    if stem == b"caf\xe9":  # these two keep names in UTF-8, and say so
        for words in (
            ("archive", "run", str(scans), archive, "--workers", "1"),
            (
                "detect",
                path,
                "--model",
                "finder:finds",
                "--no-strict",
                "--out",
                str(tmp_path / "found.jsonl"),
            ),
        ):
            done = CliRunner().invoke(cli, list(words))
            assert isinstance(done.exception, (TilekitError, SystemExit)), done.exception
            assert "not UTF-8" in str(done.exception) + done.output
        return
    run("archive", "run", str(scans), archive, "--tile", "16", "--overlap", "0", "--workers", "1", "--json")
    run("archive", "status", archive, "--json")
    run("archive", "verify", archive, "--json")
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
