"""Archives: mixed scans against dzsave in two processes, one core against two, overhead, a rerun that skips all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.archive_scale import parent_seconds
from tilekit import TileJob, Tiling
from tilekit.archive.processing import recipe_digest
from tilekit.archive.sources import iter_sources
from tilekit.archive.state import ledger_path
from tilekit.bench.machine import require_room
from tilekit.bench.pairing import Cost
from tilekit.bench.processes import run_task
from tilekit.ledger import Ledger, Record
from tilekit.scans.opening import scan_info

SIZES = ((1400, 1600), (1700, 2200), (2200, 1500))
KINDS = ("jpeg", "tiled-jpeg", "deflate-strips", "g4", "pdf")
ENDINGS = {"jpeg": "jpg", "pdf": "pdf"}


DZSAVE = "--tile-size 896 --overlap 64 --depth one --suffix '.jpg[Q=90,subsample_mode=off]'"


def write_masters(folder):
    """One scan of each kind and size; the archive is copies of them."""
    import pyvips

    from tilekit.testing.pdf import write_pdf
    from tilekit.testing.scans import paper_scan, write_scan
    from tilekit.testing.shapes import Fill

    made = []
    for kind in KINDS:
        for width, height in SIZES:
            path = folder / f"{kind}-{width}.{ENDINGS.get(kind, 'tif')}"
            if kind == "g4":
                page = pyvips.Image.new_from_array(paper_scan(width, height, gray=True)) > 128
                page.tiffsave(str(path), compression="ccittfax4", bitdepth=1)
            elif kind == "pdf":
                squares = [
                    Fill(((x, y), (x + 60, y), (x + 60, y + 40), (x, y + 40)), (20, 20, 20))
                    for x in range(50, width - 80, 130)
                    for y in range(50, height - 80, 90)
                ]
                write_pdf(path, [squares], width, height, 200)
            else:
                write_scan(path, width, height, kind)
            made.append(path)
    return made


@pytest.fixture(scope="module")
def archive(frame):
    """A folder of mixed scans, cached: 500 in the full run."""
    count = frame.pick(500, 30)
    folder = frame.cache / f"archive-v2-{count}"
    if not folder.exists():
        part = frame.cache / f"part-archive-v2-{count}"
        shutil.rmtree(part, ignore_errors=True)
        (part / "masters").mkdir(parents=True)
        masters = write_masters(part / "masters")
        (part / "in").mkdir()
        for place in range(count):
            master = masters[place % len(masters)]
            shutil.copyfile(master, part / "in" / f"{place:04}{master.suffix}")
        part.rename(folder)
    files = sorted(str(path) for path in (folder / "in").iterdir())
    infos = [scan_info(file) for file in files]
    return folder / "in", files, [(info.width, info.height) for info in infos]


def ours(source, workers, out):
    """A process that runs the archive, from its start to its end."""
    task = {"do": "benchmarks.targets.works:archived", "source": str(source), "out": out}
    return run_task(task | {"workers": workers}, whole=True)


def theirs(files, sizes, out):
    """Two processes, every second file each: what `xargs -P2` does, without a start for every file."""
    base = {"do": "benchmarks.targets.works:dzsaved", "files": files, "sizes": sizes, "out": out, "parts": 2}
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda part: run_task(base | {"part": part}, whole=True), range(2)))
    tiles = sum(cost.answer["tiles"] for cost in done)
    return Cost(time.perf_counter() - start, sum(cost.cpu for cost in done), 0.0, {"tiles": tiles})


def command_line(files, out):
    """`xargs -P2 vips dzsave`, a process a file, as it is written down."""
    Path(out).mkdir()
    pages = [f"{file}[dpi={scan_info(file).dpi:g}]" if file.endswith(".pdf") else file for file in files]
    pairs = "".join(f"{page}\0{out}/{place}\0" for place, page in enumerate(pages))
    command = ["xargs", "-0", "-n2", "-P2", "sh", "-c", f'exec vips dzsave "$0" "$1" {DZSAVE}']
    start = time.perf_counter()
    subprocess.run(command, input=pairs.encode(), check=True, env=os.environ | {"VIPS_CONCURRENCY": "1"})
    seconds = time.perf_counter() - start
    tiles = sum(len(list(folder.iterdir())) for folder in Path(out).glob("*_files/0"))
    return Cost(seconds, 0.0, 0.0, {"tiles": tiles})


def test_mixed_scans(frame, fresh, archive):
    """Tiles clipped at the right and bottom, as dzsave's: the same number of tiles and of pixels."""
    source, files, sizes = archive

    def cleared(work, *given):
        """The work on a fresh folder, which is removed out of the time."""
        out = fresh()
        try:
            return work(*given, out)
        finally:
            shutil.rmtree(out, ignore_errors=True)

    works = {
        "two": lambda: cleared(ours, source, 2),
        "dzsave": lambda: cleared(theirs, files, sizes),
        "one": lambda: cleared(ours, source, 1),
    }
    if shutil.which("vips"):
        works["xargs"] = lambda: cleared(command_line, files)
    timed = frame.pair(works, rounds=1, warm=False)
    assert timed.ok("two"), timed.failed
    answer = timed.costs["two"][0].answer
    assert (answer["done"], answer["failed"]) == (len(files), 0)
    frame.record("archive.cores", timed.ratio("one", "two"), f"{len(files)} scans", cost=timed)
    for target, peer in (("archive.dzsave", "xargs"), ("archive.pyvips", "dzsave")):
        if peer not in works or not timed.ok(peer):
            frame.record(target, None, timed.failed.get(peer, "no `vips` command here"))
            continue
        tiles = timed.costs[peer][0].answer["tiles"]
        same = "same tiles" if tiles == answer["tiles"] else f"{tiles} tiles, tilekit {answer['tiles']}"
        frame.record(target, timed.ratio(peer, "two"), same)


