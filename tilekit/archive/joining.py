"""Several machines on one archive: parts are taken by lease, their records kept beside the output.

All sources fall into parts by a stable hash of their names. A machine takes some free parts by leases (conditional
writes), goes through the archive for their sources, writes their records in segments, and takes more, fewer at a
time as fewer are left. What a machine that died had taken is free again when its leases lapse; its records are
there. A machine that was taken for dead and comes back can write no segment of a part that is another's by now.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilekit.archive.options import ArchiveOptions
from tilekit.archive.sources import Shard, place_among
from tilekit.archive.summary import ArchiveSummary
from tilekit.errors import LedgerError, StorageConflict, StorageError, StorageLost, StorageNotFound
from tilekit.ledger import Ledger, Record
from tilekit.pages import PageKey
from tilekit.scans import versions
from tilekit.storage.leasing import Lease
from tilekit.storage.place import Place

if TYPE_CHECKING:
    from tilekit.archive.processing import Crew, Run

_SEGMENT = 2000  # records, or
_SECONDS = 15.0
_AT_ONCE = 8
_BEGINNING = 10.0
CAMPAIGN = "campaign.json"
_SHARDS = "shards"


def run_joined(crew: Crew, place: Place, shard: Shard | None) -> ArchiveSummary:
    """Take part in the archive until all of it is done, by whomever; or one shard of it."""
    total = ArchiveSummary()
    started = time.perf_counter()
    with crew.at_work(crew.on_event or (lambda _: None)) as run:
        if shard is not None:
            total = _work(run, place, [Part(shard.index, shard.count)], _SHARDS, crew.options.lease)
        else:
            campaign = Campaign.join(place, crew)
            earlier = campaign.finished() | campaign.taken()
            while not total.stopped and (parts := campaign.free()):
                total.add(_work(run, place, parts, campaign.identity, crew.options.lease))
            changed = _look_again(run, campaign, earlier, crew.options.lease, total)
            if not total.stopped:
                campaign.finish(crew, again=changed)
    total.seconds = time.perf_counter() - started
    return total


def _look_again(run: Run, campaign: Campaign, earlier: set[str], lease: float, total: ArchiveSummary) -> bool:
    """Go through the parts that others had looked at before this run began: inputs may have changed in between.

    What is as it was is passed over. Gives whether anything was done.
    """
    left, before = set(earlier), total.done + total.failed + total.set_aside
    while left and not total.stopped:
        taken = campaign.taken()
        parts = [part for part in campaign.every() if part.name in left - taken]
        if not parts:
            time.sleep(min(5.0, lease / 5))
            continue
        total.add(_work(run, campaign.place, parts, campaign.identity, lease, left))
    return total.done + total.failed + total.set_aside > before


class Part(Shard):
    """A shard that machines take by lease."""

    @property
    def name(self) -> str:
        """Of its records and its lease."""
        return f"{self.index + 1:03d}-of-{self.count:03d}"


class Campaign:
    """One going over the archive, by as many machines as come: which parts are taken, and which finished."""

    def __init__(self, place: Place, identity: str, lease: float, parts: int) -> None:
        self.place, self.identity, self.parts, self._lease = place, identity, parts, lease

    @classmethod
    def join(cls, place: Place, crew: Crew) -> Campaign:
        """The one that is going on, or a new one; LedgerError where another recipe or other inputs are being run."""
        asked: dict[str, Any] = {
            "recipe": crew.job.recipe(),
            "inputs": sorted(os.fspath(item) for item in crew.inputs),
        }
        asked["pixels"] = versions.pixel_versions()
        for _ in range(20):
            found = place.entry(CAMPAIGN)
            current = cls(place, "", crew.options.lease, crew.options.parts)
            if found is not None:
                said = _read_json(place, CAMPAIGN)
                current.identity, current.parts = (
                    str(said.get("id", "")),
                    int(said.get("parts", current.parts)),
                )
                if current.identity and current.goes_on(place.now() - found.modified):
                    if {name: said.get(name) for name in asked} == asked:
                        return current
                    raise LedgerError(
                        f"{place}: other machines are at work here with another recipe or other inputs; "
                        "wait for them, or use another output"
                    )
            current.identity = uuid.uuid4().hex[:12]
            data = json.dumps({"id": current.identity, "parts": current.parts, **asked}).encode()
            try:
                place.put(CAMPAIGN, data, if_absent=found is None, if_tag=found.tag if found else None)
            except (StorageConflict, StorageNotFound):
                time.sleep(0.1)  # somebody began just now: look again, and join
                continue
            return current
        raise StorageLost(f"{place}: is being begun by others again and again; run again")

    def goes_on(self, age: float) -> bool:
        """Whether machines are at work in it, or it was begun just now."""
        return bool(self.taken()) or (age < _BEGINNING and len(self.finished()) < self.parts)

    def taken(self) -> set[str]:
        """Names of the parts somebody holds."""
        return taken_parts(self.place, self._lease)

    def finished(self) -> set[str]:
        """Names of the parts that are done."""
        marks = self.place.list(f"finished/{self.identity}/")
        return {name for mark in marks for name in json.loads(self.place.read(mark.name))}

    def every(self) -> list[Part]:
        """All parts."""
        return [Part(index, self.parts) for index in range(self.parts)]

    def free(self) -> list[Part]:
        """Parts to try next, about a quarter of what nobody has; waits where others have all that is left.

        Empty when everything is finished.
        """
        while True:
            done = self.finished()
            left = [part for part in self.every() if part.name not in done]
            if not left:
                return []
            taken = self.taken()
            open_ = [part for part in left if part.name not in taken]
            if open_:
                start = uuid.uuid4().int % len(open_)  # machines that come together begin apart
                return (open_ + open_)[start : start + max(1, -(-len(open_) // 4))]
            time.sleep(min(5.0, self._lease / 5))

    def finish(self, crew: Crew, *, again: bool = False) -> None:
        """Join what pages left apart; of all machines the first to come does it, and whoever changed something after."""
        name = f"finished/{self.identity}.joined"
        with (
            contextlib.suppress(LedgerError),
            self.place.lock(f"joining-{self.identity}.lock", "the joining"),
        ):
            if again or self.place.entry(name) is None:
                with (
                    tempfile.TemporaryDirectory(prefix="tilekit-") as folder,
                    Ledger(Path(folder) / "all.sqlite") as ledger,
                ):
                    for part in part_names(self.place):
                        ledger.put(*load_part(self.place, part).values())
                    crew.job.finish(crew.out, ledger.records("done"))
                self.place.put(name, b"")


def _work(
    run: Run, place: Place, parts: list[Part], campaign: str, seconds: float, left: set[str] | None = None
) -> ArchiveSummary:
    """Take those of the parts that are still free, and do them; their names go from `left`."""
    with contextlib.ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(_AT_ONCE, "tilekit-parts"))
        leases: dict[str, Lease] = {}
        stack.callback(lambda: list(threads.map(_give_back, leases.values())))
        for part, lease in zip(parts, threads.map(lambda p: _take(place, p, seconds), parts), strict=True):
            if lease is not None:
                leases[part.name] = lease
        taken = [part for part in parts if part.name in leases]
        if not taken:
            if campaign == _SHARDS:
                raise LedgerError(f"{place}: another run has this shard; wait for it")
            return ArchiveSummary()
        count, indices = taken[0].count, {part.index for part in taken}
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tilekit-ledger-"))
        ledger = stack.enter_context(PartLedger(Path(folder) / "parts.sqlite", place, taken, leases))
        summary = run.go(
            ledger,
            lambda source: place_among(source.relative, count) in indices,
            clean=any(lease.lapsed for lease in leases.values()),
        )
        if not summary.stopped:
            ledger.settle()
            if campaign != _SHARDS:
                mark = f"finished/{campaign}/{uuid.uuid4().hex[:12]}"
                place.put(mark, json.dumps([part.name for part in taken]).encode())
            if left is not None:
                left.difference_update(part.name for part in taken)
        return summary


def _take(place: Place, part: Part, seconds: float) -> Lease | None:
    with contextlib.suppress(LedgerError):
        return Lease.take(place, f"leases/{part.name}", str(place), seconds=seconds)
    return None


def _give_back(lease: Lease) -> None:
    with contextlib.suppress(StorageError):
        lease.drop()


class PartLedger(Ledger):
    """The records of the parts a machine has, in a file of its own here, and in segments beside the output.

    What will be begun is announced and sent before it is: whoever goes on after a death knows of every page that may
    have been left half done, or done and not told. A segment of gzipped JSON lines goes out every 2,000 records or 15 seconds, so a machine that dies loses no
    result and at most that many records: those pages are made again, to the same bytes. A segment's name is its
    number and must be new: two that think a part is theirs cannot both write.
    """

    def __init__(self, path: Path, place: Place, parts: list[Part], leases: dict[str, Lease]) -> None:
        super().__init__(path)
        self.place, self._parts, self._leases = place, parts, leases
        self._names = {part.index: part.name for part in parts}
        self._next: dict[str, int] = {}
        self._waiting: dict[str, dict[str, Record | None]] = {part.name: {} for part in parts}
        self._turn = threading.RLock()
        self._sent = time.monotonic()
        self._segments = _segments(place, [part.name for part in parts])
        for name, segments in self._segments.items():
            super().put(*load_part(place, name, segments).values())
            self._next[name] = _last(segments) + 1

    def put(self, *records: Record) -> None:
        """See Ledger; sent on when enough have come together."""
        super().put(*records)
        with self._turn:
            for record in records:
                if record.state != "started":  # announced before
                    self._waiting[self._part(record.key)][record.key] = record
        self._send_some()

    def announce(self, *records: Record) -> None:
        """See Ledger; sent on at once."""
        super().put(*records)
        with self._turn:
            for record in records:
                self._waiting[self._part(record.key)][record.key] = record
            if records:
                self._send()

    def remove(self, keys: Iterable[str]) -> None:
        """See Ledger."""
        gone = list(keys)
        super().remove(gone)
        with self._turn:
            for key in gone:
                self._waiting[self._part(key)][key] = None

    def settle(self) -> None:
        """Send all, and put each part's segments together as one."""
        self._send()
        for part in self._parts:
            segments = list(self._segments[part.name])
            if len(segments) > 1:
                mine = load_part(self.place, part.name, segments)
                self._write(part.name, _lines(mine.items()), whole=True)
                for name in segments:
                    self.place.delete(name)

    def close(self) -> None:
        """Send what is left, where that is possible, and close the file here."""
        with contextlib.suppress(StorageError, LedgerError):
            self._send()
        super().close()

    def _part(self, key: str) -> str:
        return self._names[place_among(PageKey.parse(key).source, self._parts[0].count)]

    def _send_some(self) -> None:
        count = sum(len(waiting) for waiting in self._waiting.values())
        if count >= _SEGMENT or time.monotonic() - self._sent >= _SECONDS:
            self._send()

    def _send(self) -> None:
        with self._turn:
            some = {part: waiting for part, waiting in self._waiting.items() if waiting}
            if len(some) < 2:
                for part, waiting in some.items():
                    self._send_part(part, waiting)
            else:
                with ThreadPoolExecutor(_AT_ONCE, "tilekit-records") as threads:
                    list(threads.map(self._send_part, some.keys(), some.values()))
            self._sent = time.monotonic()

    def _send_part(self, part: str, waiting: dict[str, Record | None]) -> None:
        self._write(part, _lines(waiting.items()))
        waiting.clear()

    def _write(self, part: str, lines: bytes, *, whole: bool = False) -> None:
        if self._leases[part].lost:
            raise StorageLost(
                f"{self.place}: part {part} was taken over by another machine, since this one gave no sign of life; run again"
            )
        name = f"records/{part}/{self._next[part]:08d}{'.all' if whole else ''}.jsonl.gz"
        try:
            self.place.put(name, gzip.compress(lines, 1, mtime=0), if_absent=True)
        except StorageConflict as exc:
            raise StorageLost(
                f"{self.place}: part {part} is being written by another machine; run again"
            ) from exc
        self._next[part] += 1
        self._segments[part].append(name)


