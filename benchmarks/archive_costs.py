"""What an archive costs beside its tiles: `python benchmarks/archive_costs.py finished | records | memory | scaling`.

`finished`: a rerun and `verify` of 100,000 pages that are done, 12 tiles each, by stat only and `--deep` (`--pages`).
`records`: a run of 1,000,000 pages whose tiling takes no time, its rerun and `status`: seconds, bytes of the ledger,
peak memory, beside a tenth of it, since the peak must not grow (`--pages`).
`memory`: the peak of a worker that tiles one page, beside what `Scan.cost` charges for it, by how the scan is stored
(`--side`, in px).
`scaling`: mixed scans on one core, on two, and what this machine gives two processes that share nothing
(`--scans`, `--rounds`). Each step is a process of its own; prints JSON lines, CPU seconds first: they hold under load.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tilekit import TileJob, Tiling, process_archive
from tilekit.archive import archive_status, verify_archive
from tilekit.archive.jobs import output_of, page_place, roll_of
from tilekit.archive.sources import ScanFile, iter_sources
from tilekit.archive.working import Outcome, Task, run_task
from tilekit.bench.child import peak_mb
from tilekit.scans.opening import open_scan
from tilekit.storage.place import FolderPlace

JOB = TileJob(Tiling(1024, 128))
TILES = 12
LINKS = 30_000  # names one file may have on ext4: 65,000


class Pretender(Executor):
    """An executor whose tasks end at once. `seed`: a page's finished folder, linked as the page's output."""

    _max_workers = 64

    def __init__(self, seed: Path | None = None) -> None:
        self._seed, self._count = seed, 0

    def submit(self, function: Any, /, *args: Any, **_: Any) -> Future[Any]:
        """See Executor."""
        info: dict[str, Any] = {"tiles": TILES, "blank": 0, "bytes": 2_400_000, "pixels": 8_415_000}
        place = page_place(function.task)
        if self._seed is None:
            named = [[f"{place}/{name}", 1234, 123456789] for name in ("tiles.jsonl", "tiling.json")]
            info |= {"outputs": named, "index": place, "roll": "0123456789abcdef"}
        else:
            info |= self._link(Path(function.out), place)
        future: Future[Any] = Future()
        future.set_result(Outcome(function.task, "done", seconds=0.1325, worker="4711", info=info))
        return future

    def _link(self, out: Path, place: str) -> dict[str, Any]:
        assert self._seed is not None
        base = self._seed.parent / f"seed-{self._count // LINKS}"
        if not base.exists():
            shutil.copytree(self._seed, base)
        self._count += 1
        (out / place).mkdir(parents=True)
        for name in os.listdir(base):
            os.link(base / name, out / place / name)
        names = [output_of(FolderPlace(out), f"{place}/{name}") for name in ("tiles.jsonl", "tiling.json")]
        return {"outputs": names, "index": place, "roll": roll_of(out / place)}


def pretended(count: int) -> Iterator[ScanFile]:
    """Sources on S3 that nobody looks at."""
    for number in range(count):
        name = f"{number % 100:02}/plan-{number:08}.tif"
        yield ScanFile(f"s3://bucket/scans/{name}", name, f"3145728:{number:032x}")


def build(root: Path, count: int) -> None:
    """A finished archive of `count` pages: inputs of 15 KB, real tiles and indices as hard links, real records."""
    from tilekit.testing.scans import write_scan

    write_scan(root / "one" / "a.jpg", 3300, 2550, "jpeg")
    process_archive(root / "one", root / "seed", JOB, workers=1)
    data = os.urandom(15_000)
    for number in range(count):
        folder = root / "in" / f"{number // 1000:04}"
        if number % 1000 == 0:
            folder.mkdir(parents=True)
        (folder / f"{number % 1000:03}.jpg").write_bytes(number.to_bytes(4, "big") + data)
    summary = process_archive(root / "in", root / "out", JOB, Pretender(root / "seed" / "a.jpg.p0"))
    assert summary.done == count


def rerun(root: Path, count: int) -> None:
    """All is skipped."""
    summary = process_archive(root / "in", root / "out", JOB, Pretender(root))
    assert (summary.done, summary.skipped, summary.dropped) == (0, count, 0)


def verify(root: Path, count: int) -> None:
    """By stat only."""
    assert verify_archive(root / "out") == {}


def deep(root: Path, count: int) -> None:
    """By content."""
    assert verify_archive(root / "out", deep=True) == {}


def first(root: Path, count: int) -> None:
    """A run whose pages take no time: the parent's own work, ledger and log."""
    with mock.patch("tilekit.archive.processing.found_sources", return_value=pretended(count)):
        summary = process_archive("s3://bucket/scans", root / "out", JOB, Pretender())
    assert summary.done + summary.skipped == count