def test_overhead(frame):
    frame.record("archive.overhead", parent_seconds(frame.pick(5000, 500)) * 1e3)


_MAKE = """
import sys
from pathlib import Path
folder, count = Path(sys.argv[1]), int(sys.argv[2])
for place in range(count):
    if place % 1000 == 0:
        (folder / f"{place // 1000:04}").mkdir()
    (folder / f"{place // 1000:04}" / f"{place % 1000:03}.jpg").touch()
"""


@pytest.fixture(scope="module")
def finished(frame):
    """Input files and a ledger in which every one is done, cached."""
    count = frame.pick(10**6, 20_000)
    folder = frame.cache / f"finished-{count}"
    if not folder.exists():
        require_room(f"a ledger of {count:,} tasks", frame.cache, count * 1000, 0)
        part = frame.cache / f"part-finished-{count}"
        shutil.rmtree(part, ignore_errors=True)
        (part / "in").mkdir(parents=True)
        subprocess.run([sys.executable, "-c", _MAKE, str(part / "in"), str(count)], check=True)
        recipe = recipe_digest(TileJob(Tiling(1024, 128)).recipe())
        with Ledger(ledger_path(part / "state", None)) as ledger:
            batch = []
            for source in iter_sources(str(part / "in")):
                info = {"uri": source.uri, "tiles": 12, "pixels": 10**7, "pages": 1}
                batch.append(Record(source.relative, f"{source.identity}|{recipe}", "done", info))
                if len(batch) == 10_000:
                    ledger.put(*batch)
                    batch.clear()
            ledger.put(*batch)
        os.rename(part, folder)
    return count, folder


def test_rerun_skips_all(frame, finished, fresh):
    if not frame.first:
        return
    count, folder = finished
    task = {"do": "benchmarks.targets.works:rerun", "source": str(folder / "in"), "out": fresh()}
    cost = run_task(task | {"state": str(folder / "state")}, deadline=120)
    assert cost.answer == {"done": 0, "skipped": count}
    frame.record("archive.rerun", cost.seconds, f"{count:,} tasks")
    frame.record("archive.memory", cost.peak_mb, f"{count:,} tasks", exact=True)
