"""One place for the public names; each is there and documented."""

from __future__ import annotations

import ast
import inspect

import pytest

import tilekit


@pytest.mark.parametrize("name", [name for name in tilekit.__all__ if not name.startswith("__")])
def test_every_name_is_there_and_documented(name):
    value = getattr(tilekit, name)
    assert inspect.getdoc(value)
    assert name in dir(tilekit)


def test_what_type_checkers_see_is_what_there_is():
    tree = ast.parse(inspect.getsource(tilekit))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {(alias.name, node.module) for node in block.body for alias in node.names}
    assert seen == set(tilekit._HOME.items())


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="nothing_like_it"):
        tilekit.nothing_like_it  # noqa: B018
