"""Files appear whole or not at all, and a full disk is one sentence."""

from __future__ import annotations

import resource
import signal

import pytest

from tilekit.errors import ScanCorrupt, StorageError, StorageFull, StorageNotFound
from tilekit.storage.local import atomic_file, remove_parts, storage_errors, write_bytes


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
