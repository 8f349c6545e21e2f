"""The soak: an archive through random kills, full disks, throttles, cut connections and changed inputs.

`python benchmarks/soak.py --minutes 30` (nightly: `make soak`) runs round after round on fresh inputs: each is
disturbed at random moments and then run to its end, and must equal a quiet run of the same inputs, file by file:
nothing lost, nothing twice, nothing stale. A third of the rounds writes to S3 through a line that throttles and
cuts; the others to a disk of their own, a small tmpfs where this user may mount one, which is full now and then: such
a run must say so, and record nothing as failed. `--kills 100` goes on until so many kills have hit a run: of workers,
up to three a run, of parents, and of whole namespaces of processes where `unshare` is allowed. Prints one JSON line
of figures after each round, and at the end all of it as one sentence; exit code 1 where anything differed. Writes
nothing but a temporary folder for each round, which is removed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tilekit import Tiling
from tilekit.archive import TileJob, archive_status, process_archive, verify_archive
from tilekit.archive.joining import all_records
from tilekit.archive.state import ledger_files
from tilekit.errors import StorageNotFound
from tilekit.ledger import Ledger
from tilekit.scans.encoding import encode_image
from tilekit.storage.place import place_of

JOB = TileJob(Tiling(128, 16))
BUCKET = "soak"
MODES = ("alone", "join", "s3")
RUN = """
import resource, sys
from tilekit import Tiling
from tilekit.archive import ArchiveOptions, TileJob, process_archive
from tilekit.errors import TilekitError
if __name__ == "__main__":
    source, out, limit, mode, last = sys.argv[1:]
    if int(limit):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    options = ArchiveOptions(join=mode == "join", lease=2.0, parts=4, retry_failed=last == "last")
    job, told = TileJob(Tiling(128, 16)), lambda event: print(event["event"], flush=True)
    try:
        summary = process_archive(source, out, job, workers=2, options=options, on_event=told)
    except TilekitError as exc:
        print(exc, file=sys.stderr)
        sys.exit(3)
    print(summary.stopped, summary.failures, file=sys.stderr)
    sys.exit(0 if summary.ok else 3)
