"""Identities: what they notice, how they say how they were made, and that they stay the same from version to version."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilekit.storage.identity import (
    HOWS,
    MISSING,
    data_identity,
    etag_of,
    file_identity,
    how_made,
    is_unchanged,
    object_identity,
    size_of,
)

TIME = 1_700_000_000_123_456_789
EDGES = (0, 1, 4096, 12287, 12288, 12289, 16384, 16385)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    os.utime(path, ns=(TIME, TIME))
    return path


@given(st.sampled_from(EDGES) | st.integers(0, 40_000))
def test_they_are_what_is_written_of_them(tmp_path_factory: pytest.TempPathFactory, more: int) -> None:
    """Ledgers keep them: another text for the same file would make every page of an archive anew."""
    for size in (*EDGES, more):
        check(tmp_path_factory, size)


def check(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    data = random.Random(size).randbytes(size)
    path = written(tmp_path_factory.mktemp("identity") / "scan", data)
    middle = size // 2
    sample = data if size <= 12288 else data[:4096] + data[middle : middle + 4096] + data[-4096:]
    assert file_identity(path, "stat") == f"{size}:{TIME}"
    assert file_identity(path) == f"{size}:{TIME}:{hashlib.blake2b(sample, digest_size=8).hexdigest()}"
    assert file_identity(path, "full") == f"{size}:#{hashlib.blake2b(data, digest_size=16).hexdigest()}"
    assert data_identity(data) == data_identity(memoryview(data)) == file_identity(path, "full")
    for how in HOWS:
        found = file_identity(path, how)
        assert (how_made(found), size_of(found)) == (how, size)
        assert is_unchanged(str(path), found)
        assert is_unchanged(str(path), found, quick=True)


@pytest.mark.parametrize("size", [0, 5000, 12288, 12289, 50_000])
def test_they_are_the_same_without_pread(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    """As on Windows."""
    path = written(tmp_path_factory.mktemp("identity") / "scan", os.urandom(size))
    found = file_identity(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(os, "pread")
        assert file_identity(path) == found


def test_a_quick_look_goes_by_size_and_time_where_the_identity_has_them(tmp_path: Path) -> None:
    path = written(tmp_path / "scan", b"one")
    before = {how: file_identity(path, how) for how in HOWS}
    written(path, b"two")
    assert {how for how in HOWS if is_unchanged(str(path), before[how], quick=True)} == {"stat", "sample"}
    assert {how for how in HOWS if is_unchanged(str(path), before[how])} == {"stat"}
    os.utime(path, ns=(TIME, TIME + 1))
    assert not any(is_unchanged(str(path), before[how], quick=True) for how in HOWS)


def test_what_is_not_there_has_no_size(tmp_path: Path) -> None:
    for how in HOWS:
        assert file_identity(tmp_path / "none", how) == MISSING
        assert file_identity("a\0b", how) == MISSING
    assert size_of(MISSING) == 0


def test_of_an_object_it_is_size_and_etag() -> None:
    found = object_identity(12, "9f86-3")
    assert (found, size_of(found), etag_of(found)) == ("12:9f86-3", 12, "9f86-3")
