"""Staging: a remote scan as a local file for as long as it is needed, and what is left of those that were killed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tilekit.errors import StorageError, StorageFull, StorageNotFound
from tilekit.storage import staging
from tilekit.storage.s3 import S3Location, S3Store
from tilekit.storage.staging import remove_abandoned, staged


def test_staging_gives_a_copy_and_removes_it(store: S3Store, tmp_path: Path) -> None:
    store.put("s3://scans/deep/plan.tif", b"tiff")
    with staged("s3://scans/deep/plan.tif", folder=tmp_path, store=store) as path:
        assert path.name == "plan.tif"
        assert path.read_bytes() == b"tiff"
    assert not list(tmp_path.iterdir())
    with pytest.raises(RuntimeError), staged("s3://scans/deep/plan.tif", folder=tmp_path, store=store):
        raise RuntimeError
    with pytest.raises(StorageNotFound), staged("s3://scans/none.tif", folder=tmp_path, store=store):
        pass
    assert not list(tmp_path.iterdir())


def test_staging_passes_local_files_through(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"1")
    with staged(tmp_path / "a.tif") as path:
        assert path == tmp_path / "a.tif"
    assert path.exists()
    with pytest.raises(StorageNotFound), staged(tmp_path / "b.tif"):
        pass


def test_staging_is_bounded(store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("s3://scans/ten", b"0123456789")
    with (
        pytest.raises(StorageError, match="10 bytes, more than the 9"),
        staged("s3://scans/ten", folder=tmp_path, store=store, max_bytes=9),
    ):
        pass
    with staged("s3://scans/ten", folder=tmp_path, store=store, max_bytes=10) as path:
        assert path.stat().st_size == 10
    free = staging._SPARE + 10
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with staged("s3://scans/ten", folder=tmp_path, store=store):
        pass
    free -= 1
    with (
        pytest.raises(StorageFull, match=f"10 bytes do not fit on the disk of .*, where {free} are free"),
        staged("s3://scans/ten", folder=tmp_path, store=store),
    ):
        pass
    assert 32 << 20 <= staging._SPARE <= 128 << 20


@pytest.mark.parametrize("now", [b"one", b"two", b"three"])
def test_an_object_that_changes_is_not_taken_for_the_one_asked_for(
    store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: bytes
) -> None:
    """Neither before the download nor meanwhile, of the same size or of another."""
    etag = store.put("s3://scans/changing", b"one")
    with (
        pytest.raises(StorageError, match="changed while it was read"),
        staged("s3://scans/changing", folder=tmp_path, store=store, etag="0" * 32),
    ):
        pass
    real = S3Store.download

    def changed_meanwhile(self: S3Store, uri: S3Location, to: Path) -> Path:
        self.put(uri, now)
        return real(self, uri, to)

    monkeypatch.setattr(S3Store, "download", changed_meanwhile)
    if now == b"one":
        with staged("s3://scans/changing", folder=tmp_path, store=store, etag=etag) as path:
            assert path.read_bytes() == now
    else:
        with (
            pytest.raises(StorageError, match="changed while it was read"),
            staged("s3://scans/changing", folder=tmp_path, store=store, etag=etag),
        ):
            pass
    assert list(tmp_path.iterdir()) == []


def test_an_object_without_a_name_is_staged_too(store: S3Store, tmp_path: Path) -> None:
    store.put(S3Location("scans", "/"), b"x")
    with staged("s3://scans//", folder=tmp_path, store=store) as path:
        assert (path.name, path.read_bytes()) == ("object", b"x")


STAGE = """
import sys, time
from pathlib import Path
from tilekit.storage.staging import staging_folder
with staging_folder(Path(sys.argv[1])) as own:
    (own / "scan.tif").write_bytes(b"x")
    print(own, flush=True)
    time.sleep(60)
"""


def test_what_is_staged_lives_as_long_as_its_process(tmp_path: Path) -> None:
    """By a held lock: the process id of another container means nothing here."""
    command = [sys.executable, "-c", STAGE, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        own = Path(child.stdout.readline().strip())
        assert str(child.pid) not in own.name.split("-")
        assert remove_abandoned(tmp_path) == 0
        assert (own / "scan.tif").exists()
        child.kill()
        child.wait()
    elsewhere = tmp_path / "tilekit-staging-another0boot-x"
    elsewhere.mkdir()
    assert remove_abandoned(tmp_path) == 1
    assert not own.exists()
    assert elsewhere.exists()
    os.utime(elsewhere, (1, 1))
    assert remove_abandoned(tmp_path) == 1


WEEK = 7 * 86400


@pytest.mark.parametrize("kind", ["folder", "lock of a folder that was never made"])
@pytest.mark.parametrize(
    ("boot", "age", "left"),
    [
        ("mine", WEEK - 5, True),
        ("mine", WEEK + 5, False),
        ("other", WEEK - 5, True),
        ("other", WEEK + 5, False),
    ],
)
def test_what_nobody_holds_is_removed(tmp_path: Path, kind: str, boot: str, age: float, left: bool) -> None:
    """A folder of this boot at once, as its lock says that nobody holds it; all else after a week."""
    name = f"tilekit-staging-{staging.boot_id() if boot == 'mine' else 'another0boot'}-x"
    path = tmp_path / (name if kind == "folder" else f"{name}.lock")
    path.mkdir() if kind == "folder" else path.touch()
    os.utime(path, (time.time() - age,) * 2)
    goes = not left or (kind == "folder" and boot == "mine")
    assert remove_abandoned(tmp_path) == (goes and kind == "folder")
    assert path.exists() == (not goes)
    assert len(list(tmp_path.iterdir())) == (not goes)


def test_only_we_can_look_into_a_staging_folder(tmp_path: Path) -> None:
    with staging.staging_folder(tmp_path / "new") as own:
        assert own.stat().st_mode & 0o777 == 0o700
        assert own.parent == tmp_path / "new"
        boot = own.name.removeprefix("tilekit-staging-").split("-")[0]
        assert boot == staging.boot_id()


def test_a_boot_has_a_name_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    form = re.compile("[0-9a-f]{12}")
    assert form.fullmatch(staging.boot_id())

    def none(self: Path) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", none)  # as on systems without /proc
    assert form.fullmatch(staging.boot_id())