"""
SCANS = 40
ROOM = 64 * 2**20  # of a round's disk, in bytes
SLOW_DOWN = b"""HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: 95\r\nConnection: close\r\n\r
<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>  """


@dataclass
class Line:
    """A TCP line to the S3 server that throttles, or cuts after some bytes, while it is `rude`."""

    server: tuple[str, int]
    counts: Counter[str]
    rude: bool = True
    _chance: random.Random = field(default_factory=lambda: random.Random(0))

    @contextlib.contextmanager
    def up(self) -> Iterator[str]:
        """For the block: the URL it is reached by."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            threading.Thread(target=self._serve, args=(listening,), daemon=True).start()
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"

    def _serve(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listening.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        draw = self._chance.random() if self.rude else 1.0
        left = 2**60
        with contextlib.suppress(OSError), near, socket.create_connection(self.server) as far:
            if draw < 0.1:
                near.recv(65536)
                near.sendall(SLOW_DOWN)
                self.counts["throttles"] += 1
                return
            if draw < 0.7:
                left = self._chance.randrange(20_000)
            threading.Thread(target=_pour, args=(near, far), daemon=True).start()
            while left > 0 and (data := far.recv(min(left, 65536))):
                near.sendall(data)
                left -= len(data)
            if left <= 0:
                self.counts["cut connections"] += 1


def _pour(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def s3_server(counts: Counter[str]) -> Iterator[Line]:
    """An S3 server, and the line to it as this process's and its children's endpoint."""
    from moto.server import ThreadedMotoServer

    from tilekit.storage.s3 import S3Store

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    line = Line(server.get_host_and_port(), counts, rude=False)
    try:
        with line.up() as url:
            os.environ |= {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1"}
            os.environ |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
            S3Store().client.create_bucket(Bucket=BUCKET)
            yield line
    finally:
        server.stop()


def noise(path: Path, chance: random.Random) -> None:
    """A scan of noise, small so that a round takes seconds."""
    pixels = np.random.default_rng(chance.randrange(10**6)).integers(0, 256, (200, 300, 3), np.uint8)
    path.write_bytes(encode_image(pixels, "jpeg" if path.suffix == ".jpg" else "png").data)


def make(folder: Path, chance: random.Random, count: int) -> None:
    """Scans in three folders."""
    for number in range(count):
        path = folder / f"d{number % 3}" / f"s{number}.{'jpg' if number % 2 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise(path, chance)


def change(folder: Path, chance: random.Random) -> None:
    """One scan replaced, keeping its time, and one gone."""
    replaced, gone = chance.sample(sorted(folder.rglob("s*.*")), 2)
    status = replaced.stat()
    noise(replaced, chance)
    os.utime(replaced, ns=(status.st_atime_ns, status.st_mtime_ns))  # as `cp -p` does
    gone.unlink()


def tree(out: str) -> dict[str, str]:
    """Every file but the state, with its hash."""
    place = place_of(out)
    names = [entry.name for entry in place.list() if not entry.name.startswith(".tilekit/")]
    with ThreadPoolExecutor(4) as threads:
        found = dict(zip(names, threads.map(place.read, names), strict=True))
    for name, data in found.items():
        if name.endswith("tiling.json"):
            found[name] = json.dumps(json.loads(data), sort_keys=True).encode()
    return {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}


def recorded_twice(out: str) -> list[str]:
    """Pages of which two ledgers, or the records of two parts, say that they are done."""
    place = place_of(out) / ".tilekit"
    counts = Counter(record.key for record in all_records(place) if record.state == "done")
    for path in ledger_files(place):
        with Ledger(path) as ledger:
            counts.update(record.key for record in ledger.records("done"))
    return sorted(key for key, count in counts.items() if count > 1)


def sentence(minutes: float, counts: Counter[str]) -> str:
    """All of it in one line, for docs/archives.md."""
    kills = ", ".join(
        f"{counts[f'kills of a {whom}']} of {whom}s" for whom in ("worker", "parent", "namespace")
    )
    harms = ", ".join(
        f"{counts[what]} {what}" for what in ("throttles", "cut connections", "full disks", "changed inputs")
    )
    ends = ", ".join(f"{counts[what]} {what}" for what in ("differing", "lost", "left over", "pages twice"))
    return f"{minutes} minutes, {counts['kills']} kills ({kills}), {harms}: {counts['files compared']:,} files compared, {ends}"


def children(parent: int) -> list[int]:
    """Worker processes of a run; the resource tracker of multiprocessing among them."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent:
                    found.append(int(entry.name))
    return found


@dataclass
class Disk:
    """Where a round writes: a tmpfs of its own, or, where that may not be, a limit on the size of files."""

    folder: Path
    mounted: bool = False

    @contextlib.contextmanager
    def up(self) -> Iterator[Disk]:
        """For the block."""
        self.folder.mkdir()
        given = ["-t", "tmpfs", "-o", f"size={ROOM}", "tilekit-soak", str(self.folder)]
        self.mounted = shutil.which("mount") is not None and _quietly("mount", *given)
        try:
            yield self
        finally:
            if self.mounted:
                _quietly("umount", str(self.folder))

    @contextlib.contextmanager
    def nearly_full(self, left: int) -> Iterator[int]:
        """For the block there are so many bytes left; gives the limit for files where there is no such disk."""
        if not self.mounted:
            yield 20_000
            return
        used = shutil.disk_usage(self.folder).used
        _quietly("mount", "-o", f"remount,size={used + left}", str(self.folder))
        try:
            yield 0
        finally:
            _quietly("mount", "-o", f"remount,size={ROOM}", str(self.folder))


def _quietly(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@dataclass
class Round:
    """Fresh inputs, disturbed and changed, then run to the end."""

    folder: Path
    chance: random.Random
    counts: Counter[str]
    line: Line
    mode: str
    disk: Disk
    wrong: list[str] = field(default_factory=list)

    @property
    def source(self) -> Path:
        """The scans."""
        return self.folder / "in"

    @property
    def out(self) -> str:
        """What is disturbed."""
        return self._place("out")

    def _place(self, name: str) -> str:
        return (
            f"s3://{BUCKET}/{self.folder.name}/{name}" if self.mode == "s3" else str(self.disk.folder / name)
        )

    def _command(self, limit: int = 0, last: str = "") -> list[str]:
        script = self.folder / "run.py"
        script.write_text(RUN)
        return [sys.executable, str(script), str(self.source), self.out, str(limit), self.mode, last]

    def differs(self) -> str:
        """What differs from a quiet run, "" where nothing does."""
        make(self.source, self.chance, SCANS)
        self.line.rude = self.mode == "s3"
        for turn in range(4):
            if self.mode != "s3" and self.chance.random() < 0.2:
                self._fill()
            else:
                self._disturb()
            if turn == 1:
                change(self.source, self.chance)
                self.counts["changed inputs"] += 2
        self.line.rude = False
        last = subprocess.run(self._command(last="last"), check=False, capture_output=True, text=True)
        process_archive(self.source, self._place("quiet"), JOB, ThreadPoolExecutor(2))
        status, wrong = archive_status(self.out), verify_archive(self.out, deep=True)
        here, there = tree(self.out), tree(self._place("quiet"))
        other = sorted(name for name in here.keys() & there.keys() if here[name] != there[name])
        lost, more = sorted(there.keys() - here.keys()), sorted(here.keys() - there.keys())
        self.counts[f"rounds {self.mode}"] += 1
        self.counts["files compared"] += len(there)
        self.counts["differing"] += len(other)
        self.counts["lost"] += len(lost)
        self.counts["left over"] += len(more)
        twice = recorded_twice(self.out)
        self.counts["pages twice"] += len(twice)
        done = status.done == SCANS - 1 and not status.failed and not status.unfinished
        if last.returncode or wrong or other or lost or more or twice or not done:
            self.wrong.append(
                f"exit {last.returncode}, {last.stderr[-500:]}, {status}, {wrong}, "
                f"differing: {other[:10]}, lost: {lost[:10]}, left over: {more[:10]}, twice: {twice[:10]}"
            )
        return "".join(f"{self.mode}: {one}\n" for one in self.wrong)

    def _fill(self) -> None:
        """A run whose disk gets full: it must say so in a sentence, and record nothing as failed."""
        with self.disk.nearly_full(self.chance.randrange(4096, 400_000)) as limit:
            run = subprocess.run(self._command(limit), check=False, capture_output=True, text=True)
        self.counts["full disks"] += run.returncode == 3
        said = "space" in run.stderr or "limit" in run.stderr
        if run.returncode not in (0, 3) or "Traceback" in run.stderr or (run.returncode == 3 and not said):
            self.wrong.append(f"full disk: exit {run.returncode}: {run.stderr[-500:]}")
        with contextlib.suppress(StorageNotFound):
            failures = archive_status(self.out).failures.items()
            failed = {
                page: why for page, why in failures if "its worker died" not in why
            }  # by an earlier turn's kills
            if failed:
                self.wrong.append(f"recorded as failed on a full disk: {failed}")

    def _disturb(self) -> None:
        """One run whose workers are killed, and then its parent or all of it, at random moments."""
        apart = self.chance.random() < 0.3 and _quietly("unshare", "--pid", "--fork", "true")
        command = ["unshare", "--pid", "--fork", "--kill-child"] * apart + self._command()
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if self.chance.random() < 0.2:
            time.sleep(self.chance.uniform(0.3, 4.0))  # while it starts
        else:
            self._after(run, self.chance.randrange(1, 8))
        for _ in range(0 if apart else self.chance.randrange(4)):
            if victims := children(run.pid):
                self._kill(run, self.chance.choice(victims), "of a worker")
            self._after(run, self.chance.randrange(4))
        self._kill(run, run.pid, "of a namespace" if apart else "of a parent")
        run.communicate(timeout=300)  # the next one begins at once: workers have to be gone with their parent

    def _after(self, run: subprocess.Popen[bytes], pages: int) -> None:
        while pages and run.stdout is not None and run.stdout.readline():
            pages -= 1
        time.sleep(self.chance.uniform(0, 0.1))

    def _kill(self, run: subprocess.Popen[bytes], victim: int, whom: str) -> None:
        if run.poll() is not None:
            self.counts["ended before the kill"] += 1
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            self.counts["kills"] += 1
            self.counts[f"kills {whom}"] += 1


def main() -> int:
    """Until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--kills", type=int, default=0, help="end after so many, if sooner")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mode", choices=MODES, help="only rounds of this kind")
    given = parser.parse_args()
    chance, counts = random.Random(given.seed), Counter[str]()
    started, wrong = time.monotonic(), 0
    with s3_server(counts) as line:
        while time.monotonic() - started < given.minutes * 60 and not 0 < given.kills <= counts["kills"]:
            mode = given.mode or chance.choice(MODES)
            with (
                tempfile.TemporaryDirectory(prefix="tilekit-soak-") as folder,
                Disk(Path(folder) / "disk").up() as disk,
            ):
                if differs := Round(Path(folder), chance, counts, line, mode, disk).differs():
                    print(differs, file=sys.stderr, flush=True)
                    wrong += 1
            minutes = round((time.monotonic() - started) / 60, 1)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            figures = {"minutes": minutes, "wrong rounds": wrong, **dict(sorted(counts.items()))}
            print(json.dumps({**figures, "peak MB of this process": peak}), flush=True)
    print(sentence(round((time.monotonic() - started) / 60, 1), counts), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
