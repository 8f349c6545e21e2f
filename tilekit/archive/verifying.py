"""Comparing what the records of an archive say with what is there."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable
from functools import partial

from tilekit.archive.inspecting import records_place
from tilekit.archive.jobs import roll_of
from tilekit.archive.joining import load_part, part_names, record_line, write_part
from tilekit.archive.state import ledger_files
from tilekit.flow import batched, ordered_map
from tilekit.ledger import Ledger, Record
from tilekit.storage.identity import is_unchanged
from tilekit.storage.place import FolderPlace, Place, place_of
from tilekit.tiles.index import read_index

_TOGETHER = 32  # pages a thread looks at before it takes more
_THREADS = 8  # what is looked at side by side: network drives and S3 answer slowly, checksums let others run


def verify_archive(
    out: str | os.PathLike[str],
    state: str | os.PathLike[str] | None = None,
    *,
    forget: bool = False,
    deep: bool = False,
) -> dict[str, str]:
    """Compare every recorded output, and its source, with what is there: key -> what is wrong, empty when all is well.

    By size and time alone, as `ls` shows them (one listing a page), also on S3 (one request an object); `deep` reads every byte: outputs
    by the checksums that were recorded, sources by their identity. Tiles are looked up in their index. A source
    that has changed or is gone is told: its results are not of now. `forget` removes the records at fault, so that
    the next run makes those pages again. Memory: some hundred records, on S3 those of one part, and what is wrong.
    """
    wrong: dict[str, str] = {}
    root = place_of(out)
    where = records_place(out, state)
    for path in ledger_files(where):
        with Ledger(path) as ledger:
            found = _wrong(root, ledger.records("done"), deep)
            wrong |= found
            if forget:
                ledger.remove(found)
    for part in part_names(where):
        records = load_part(where, part)
        found = _wrong(root, (record for record in records.values() if record.state == "done"), deep)
        wrong |= found
        if forget and found:
            kept = (record_line(key, record) for key, record in records.items() if key not in found)
            write_part(where, part, "".join(kept))
    return wrong


def _wrong(root: Place, records: Iterable[Record], deep: bool) -> dict[str, str]:
    """What is wrong with whom."""
    found: dict[str, str] = {}
    for some in ordered_map(partial(_some, root, deep), batched(records, _TOGETHER), workers=_THREADS):
        found |= some
    return found


def _some(root: Place, deep: bool, records: list[Record]) -> dict[str, str]:
    return {record.key: problem for record in records if (problem := _problem(root, record, deep))}


def _problem(root: Place, record: Record, deep: bool) -> str:
    uri = str(record.info.get("uri", ""))
    identity = record.fingerprint.rpartition("|")[0]
    if uri and not is_unchanged(uri, identity, quick=not deep):
        return f"{uri}: has changed or is gone since; run the archive again"
    index, roll = record.info.get("index"), record.info.get("roll")
    if roll and index and not deep and isinstance(root, FolderPlace) and roll_of(f"{root}/{index}") == roll:
        return ""  # the outputs and tiles below are what it was made of
    for name, size, *sums in record.info.get("outputs", []):
        if problem := _differs(root, name, size, sums[0] if deep and sums else None):
            return problem
    if index is not None and isinstance(root, FolderPlace):
        for tile in read_index(root.folder / index).tiles():
            if tile.file is not None and (
                problem := _differs(root, f"{index}/{tile.file}", tile.size, tile.crc if deep else None)
            ):
                return problem
    return ""


def _differs(root: Place, name: str, size: int, crc: int | None) -> str:
    if isinstance(root, FolderPlace):
        path = root.folder / name
        try:
            actual = path.stat().st_size
        except OSError:
            return f"{path}: is missing"
    else:
        found = root.entry(name)
        if found is None:
            return f"{root / name}: is missing"
        actual = found.size
    if actual != size:
        return f"{root / name}: has {actual} bytes, not {size}"
    if crc is not None and zlib.crc32(root.read(name)) != crc:
        return f"{root / name}: has other bytes than were written"
    return ""