def taken_parts(place: Place, seconds: float) -> set[str]:
    """Names of the parts whose leases have not lapsed."""
    leases = list(place.list("leases/"))
    now = place.now() if leases else 0.0
    return {entry.name.rpartition("/")[2] for entry in leases if now - entry.modified < seconds}


def _segments(place: Place, parts: list[str]) -> dict[str, list[str]]:
    """The segments of some parts, by one listing."""
    found: dict[str, list[str]] = {part: [] for part in parts}
    for entry in place.list(f"records/{parts[0]}/" if len(parts) == 1 else "records/"):
        part = entry.name.split("/")[1]
        if part in found:
            found[part].append(entry.name)
    return found


def load_part(place: Place, part: str, segments: list[str] | None = None) -> dict[str, Record]:
    """The records of a part: the last one of each key."""
    names = _segments(place, [part])[part] if segments is None else segments
    whole = max((name for name in names if ".all." in name), default="")
    records: dict[str, Record] = {}
    for name in names:
        if name < whole:
            continue
        try:
            text = gzip.decompress(place.read(name)).decode("utf-8", "surrogateescape")
            for line in text.splitlines():
                key, *rest = json.loads(line)
                if rest:
                    records[key] = Record(key, *rest)
                else:
                    records.pop(key, None)
        except (ValueError, TypeError, EOFError, OSError) as exc:
            if isinstance(exc, StorageError):
                raise
            raise LedgerError(
                f"{place / name}: is not a segment of records, or is damaged; remove it"
            ) from exc
    return records


