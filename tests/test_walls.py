"""Rooms lean downward only, every room is in the contract, and the drawing in the docs is what the imports are."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

import tilekit

TOP = Path(__file__).parents[1]
PACKAGE = Path(tilekit.__file__).parent
ROOMS = {
    path.stem
    for path in PACKAGE.iterdir()
    if (path / "__init__.py").exists() or (path.suffix == ".py" and path.stem != "__init__")
}
CONTRACTS = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
LIBRARIES = {
    "testing": {"testing", "demo", "bench"},
    "pyvips": {"scans", "tiles", "bench"},
    "numba": {"compiled"},
    "boto3": {"storage", "aws", "local"},
    "torch": {"local", "torch"},
    "moto": {"local"},
}


def drawing():
    spec = importlib.util.spec_from_file_location("make_drawing", TOP / "docs" / "make_drawing.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_contracts_hold(monkeypatch, capsys):
    monkeypatch.chdir(TOP)
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0, capsys.readouterr().out


def test_every_room_has_its_place_in_the_layers():
    assert sorted(room for layer in drawing().layers(TOP / "pyproject.toml") for room in layer) == sorted(
        ROOMS
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_other_room_is_kept_from_a_library(library):
    (contract,) = [
        one for one in CONTRACTS
        if one["type"] == "forbidden" and library in [name.rpartition(".")[2] for name in one["forbidden_modules"]]
    ]  # fmt: skip
    kept = {name.split(".")[1] for name in contract["source_modules"]}
    assert kept == ROOMS - LIBRARIES[library]


def test_tests_start_a_moto_server_in_one_place():
    """moto keeps one state a process: a server started elsewhere would hold what other tests left."""
    found = {path.name for path in (TOP / "tests").rglob("*.py") if "ThreadedMotoServer(" in path.read_text()}
    assert found - {"test_walls.py"} == {"s3_server.py"}


def test_the_drawing_is_what_the_imports_are():
    assert drawing().drawing(TOP / "pyproject.toml") in (TOP / "docs" / "architecture.md").read_text(), (
        "run python docs/make_drawing.py"
    )


def rooms_of_code():
    return sorted(file for file in PACKAGE.rglob("__init__.py") if file.parent != PACKAGE)


@pytest.mark.parametrize(
    "file", rooms_of_code(), ids=lambda file: ".".join(file.parent.relative_to(PACKAGE).parts)
)
def test_a_room_says_what_it_is_for_and_what_it_never_does(file):
    text = file.read_text()
    said = text.split('"""')[1]
    assert len(said.split()) >= 30, (
        "a room's docstring says what it is for, who may call it, what it never does"
    )
    assert "never" in said or "nothing" in said or " no " in said


def test_the_one_home_of_each_idea_is_where_the_docs_say() -> None:
    text = (TOP / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("## Each idea has one home")[2].partition("\n## ")[0]
    homes = re.findall(r"`((?:tilekit|benchmarks)/[^`]+)`", table)
    assert len(homes) >= 15
    package = PACKAGE.parent  # installed, maybe, away from the docs
    assert not [
        home for home in homes if not ((package if home.startswith("tilekit/") else TOP) / home).exists()
    ]
