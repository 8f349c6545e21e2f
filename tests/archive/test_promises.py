"""Each promise of the guide names a test that is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
TOP = HERE.parents[1]
GUIDE = (TOP / "docs" / "archives.md").read_text(encoding="utf-8")


def names_in(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_promise_is_held_by_a_test_that_is_there() -> None:
    table = GUIDE.partition("| promise | held by |")[2].partition("\n\n")[0].strip().splitlines()[1:]
    assert len(table) > 20
    for line in table:
        promise, held = (cell.strip() for cell in line.strip("|").rsplit("|", 1))
        names = re.findall(r"`([^`]+)`", held)
        assert names, promise
        for name in names:
            file, _, test = name.partition("::")
            path = TOP / file if "/" in file else HERE / file
            assert path.is_file(), f"{promise}: {name}"
            assert not test or test in names_in(path), f"{promise}: {name}"
