"""Processes of servers: one is started, waited for and stopped (`running`)."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tilekit.errors import InvalidArgument, ServiceError
from tilekit.local.faults import FaultRule
from tilekit.local.settings import ServerSettings
from tilekit.local.signing import KeySource


@contextlib.contextmanager
def running(
    state: str | os.PathLike[str] | None = None,
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    faults: str | os.PathLike[str] | Sequence[Mapping[str, Any] | FaultRule] | None = None,
    keys: KeySource | None = None,
    **settings: Any,
) -> Iterator[str]:
    """A local server in a process of its own; gives its URL, stops it at the end.

    `state`: folder to keep (None: a fresh one, removed at the end); `port` 0: any free one. `faults` as in
    read_faults, `keys` as in read_keys (None: any credentials will do); the rest as in ServerSettings. boto3
    takes the URL as `endpoint_url=` or from AWS_ENDPOINT_URL. Raises InvalidArgument for a setting that is none
    or is wrong, ServiceError where the server does not start.
    """
    unknown = set(settings) - set(ServerSettings.__dataclass_fields__)
    if unknown:
        raise InvalidArgument(
            f"{sorted(unknown)[0]}=: no setting of a local server; there are "
            f"{', '.join(ServerSettings.__dataclass_fields__)}"
        )
    with contextlib.ExitStack() as stack:
        folder = (
            Path(state) if state is not None else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        )
        process = start_process(folder, host, port, ServerSettings(**settings), faults, keys)
        stack.callback(stop_process, process)
        yield wait_ready(process)


def start_process(
    folder: Path,
    host: str,
    port: int,
    settings: ServerSettings,
    faults: str | os.PathLike[str] | Sequence[Mapping[str, Any] | FaultRule] | None = None,
    keys: KeySource | None = None,
) -> subprocess.Popen[str]:
    """Start a server process; it ends when its standard input closes, so never outlives its parent."""
    from tilekit.local.launch import launch_text

    text = launch_text(folder, host, port, settings, faults, keys)
    process = subprocess.Popen(
        [sys.executable, "-m", "tilekit.local"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert process.stdin is not None
    process.stdin.write(text + "\n")
    process.stdin.flush()
    return process


def wait_ready(process: subprocess.Popen[str]) -> str:
    """The server's URL once it answers; ServiceError where it ended instead."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        code = process.wait()
        raise ServiceError(f"the local server ended with code {code} before it answered; its log is above")
    said = json.loads(line)
    if "error" in said:
        process.wait()
        raise ServiceError(f"the local server did not start: {said['error']}")
    return str(said["endpoint"])


def stop_process(process: subprocess.Popen[str]) -> None:
    """End a server process that `start_process` gave."""
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
