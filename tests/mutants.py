"""Change one thing in a room's code and see whether its tests notice: `python tests/mutants.py grid --count 40`.

Mutants are drawn by a seed, so that a run can be repeated. Package and tests are copied; the room's tests have to pass
on the clean copy first, and each run is held to have imported the copy. A mutant is written into it, the tests run until
the first failure, and what survives is printed with its line. Nothing in the working tree is touched.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
# What tells a changed line in seconds; the tests named like the changed file run first.
ROOMS = {
    "grid": (["grid.py", "axes.py"], ["tests/test_grid.py", "tests/test_scales.py", "tests/evaluation/test_shapes.py::test_margins_are_what_every_tile_says"]),
    "boxes": (
        ["boxes/*.py"],
        [f"tests/boxes/test_{name}.py" for name in (
            "remap", "overlap", "suppression", "fusion", "merging", "priority", "tallying", "interop", "shapes",
        )],
    ),
    "reading": (["tiles/reading.py"], ["tests/tiles/test_reading.py", "tests/tiles/test_writing.py"]),
    "archive": (
        ["archive/*.py"],
        [f"tests/archive/test_{name}.py" for name in (
            "admitting", "checking", "detecting", "dataset", "joining", "prefetching", "tiling", "truth", "processing",
        )],
    ),
    "storage": (["storage/*.py"], ["tests/storage"]),
    "merging": (
        ["detection/*.py", "boxes/merging.py"],
        [
            "tests/test_detection_budget.py",
            "tests/boxes/test_priority.py",
            "tests/boxes/test_merging.py",
            "tests/test_scale_merging.py",
            "tests/test_detection.py",
        ],
    ),
}  # fmt: skip
_COMPARED = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
_ELSEWHERE = 77
_KINDS = (ast.Compare, ast.BinOp, ast.BoolOp, ast.IfExp, ast.Constant, ast.UnaryOp)
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


def places(file: Path) -> list[tuple[Path, int]]:
    """All nodes of a file that can be changed: comparisons, arithmetic, and/or, conditions, numbers."""
    nodes = enumerate(ast.walk(ast.parse(file.read_text())))
    return [
        (file, place) for place, node in nodes if isinstance(node, _KINDS) and _change(copy.deepcopy(node))
    ]


def mutant(file: Path, place: int) -> Mutant:
    """The file with that node changed."""
    tree = ast.parse(file.read_text())
    node = list(ast.walk(tree))[place]
    was = ast.unparse(node)
    _change(node)
    return Mutant(file, node.lineno, f"{was}  ->  {ast.unparse(node)}", ast.unparse(tree))


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


# What tests of every room import, loaded once: a run is then a fork of this process. Nothing of tilekit is among it.
PRELOADED = (
    "numpy",
    "pytest",
    "hypothesis",
    "hypothesis.strategies",
    "PIL.Image",
    "shapely",
    "msgspec",
    "boto3",
    "pyvips",
)
IGNORED = ("test_ten_million_windows_at_once",)  # minutes that tell no mutant apart


def passes(tests: list[str], tree: Path, limit: float | None) -> bool:
    """Whether all tests pass on the tree; one that hangs does not. Ends the run where another package was imported."""
    said = tree / "said.txt"
    child = os.fork()
    if child == 0:
        os.setsid()
        with said.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            try:
                code = _run(tests, tree)
            except BaseException:  # noqa: BLE001 - the parent's folder must not be unwound here
                traceback.print_exc()
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    until = time.monotonic() + (limit or 1e9)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(0.05)
    code = os.waitstatus_to_exitcode(status)
    if code == _ELSEWHERE:
        sys.exit(
            f"the tests imported another package than the tree: nothing can be told\n{said.read_text()[-500:]}"
        )
    if limit is None and code:
        sys.exit(f"the tests fail without a mutant: nothing can be told\n{said.read_text()[-2000:]}")
    return code == 0


def _run(tests: list[str], tree: Path) -> int:
    """In a process of its own: pytest's exit code, or that the tree was not what was tested."""
    os.environ |= {"PYTHONPATH": str(tree), "HYPOTHESIS_PROFILE": "quick", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    sys.path[:] = [str(tree), *(path for path in sys.path if path not in ("", str(TOP)))]
    os.chdir(tree)
    left_out = " and ".join(f"not {name}" for name in IGNORED)
    options = [
        "-q",
        "-x",
        "-n0",
        "-Wignore::pytest.PytestAssertRewriteWarning",
        "--hypothesis-seed=0",
        "-k",
        left_out,
        "--rootdir",
        str(tree),
    ]
    code = int(pytest.main([*options, *tests]))
    imported = sys.modules.get("tilekit")
    right = imported is None or Path(str(imported.__file__)) == tree / "tilekit" / "__init__.py"
    return code if right else _ELSEWHERE


def survives(mutant: Mutant, tests: list[str], tree: Path, limit: float) -> bool:
    """Whether all tests pass with the mutant in place."""
    place = tree / "tilekit" / mutant.file.relative_to(TOP / "tilekit")
    before = place.read_text()
    place.write_text(mutant.source)
    own = f"test_{mutant.file.stem}.py"
    try:
        return passes(sorted(tests, key=lambda test: not test.endswith(own)), tree, limit)
    finally:
        place.write_text(before)


def main() -> None:
    """Draw mutants of a room, run its tests on each, print the survivors and one line of figures."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("room", choices=ROOMS)
    asked.add_argument("--count", type=int, default=100)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument(
        "--limit",
        type=float,
        help="seconds for one run of the tests (default: 30 and four times the clean one)",
    )
    given = asked.parse_args()
    for name in PRELOADED:
        import_module(name)
    patterns, tests = ROOMS[given.room]
    files = [file for pattern in patterns for file in sorted((TOP / "tilekit").glob(pattern))]
    every = [place for file in files for place in places(file)]
    drawn = [
        mutant(*place) for place in random.Random(given.seed).sample(every, min(given.count, len(every)))
    ]
    alive = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder).resolve()
        shutil.copytree(TOP / "tilekit", tree / "tilekit")
        # Copied, not linked: pytest puts the folder above `tests` first on the path, which has to be the copy.
        for name in ("tests", "benchmarks", "docs", "examples"):
            shutil.copytree(TOP / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
        for name in ("pyproject.toml", "README.md", "CHANGELOG.md"):
            shutil.copy(TOP / name, tree / name)
        began = time.monotonic()
        passes(tests, tree, None)
        limit = given.limit or 30 + 4 * (time.monotonic() - began)
        for one in drawn:
            if survives(one, tests, tree, limit):
                alive.append(one)
                where = one.file.relative_to(TOP)
                sys.stdout.write(f"survived: {where}:{one.line}: {one.what}\n")
                sys.stdout.flush()
    figures = {"room": given.room, "of": len(every), "drawn": len(drawn), "killed": len(drawn) - len(alive)}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
