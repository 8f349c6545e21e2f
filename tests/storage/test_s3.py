from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from botocore.exceptions import IncompleteReadError

from tilekit.errors import InvalidArgument, StorageDenied, StorageError, StorageLost, StorageNotFound
from tilekit.storage import s3
from tilekit.storage.s3 import Access, S3Location, S3Store, default_store, is_s3, open_s3, parse_s3


def test_addresses() -> None:
    assert is_s3("s3://b/k")
    assert not is_s3("/b/k")
    assert not is_s3(Path("s3:/b"))
    assert parse_s3("s3://bucket/a/b c#1.tif") == S3Location("bucket", "a/b c#1.tif")
    assert str(parse_s3("s3://bucket")) == "s3://bucket/"
    assert str(S3Location("bucket") / "a" / "b") == "s3://bucket/a/b"
    assert str(S3Location("bucket", "a/") / "b") == "s3://bucket/a/b"
    for wrong in ("bucket/key", "s3://", "s3:/bucket/key", Path("bucket"), 5):
        with pytest.raises(InvalidArgument, match="is not an S3 address"):
            parse_s3(wrong)
    for wrong, bucket in (("s3://a/b", "a"), ("s3://bad bucket/key", "bad bucket")):
        with pytest.raises(InvalidArgument, match=f": '{bucket}' cannot be the name of a bucket"):
            parse_s3(wrong)


def test_put_get_head_list_delete(store: S3Store) -> None:
    etag = store.put("s3://scans/a/1.bin", b"0123456789", content_type="image/png", metadata={"who": "me"})
    found = store.head("s3://scans/a/1.bin")
    assert (found.size, found.etag, found.metadata) == (10, etag, {"who": "me"})
    assert store.get("s3://scans/a/1.bin") == b"0123456789"
    assert store.get("s3://scans/a/1.bin", 2, 5) == b"234"
    assert store.get("s3://scans/a/1.bin", 7) == b"789"
    assert store.get("s3://scans/a/1.bin", stop=3) == b"012"
    assert store.get("s3://scans/a/1.bin", 0, 1) == b"0"
    for start, stop in ((5, 5), (5, 2), (0, 0), (None, 0)):
        assert store.get("s3://scans/a/1.bin", start, stop) == b""
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


@pytest.mark.slow
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
        with pytest.raises(OSError, match="s3://scans/file: cannot seek to -1"):
            file.raw.seek(-1)


def test_a_read_of_an_object_ends_where_it_ends(store: S3Store) -> None:
    store.put("s3://scans/ten", b"0123456789")
    with store.open("s3://scans/ten") as file:
        assert (file.readable(), file.seekable(), file.tell()) == (True, True, 0)
        assert file.raw.readinto(bytearray(4)) == 4
        assert file.raw.tell() == 4
        rest = bytearray(b"-" * 9)
        assert file.raw.readinto(rest) == 6
        assert rest == b"456789---"
        assert file.raw.readinto(rest) == 0
        assert file.raw.seek(-2, os.SEEK_CUR) == 8
        assert file.raw.seek(2, os.SEEK_END) == 12
        assert file.raw.readinto(rest) == 0
        assert file.raw.seek(0) == 0


@pytest.mark.parametrize(("broken", "whole"), [(0, True), (4, True), (5, False)])
def test_an_answer_that_breaks_off_is_asked_for_five_times(
    store: S3Store, monkeypatch: pytest.MonkeyPatch, broken: int, whole: bool
) -> None:
    store.put("s3://scans/torn", b"0123456789")
    real, asked = store.client.get_object, []

    def answered(**given: str) -> dict[str, object]:
        asked.append(given)
        found: dict[str, object] = real(**given)
        if len(asked) <= broken:
            body = Torn()
            found["Body"] = body
        return found

    monkeypatch.setattr(store.client, "get_object", answered)
    if whole:
        assert store.get("s3://scans/torn", 2, 5) == b"234"
    else:
        with pytest.raises(StorageLost, match="s3://scans/torn"):
            store.get("s3://scans/torn", 2, 5)
    assert len(asked) == min(broken + 1, 5)
    assert {given["Range"] for given in asked} == {"bytes=2-4"}


class Torn:
    """A body whose connection breaks."""

    def read(self) -> bytes:
        raise IncompleteReadError(actual_bytes=1, expected_bytes=3)

    def close(self) -> None:
        """Nothing."""


@pytest.mark.parametrize(("more", "parts"), [(0, False), (1, True)])
def test_a_file_goes_in_one_request_up_to_what_one_takes(
    store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int, parts: bool
) -> None:
    assert 8 << 20 <= s3.SINGLE_PUT_BYTES <= 32 << 20
    monkeypatch.setattr(s3, "SINGLE_PUT_BYTES", 1000)
    (tmp_path / "file").write_bytes(bytes(1000 + more))
    sent = []
    real = store.client.upload_file
    monkeypatch.setattr(
        store.client, "upload_file", lambda *given, **more: sent.append(given) or real(*given, **more)
    )
    assert store.upload(tmp_path / "file", "s3://scans/file") == store.head("s3://scans/file").etag
    assert bool(sent) == parts


@pytest.mark.parametrize(("more", "asks"), [(0, False), (1, True)])
def test_small_objects_go_without_asking_first(
    store: S3Store, monkeypatch: pytest.MonkeyPatch, more: int, asks: bool
) -> None:
    monkeypatch.setattr(s3, "_SMALL_BYTES", 1000)
    sent = []
    store.client.meta.events.register_last(
        "before-send.s3.PutObject", lambda request, **_: sent.append(request.headers)
    )
    store.put("s3://scans/small", bytes(1000 + more))
    assert ["Expect" in headers for headers in sent] == [asks]


def test_one_store_a_process_and_its_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "one")
    first = default_store()
    assert default_store() is first
    monkeypatch.setenv("AWS_PROFILE", "two")
    assert default_store() is not first
    assert pickle.loads(pickle.dumps(first)).connections == first.connections > 10


def test_a_store_can_be_sent_to_a_worker(store: S3Store) -> None:
    store.put("s3://scans/p", b"p")
    again = pickle.loads(pickle.dumps(store))
    assert again.access == store.access
    assert again.get("s3://scans/p") == b"p"
