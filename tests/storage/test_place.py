"""A folder and an S3 prefix are the same kind of place; conditions and leases keep two machines apart."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.s3_server import moto_server
from tilekit.errors import LedgerError, StorageConflict, StorageNotFound
from tilekit.storage.identity import file_identity, is_unchanged, size_of, source_identity
from tilekit.storage.leasing import Lease, read_lease
from tilekit.storage.local import part_path, parts_of
from tilekit.storage.place import FolderPlace, Place, S3Place, place_of
from tilekit.storage.s3 import S3Store, keyed_access


@pytest.fixture(scope="module")
def store() -> Iterator[S3Store]:
    with moto_server() as url:
        store = S3Store(keyed_access(url))
        store.client.create_bucket(Bucket="place")
        yield store


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, store: S3Store) -> Place:
    if request.param == "folder":
        return FolderPlace(tmp_path / "place")
    return S3Place(f"s3://place/{tmp_path.name}", store)


def test_what_is_put_is_there(place: Place) -> None:
    assert place.entry("a/b.json") is None
    assert list(place.list()) == []
    tag = place.put("a/b.json", b"one")
    place.put("a/c.json", b"three")
    place.put("d", b"")
    with place.open("a/b.json") as file:
        assert place.read("a/b.json") == file.read() == b"one"
    assert [(entry.name, entry.size) for entry in place.list()] == [
        ("a/b.json", 3),
        ("a/c.json", 5),
        ("d", 0),
    ]
    assert [entry.name for entry in place.list("a/c")] == ["a/c.json"]
    assert [entry.name for entry in (place / "a").list()] == ["b.json", "c.json"]
    found = place.entry("a/b.json")
    assert found is not None
    assert found.tag == tag
    assert abs(place.now() - found.modified) < 5
    assert size_of(place.identity("a/b.json")) == 3
    place.delete("a/b.json")
    place.delete("a/b.json")
    with pytest.raises(StorageNotFound):
        place.read("a/b.json")
    assert place.identity("a/b.json") == "missing"


def test_conditions_hold(place: Place) -> None:
    first = place.put("x", b"1", if_absent=True)
    with pytest.raises(StorageConflict):
        place.put("x", b"2", if_absent=True)
    second = place.put("x", b"2", if_tag=first)
    with pytest.raises(StorageConflict):
        place.put("x", b"3", if_tag=first)
    assert place.read("x") == b"2"
    place.put("x", b"3", if_tag=second)
    with pytest.raises((StorageConflict, StorageNotFound)):
        place.put("none", b"3", if_tag=second)


def test_of_many_at_once_one_wins(place: Place) -> None:
    won: list[int] = []

    def attempt(number: int) -> None:
        try:
            place.put("only", str(number).encode(), if_absent=True)
        except StorageConflict:
            return
        won.append(number)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert place.read("only") == str(won[0]).encode()


def is_held(place: Place, name: str) -> bool:
    found = place.entry(name)
    return found is not None and place.now() - found.modified < read_lease(place, name)["seconds"]


@pytest.mark.slow
def test_a_lease_keeps_others_out_until_it_lapses(place: Place) -> None:
    first = Lease.take(place, "leases/x", "part 1", seconds=2.0)
    with pytest.raises(LedgerError, match=f"part 1 is held by process {os.getpid()}"):
        Lease.take(place, "leases/x", "part 1")
    assert is_held(place, "leases/x")
    time.sleep(3.1)  # touched meanwhile
    assert is_held(place, "leases/x")
    first._ended.set()  # its machine is gone
    deadline = time.monotonic() + 20
    while is_held(place, "leases/x") and time.monotonic() < deadline:
        time.sleep(0.1)
    second = Lease.take(place, "leases/x", "part 1", why="test")
    assert read_lease(place, "leases/x")["why"] == "test"
    first._ended.clear()  # it was only asleep
    assert not first.touch()
    assert first.lost
    first.drop()
    assert is_held(place, "leases/x")
    second.drop()
    assert place.entry("leases/x") is None


def test_a_lock_by_any_place(place: Place) -> None:
    with place.lock("lock", "out"), pytest.raises(LedgerError), place.lock("lock", "out"):
        pass
    with place.lock("lock", "out"):
        pass


def test_a_place_is_told_by_its_address(tmp_path: Path) -> None:
    assert str(place_of(tmp_path)) == str(tmp_path)
    assert str(place_of("s3://bucket/a/") / "b") == "s3://bucket/a/b"


def test_identity_notices_what_keeps_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "scan"
    path.write_bytes(b"a" * 50_000)
    before = {how: file_identity(path, how) for how in ("stat", "sample", "full")}
    status = path.stat()
    assert all(is_unchanged(str(path), text) for text in before.values())
    path.write_bytes(b"b" * 50_000)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert {how for how, text in before.items() if not is_unchanged(str(path), text)} == {"sample", "full"}
    path.write_bytes(b"a" * 50_000)
    os.utime(path, ns=(1, 1))
    assert {how for how, text in before.items() if not is_unchanged(str(path), text)} == {"stat", "sample"}
    assert {size_of(text) for text in before.values()} == {50_000}
    assert file_identity(tmp_path / "none") == "missing"


def test_identity_of_an_object_is_its_etag(store: S3Store) -> None:
    etag = store.put("s3://place/scan", b"12345")
    assert source_identity("s3://place/scan", store=store) == f"5:{etag}"
    assert source_identity("s3://place/none", store=store) == "missing"


def test_parts_of_one_file_only(tmp_path: Path) -> None:
    names = ["plan.tif.p1", "plan.tif.p10", "plan.tif.p1.tar", "n" * 200 + ".p1", "n" * 200 + ".p10"]
    parts = {name: part_path(tmp_path / name) for name in names}
    assert len(set(parts.values())) == len(names)
    for part in parts.values():
        part.write_bytes(b"")
    for name, part in parts.items():
        assert list(parts_of(tmp_path / name)) == [part]
