"""Several machines on one archive, through a folder and through S3: all of it, once, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.archive.jobs import NoteJob
from tests.archive.test_processing import notes, scans
from tests.s3_server import moto_server, use
from tilekit import Tiling
from tilekit.archive import (
    ArchiveOptions,
    ArchiveSummary,
    TileJob,
    archive_status,
    merge_ledgers,
    process_archive,
    verify_archive,
)
from tilekit.archive.joining import Part, PartLedger, load_part
from tilekit.archive.sources import place_among
from tilekit.errors import InvalidArgument, LedgerError, StorageLost, StorageNotFound
from tilekit.ledger import Ledger, Record
from tilekit.storage.leasing import Lease
from tilekit.storage.place import FolderPlace, place_of
from tilekit.storage.s3 import S3Store

JOIN = ArchiveOptions(join=True, lease=3.0, parts=8)
FEW = ArchiveOptions(parts=2)
FEW_JOINED = ArchiveOptions(join=True, parts=4)
MANY = 24  # scans: some in each part, and in each machine's hands


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    with moto_server() as url:
        use(monkeypatch, url)
        store = S3Store()
        store.client.create_bucket(Bucket="archive")
        yield store


def test_two_at_once_do_all_of_it_once(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", *(f"s{n}.jpg" for n in range(MANY)))
    out = tmp_path / "out"
    found: list[ArchiveSummary] = []

    def machine() -> None:
        found.append(process_archive(source, out, NoteJob(seconds=0.03), ThreadPoolExecutor(1), options=JOIN))

    threads = [threading.Thread(target=machine) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.stopped for one in found] == ["", ""]
    assert sum(one.done for one in found) == MANY
    assert min(one.done for one in found) > 0
    assert len(notes(out)) == MANY
    status = archive_status(out)
    assert (status.done, status.failed, status.unfinished) == (MANY, 0, 0)
    assert (out / "joined.txt").read_text().count("\n") == MANY
    again = process_archive(source, out, NoteJob(), ThreadPoolExecutor(1), options=JOIN)
    assert (again.done, again.skipped) == (0, MANY)


MACHINE = """
import sys
from tests.archive.jobs import NoteJob
from tilekit.archive import ArchiveOptions, process_archive
from concurrent.futures import ThreadPoolExecutor
process_archive(sys.argv[1], sys.argv[2], NoteJob(seconds=0.05), ThreadPoolExecutor(1), options=ArchiveOptions(join=True, lease=3.0, parts=8))
"""


def test_an_input_that_changed_after_others_did_its_part_is_done_again(tmp_path: Path) -> None:
    """A run that joins what machines began before it answers for the inputs as they are since it began."""
    source = scans(tmp_path / "in", *(f"s{n}.jpg" for n in range(MANY)))
    out = tmp_path / "out"
    process_archive(source, out, NoteJob(), ThreadPoolExecutor(1), options=JOIN)
    marks = sorted(out.rglob("finished/*/*"))
    marks[-1].unlink()  # as if its machine had died in these parts: the going over is still on
    before = archive_status(out)
    for scan in sorted(source.rglob("*.jpg")):
        scans(tmp_path / "other", scan.name)
        scan.write_bytes((tmp_path / "other" / scan.name).read_bytes() + b" ")
    again = process_archive(source, out, NoteJob(), ThreadPoolExecutor(1), options=JOIN)
    assert (before.done, again.done, again.stopped) == (MANY, MANY, "")
    assert not verify_archive(out, deep=True)


def test_what_a_dead_machine_had_taken_is_done_by_another(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", *(f"s{n}.jpg" for n in range(MANY)))
    out = tmp_path / "out"
    with subprocess.Popen([sys.executable, "-c", MACHINE, str(source), str(out)]) as dying:
        deadline = time.monotonic() + 60
        while len(notes(out)) < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(dying.pid, signal.SIGKILL)
        dying.wait()
    summary = process_archive(source, out, NoteJob(), ThreadPoolExecutor(1), options=JOIN)
    assert summary.ok
    assert summary.done > 0  # parts that the dead one had finished are not gone through again
    assert len(notes(out)) == archive_status(out).done == MANY


def test_what_a_dead_machine_had_done_and_not_told_goes_with_its_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records had not been sent yet, and the scan is removed before anybody goes on."""

    class Death(BaseException):
        pass

    def die(event: object) -> None:
        raise Death

    source = scans(tmp_path / "in", *(f"s{n}.jpg" for n in range(8)))
    out = tmp_path / "out"
    one = ThreadPoolExecutor(1)
    with monkeypatch.context() as patch:
        patch.setattr(PartLedger, "close", Ledger.close)
        with pytest.raises(Death):
            process_archive(source, out, NoteJob(), one, options=JOIN, on_event=die)
    one.shutdown()  # what was handed out is done by now, and nobody was told
    left = set(notes(out))
    assert left
    for name in left:
        (source / name.removesuffix(".note")).unlink()
    summary = process_archive(source, out, NoteJob(), ThreadPoolExecutor(1), options=JOIN)
    assert (summary.ok, summary.done) == (True, 8 - len(left))
    assert not set(notes(out)) & left
    assert (archive_status(out).done, archive_status(out).unfinished) == (8 - len(left), 0)


