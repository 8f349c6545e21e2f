"""Records of parts in segments: what is written is read, in whatever pieces; what is damaged is told."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilekit.archive.joining import (
    CAMPAIGN,
    Part,
    PartLedger,
    all_records,
    load_part,
    part_names,
    parts_at,
    record_line,
    taken_parts,
    write_part,
)
from tilekit.archive.sources import place_among
from tilekit.errors import LedgerError, StorageLost
from tilekit.ledger import Record
from tilekit.pages import PageKey
from tilekit.storage.leasing import Lease
from tilekit.storage.place import FolderPlace

NAMES = st.sampled_from(["a.jpg", "b.jpg", "c/ü.tif", "c/d.tif", "e\udcff.png"])
STEPS = st.lists(
    st.tuples(NAMES, st.sampled_from(["done", "failed", "gone"]), st.integers(0, 9)), max_size=12
)


def record(name: str, state: str = "done", number: int = 0) -> Record:
    return Record(str(PageKey(name, 0)), f"f{number}", state, {"tiles": number})


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace(tmp_path / "place")


@given(STEPS, st.integers(1, 4), st.integers(1, 5))
def test_what_a_ledger_of_parts_was_told_is_there_for_the_next(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]], count: int, each: int
) -> None:
    """Through segments of any number of steps, put together as one at the end; a twin in a dict says what is left."""
    folder = tmp_path_factory.mktemp("parts")
    place = FolderPlace(folder / "place")
    parts = [Part(index, count) for index in range(count)]
    leases = {part.name: SimpleNamespace(lost=False) for part in parts}
    twin: dict[str, Record] = {}
    for start in range(0, len(steps), each):
        with PartLedger(folder / f"{start}.sqlite", place, parts, leases) as ledger:
            assert {one.key: one for one in ledger.records()} == twin
            for name, state, number in steps[start : start + each]:
                if state == "gone":
                    ledger.remove([str(PageKey(name, 0))])
                    twin.pop(str(PageKey(name, 0)), None)
                else:
                    one = record(name, state, number)
                    ledger.announce(one) if number % 2 else ledger.put(one)
                    twin[one.key] = one
        found = {part.name: load_part(place, part.name) for part in parts}
        assert {key: one for part in found.values() for key, one in part.items()} == twin
        for part in parts:
            assert all(
                place_among(PageKey.parse(key).source, count) == part.index for key in found[part.name]
            )
    with PartLedger(folder / "last.sqlite", place, parts, leases) as ledger:
        ledger.settle()
    assert {one.key: one for one in all_records(place)} == twin
    for part in parts:
        assert len(list(place.list(f"records/{part.name}/"))) <= 1


def test_a_part_written_anew_takes_the_place_of_its_segments(place: FolderPlace) -> None:
    for number in range(3):
        place.put(
            f"records/001-of-001/{number + 1:08d}.jsonl.gz", gzip.compress(record_line("x", None).encode())
        )
    for number in range(2):
        write_part(place, "001-of-001", record_line("a", record("a", number=number)))
        (entry,) = place.list("records/")
        assert entry.name == f"records/001-of-001/{4 + number:08d}.all.jsonl.gz"
        assert load_part(place, "001-of-001") == {"a": record("a", number=number)}
    assert part_names(place) == ["001-of-001"]


def test_segments_before_a_whole_one_do_not_count(place: FolderPlace) -> None:
    """As after a death between writing the whole and deleting its parts."""

    def put(name: str, *records: Record) -> None:
        lines = "".join(record_line(one.key, one) for one in records)
        place.put(f"records/001-of-001/{name}.jsonl.gz", gzip.compress(lines.encode()))

    put("00000001", record("old"))
    put("00000002.all", record("a", number=1), record("b", number=1))
    put("00000003", record("b", number=2))
    assert load_part(place, "001-of-001") == {"a": record("a", number=1), "b": record("b", number=2)}


@pytest.mark.parametrize(
    "data",
    [
        b"no gzip",
        gzip.compress(b"no json\n", mtime=0),
        gzip.compress(b'["a"]\n', mtime=0)[:-5],
        gzip.compress(b"3\n", mtime=0),
    ],
    ids=["not-gzip", "not-json", "cut-short", "no-record"],
)
def test_a_damaged_segment_is_named(place: FolderPlace, data: bytes) -> None:
    place.put("records/001-of-002/00000001.jsonl.gz", data)
    with pytest.raises(LedgerError, match=r"00000001\.jsonl\.gz: is not a segment of records, or is damaged"):
        load_part(place, "001-of-002")


def test_how_many_parts_there_are_is_said_once(place: FolderPlace) -> None:
    assert parts_at(place) == 64
    place.put(CAMPAIGN, json.dumps({"parts": 7}).encode())
    assert parts_at(place) == 7
    place.put(CAMPAIGN, b"[]")
    assert parts_at(place) == 64
    place.put(CAMPAIGN, b"{")
    with pytest.raises(LedgerError, match=r"campaign\.json: is not what tilekit writes there"):
        parts_at(place)


def test_a_part_is_taken_until_its_lease_lapses(place: FolderPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken_parts(place, 10.0) == set()
    lease = Lease.take(place, "leases/002-of-003")
    (entry,) = place.list("leases/")
    for age, taken in ((0.0, True), (9.9, True), (10.0, False), (11.0, False)):
        monkeypatch.setattr(FolderPlace, "now", lambda _, age=age: entry.modified + age)
        assert taken_parts(place, 10.0) == ({"002-of-003"} if taken else set())
    monkeypatch.undo()
    lease.drop()


def test_whoever_lost_a_part_writes_no_record_of_it(place: FolderPlace, tmp_path: Path) -> None:
    part = Part(0, 1)
    lease = SimpleNamespace(lost=False)
    with PartLedger(tmp_path / "one.sqlite", place, [part], {part.name: lease}) as ledger:
        place.put(f"records/{part.name}/00000001.jsonl.gz", b"another's")
        with pytest.raises(StorageLost, match="is being written by another machine"):
            ledger.announce(record("a"))
        lease.lost = True
        with pytest.raises(StorageLost, match="was taken over by another machine"):
            ledger.announce(record("a"))
    assert place.read(f"records/{part.name}/00000001.jsonl.gz") == b"another's"


def test_segments_go_out_when_enough_has_come_together(
    place: FolderPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilekit.archive.joining._SEGMENT", 3)
    part = Part(0, 1)
    with PartLedger(
        tmp_path / "one.sqlite", place, [part], {part.name: SimpleNamespace(lost=False)}
    ) as ledger:
        sent = []
        for number in range(7):
            ledger.put(record(f"{number}"))
            sent.append(len(list(place.list("records/"))))
        assert sent == [0, 0, 1, 1, 1, 2, 2]
        monkeypatch.setattr("tilekit.archive.joining._SECONDS", 0.0)
        ledger.put(record("7"))
        assert len(list(place.list("records/"))) == 3
        ledger.announce()
        ledger.put(Record("8", "f", "started", {}))  # is announced, not put
        assert len(list(place.list("records/"))) == 3
    assert len(load_part(place, part.name)) == 8
