"""One place for the public names of the package and of each room: a stub, which editors and the loader both read."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import tilekit

PACKAGE = Path(tilekit.__file__).parent
STUBS = {
    ".".join(("tilekit", *stub.parent.relative_to(PACKAGE).parts)): stub for stub in PACKAGE.rglob("*.pyi")
}


def names(stub):
    """Name to module, of all that a stub gives."""
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname: node.module for node in found for alias in node.names}


EVERY = [(room, name) for room, stub in STUBS.items() for name, module in names(stub).items() if module]


def test_the_stubs_came_with_the_package():
    assert "tilekit" in STUBS
    assert "tilekit.boxes" in STUBS
    assert (PACKAGE / "py.typed").exists()


def test_the_list_of_names_stays_short():
    assert len([name for room, name in EVERY if room == "tilekit"]) <= 55, (
        "what few people need is under its room"
    )


@pytest.mark.parametrize(("room", "name"), EVERY, ids=".".join)
def test_every_name_is_there_and_documented(room, name):
    place = import_module(room)
    assert inspect.getdoc(getattr(place, name))
    assert name in dir(place)
    assert name in place.__all__


@pytest.mark.parametrize("name", [name for name, module in names(STUBS["tilekit"]).items() if not module])
def test_rooms_are_there_without_importing_them(name):
    assert getattr(tilekit, name) is import_module(f"tilekit.{name}")


@pytest.mark.parametrize("room", sorted({room for room, _ in EVERY}))
def test_other_names_are_refused(room):
    with pytest.raises(AttributeError, match="nothing_like_it"):
        import_module(room).nothing_like_it  # noqa: B018
