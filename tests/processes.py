"""A plugin of pytest: what tests start ends with them. A process that outlives the session fails it, by name.

Every process that tests start carries the session's mark in its environment, through as many commands as lie between.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

MARK = "TILEKIT_TESTS"
WATCHER = "tilekit.aws.deadlines"
_TRACKER = "multiprocessing.resource_tracker"  # ends with the process that tests
_PATIENCE = 5.0  # what is ending already may end


def marked(mark: str) -> dict[int, str]:
    """The processes whose environment holds `mark`, other than this one and those above it: their command lines."""
    found = {}
    above = _above(os.getpid())
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) in above or mark.encode() not in (folder / "environ").read_bytes().split(
                b"\0"
            ):
                continue
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile, or is another user's
            continue
        said = b" ".join(words).decode(errors="replace").strip()
        if said and _TRACKER not in said:  # a dead child that waits says nothing
            found[int(folder.name)] = said
    return found


def _above(pid: int) -> set[int]:
    found = set()
    while pid:
        found.add(pid)
        try:
            pid = int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    return found


def end(pids: Iterator[int] | list[int]) -> None:
    """End these processes at once."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@pytest.fixture(scope="module")
def watchers_end() -> Iterator[None]:
    """Watchers of models that a module's tests let go end with it: a deploy's would stay until its deadline."""
    name, before = f"{MARK}_MODULE", os.environ.get(f"{MARK}_MODULE")
    os.environ[name] = f"{os.getpid()}-{time.monotonic_ns()}"
    mark = f"{name}={os.environ[name]}"
    yield
    end([pid for pid, said in marked(mark).items() if WATCHER in said])
    if before is None:
        del os.environ[name]
    else:
        os.environ[name] = before


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # workers of xdist inherit it
        os.environ[MARK] = f"{os.getpid()}-{time.monotonic_ns()}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    yield
    if hasattr(session.config, "workerinput"):
        return
    until = time.monotonic() + _PATIENCE
    while (left := marked(f"{MARK}={os.environ[MARK]}")) and time.monotonic() < until:
        time.sleep(0.1)
    end(list(left))
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        for pid, said in left.items():
            reporter.write_line(f"FAILED: process {pid} outlived the tests: {said[:300]}", red=True)
