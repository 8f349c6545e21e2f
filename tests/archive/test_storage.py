"""Archives in and out of S3 that throttles and drops, and onto a disk that is full."""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.archive.test_tiling import archive, tree
from tests.s3_server import empty, use
from tilekit import Tiling
from tilekit.archive import ArchiveOptions, TileJob, process_archive
from tilekit.scans.encoding import encode_image
from tilekit.storage.s3 import S3Store

JOB = TileJob(Tiling(128, 16))


class Faulty:
    """moto behind a door that sends every sixth caller away: slow down, or a connection cut short."""

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._count = itertools.count()
        self.faults = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        turn = next(self._count)
        if turn % 6 == 3:
            self.faults += 1
            start_response("503 Slow Down", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"]
        if turn % 12 == 8 and environ["REQUEST_METHOD"] == "GET":
            self.faults += 1
            start_response("200 OK", [("Content-Length", "1000000"), ("Content-Type", "image/png")])
            return [b"cut"]
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        return


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    app = Faulty()
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    use(monkeypatch, f"http://127.0.0.1:{server.port}")
    with empty():
        yield app
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.slow
def test_s3_in_and_out_through_faults(tmp_path: Path, faulty: Faulty) -> None:
    source = archive(tmp_path / "in", 6)
    store = S3Store()
    store.client.create_bucket(Bucket="archive")
    for path in source.rglob("scan*"):
        store.upload(path, f"s3://archive/in/{path.relative_to(source)}")
    process_archive(source, tmp_path / "local", JOB, workers=1)
    summary = process_archive(
        "s3://archive/in",
        "s3://archive/out",
        JOB,
        workers=2,
        options=ArchiveOptions(state=tmp_path / "state"),
    )
    assert summary.failures == {}
    assert summary.done == 6
    assert faulty.faults > 3
    names = {item.location.key.removeprefix("out/"): item.size for item in store.list("s3://archive/out/")}
    local = {name: (tmp_path / "local" / name).stat().st_size for name in tree(tmp_path / "local")}
    tiles = {name: size for name, size in local.items() if name.endswith((".jpg", ".png"))}
    assert {name: names[name] for name in tiles} == tiles
    assert set(names) == set(local)
    again = process_archive(
        "s3://archive/in",
        "s3://archive/out",
        JOB,
        workers=1,
        options=ArchiveOptions(state=tmp_path / "state"),
    )
    assert (again.done, again.skipped) == (0, 6)


def test_a_full_disk_is_one_sentence_and_a_rerun_completes(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (400, 700, 3), dtype=np.uint8)
    (folder / "big.png").write_bytes(encode_image(noise, "png").data)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "tilekit", "archive", "run", str(folder), str(out)]
    command += ["--tile", "350", "--overlap", "0", "--format", "png", "--workers", "1"]
    limit = 250_000  # a tile has some 367 kB

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    full = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=small)
    assert full.returncode == 1
    assert "no space is left" in full.stderr
    assert "Traceback" not in full.stderr
    assert tree(out) == {}
    again = subprocess.run(
        [*command[:4], "retry", str(out), "--workers", "1"], capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert len([name for name in tree(out) if name.endswith(".png")]) == 4