def test_an_archive_on_s3_keeps_its_records_there(tmp_path: Path, store: S3Store) -> None:
    source = scans(tmp_path / "in", *(f"s{n}.jpg" for n in range(4)))
    job = TileJob(Tiling(64))
    first = process_archive(source, "s3://archive/out", job, ThreadPoolExecutor(1), options=FEW)
    assert (first.ok, first.done) == (True, 4)
    assert archive_status("s3://archive/out").done == 4
    assert verify_archive("s3://archive/out") == {}
    assert verify_archive("s3://archive/out", deep=True) == {}
    (source / "s0.jpg").unlink()
    again = process_archive(source, "s3://archive/out", job, ThreadPoolExecutor(1), options=FEW)
    assert (again.done, again.skipped, again.dropped) == (0, 3, 1)
    assert not list(store.list("s3://archive/out/s0.jpg.p0/"))
    store.put("s3://archive/out/s1.jpg.p0/tiles.jsonl", b"")
    assert set(verify_archive("s3://archive/out", forget=True)) == {"s1.jpg"}
    assert process_archive(source, "s3://archive/out", job, ThreadPoolExecutor(1), options=FEW).done == 1
    with pytest.raises(StorageNotFound, match="no ledger"):
        archive_status("s3://archive/elsewhere")


KINDS = {
    "alone": ({},),
    "halves": ({"shard": "1/2"}, {"shard": "2/2"}),
    "thirds": ({"shard": "1/3"}, {"shard": "2/3"}, {"shard": "3/3"}),
    "joined": ({"options": FEW_JOINED},),
}


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("after", KINDS)
def test_a_run_of_another_kind_goes_on_from_the_records(tmp_path: Path, before: str, after: str) -> None:
    """Alone, by shards cut so or so, or joined: nothing is made again, and no page is counted twice."""
    source, out = scans(tmp_path / "in", *(f"s{i}.jpg" for i in range(9))), tmp_path / "out"
    for kind, done in ((before, 9), (after, 0)):
        for how in KINDS[kind]:
            if kind in ("halves", "thirds") and before == "joined":
                with pytest.raises(LedgerError, match="archive merge"):
                    process_archive(source, out, NoteJob(), ThreadPoolExecutor(1), **how)
                assert merge_ledgers(out) == 9
                before = ""
            done -= process_archive(source, out, NoteJob(), ThreadPoolExecutor(1), **how).done
        assert done == 0
    found = archive_status(out)
    assert (found.done, found.unfinished) == (9, 0)


def test_a_run_alone_does_not_begin_beside_machines_that_joined(tmp_path: Path) -> None:
    source, out = scans(tmp_path / "in", "a.jpg"), tmp_path / "out"
    process_archive(source, out, NoteJob(), ThreadPoolExecutor(1), options=FEW_JOINED)
    lease = Lease.take(place_of(out / ".tilekit"), "leases/001-of-004", "the part")
    try:
        with pytest.raises(LedgerError, match="--join"):
            process_archive(source, out, NoteJob(), ThreadPoolExecutor(1))
    finally:
        lease.drop()
    assert process_archive(source, out, NoteJob(), ThreadPoolExecutor(1)).skipped == 1


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_shards_merge_in_one_command(
    tmp_path: Path, store: S3Store, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilekit.archive.merging.parts_at", lambda _: 2)
    source = scans(tmp_path / "in", *(f"s{n}.jpg" for n in range(6)))
    out = str(tmp_path / "out") if where == "folder" else "s3://archive/shards"
    job = TileJob(Tiling(64))
    done = [process_archive(source, out, job, ThreadPoolExecutor(1), shard=f"{n}/3").done for n in (1, 2, 3)]
    assert sum(done) == 6
    assert archive_status(out).done == 6
    assert merge_ledgers(out) == 6
    with pytest.raises(LedgerError, match="no shard ledgers"):
        merge_ledgers(out)
    whole = process_archive(source, out, job, ThreadPoolExecutor(1), options=FEW)
    assert (whole.done, whole.skipped) == (0, 6)


def test_a_machine_taken_for_dead_writes_nothing_more(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path / "state")
    part = Part(place_among("a.jpg", 8), 8)

    def ledger(name: str) -> PartLedger:
        lease = Lease.take(place, f"leases/{name}", seconds=100)
        return PartLedger(tmp_path / f"{name}.sqlite", place, [part], {part.name: lease})

    first, second = ledger("one"), ledger("two")
    first.put(Record("a.jpg", "x", "done"))
    second.put(Record("a.jpg", "y", "done"))
    second._send()
    with pytest.raises(StorageLost, match="another machine"):
        first._send()
    assert load_part(place, part.name)["a.jpg"].fingerprint == "y"
    second.remove(["a.jpg"])
    second.settle()
    assert load_part(place, part.name) == {}
    for one in (first, second):
        one.close()
        one._leases[part.name].drop()


@pytest.mark.slow
def test_another_recipe_is_refused_while_machines_are_at_work(tmp_path: Path) -> None:
    source = scans(tmp_path / "in", *(f"s{n}.jpg" for n in range(10)))
    out = tmp_path / "out"
    slow = threading.Thread(
        target=process_archive,
        args=(source, out, NoteJob(seconds=0.5), ThreadPoolExecutor(1)),
        kwargs={"options": JOIN},
    )
    slow.start()
    deadline = time.monotonic() + 30
    while not notes(out) and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(LedgerError, match="another recipe"):
        process_archive(source, out, NoteJob("other"), ThreadPoolExecutor(1), options=JOIN)
    slow.join()
    with pytest.raises(InvalidArgument, match="join"):
        process_archive(source, out, NoteJob(), ThreadPoolExecutor(1), options=JOIN, shard="1/2")
