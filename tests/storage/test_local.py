"""Files appear whole or not at all, and a full disk is one sentence."""

from __future__ import annotations

import os
import resource
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilekit.errors import ScanCorrupt, StorageError, StorageFull, StorageNotFound
from tilekit.storage.local import (
    atomic_file,
    part_path,
    parts_of,
    remove_parts,
    storage_error,
    storage_errors,
    write_bytes,
    write_text,
)


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "new" / "x.bin"
    with pytest.raises(RuntimeError), atomic_file(target) as file:  # noqa: PT012
        file.write(b"half")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    write_bytes(target, b"one")
    write_bytes(target, b"two", durable=True)
    assert target.read_bytes() == b"two"
    assert list(target.parent.iterdir()) == [target]


def test_a_full_disk_is_one_sentence(tmp_path):
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))
    try:
        with pytest.raises(StorageFull, match="no space is left"):
            write_bytes(tmp_path / "x", bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_our_own_errors_keep_their_kind(tmp_path):
    with pytest.raises(ScanCorrupt), storage_errors(tmp_path):
        raise ScanCorrupt("x")
    with pytest.raises(StorageNotFound), storage_errors(tmp_path):
        raise FileNotFoundError
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(StorageError, match="in the way"):
        write_bytes(tmp_path / "f" / "x", b"")


def test_leftovers_are_swept(tmp_path):
    (tmp_path / ".x.abc.tilekit-part").write_bytes(b"")
    (tmp_path / "x").write_bytes(b"")
    assert remove_parts(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("durable", [False, True])
def test_what_is_durable_is_flushed_with_its_folder(tmp_path, monkeypatch, durable):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append(os.readlink(f"/proc/self/fd/{number}")))
    write_bytes(tmp_path / "x", b"1", durable=durable)
    assert [os.path.dirname(path) == str(tmp_path) or path == str(tmp_path) for path in flushed] == [
        True
    ] * 2 * durable
    assert str(tmp_path) in flushed or not durable


@given(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=250),
    st.integers(0, 255),
)
def test_a_part_beside_a_file_has_a_name_that_fits(name, length):
    """A file system takes 255 bytes; a name of up to 160 is told in full, of longer ones no two look the same."""
    raw = name.encode()[:length] or b"x"
    name = raw.decode("utf-8", "surrogateescape")
    part = os.fsencode(part_path(f"folder/{name}").name)
    assert len(part) <= 255
    assert part.startswith(b"." + (raw if len(raw) <= 160 else raw[:60]))
    assert (raw in part) == (len(raw) <= 160)
    other = os.fsencode(part_path(f"folder/{name}y").name)
    assert part[1:-26] != other[1:-26]


def test_parts_are_found_by_a_long_name_too(tmp_path):
    for name in ("n" * 160, "n" * 161, "ü" * 120):
        part = part_path(tmp_path / name)
        part.touch()
        assert list(parts_of(tmp_path / name)) == [part]
    assert list(parts_of(tmp_path / "none" / "x")) == []


def test_a_name_that_is_not_utf8_is_written_as_json_has_it_or_refused(tmp_path):
    name = "x" * 70 + os.fsdecode(b"\xff") + "y" * 70
    write_text(tmp_path / "a.json", f"{name}\n")
    assert (tmp_path / "a.json").read_bytes() == b"x" * 70 + b"\\udcff" + b"y" * 70 + b"\n"
    with pytest.raises(StorageError, match=r"a\.csv: '(x{60})\\udcff(y{20})' is a name that is not UTF-8"):
        write_text(tmp_path / "a.csv", name, escape=False)
    assert not (tmp_path / "a.csv").exists()
    write_text(tmp_path / "a.csv", "grün", escape=False)
    assert (tmp_path / "a.csv").read_bytes() == "grün".encode()


def test_a_fault_without_a_number_is_told_by_its_words():
    assert str(storage_error(OSError("odd"), "x")) == "x: odd"


def test_all_leftovers_below_are_swept_and_counted(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "deep", tmp_path / "deep" / "er"):
        part_path(folder / "x").touch()
        (folder / "kept").touch()
    assert remove_parts(tmp_path) == 3
    assert remove_parts(tmp_path) == 0
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == 3
