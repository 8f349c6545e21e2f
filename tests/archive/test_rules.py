"""Small rules of a run, each by itself: pages of long files, waiting for memory, what is aside, what is told ahead."""

from __future__ import annotations

import itertools
import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pyvips

from tests.archive.jobs import NoteJob
from tilekit import Tiling
from tilekit.archive import ArchiveOptions, DetectJob, Shard, executors, iter_sources, process_archive, truth
from tilekit.archive import dataset as dataset_of
from tilekit.archive import forecast as forecasting
from tilekit.archive.forecast import forecast
from tilekit.archive.inspecting import archive_status
from tilekit.archive.jobs import PROCESS
from tilekit.archive.joining import Campaign
from tilekit.archive.locking import run_lock
from tilekit.archive.prefetching import Prefetch
from tilekit.archive.sources import LeftAside, ScanFile
from tilekit.archive.truth import drop_stale, stale_records
from tilekit.archive.working import Task
from tilekit.aws.deploying import plan_detection
from tilekit.errors import InvalidArgument, LabelError, LedgerError, ScanError
from tilekit.ledger import Ledger, Record
from tilekit.pages import PageKey
from tilekit.scales import Scales
from tilekit.scans.opening import open_scan
from tilekit.storage.leasing import Lease
from tilekit.storage.locking import FolderLock
from tilekit.storage.place import FolderPlace