def status(root: Path, count: int) -> None:
    """Adding all records up."""
    assert archive_status(root / "out").done == count


def page(path: Path, count: int) -> None:
    """One page tiled, as a worker does it."""
    outcome = run_task(JOB, Task(next(iter_sources(path))), str(path.parent / f"{path.name}.out"), None)
    assert outcome.kind == "done", outcome.reason


STEPS: dict[str, Callable[[Path, int], None]] = {
    step.__name__: step for step in (build, rerun, verify, deep, first, status, page)
}


def measured(step: str, root: Path, count: int) -> dict[str, Any]:
    """One step in a process of its own."""
    command = [sys.executable, __file__, "step", "--step", step, "--root", str(root), "--pages", str(count)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"step": step, "pages": count, **json.loads(found.stdout)}


def one_step(step: str, root: Path, count: int) -> dict[str, Any]:
    """CPU and wall seconds, and the peak of memory, imports aside."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    STEPS[step](root, count)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    wall = time.perf_counter() - began
    return {"cpu_s": round(cpu, 2), "wall_s": round(wall, 2), "peak_mb": round(peak_mb())}


def finished(count: int) -> None:
    """See the top."""
    with tempfile.TemporaryDirectory(prefix="tilekit-costs-") as folder:
        for step in ("build", "rerun", "verify", "deep"):
            print(json.dumps(measured(step, Path(folder), count)), flush=True)


def records(count: int) -> None:
    """See the top."""
    for pages in (count // 10, count):
        with tempfile.TemporaryDirectory(prefix="tilekit-costs-") as folder:
            root = Path(folder)
            for step in ("first", "first", "status"):
                print(json.dumps(measured(step, root, pages)), flush=True)
            state = {
                path.name: path.stat().st_size // pages for path in (root / "out" / ".tilekit").iterdir()
            }
            print(json.dumps({"pages": pages, "bytes_a_page": state}), flush=True)


def stored(folder: Path, side: int) -> Iterator[tuple[str, Path]]:
    """The same page in every way that is read differently, as far as it can be written here."""
    import imagecodecs
    import pyvips

    from benchmarks.targets.test_archive import write_masters
    from tilekit.testing.scans import write_scan

    height = side * 3 // 4
    for kind in ("jpeg", "png", "webp", "tiled-jpeg", "deflate-strips"):
        yield kind, write_scan(folder / kind / f"{kind}.{'tif' if '-' in kind else kind}", side, height, kind)
    picture = pyvips.Image.new_from_file(str(folder / "png" / "png.png"))
    savers = {
        "progressive JPEG": ("a.jpg", {"interlace": True}),
        "interlaced PNG": ("a.png", {"interlace": True, "compression": 1}),
        "LZW strips": ("b.tif", {"compression": "lzw"}),
        "tiled deflate": ("c.tif", {"compression": "deflate", "tile": True}),
        "HEIF": ("a.heif", {"compression": "av1", "effort": 0}),
    }
    for kind, (name, options) in savers.items():
        (folder / kind).mkdir()
        try:
            picture.write_to_file(str(folder / kind / name), **options)
        except pyvips.Error as exc:
            print(f"{kind}: cannot be written here ({exc})", file=sys.stderr)
            continue
        yield kind, folder / kind / name
    (folder / "more").mkdir()
    pixels = picture.numpy()
    path = folder / "more" / "a.jp2"
    path.write_bytes(imagecodecs.jpeg2k_encode(pixels, level=30))
    yield "JPEG 2000", path
    del pixels
    for path in write_masters(folder / "more"):
        if path.name in ("pdf-2200.pdf", "g4-2200.tif"):
            yield path.name.partition("-")[0].upper() + ", 2200 x 1500", path


def memory(side: int) -> None:
    """See the top."""
    with tempfile.TemporaryDirectory(prefix="tilekit-costs-") as folder:
        for kind, path in stored(Path(folder), side):
            with open_scan(path) as scan:
                charged, access = JOB.cost(scan) / 2**20, scan.info.access
            peak = measured("page", path, 1)["peak_mb"]
            found = {"stored": kind, "access": access, "peak_mb": peak, "charged_mb": round(charged)}
            print(json.dumps(found | {"peak_over_charged": round(peak / charged, 2)}), flush=True)


ARCHIVED = """
import json, os, resource, sys, time
began = time.perf_counter()
cores, workers, source, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
if __name__ == "__main__":
    if cores == 1:  # workers inherit it
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[int(sys.argv[5])]})
    from tilekit import TileJob, Tiling, process_archive
    done = process_archive(source, out, TileJob(Tiling(1024, 128, edge="clip")), workers=workers, shard=sys.argv[6] or None)
    own, theirs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({"tiles": done.tiles, "parent": own.ru_utime + own.ru_stime,
                      "workers": theirs.ru_utime + theirs.ru_stime, "wall": time.perf_counter() - began}))
