"""Change one thing in a room's code and see whether its tests notice: `python tests/mutants.py grid --count 40`.

Mutants are drawn by a seed, so that a run can be repeated. Package and tests are copied; the room's tests have to pass
on the clean copy first, where it is noted which test reaches which line. A mutant is written into the copy, the tests
that reach its line run until the first failure, the quickest first, and what survives is printed with its line. Each run
is held to have imported the copy. Kernels, and lines run at import, are put to all tests of the room. Nothing in the working tree is touched.
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
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import coverage
import pytest

TOP = Path(__file__).parents[1]
# What tells a changed line in seconds; the tests named like the changed file run first.
ROOMS = {
    "grid": (["grid.py", "axes.py"], ["tests/test_grid.py", "tests/test_scales.py", "tests/evaluation/test_shapes.py::test_margins_are_what_every_tile_says"]),
    "boxes": (["boxes/*.py"], ["tests/boxes", "tests/test_looking.py"]),
    "reading": (["tiles/reading.py"], ["tests/tiles", "tests/test_scales.py", "tests/scans/test_reducing.py"]),
    "archive": (
        ["archive/*.py"],
        [f"tests/archive/test_{name}.py" for name in (
            "admitting", "checking", "dataset", "detecting", "faults", "forecast", "jobs", "joining", "prefetching",
            "processing", "records", "retrying", "rules", "tiling", "truth",
        )],
    ),
    "storage": (["storage/*.py"], ["tests/storage"]),
    "merging": (
        ["detection/*.py", "boxes/merging.py"],
        [
            "tests/test_detection_budget.py",
            "tests/test_detecting_scans.py",
            "tests/boxes/test_completing.py",
            "tests/boxes/test_merging_shapes.py",
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
    lines: range
    """Where running it can be seen; none where that is at import."""


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
    was, lines = ast.unparse(node), _lines(tree, node)
    _change(node)
    return Mutant(file, node.lineno, f"{was}  ->  {ast.unparse(node)}", ast.unparse(tree), lines)


def _lines(tree: ast.Module, node: ast.AST) -> range:
    """Lines of a node inside a function's body."""
    bodies = [part for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) for part in one.body]
    inside = any(node is part for body in bodies for part in ast.walk(body))
    return range(node.lineno, node.end_lineno + 1) if inside else range(0)


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
    "moto.server",
    "coverage",
    "numba",
)
IGNORED = (  # what takes long and tells few mutants apart
    "test_ten_million_windows_at_once",
    "test_killed_at_any_point_a_rerun_gives_the_undisturbed_output",
    "test_an_archive_on_s3_keeps_its_records_there",
    "test_archives_on_this_machine_and_elsewhere",
    "test_shards_merge_in_one_command",
    "test_the_same_bytes_as_tile_dataset",
)
_NONE_RAN = int(pytest.ExitCode.NO_TESTS_COLLECTED)


@dataclass(frozen=True)
class Reached:
    """Of the run on the clean copy: seconds of each test, and the tests that reach each line of each file."""

    seconds: dict[str, float]
    lines: dict[str, dict[str, list[str]]]

    def tests(self, one: Mutant) -> list[str]:
        """Those that can notice a mutant, the quickest first.

        Of a line that no test is seen to reach (other processes do) all that reach something of its file; of a line
        that runs at import, and of kernels, all, those named like the file first.
        """
        reached = self.lines.get(str(one.file.relative_to(TOP)), {})
        known = {test for line in one.lines for test in reached.get(str(line), ())}
        if one.lines and not known:
            known = {test for tests in reached.values() for test in tests}
        if known and "kernels" not in one.file.parts:
            return sorted(known, key=self.seconds.__getitem__)
        own = f"test_{one.file.stem}.py::"
        return sorted(self.seconds, key=lambda test: (own not in test, self.seconds[test]))


class Watching:
    """A plugin of pytest that notes what each test reaches."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.seconds: dict[str, float] = {}
        self.coverage = coverage.Coverage(
            data_file=None, config_file=False, include=[str(tree / "tilekit" / "*")], messages=False
        )
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self.coverage.switch_context(item.nodeid)
        began = time.perf_counter()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.perf_counter() - began

    def write(self, path: Path) -> None:
        """As JSON."""
        self.coverage.stop()
        data = self.coverage.get_data()
        lines = {
            str(Path(file).relative_to(self.tree)): {
                line: [test for test in tests if test]
                for line, tests in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
        path.write_text(json.dumps({"seconds": self.seconds, "lines": lines}))


class Choosing:
    """A plugin of pytest that runs these tests only, in this order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self.tests = tests

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        by_id = {item.nodeid: item for item in items}
        items[:] = [by_id[test] for test in self.tests if test in by_id]


def clean(tests: list[str], tree: Path) -> Reached:
    """What the tests reach; ends the run where they do not pass, or tested something else than the tree."""
    code = _forked(lambda: _run(tests, tree, None), tree, None)
    if code:
        sys.exit(f"the tests fail without a mutant: nothing can be told\n{_said(tree)}")
    told = json.loads((tree / "reached.json").read_text())
    return Reached(told["seconds"], told["lines"])


