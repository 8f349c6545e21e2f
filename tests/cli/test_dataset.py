"""`tilekit dataset` and `tilekit plan`."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from tests.datasets.pages import labeled_pages
from tilekit.cli import cli
from tilekit.cli.dataset import dataset
from tilekit.cli.plan import plan
from tilekit.errors import InvalidArgument
from tilekit.grid import Tiling
from tilekit.labels.reading import write_labels
from tilekit.scales import Scales


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    labels = labeled_pages(folder / "pages")
    write_labels(labels, folder / "labels.manifest", "ground-truth")
    return str(folder / "labels.manifest")


def test_dataset_for_people(manifest, tmp_path):
    out = str(tmp_path / "out")
    done = CliRunner().invoke(dataset, [manifest, out, "--tile", "160", "--overlap", "0.25", "--baseline"])
    assert done.exit_code == 0, done.output
    assert "baseline of whole pages: train" in done.output
    assert f"next: tilekit check {out}/train.manifest {out}/test.manifest" in done.output
    assert (tmp_path / "out" / "summary.json").exists()


def test_dataset_for_machines_with_the_planned_tiling(manifest, tmp_path):
    done = CliRunner().invoke(dataset, [manifest, str(tmp_path / "out"), "--json", "--split", "0.5,0,0.5"])
    assert done.exit_code == 0, done.output
    value = json.loads(done.stdout)
    assert value["tiling"]["tile"] >= 512
    assert value["sides"]["tune"]["pages"] == 0
    again = CliRunner().invoke(
        dataset, [manifest, str(tmp_path / "b"), "--json", "--split", str(tmp_path / "out" / "split.json")]
    )
    assert json.loads(again.stdout)["sides"] == value["sides"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [(("--tile", "200"), "made with other settings"), (("--split", "0.2,0,0.8"), "are on other sides")],
)
def test_what_is_there_is_overwritten_only_if_asked(manifest, tmp_path, changed, said):
    out, asked = str(tmp_path / "out"), ("--tile", "160", "--overlap", "0.25", "--split", "0.8,0,0.2")
    done = CliRunner().invoke(cli, ["dataset", manifest, out, *asked])
    assert done.exit_code == 0, done.output
    refused = CliRunner().invoke(cli, ["dataset", manifest, out, *asked, *changed])
    assert refused.exit_code == 1
    message = str(refused.exception)
    assert said in message
    assert message.startswith(f"{out} holds a dataset")
    assert message.endswith("or overwrite it with --overwrite")
    done = CliRunner().invoke(cli, ["dataset", manifest, out, *asked, *changed, "--overwrite"])
    assert done.exit_code == 0, done.output


def test_bad_use_is_told(manifest, tmp_path):
    done = CliRunner().invoke(
        dataset, [manifest, str(tmp_path / "out"), "--tile", "160", "--overlap", "much"]
    )
    assert done.exit_code == 2
    assert "neither px (128) nor a ratio" in done.output
    failed = CliRunner().invoke(dataset, [manifest, str(tmp_path / "out"), "--tile", "16"])
    assert isinstance(failed.exception, InvalidArgument)


def test_what_becomes_of_crowded_pages_is_said(tmp_path):
    labels = labeled_pages(tmp_path / "pages", count=3, each=70, empty=0)
    write_labels(labels, tmp_path / "labels.manifest", "ground-truth")
    done = CliRunner().invoke(
        dataset,
        [
            str(tmp_path / "labels.manifest"),
            str(tmp_path / "out"),
            "--tile",
            "160",
            "--overlap",
            "32",
            "--baseline",
        ],
    )
    assert "3 pages with more than 50 boxes are written several times" in done.output


def test_plan_for_people_and_machines(manifest, tmp_path):
    done = CliRunner().invoke(plan, [manifest, "--plot", str(tmp_path / "plan.svg"), "--price", "8"])
    assert done.exit_code == 0, done.output
    assert "Tiling is not needed" in done.output
    assert "US$ 8 per unit-hour" in done.output
    assert (tmp_path / "plan.svg").exists()
    value = json.loads(CliRunner().invoke(plan, [manifest, "--json", "--rate", "10", "--budget", "5"]).stdout)
    assert value["rate"] == 10
    assert value["budget"] == 5


def test_scales_on_the_command_line(manifest, tmp_path):
    out = tmp_path / "out"
    asked = ["--at", "160/40", "--at", "page@300"]
    done = CliRunner().invoke(dataset, [manifest, str(out), *asked, "--json"])
    assert done.exit_code == 0, done.output
    assert Scales.from_json(json.loads((out / "tiling.json").read_text())) == Scales(
        Tiling(160, 40), Tiling.whole(300)
    )
    same = CliRunner().invoke(
        dataset, [manifest, str(tmp_path / "same"), "--scales", str(out / "tiling.json"), "--json"]
    )
    assert json.loads(same.stdout)["sides"] == json.loads(done.stdout)["sides"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["--at", "160", "--at", "160/40"], "given twice"),
        (["--at", "160", "--tile", "160"], "--at says how pages are cut, so --tile cannot"),
        (["--at", "160", "--scales", "auto"], "give one of them"),
    ],
)
def test_scales_that_make_no_sense_are_one_sentence(manifest, tmp_path, asked, words):
    done = CliRunner().invoke(dataset, [manifest, str(tmp_path / "out"), *asked])
    assert isinstance(done.exception, InvalidArgument)
    assert words in str(done.exception)


def test_a_scale_that_cannot_be_read_is_told(manifest, tmp_path):
    done = CliRunner().invoke(dataset, [manifest, str(tmp_path / "out"), "--at", "big"])
    assert done.exit_code == 2
    assert "TILE/OVERLAP@SCALE" in done.output


def test_the_plan_says_its_scales(manifest):
    value = json.loads(CliRunner().invoke(plan, [manifest, "--json"]).stdout)
    assert [
        set(one) >= {"tile", "overlap", "scale", "tiles_a_page", "small_object", "labels"}
        for one in value["scales"]
    ]
    assert value["reasons"] == []
    told = CliRunner().invoke(plan, [manifest]).output
    assert "Tiling is not needed" in told
    assert "--at page@1280" in told
    assert "--tile" not in told
