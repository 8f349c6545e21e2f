"""Leases: who may take one, when it has lapsed, and what its holder finds out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tilekit.errors import LedgerError, StorageConflict, StorageLost
from tilekit.storage.leasing import LEASE_SECONDS, TOUCHES, Lease, read_lease
from tilekit.storage.place import Entry, FolderPlace


class Clock(FolderPlace):
    """A folder whose time is told, and whose entries were all written at 0."""

    time = 0.0

    def now(self) -> float:
        return self.time

    def entry(self, name: str) -> Entry | None:
        found = super().entry(name)
        return None if found is None else Entry(name, found.size, found.tag, 0.0)


@pytest.fixture
def place(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "place")


def held_by(place: Clock, **said: object) -> None:
    place.put("x", json.dumps(said).encode())


@pytest.mark.parametrize("seconds", [2.0, LEASE_SECONDS])
def test_a_lease_lapses_after_the_seconds_its_holder_said(place: Clock, seconds: float) -> None:
    held_by(place, host="far", process=7, seconds=seconds)
    place.time = seconds - 0.001
    with pytest.raises(LedgerError, match=r"/place/x is held by process 7 on far; wait for it to end"):
        Lease.take(place, "x", seconds=1.0)
    with pytest.raises(LedgerError, match=r"^the page is held by process 7 on far"):
        Lease.take(place, "x", "the page")
    place.time = seconds
    lease = Lease.take(place, "x", "the page", why="test")
    assert (lease.lapsed, lease.lost) == (True, False)
    said = read_lease(place, "x")
    assert (said["process"], said["why"], said["seconds"]) == (os.getpid(), "test", LEASE_SECONDS)
    lease.drop()
    assert place.entry("x") is None


def test_one_whose_words_are_lost_lapses_after_the_seconds_asked_for(place: Clock) -> None:
    for words in (b"", b"[1]", b"{"):
        place.put("x", words)
        assert read_lease(place, "x") == {}
        place.time = 9.0
        with pytest.raises(LedgerError, match=r"held by process \? on another machine"):
            Lease.take(place, "x", seconds=10.0)
        place.time = 10.0
        Lease.take(place, "x", seconds=10.0).drop()


def test_a_free_one_has_not_lapsed(place: Clock) -> None:
    lease = Lease.take(place, "x")
    assert not lease.lapsed
    lease.drop()


def test_one_that_is_given_back_meanwhile_is_free(place: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    held_by(place, process=7, seconds=100)

    def gone(name: str) -> None:
        place.delete(name)

    monkeypatch.setattr(place, "entry", gone)
    lease = Lease.take(place, "x")
    monkeypatch.undo()
    assert not lease.lapsed
    assert read_lease(place, "x")["process"] == os.getpid()
    lease.drop()


@pytest.mark.parametrize("free", [True, False])
def test_of_two_that_take_a_lapsed_one_the_second_is_told(
    place: Clock, monkeypatch: pytest.MonkeyPatch, free: bool
) -> None:
    place.time = 5.0
    for what, said in (
        ("part 1", "^part 1 was just taken by somebody else$"),
        ("", "/place/x was just taken"),
    ):
        held_by(place, process=7, seconds=1)
        found = None if free else place.entry("x")

        def taken_meanwhile(name: str, found: Entry | None = found) -> Entry | None:
            monkeypatch.undo()
            held_by(place, process=8, seconds=1)
            return found

        monkeypatch.setattr(place, "entry", taken_meanwhile)
        with pytest.raises(LedgerError, match=said):
            Lease.take(place, "x", what)
        assert read_lease(place, "x")["process"] == 8


def test_a_touch_tells_what_it_is_given_until_it_is_dropped(place: Clock) -> None:
    lease = Lease.take(place, "x")
    assert lease.touch(done=3)
    first = read_lease(place, "x")
    assert first["done"] == 3
    assert lease.touch()
    assert read_lease(place, "x")["touch"] != first["touch"]
    assert read_lease(place, "x")["done"] == 3
    lease.drop()
    assert lease.touch()
    assert place.entry("x") is None


def test_a_holder_finds_out_and_leaves_what_is_there(place: Clock) -> None:
    lease = Lease.take(place, "x")
    held_by(place, process=8)
    lease.drop()  # it did not know, and looks
    assert read_lease(place, "x")["process"] == 8
    lease = Lease(place, "x", "another tag", 100.0, {})
    assert not lease.touch()
    assert lease.lost
    assert not lease.touch()
    lease.drop()
    assert read_lease(place, "x")["process"] == 8


def test_it_is_touched_by_itself_also_after_a_fault_and_until_it_is_lost(
    place: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease.take(place, "x", seconds=0.05 * TOUCHES)
    answers = [StorageLost("away"), "a tag", StorageConflict("taken")]
    asked = []

    def put(name: str, data: bytes, *, if_tag: str) -> str:
        asked.append(if_tag)
        answer = answers[len(asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(place, "put", put)
    lease._thread.join(timeout=20)
    assert not lease._thread.is_alive()
    assert lease.lost
    assert len(asked) == 3
    assert asked[0] == asked[1] != asked[2] == "a tag"
    lease.drop()