"""


def scaling(scans: int, rounds: int) -> None:
    """See the top. `apart`: a half of the scans each, two runs pinned to a core each: this machine's own limit."""
    from benchmarks.targets.test_archive import write_masters

    with tempfile.TemporaryDirectory(prefix="tilekit-costs-") as folder:
        root = Path(folder)
        (root / "masters").mkdir()
        (root / "in").mkdir()
        masters = write_masters(root / "masters")
        for place in range(scans):
            master = masters[place % len(masters)]
            shutil.copyfile(master, root / "in" / f"{place:04}{master.suffix}")
        (root / "run.py").write_text(ARCHIVED)

        def start(cores: int, workers: int, core: int = 0, shard: str = "") -> subprocess.Popen[str]:
            out = tempfile.mkdtemp(dir=root)
            given = [str(cores), str(workers), str(root / "in"), out, str(core), shard]
            return subprocess.Popen(
                [sys.executable, str(root / "run.py"), *given], stdout=subprocess.PIPE, text=True
            )

        plans: dict[str, Callable[[], list[subprocess.Popen[str]]]] = {
            "one": lambda: [start(1, 1)],
            "two": lambda: [start(2, 2)],
            "apart": lambda: [start(1, 1, core, f"{core + 1}/2") for core in range(2)],
        }
        found: dict[str, list[dict[str, float]]] = {name: [] for name in plans}
        for _ in range(rounds):
            for name, plan in plans.items():
                began = time.perf_counter()
                answers = [json.loads(run.communicate()[0]) for run in plan()]
                wall = time.perf_counter() - began
                total = {
                    key: sum(answer[key] for answer in answers) for key in ("tiles", "parent", "workers")
                }
                found[name].append({**total, "wall": wall})
        for name, each in found.items():
            middle = {key: round(median(one[key] for one in each), 2) for key in each[0]}
            cpu = (middle["parent"] + middle["workers"]) / middle["tiles"]
            print(json.dumps({"plan": name, **middle, "cpu_ms_a_tile": round(1e3 * cpu, 2)}))
        ratio = {
            name: round(
                median(a["wall"] / b["wall"] for a, b in zip(found["one"], found[name], strict=True)), 2
            )
            for name in ("two", "apart")
        }
        print(json.dumps({"scans": scans, "times_one_core": ratio}))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("what", choices=["finished", "records", "memory", "scaling", "step"])
    options.add_argument("--pages", type=int, default=0)
    options.add_argument("--side", type=int, default=6000)
    options.add_argument("--scans", type=int, default=500)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    options.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.what == "step":
        print(json.dumps(one_step(given.step, given.root, given.pages)))
    elif given.what == "memory":
        memory(given.side)
    elif given.what == "scaling":
        scaling(given.scans, given.rounds)
    else:
        (finished if given.what == "finished" else records)(
            given.pages or (10**5 if given.what == "finished" else 10**6)
        )


if __name__ == "__main__":
    main()
