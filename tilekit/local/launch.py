"""Putting a server together, and the process that runs one for `running`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilekit.errors import MissingExtra, StorageError, TilekitError
from tilekit.local.faults import FaultRule, read_faults
from tilekit.local.settings import ServerSettings
from tilekit.local.signing import KeySource, read_keys

if TYPE_CHECKING:
    from tilekit.local.context import ModelStore
    from tilekit.local.trainer import Fit

Faults = str | os.PathLike[str] | Sequence[Mapping[str, Any] | FaultRule] | None


@contextlib.contextmanager
def server_at(
    folder: Path,
    host: str,
    port: int,
    settings: ServerSettings,
    faults: Faults = None,
    keys: KeySource | None = None,
) -> Iterator[tuple[Any, str]]:
    """A bound server and its URL; `serve_forever` answers, and leaving closes all.

    Raises MissingExtra without the extra `local`, StorageError for a port in use or a bad folder.
    """
    try:
        from tilekit.local.serving import LocalServer, PortRefused, quiet_moto
    except ImportError as exc:
        raise MissingExtra(f"the local server needs moto and werkzeug ({exc})", "local") from exc
    from tilekit.local.application import Application
    from tilekit.local.clock import Clock
    from tilekit.local.context import Backend
    from tilekit.local.dataset_worker import DatasetWorker
    from tilekit.local.objects import Buckets
    from tilekit.local.state import State
    from tilekit.local.trainer import TrainingQueue

    quiet_moto()
    plan, ring = read_faults(faults), read_keys(keys)
    state = State(folder)
    ingester = DatasetWorker()
    models, fit, end = _detector(folder / "models", canned=settings.canned)
    trainer = TrainingQueue(fit, settings.max_training, end)
    buckets = Buckets(state)
    backend = Backend(settings, state, Clock(settings.time_scale), buckets, trainer, models, ingester, plan)
    if settings.bucket:
        buckets.make(settings.bucket)
    try:
        server = LocalServer(host, port, Application(backend, ring))
    except (OSError, OverflowError, PortRefused) as exc:
        state.close()
        raise StorageError(
            f"{host}:{port}: the port cannot be used ({exc}); pick another --port, or 0 for a free one"
        ) from exc
    ingester.begin(backend)
    trainer.begin(backend)
    try:
        yield server, f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}"
    finally:
        server.server_close()
        trainer.close()
        ingester.close()
        state.close()


def _detector(models: Path, *, canned: bool) -> tuple[ModelStore, Fit, Callable[[], None]]:
    """What detects, what trains, and what ends trainings under way."""
    if canned:
        from tilekit.local.canned import CannedModels, fit_canned

        return CannedModels(models), fit_canned, lambda: None
    try:
        from tilekit.local.inference import TrainedModels
    except ImportError as exc:
        raise MissingExtra(f"the local server needs torch to train ({exc})", "local") from exc
    from tilekit.local.training_process import TrainingProcesses

    processes = TrainingProcesses()
    return TrainedModels(models), processes.fit, processes.close


def serve(
    state: str | os.PathLike[str],
    port: int = 5000,
    *,
    host: str = "127.0.0.1",
    settings: ServerSettings | None = None,
    faults: Faults = None,
    keys: KeySource | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Run a server in this process until interrupted; `ready(url)` is called once it listens."""
    with server_at(Path(state), host, port, settings or ServerSettings(), faults, keys) as (server, url):
        if ready is not None:
            ready(url)
        server.serve_forever(poll_interval=0.1)


def launch_text(
    folder: Path,
    host: str,
    port: int,
    settings: ServerSettings,
    faults: Faults,
    keys: KeySource | None,
) -> str:
    """What `run_launched` reads: one line of JSON."""
    rules: Any = faults
    if isinstance(faults, os.PathLike):
        rules = os.fspath(faults)
    elif faults is not None and not isinstance(faults, str):
        rules = [dataclasses.asdict(rule) if isinstance(rule, FaultRule) else dict(rule) for rule in faults]
    return json.dumps(
        {
            "folder": str(folder),
            "host": host,
            "port": port,
            "settings": dataclasses.asdict(settings),
            "faults": rules,
            "keys": {name: dataclasses.asdict(key) for name, key in read_keys(keys).known.items()} or None,
        }
    )


def run_launched() -> int:
    """The server process: reads its launch line, says its URL, ends when its input closes."""
    launch = json.loads(sys.stdin.readline())
    try:
        with server_at(
            Path(launch["folder"]),
            launch["host"],
            launch["port"],
            ServerSettings.read(launch["settings"]),
            launch["faults"],
            launch["keys"],
        ) as (server, url):
            _tell({"endpoint": url})
            answering = threading.Thread(
                target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
            )
            answering.start()
            with contextlib.suppress(KeyboardInterrupt):
                sys.stdin.read()
            server.shutdown()
    except TilekitError as exc:
        _tell({"error": str(exc)})
        return 1
    return 0


def _tell(said: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