def survives(one: Mutant, reached: Reached, tree: Path, slack: float) -> bool:
    """Whether all tests that can notice it pass with the mutant in place; a run that hangs does not."""
    place = tree / one.file.relative_to(TOP)
    before, when = place.read_text(), place.stat().st_mtime
    place.write_text(one.source)
    tests = reached.tests(one)
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    limit = slack + 4 * sum(reached.seconds[test] for test in tests)
    try:
        code = _forked(lambda: _run(files, tree, tests), tree, limit)
    finally:
        place.write_text(before)
        os.utime(place, (when, when))  # so that its bytecode of the clean run holds again
    if code == _NONE_RAN:
        sys.exit(f"no test ran: nothing can be told\n{_said(tree)}")
    return code == 0


def _said(tree: Path) -> str:
    return (tree / "said.txt").read_text()[-2000:]


def _forked(run: Callable[[], int], tree: Path, limit: float | None) -> int:
    """The exit code of what runs in a child of this process, its words in a file; 1 where it took longer than `limit`."""
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with (tree / "said.txt").open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            try:
                code = run()
            except BaseException:  # noqa: BLE001 - the parent's folder must not be unwound here
                traceback.print_exc()
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    try:
        status = _waited(child, time.monotonic() + (limit or 1e9))
    except BaseException:
        os.killpg(child, signal.SIGKILL)
        raise
    if status is None:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return 1
    code = os.waitstatus_to_exitcode(status)
    if code == _ELSEWHERE:
        sys.exit(f"the tests imported another package than the tree: nothing can be told\n{_said(tree)}")
    return code


def _waited(child: int, until: float) -> int | None:
    """How a child ended, or None where it still runs at that time."""
    while time.monotonic() <= until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.05)
    return None


def _run(tests: list[str], tree: Path, chosen: Sequence[str] | None) -> int:
    """In a process of its own: pytest's exit code, or that the tree was not what was tested.

    Without `chosen` every test runs and what it reaches is noted.
    """
    os.environ |= {
        "PYTHONPATH": str(tree),
        "HYPOTHESIS_PROFILE": "quick",
        "NUMBA_CACHE_DIR": str(tree / "kernels"),
    }
    if chosen is not None:  # the clean run's bytecode stays, and a mutant leaves none
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
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
        "-m",
        "not slow",
        "--rootdir",
        str(tree),
    ]
    watching = Watching(tree) if chosen is None else None
    code = int(pytest.main([*options, *tests], plugins=[watching or Choosing(chosen or ())]))
    if watching is not None:
        watching.write(tree / "reached.json")
    imported = sys.modules.get("tilekit")
    right = imported is None or Path(str(imported.__file__)) == tree / "tilekit" / "__init__.py"
    return code if right else _ELSEWHERE


def main() -> None:
    """Draw mutants of a room, run its tests on each, print the survivors and one line of figures."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("room", choices=ROOMS)
    asked.add_argument("--count", type=int, default=100)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument(
        "--again", nargs="+", metavar="FILE:LINE", help="of those drawn only these, as survivors are told"
    )
    asked.add_argument(
        "--slack",
        type=float,
        default=30.0,
        help="seconds a run may take beyond four times what its tests took",
    )
    given = asked.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the copy and what runs on it go with this process
    for name in PRELOADED:
        import_module(name)
    patterns, tests = ROOMS[given.room]
    files = [file for pattern in patterns for file in sorted((TOP / "tilekit").glob(pattern))]
    every = [place for file in files for place in places(file)]
    drawn = [
        mutant(*place) for place in random.Random(given.seed).sample(every, min(given.count, len(every)))
    ]
    if given.again:
        drawn = [one for one in drawn if f"{one.file.relative_to(TOP)}:{one.line}" in given.again]
    alive = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder).resolve()
        _copy(tree)
        began = time.monotonic()
        reached = clean(tests, tree)
        _tell(f"clean: {len(reached.seconds)} tests in {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        for number, one in enumerate(drawn, 1):
            if survives(one, reached, tree, given.slack):
                alive += 1
                _tell(f"{number}. survived: {one.file.relative_to(TOP)}:{one.line}: {one.what}")
        minutes = (time.monotonic() - began) / 60
    figures = {
        "room": given.room,
        "seed": given.seed,
        "of": len(every),
        "drawn": len(drawn),
        "killed": len(drawn) - alive,
    }
    _tell(json.dumps({**figures, "a_minute": round(len(drawn) / max(minutes, 1e-3), 1)}))


def _copy(tree: Path) -> None:
    shutil.copytree(TOP / "tilekit", tree / "tilekit", ignore=shutil.ignore_patterns("__pycache__"))
    # Copied, not linked: pytest puts the folder above `tests` first on the path, which has to be the copy.
    for name in ("tests", "benchmarks", "docs", "examples"):
        shutil.copytree(TOP / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md"):
        shutil.copy(TOP / name, tree / name)
    kernels = Path.home() / ".cache" / "tilekit-kernels"
    if kernels.exists():  # changed kernels are kept in a copy that goes with the tree
        shutil.copytree(kernels, tree / "kernels" / kernels.name)


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