def pages(path: Path, count: int) -> Path:
    """A TIFF of so many small pages."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pyvips.Image.new_from_array(np.zeros((20 * count, 30), np.uint8)).copy()
    image.set_type(pyvips.GValue.gint_type, "page-height", 20)
    image.write_to_file(str(path))
    return path


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_every_page_of_a_long_file_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr("tilekit.archive.processing._PAGES", 2)
    source, out = pages(tmp_path / "in" / "long.tif", count), tmp_path / "out"
    first = process_archive(source, out, NoteJob(), ThreadPoolExecutor(2))
    assert (first.done, first.skipped, first.tiles, first.pixels) == (count, 0, count, 10 * count)
    again = process_archive(source, out, NoteJob(), ThreadPoolExecutor(2))
    assert (again.done, again.skipped) == (0, count)
    assert len(list(out.glob("*.note"))) == count
    status = archive_status(out)
    assert (status.done, status.failed, status.tiles, status.pixels) == (count, 0, count, 10 * count)


class Held:
    """A pool whose tasks end when told."""

    def __init__(self) -> None:
        self.started: list[Future[Any]] = []

    def submit(self, fn: Any, *args: Any) -> Future[Any]:
        self.started.append(Future())
        return self.started[-1]


@pytest.mark.parametrize(("memory", "together"), [(20, 2), (19, 1), (29, 2), (30, 3), (5, 1)])
def test_pages_of_a_dataset_start_while_there_is_memory(
    monkeypatch: pytest.MonkeyPatch, memory: int, together: int
) -> None:
    """Each takes 10; one alone starts in any case, others wait until enough have ended."""
    monkeypatch.setattr(dataset_of, "page_cost", lambda tasks: 10)
    pool = Held()
    events: list[dict[str, Any]] = []
    crew = dataset_of.Stubborn(pool, ArchiveOptions(memory=memory), events.append)
    tasks = [
        SimpleNamespace(page=SimpleNamespace(key=PageKey(f"{n}.png")), tiles=range(3))
        for n in range(together + 1)
    ]
    done = threading.Event()

    def submit_all() -> None:
        for task in tasks:
            crew.submit(len, [task, task])
        done.set()

    thread = threading.Thread(target=submit_all, daemon=True)
    thread.start()
    for _ in range(500):
        if len(pool.started) == together:
            break
        done.wait(0.01)
    assert not done.wait(0.1)
    assert len(pool.started) == together
    pool.started[0].set_result(([1, 2], None))
    assert done.wait(10)
    for future in pool.started[1:]:
        future.set_result(([], ScanError("why")))
    assert (crew.summary.done, crew.summary.failed) == (1, together)
    assert set(crew.summary.failures.values()) == {"why"}
    assert [event["event"] for event in events] == ["done", *["failed"] * together]
    assert events[0]["tiles"] == 6


def test_files_that_are_no_scans_are_counted_by_their_endings(tmp_path: Path) -> None:
    aside = LeftAside()
    for name in ("a.TXT", "b.txt", "noend", ".hidden"):
        aside.see(name)
    assert aside == {".txt": 2, "no ending": 2}
    for number in range(60):
        aside.see(f"x.{number:03}")
    aside.see("y.000")
    assert (len(aside), aside["others"], aside[".000"], aside[".047"]) == (51, 12, 2, 1)


def test_what_lies_where_the_results_go_is_no_input(tmp_path: Path) -> None:
    out = tmp_path / "in" / "out"
    pages(out / "tile.tif", 1)
    pages(tmp_path / "in" / "out2" / "a.tif", 1)
    (tmp_path / "link").symlink_to(out)
    for name in (out, tmp_path / "link"):
        aside = LeftAside(name)
        assert aside.is_out(str(out))
        assert not aside.is_out(str(tmp_path / "in" / "out2"))
        assert aside.is_result(str(out / "tile.tif"))
        assert not aside.is_result(str(tmp_path / "in" / "out2" / "a.tif"))
        assert not aside.is_result("s3://bucket/out/tile.tif")
    remote = LeftAside("s3://bucket/out/")
    assert remote.is_result("s3://bucket/out/tile.tif")
    assert not remote.is_result("s3://bucket/out2/tile.tif")
    assert not remote.is_out(str(out))
    assert not LeftAside().is_out(str(out))
    assert [source.relative for source in iter_sources(tmp_path / "in", out=out)] == ["out2/a.tif"]


def test_a_line_that_is_no_source_is_named_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "a.manifest").write_text('\n{"source-ref": "a.png"}\n\n{"no": 1}\n')
    found = iter_sources(tmp_path / "a.manifest", "stat")
    with pytest.raises(LabelError, match=r"a\.manifest, line 4: not a manifest line with a source-ref"):
        list(found)
    (tmp_path / "a.txt").write_text(f"# scans\n\n{tmp_path}\n")
    with pytest.raises(InvalidArgument, match=r"a\.txt, line 3: .* is a folder"):
        list(iter_sources(tmp_path / "a.txt"))


@pytest.mark.parametrize(("age", "finished", "taken", "goes_on"), [
    (9.9, 0, False, True), (9.9, 1, False, True), (9.9, 2, False, False),
    (10.0, 0, False, False), (10.0, 2, True, True), (500.0, 0, False, False),
])  # fmt: skip
def test_a_campaign_goes_on_while_somebody_works_in_it_or_it_is_young(
    tmp_path: Path, age: float, finished: int, taken: bool, goes_on: bool
) -> None:
    place = FolderPlace(tmp_path)
    campaign = Campaign(place, "it", 300.0, 2)
    assert [part.name for part in campaign.every()] == ["001-of-002", "002-of-002"]
    for part in campaign.every()[:finished]:
        place.put(f"finished/it/{part.index}", json.dumps([part.name]).encode())
    place.put("finished/other/0", b'["001-of-002", "002-of-002"]')
    lease = Lease.take(place, "leases/001-of-002") if taken else None
    assert campaign.finished() == {part.name for part in campaign.every()[:finished]}
    assert campaign.goes_on(age) == goes_on
    if lease is not None:
        lease.drop()


@pytest.mark.parametrize(("left", "each"), [(1, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_a_machine_takes_a_quarter_of_what_nobody_has(tmp_path: Path, left: int, each: int) -> None:
    place = FolderPlace(tmp_path)
    campaign = Campaign(place, "it", 300.0, left + 2)
    done, held = campaign.every()[:2]
    place.put("finished/it/0", json.dumps([done.name]).encode())
    lease = Lease.take(place, f"leases/{held.name}")
    found = {part.name for _ in range(30) for part in campaign.free()}
    assert found <= {part.name for part in campaign.every()[2:]}
    assert len(campaign.free()) == each
    lease.drop()
    place.put("finished/it/1", json.dumps([part.name for part in campaign.every()]).encode())
    assert campaign.free() == []


@pytest.mark.parametrize(
    ("count", "workers", "seconds"), [(1, 4, 1.0), (2, 4, 1.0), (3, 2, 1.5), (8, 2, 4.0), (8, 16, 1.0)]
)
def test_time_is_told_by_the_pages_that_were_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, workers: int, seconds: float
) -> None:
    """Each page takes a second here; of more than five, five are timed."""
    source = pages(tmp_path / "in" / "long.tif", count)
    ticks = itertools.count()
    monkeypatch.setattr(forecasting.time, "perf_counter", lambda: float(next(ticks)))
    outcome = SimpleNamespace(kind="done", reason="", info={"tiles": 1, "pixels": 600})
    monkeypatch.setattr(forecasting, "run_task", lambda *_: outcome)
    found = forecast([str(source)], tmp_path / "out", NoteJob(), workers=workers)
    assert (found.pages, found.timed) == (count, min(count, 5))
    assert found.seconds == pytest.approx(seconds)
    assert found.fits


def test_a_model_is_counted_with_its_units(tmp_path: Path) -> None:
    source = pages(tmp_path / "in" / "a.tif", 2)
    for more, units in (({}, 1), ({"units": 3}, 3)):
        found = forecast([str(source)], tmp_path / "out", DetectJob(Tiling(16, 0), "p/v", **more))
        planned = plan_detection(found.tiles, units=units)
        assert (found.calls, found.dollars, found.seconds) == (planned.calls, planned.cost, planned.seconds)


def recorded(ledger: Ledger, *rows: tuple[str, str]) -> None:
    ledger.put(*(Record(key, "f", "done", {"uri": uri}) for key, uri in rows))


def test_what_is_stale_is_gone_from_where_it_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "there.tif").touch()
    rows = [
        ("a.tif", "s3://bucket/in/a.tif"),
        ("b.tif", "s3://other/b.tif"),
        ("shut/c.tif", f"{tmp_path}/shut/c.tif"),
        ("shut2/d.tif", f"{tmp_path}/shut2/d.tif"),
        ("shut3.tif", f"{tmp_path}/shut3.tif"),
        ("there.tif", f"{tmp_path}/there.tif"),
        ("nowhere.tif", ""),
        ("long.tif", f"{tmp_path}/there.tif"),
        ("long.tif#page=2", f"{tmp_path}/there.tif"),
    ]
    with Ledger(tmp_path / "l.sqlite") as ledger:
        recorded(ledger, *rows)
        ledger.look(["long.tif"])
        ledger.mark("long.tif")
        unreadable = [f"{tmp_path}/shut", f"{tmp_path}/shut3.tif"]
        found = list(stale_records(ledger, ["s3://bucket/in", tmp_path], unreadable))
        assert {one.record.key for one in found} == {"a.tif", "shut2/d.tif", "long.tif#page=2"}
        assert {one.task.key for one in found} == {one.record.key for one in found}
        assert {one.record.key for one in stale_records(ledger, [tmp_path], [])} == {
            "shut/c.tif", "shut2/d.tif", "shut3.tif", "long.tif#page=2",
        }  # fmt: skip


@pytest.mark.parametrize(("gone", "left", "force", "dropped"), [
    (20, 0, False, 20), (21, 0, False, 0), (21, 20, False, 0), (21, 21, False, 21), (21, 0, True, 21), (0, 3, False, 0),
])  # fmt: skip
def test_most_of_an_archive_is_not_dropped_unasked(
    tmp_path: Path, gone: int, left: int, force: bool, dropped: int
) -> None:
    discarded = []
    job = SimpleNamespace(discard=lambda task, out: discarded.append(task.key))
    with Ledger(tmp_path / "l.sqlite") as ledger:
        recorded(ledger, *((f"{n}.tif", "x") for n in range(gone + left)))
        stale = [truth.Stale(one, "gone") for one in list(ledger.records())[:gone]]
        told, why = drop_stale(ledger, job, "out", lambda: iter(stale), force=force)
        assert (len(told), len(discarded), len(ledger)) == (dropped, dropped, gone + left - dropped)
        assert bool(why) == (dropped < gone)
        if why:
            assert f"{gone} of {gone + left} recorded pages have no scan any more" in why


def test_shards_are_told_from_one_and_kept_from_zero() -> None:
    assert (Shard.parse("2/3").index, Shard.parse("2/3").count) == (1, 3)
    for wrong in ("0/3", "4/3", "1/0", "x", "1/2/3", "-1/3"):
        with pytest.raises(InvalidArgument, match="shard"):
            Shard.parse(wrong)
    held = [sum(Shard(index, 3).holds(ScanFile(f"{n}", f"{n}", "")) for index in range(3)) for n in range(50)]
    assert held == [1] * 50
    assert Task(ScanFile("a", "b.tif", ""), 1).key == "b.tif#page=2"


@pytest.mark.parametrize(
    ("size", "threads", "each"), [(3, None, 2), (8, None, 1), (16, None, 1), (1, None, 8), (2, 3, 3)]
)
def test_workers_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, size: int, threads: int | None, each: int
) -> None:
    monkeypatch.setattr(executors, "available_cores", lambda: 8)
    with executors.LocalPool(size, threads) as pool:
        assert [worker._threads for worker in pool._workers] == [each] * size
    with executors.LocalPool() as pool:
        assert pool.size == 8
    with pytest.raises(InvalidArgument, match="workers=0 must be at least 1"):
        executors.LocalPool(0)


def test_a_shard_meets_another_at_the_lock_of_the_whole(tmp_path: Path) -> None:
    """It waits for one that only looks, and not for a run; a whole run waits for no shard."""
    shard = Shard(0, 2)
    looking = FolderLock(tmp_path / "run.lock", "look")
    timer = threading.Timer(0.3, looking.close)
    timer.start()
    with run_lock(tmp_path, shard):
        timer.join()
        with run_lock(tmp_path, Shard(1, 2)):
            pass
        with pytest.raises(LedgerError, match="another run is writing here"), run_lock(tmp_path, None):
            pass
    with run_lock(tmp_path, None):
        pass


def test_nothing_is_staged_before_something_is_asked_for() -> None:
    with Prefetch(limit=10) as prefetch:
        assert (prefetch.limit, prefetch.used, prefetch.peak) == (10, 0, 0)
    with pytest.raises(InvalidArgument, match="staging=0 must be at least 1 byte"):
        Prefetch(limit=0)


def test_a_page_under_a_model_costs_the_tiles_that_wait_for_it_too(tmp_path: Path) -> None:
    job = DetectJob(Scales(Tiling(16, 0), Tiling(16, 0, scale=0.5)), "p/v")
    with open_scan(pages(tmp_path / "a.tif", 1)) as scan:
        reading = max(scan.cost(scan.grid(one)) for one in job.tiling)
        assert 32 << 20 < job.cost(scan) - PROCESS - reading < 1 << 30


@pytest.mark.parametrize(("code", "cannot"), [(1, True), (255, True), (0, False), (-9, False), (None, False)])
def test_a_worker_that_fails_by_itself_before_its_first_task_cannot_start(
    code: int | None, cannot: bool
) -> None:
    """One that was killed is lost, and its task is tried again."""

    def gone() -> None:
        raise EOFError

    worker = object.__new__(executors._Worker)
    worker._pipe = SimpleNamespace(recv=gone)
    worker._process = SimpleNamespace(join=lambda: None, exitcode=code)
    with pytest.raises(
        executors.CannotStart if cannot else EOFError, match=f"exit code {code}" if cannot else None
    ):
        worker._greet()
