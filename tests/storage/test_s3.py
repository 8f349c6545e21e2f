from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.s3_server import moto_server
from tilekit.errors import InvalidArgument, StorageDenied, StorageError, StorageFull, StorageNotFound
from tilekit.storage import staging
from tilekit.storage.s3 import Access, S3Location, S3Store, is_s3, open_s3, parse_s3
from tilekit.storage.staging import remove_abandoned, staged


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def store(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    store = S3Store(Access(endpoint_url=endpoint))
    store.client.create_bucket(Bucket="scans")
    return store


def test_addresses() -> None:
    assert is_s3("s3://b/k")
    assert not is_s3("/b/k")
    assert not is_s3(Path("s3:/b"))
    assert parse_s3("s3://bucket/a/b c#1.tif") == S3Location("bucket", "a/b c#1.tif")
    assert str(parse_s3("s3://bucket")) == "s3://bucket/"
    assert str(S3Location("bucket") / "a" / "b") == "s3://bucket/a/b"
    assert str(S3Location("bucket", "a/") / "b") == "s3://bucket/a/b"
    for wrong in ("bucket/key", "s3://", "s3://a/b", "s3:/bucket/key", "s3://bad bucket/key"):
        with pytest.raises(InvalidArgument, match=r"not an S3 address|cannot be the name of a bucket"):
            parse_s3(wrong)


def test_put_get_head_list_delete(store: S3Store) -> None:
    etag = store.put("s3://scans/a/1.bin", b"0123456789", content_type="image/png", metadata={"who": "me"})
    found = store.head("s3://scans/a/1.bin")
    assert (found.size, found.etag, found.metadata) == (10, etag, {"who": "me"})
    assert store.get("s3://scans/a/1.bin") == b"0123456789"
    assert store.get("s3://scans/a/1.bin", 2, 5) == b"234"
    assert store.get("s3://scans/a/1.bin", 7) == b"789"
    assert store.get("s3://scans/a/1.bin", 5, 5) == b""
    store.put("s3://scans/a/2.txt", "grün".encode())
    assert store.get_text("s3://scans/a/2.txt") == "grün"
    assert [item.location.key for item in store.list("s3://scans/a/")] == ["a/1.bin", "a/2.txt"]
    store.delete("s3://scans/a/1.bin")
    store.delete("s3://scans/a/1.bin")
    assert not store.exists("s3://scans/a/1.bin")
    assert store.exists("s3://scans/a/2.txt")


@pytest.mark.slow
def test_a_listing_goes_on_over_pages(store: S3Store) -> None:
    for number in range(1050):
        store.put(f"s3://scans/many/{number:05}", b"")
    assert sum(1 for _ in store.list("s3://scans/many/")) == 1050


def test_put_if_absent(store: S3Store) -> None:
    store.put("s3://scans/once", b"1", if_absent=True)
    with pytest.raises(StorageError, match="there already"):
        store.put("s3://scans/once", b"2", if_absent=True)
    assert store.get("s3://scans/once") == b"1"


def test_errors_name_the_object(store: S3Store, tmp_path: Path) -> None:
    with pytest.raises(StorageNotFound, match="s3://scans/nothing: no such object"):
        store.get("s3://scans/nothing")
    with pytest.raises(StorageNotFound, match="no such bucket"):
        store.put("s3://no-such-bucket-here/x", b"")
    with pytest.raises(StorageNotFound):
        store.download("s3://scans/nothing", tmp_path / "x")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InvalidArgument, match="needs a key"):
        store.get("s3://scans")
    with pytest.raises(StorageNotFound, match=r"missing\.bin"):
        store.upload(tmp_path / "missing.bin", "s3://scans/x")


def test_an_unreachable_service_is_said_so(store: S3Store) -> None:
    away = S3Store(Access(region="us-east-1", endpoint_url="http://127.0.0.1:9"))
    with pytest.raises(StorageError, match="cannot be reached"):
        away.get("s3://scans/x")


def test_no_credentials_says_how_to_log_in(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(StorageDenied, match="aws configure"):
        S3Store(Access(region="us-east-1", endpoint_url=endpoint)).get("s3://scans/x")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(InvalidArgument, match="AWS_DEFAULT_REGION"):
        Access().client("rekognition")
    with pytest.raises(InvalidArgument, match="profile='nobody'"):
        Access(profile="nobody").client("s3")


def test_large_files_go_in_parts(store: S3Store, tmp_path: Path) -> None:
    data = os.urandom(1024) * (17 * 1024 + 3)
    (tmp_path / "big").write_bytes(data)
    etag = store.upload(tmp_path / "big", "s3://scans/big", content_type="image/tiff")
    assert etag.endswith("-3")
    assert store.download("s3://scans/big", tmp_path / "deep" / "again").read_bytes() == data


def test_an_object_reads_like_a_file(store: S3Store) -> None:
    data = bytes(range(256)) * 12_000
    store.put("s3://scans/file", data)
    with open_s3("s3://scans/file", access=store.access) as file:
        assert file.read(10) == data[:10]
        assert file.seek(-5, os.SEEK_END) == len(data) - 5
        assert file.read() == data[-5:]
        file.seek(1_500_000)
        assert file.read(300) == data[1_500_000:1_500_300]
        file.seek(0)
        assert file.read() == data
        with pytest.raises(OSError, match="seek"):
            file.seek(-1)


def test_a_store_can_be_sent_to_a_worker(store: S3Store) -> None:
    store.put("s3://scans/p", b"p")
    again = pickle.loads(pickle.dumps(store))
    assert again.access == store.access
    assert again.get("s3://scans/p") == b"p"


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
    monkeypatch.setattr(staging, "_SPARE", 1 << 60)
    with (
        pytest.raises(StorageFull, match="do not fit"),
        staged("s3://scans/ten", folder=tmp_path, store=store),
    ):
        pass


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
