from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import tilekit as tk
from tilekit.cli import cli
from tilekit.testing.scans import write_scan


def run(*args):
    return CliRunner().invoke(cli, [str(arg) for arg in args])


@pytest.fixture
def folder(tmp_path):
    for name in ("a/plan", "b/plan"):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        write_scan(tmp_path / "in" / f"{name}.jpg", 300, 200)
    return tmp_path


def test_a_folder_keeps_its_shape(folder):
    done = run("tile", folder / "in", folder / "out", "--tile", 128, "--overlap", "0.25", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["pages"] == 2
    assert {page.stem for page in tk.read_index(folder / "out").pages} == {"a/plan", "b/plan"}
    assert (folder / "out" / "a" / "plan.p0.x0.y0.w128.h128.jpg").is_file()


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
    assert len(tk.read_index(folder / "out").pages) == 2


def test_two_kinds_of_one_stem_do_not_collide(folder):
    write_scan(folder / "in" / "a" / "plan.png", 300, 200, "png")
    assert run("tile", folder / "in", folder / "out").exit_code == 0
    assert {page.stem for page in tk.read_index(folder / "out").pages} == {
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