def part_names(place: Place) -> list[str]:
    """The parts and shards that have records, in order."""
    return sorted({entry.name.split("/")[1] for entry in place.list("records/")})


def write_part(place: Place, part: str, lines: str) -> None:
    """Replace the records of a part; for whoever is alone at the place."""
    old = _segments(place, [part])[part]
    name = f"records/{part}/{_last(old) + 1:08d}.all.jsonl.gz"
    place.put(name, gzip.compress(lines.encode("utf-8", "surrogateescape"), 1, mtime=0))
    for name in old:
        place.delete(name)


def _last(segments: list[str]) -> int:
    return max((int(name.rpartition("/")[2][:8]) for name in segments), default=0)


def parts_at(place: Place) -> int:
    """How many parts the archive is shared out in here."""
    return int(_read_json(place, CAMPAIGN).get("parts", ArchiveOptions().parts))


def _lines(records: Iterable[tuple[str, Record | None]]) -> bytes:
    return "".join(record_line(key, record) for key, record in records).encode("utf-8", "surrogateescape")


def record_line(key: str, record: Record | None) -> str:
    """A line of a segment; a key alone where its record is gone."""
    value = [key] if record is None else [key, record.fingerprint, record.state, record.info]
    return json.dumps(value, ensure_ascii=False) + "\n"


def _read_json(place: Place, name: str) -> dict[str, Any]:
    try:
        value = json.loads(place.read(name))
    except StorageNotFound:
        return {}
    except ValueError as exc:
        raise LedgerError(f"{place / name}: is not what tilekit writes there; remove it") from exc
    return value if isinstance(value, dict) else {}


def all_records(place: Place) -> Iterator[Record]:
    """The records of all parts, a part at a time."""
    for part in part_names(place):
        yield from load_part(place, part).values()
