"""The soak: an archive through random kills, full disks, throttles, cut connections and changed inputs.

`python benchmarks/soak.py --minutes 30` (nightly: `make soak`) runs round after round on fresh inputs: each is
disturbed at random moments and then run to its end, and must equal a quiet run of the same inputs, file by file:
nothing lost, nothing twice, nothing stale. Prints one JSON line of figures; exit code 1 where anything differed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tilekit import Tiling
from tilekit.archive import TileJob, archive_status, process_archive, verify_archive
from tilekit.scans.encoding import encode_image

JOB = TileJob(Tiling(128, 16))
RUN = """
import resource, sys
from tilekit import Tiling
from tilekit.archive import ArchiveOptions, TileJob, process_archive
if __name__ == "__main__":
    if int(sys.argv[3]):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
    options = ArchiveOptions(join=sys.argv[4] == "join", lease=2.0, parts=4)
    summary = process_archive(sys.argv[1], sys.argv[2], TileJob(Tiling(128, 16)), workers=2, options=options)
    sys.exit(0 if summary.ok else 3)
"""


def make(folder: Path, chance: random.Random, count: int) -> None:
    """Scans of noise, small so that a round takes seconds."""
    for number in range(count):
        pixels = np.random.default_rng(chance.randrange(10**6)).integers(0, 256, (200, 300, 3), np.uint8)
        path = folder / f"d{number % 3}" / f"s{number}.{'jpg' if number % 2 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_image(pixels, "jpeg" if number % 2 else "png").data)


def change(folder: Path, chance: random.Random) -> None:
    """One scan replaced, one gone, one turned to garbage and back."""
    paths = sorted(folder.rglob("s*.*"))
    replaced, gone = chance.sample(paths, 2)
    status = replaced.stat()
    pixels = np.random.default_rng(chance.randrange(10**6)).integers(0, 256, (200, 300, 3), np.uint8)
    replaced.write_bytes(encode_image(pixels, "jpeg" if replaced.suffix == ".jpg" else "png").data)
    os.utime(replaced, ns=(status.st_atime_ns, status.st_mtime_ns))  # as `cp -p` does
    gone.unlink()


def tree(out: Path) -> dict[str, str]:
    """Every file but the state, with its hash; the scans' own times are not compared."""
    found = {}
    for path in out.rglob("*"):
        if path.is_file() and ".tilekit" not in path.relative_to(out).parts:
            data = path.read_bytes()
            if path.name == "tiling.json":
                value = json.loads(data)
                data = json.dumps(value, sort_keys=True).encode()
            found[str(path.relative_to(out))] = hashlib.sha256(data).hexdigest()
    return found


def children(parent: int) -> list[int]:
    """Worker processes of a run."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent:
                    found.append(int(entry.name))
    return found


def disturb(
    script: Path, source: Path, out: Path, chance: random.Random, counts: Counter[str], mode: str
) -> None:
    """One run that is killed, in the parent or in a worker, perhaps in a pid namespace of its own, or out of disk."""
    full = chance.random() < 0.2
    command = [sys.executable, str(script), str(source), str(out), str(20_000 if full else 0), mode]
    apart = not full and chance.random() < 0.3 and shutil.which("unshare") is not None
    if apart:
        command = ["unshare", "--pid", "--fork", "--kill-child", *command]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(chance.uniform(0.3, 4.0))
    victims = children(run.pid)
    who = chance.choice(["parent", "worker"])
    victim = run.pid if who == "parent" or not victims else chance.choice(victims)
    if run.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            counts["kills in a pid namespace" if apart else f"kills of a {who}"] += 1
    else:
        counts["full disks" if full else "ended before the kill"] += 1
    if who == "worker" and run.poll() is None:
        time.sleep(chance.uniform(0, 1.0))
        run.kill()
    run.wait(timeout=120)
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in victims) and time.monotonic() < deadline:
        time.sleep(0.05)


def round_of(folder: Path, chance: random.Random, counts: Counter[str]) -> bool:
    """Disturbed and changed, then run to the end: whether it equals a quiet run."""
    source, out, quiet, script = folder / "in", folder / "out", folder / "quiet", folder / "run.py"
    script.write_text(RUN)
    make(source, chance, 24)
    mode = chance.choice(["alone", "join"])
    for turn in range(4):
        disturb(script, source, out, chance, counts, mode)
        if turn == 1:
            change(source, chance)
            counts["changed inputs"] += 2
    last = subprocess.run([sys.executable, str(script), str(source), str(out), "0", mode], check=False)
    process_archive(source, quiet, JOB, ThreadPoolExecutor(2))
    status = archive_status(out)
    same = tree(out) == tree(quiet) and last.returncode == 0
    whole = (status.done, status.failed, status.unfinished) == (23, 0, 0) and verify_archive(
        out, deep=True
    ) == {}
    counts[f"rounds {mode}"] += 1
    if not (same and whole):
        here, there = tree(out), tree(quiet)
        other = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
        print(f"{mode}: exit {last.returncode}, {status}, differing: {other[:10]}", file=sys.stderr)
    return same and whole


def main() -> int:
    """Until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance, counts = random.Random(given.seed), Counter[str]()
    started, wrong = time.monotonic(), 0
    while time.monotonic() - started < given.minutes * 60:
        with tempfile.TemporaryDirectory(prefix="tilekit-soak-") as folder:
            if not round_of(Path(folder), chance, counts):
                wrong += 1
    figures = {
        "minutes": round((time.monotonic() - started) / 60, 1),
        "wrong": wrong,
        **dict(sorted(counts.items())),
    }
    figures["peak MB of this process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(figures))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
