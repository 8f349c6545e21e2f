from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
import pyvips
from click.testing import CliRunner
from PIL import Image

import tilekit as tk
from tests.scans.test_pdf import pdf_of
from tilekit.cli import cli
from tilekit.scans.encoding import decode_image, encode_image
from tilekit.testing.scans import write_scan


def run(*args):
    return CliRunner().invoke(cli, [str(arg) for arg in args])


@pytest.fixture
def folder(tmp_path):
    for name in ("a/plan", "b/plan"):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        write_scan(tmp_path / "in" / f"{name}.jpg", 300, 200)
    return tmp_path


@pytest.mark.parametrize(
    "words", [("tile", "plan.jpg"), ("archive", "run", "scans"), ("tile", "plan.jpg", "--tile", "300")]
)
def test_out_is_what_is_missing_where_one_word_is_given(words):
    done = subprocess.run(
        [sys.executable, "-m", "tilekit", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Missing argument 'OUT'" in done.stderr


def test_a_folder_keeps_its_shape(folder):
    done = run("tile", folder / "in", folder / "out", "--tile", 128, "--overlap", "0.25", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["pages"] == 2
    assert {page.stem for page in tk.tiles.read_index(folder / "out").pages} == {"a/plan", "b/plan"}
    assert (folder / "out" / "a" / "plan.p0.x0.y0.w128.h128.jpg").is_file()


def test_tiles_below_the_scans_are_no_scans_of_the_next_run(folder):
    for _ in range(2):
        done = run("tile", folder / "in", folder / "in" / "tiles", "--tile", 128, "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["pages"] == 2
    done = run("tile", folder / "in", folder / "in", "--tile", 128)
    assert "is both input and output" in str(done.exception or done.output)


def test_one_bad_input_is_set_aside(folder):
    bad = folder / "in" / "a" / "bad.jpg"
    bad.write_bytes((folder / "in" / "a" / "plan.jpg").read_bytes()[:4000])
    done = run("tile", folder / "in", folder / "none.tif", folder / "out", "--tile", 128, "--json")
    assert done.exit_code == 1
    assert sorted(item["input"] for item in json.loads(done.stdout)["failed"]) == [
        str(bad),
        str(folder / "none.tif"),
    ]
    assert not list((folder / "out").rglob("bad*"))
    assert len(tk.tiles.read_index(folder / "out").pages) == 2


def test_two_kinds_of_one_stem_do_not_collide(folder):
    write_scan(folder / "in" / "a" / "plan.png", 300, 200, "png")
    assert run("tile", folder / "in", folder / "out").exit_code == 0
    assert {page.stem for page in tk.tiles.read_index(folder / "out").pages} == {
        "a/plan.jpg",
        "a/plan.png",
        "b/plan",
    }


def test_join_and_info(folder):
    scan = folder / "in" / "a" / "plan.jpg"
    assert run("tile", scan, folder / "t", "--parts", 5, "--format", "png").exit_code == 0
    assert run("join", folder / "t", folder / "again.png").exit_code == 0
    done = run("info", folder / "again.png", "--tile", 100, "--json")
    (page,) = json.loads(done.stdout)["pages"]
    assert (page["width"], page["height"], page["tiles"], page["kind"]) == (300, 200, 6, "png")
    assert run("info", folder / "missing.png").exit_code == 1
    assert "plan" in run("info", scan).stdout


@pytest.mark.parametrize("bad", [["--overlap", "x"], ["--edge", "y"], ["--format", "gif"]])
def test_bad_usage(folder, bad):
    assert run("tile", folder / "in", folder / "out", *bad).exit_code == 2


def test_dpi_reduces_scans_that_know_theirs(tmp_path):
    pixels = np.zeros((200, 300, 3), np.uint8)
    for name, options in {"known.jpg": {"xres": 300 / 25.4, "yres": 300 / 25.4}, "unknown.png": {}}.items():
        (tmp_path / "in").mkdir(exist_ok=True)
        image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb", **options)
        image.write_to_file(str(tmp_path / "in" / name))
    done = run("tile", tmp_path / "in", tmp_path / "out", "--dpi", 150, "--tile", 1000, "--json")
    assert done.exit_code == 0, done.output
    index = tk.tiles.read_index(tmp_path / "out")
    assert index.tiling.dpi == 150
    windows = {record.key.source.rpartition("/")[2]: tuple(record.window) for record in index.tiles()}
    assert windows == {"known.jpg": (0, 0, 150, 100), "unknown.png": (0, 0, 300, 200)}
    done = run("info", tmp_path / "in" / "known.jpg", "--dpi", 150, "--tile", 100, "--json")
    assert json.loads(done.stdout)["pages"][0]["tiles"] == 2


def test_pages_of_a_pdf(tmp_path):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8))
    (tmp_path / "two.pdf").write_bytes(pdf_of(picture, picture))
    args = ("--tile", 100, "--overlap", 20, "--format", "png", "--dpi", 120)
    assert run("tile", tmp_path / "two.pdf", tmp_path / "out", *args).exit_code == 0
    index = tk.tiles.read_index(tmp_path / "out")
    assert [page.page for page in index.pages] == [0, 1]
    for number in (0, 1):
        with tk.open_scan(tmp_path / "two.pdf", page=number, dpi=120) as scan:
            assert (scan.width, scan.height) == (240, 360)
            for record in index.tiles(scan.key):
                tile = decode_image((tmp_path / "out" / record.file).read_bytes())
                assert np.array_equal(tile, scan.read(*record.window))


@pytest.mark.parametrize("out", ["out.zip", "out.tar"])
def test_a_failed_page_leaves_nothing_in_an_archive(folder, out):
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)
    bad = encode_image(noise).data
    (folder / "in" / "a" / "bad.jpg").write_bytes(bad[: len(bad) * 2 // 3])
    done = run("tile", folder / "in" / "a", folder / "in" / "b", folder / out, "--tile", 128)
    assert done.exit_code == 1
    if out.endswith("zip"):
        with zipfile.ZipFile(folder / out) as file:
            assert file.testzip() is None
            names = file.namelist()
            lines = file.read("tiles.jsonl").splitlines()
    else:
        with tarfile.open(folder / out) as file:
            names = file.getnames()
            lines = file.extractfile("tiles.jsonl").read().splitlines()
    assert sorted(json.loads(line)["file"] for line in lines) == sorted(names[:-2])
    assert len(names) == 2 * 6 + 2
    assert not any("bad" in name for name in names)


def test_a_drawing_is_tiled_where_it_is_trusted(tmp_path):
    path = tmp_path / "a.svg"
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="50"><rect width="45" height="50"/></svg>'
    )
    assert "--untrusted" in run("tile", path, tmp_path / "out").stderr
    assert run("tile", path, tmp_path / "out", "--untrusted").exit_code == 0


@pytest.mark.parametrize("command", [("tile",), ("archive", "run"), ("detect", "--model", "text")])
def test_a_scan_named_as_a_list_is_one_sentence(tmp_path, command):
    write_scan(tmp_path / "plan.jpg", 300, 200)
    path = (tmp_path / "plan.jpg").rename(tmp_path / "plan.txt")
    out = () if command[0] == "detect" else (tmp_path / "out",)
    done = run(*command, path, *out)
    assert done.exit_code == 1
    assert str(done.exception).count("holds a NUL, so this is no list of one path a line") == 1 or (
        done.stderr.count("\n") == 1 and "holds a NUL, so this is no list" in done.stderr
    )


def test_a_manifest_that_names_a_file_by_pages_tiles_it_once(tmp_path):
    (tmp_path / "set.pdf").write_bytes(
        pdf_of(Image.new("L", (300, 200), 250), Image.new("L", (300, 200), 240))
    )
    lines = [json.dumps({"source-ref": f"set.pdf#page={page}"}) for page in (1, 2)]
    (tmp_path / "pages.manifest").write_text("\n".join(lines) + "\n")
    done = run("tile", tmp_path / "pages.manifest", tmp_path / "out", "--tile", 128, "--dpi", 72, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["pages"] == 2


def test_a_jpeg_cut_short_is_told_and_not_recommended(tmp_path):
    write_scan(tmp_path / "plan.jpg", 600, 400)
    data = (tmp_path / "plan.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    done = run("info", tmp_path / "cut.jpg")
    assert "its file is damaged, and mended as it is read" in done.output
    assert "next:" not in done.output
    both = run("info", tmp_path / "cut.jpg", tmp_path / "plan.jpg")
    assert f"next: tilekit tile {tmp_path / 'plan.jpg'}" in both.output
