"""Change one thing in a room's code and see whether its tests notice: `python tests/mutants.py grid --count 40`.

Mutants are drawn by a seed, so that a run can be repeated and gone on with. Each is written into a copy of the package
that stands before the installed one, the room's tests run until the first failure, and what survives is printed with
its line. Nothing in the working tree is touched.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[1]
ROOMS = {
    "grid": (["grid.py"], ["tests/test_grid.py"]),
    "boxes": (["boxes/*.py"], ["tests/boxes"]),
    "reading": (["tiles/reading.py"], ["tests/tiles"]),
    "archive": (["archive/*.py"], ["tests/archive"]),
    "storage": (["storage/*.py"], ["tests/storage"]),
    "merging": (
        ["detection/*.py", "boxes/merging.py"],
        ["tests/test_detection.py", "tests/boxes/test_merging.py"],
    ),
}
_COMPARED = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
_COUNTED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
}


@dataclass(frozen=True)
class Mutant:
    """A file with one thing changed."""

    file: Path
    line: int
    what: str
    source: str


def mutants(file: Path) -> Iterator[Mutant]:
    """All mutants of a file: comparisons, arithmetic, and/or, conditions turned round, numbers moved by one."""
    text = file.read_text()
    count = sum(1 for _ in ast.walk(ast.parse(text)))
    for place in range(count):
        tree = ast.parse(text)
        node = list(ast.walk(tree))[place]
        was = ast.unparse(node) if isinstance(node, ast.expr) else ""
        if not _change(node):
            continue
        yield Mutant(file, node.lineno, f"{was}  ->  {ast.unparse(node)}", ast.unparse(tree))


def _change(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARED:
        node.ops[0] = _COMPARED[type(node.ops[0])]()
    elif isinstance(node, ast.BinOp) and type(node.op) in _COUNTED:
        node.op = _COUNTED[type(node.op)]()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.IfExp):
        node.body, node.orelse = node.orelse, node.body
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        node.value += 1
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        node.op = ast.UAdd()
        node.operand = ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
    else:
        return False
    return True


def survives(mutant: Mutant, tests: list[str], copy: Path, limit: float) -> bool:
    """Whether all tests pass with the mutant in place; one that hangs counts as killed."""
    place = copy / "tilekit" / mutant.file.relative_to(TOP / "tilekit")
    before = place.read_text()
    place.write_text(mutant.source)
    environment = {
        **os.environ,
        "PYTHONPATH": str(copy),
        "HYPOTHESIS_PROFILE": "ci",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:randomly",
        *(str(TOP / one) for one in tests),
    ]
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, timeout=limit, check=False
        )
        return done.returncode == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        place.write_text(before)


def main() -> None:
    """Draw mutants of a room, run its tests on each, print the survivors and one line of figures."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("room", choices=ROOMS)
    asked.add_argument("--count", type=int, default=100)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--limit", type=float, default=300.0, help="seconds for one run of the tests")
    given = asked.parse_args()
    patterns, tests = ROOMS[given.room]
    files = [file for pattern in patterns for file in sorted((TOP / "tilekit").glob(pattern))]
    every = [mutant for file in files for mutant in mutants(file)]
    drawn = random.Random(given.seed).sample(every, min(given.count, len(every)))
    alive = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(TOP / "tilekit", copy / "tilekit")
        for name in ("pyproject.toml", "tests"):
            (copy / name).symlink_to(TOP / name)
        for mutant in drawn:
            if survives(mutant, tests, copy, given.limit):
                alive.append(mutant)
                where = mutant.file.relative_to(TOP)
                sys.stdout.write(f"survived: {where}:{mutant.line}: {mutant.what}\n")
                sys.stdout.flush()
    figures = {"room": given.room, "of": len(every), "drawn": len(drawn), "killed": len(drawn) - len(alive)}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
