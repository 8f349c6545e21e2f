"""Peers are plug-ins: named, found or absent, and none of them in the package."""

from __future__ import annotations

import ast
import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner

import tilekit
from benchmarks.peers import PEERS
from tilekit.bench import peers
from tilekit.bench.peers import Peers, Suppressor, Tiler, find_peers
from tilekit.cli import cli
from tilekit.errors import InvalidArgument
from tilekit.testing.scans import write_scan

RIVALS = {
    "cv2", "ensemble_boxes", "image_slicer", "large_image", "lsnms", "powerboxes", "rasterio", "sahi", "tiatoolbox",
}  # fmt: skip
MINE = Peers(
    {"mine": Tiler("numpy", "mine:cut")}, {"mine": Suppressor("numpy", lambda: None)}, packages=("mine",)
)


@pytest.mark.slow
def test_the_package_knows_no_rival() -> None:
    for file in Path(tilekit.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not RIVALS & {name.partition(".")[0] for name in names}, file


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[EntryPoint]:
    """The package without its source around it, with entry points to add to."""
    found: list[EntryPoint] = []
    monkeypatch.setattr(peers.tilekit, "__file__", str(tmp_path / "site" / "tilekit" / "__init__.py"))
    monkeypatch.setattr(peers, "entry_points", lambda group: found if group == "tilekit.peers" else [])
    return found


@pytest.mark.slow
def test_from_a_wheel_there_is_none_and_it_is_said(installed: list[EntryPoint], tmp_path: Path) -> None:
    assert not find_peers()
    scan = write_scan(tmp_path / "plan.jpg", 300, 200)
    asked = [
        "bench",
        str(scan),
        "--quick",
        "--tile",
        "256",
        "--overlap",
        "32",
        "--rounds",
        "1",
        "--workers",
        "1",
    ]
    for more, told in ((asked, True), ([*asked, "--no-peers"], False)):
        result = CliRunner().invoke(cli, [*more, "--cache", str(tmp_path), "--json"])
        assert result.exit_code == 0, result.output
        run = json.loads(result.stdout)
        assert run["peers"] == []
        assert any("benchmarks/peers of the source" in note for note in run["notes"]) == told
        assert "sahi" not in run["versions"]


def test_a_plug_in_is_found_by_its_entry_point(installed: list[EntryPoint]) -> None:
    installed.append(EntryPoint("some", f"{__name__}:MINE", "tilekit.peers"))
    assert find_peers() == MINE
    installed.append(EntryPoint("broken", f"{__name__}:NONE", "tilekit.peers"))
    with pytest.raises(InvalidArgument, match=r"test_peers:NONE.*cannot be loaded"):
        find_peers()


def test_beside_the_source_they_are_found(
    installed: list[EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    place = tmp_path / "site" / "benchmarks" / "peers" / "__init__.py"
    place.parent.mkdir(parents=True)
    place.touch()
    assert find_peers() == PEERS == find_peers("benchmarks.peers")


def test_plug_ins_add_up() -> None:
    both = PEERS | MINE
    assert {"sahi", "mine"} <= both.tilers.keys()
    assert {"lsnms", "mine"} <= both.suppressors.keys()
    assert both.packages[-1] == "mine"
