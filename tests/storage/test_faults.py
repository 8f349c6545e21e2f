"""What each fault of a disk, a lock or S3 is called, and what is said of it."""

from __future__ import annotations

import errno
import json
import os
import socket
from pathlib import Path

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from tilekit.errors import (
    LedgerError,
    StorageConflict,
    StorageDenied,
    StorageError,
    StorageFull,
    StorageLogin,
    StorageLost,
    StorageNotFound,
)
from tilekit.storage.local import atomic_path, storage_error, storage_errors
from tilekit.storage.locking import FolderLock
from tilekit.storage.s3 import s3_errors


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, StorageFull, "no space is left"),
        (errno.EDQUOT, StorageFull, "no space is left"),
        (errno.ENOENT, StorageNotFound, "no such file or folder"),
        (errno.EIO, StorageLost, "out of reach"),
        (errno.ESTALE, StorageLost, "out of reach"),
        (errno.EROFS, StorageDenied, "read-only"),
        (errno.EACCES, StorageDenied, "permission denied"),
        (errno.EISDIR, StorageError, "is a folder, a file is needed"),
        (errno.ENOTDIR, StorageError, "a file is in the way of a folder"),
        (errno.EEXIST, StorageError, "a file is in the way of a folder"),
        (errno.ENAMETOOLONG, StorageError, "File name too long"),
    ],
)
def test_faults_of_a_disk(number: int, kind: type[StorageError], words: str) -> None:
    found = storage_error(OSError(number, os.strerror(number)), "plan.tif")
    assert type(found) is kind
    assert str(found).startswith("plan.tif: ")
    assert words in str(found)
    with pytest.raises(kind), storage_errors("plan.tif"):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("NoSuchBucket", StorageNotFound, "aws s3 mb"),
        ("NoSuchKey", StorageNotFound, "no such object"),
        ("404", StorageNotFound, "no such object"),
        ("AccessDenied", StorageDenied, "needs s3:GetObject on it"),
        ("ExpiredToken", StorageLogin, r"has expired \(ExpiredToken\)"),
        ("SignatureDoesNotMatch", StorageLogin, "does not accept these credentials"),
        ("RequestTimeTooSkewed", StorageLogin, "this machine's clock"),
        ("PermanentRedirect", StorageError, "another region"),
        ("PreconditionFailed", StorageConflict, "somebody else wrote it"),
        ("ConditionalRequestConflict", StorageConflict, "somebody else wrote it"),
        ("SlowDown", StorageLost, "slow down"),
        ("Strange", StorageError, r"said \(Strange\)"),
    ],
)
def test_faults_of_s3(code: str, kind: type[StorageError], words: str) -> None:
    fault = ClientError({"Error": {"Code": code, "Message": "said"}}, "GetObject")
    with pytest.raises(kind, match=f"^s3://b/k: .*{words}") as caught, s3_errors("s3://b/k", "s3:GetObject"):
        raise fault
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (NoCredentialsError(), StorageLogin, "aws configure"),
        (EndpointConnectionError(endpoint_url="http://x"), StorageLost, "check network and region"),
        (ReadTimeoutError(endpoint_url="http://x"), StorageLost, "timeout"),
    ],
)
def test_no_answer_of_s3(fault: Exception, kind: type[StorageError], words: str) -> None:
    with pytest.raises(kind, match=words), s3_errors("s3://b/k", "s3:GetObject"):
        raise fault


def test_who_holds_a_lock(tmp_path: Path) -> None:
    def refused() -> str:
        with pytest.raises(LedgerError) as caught:
            FolderLock(tmp_path / "lock", "out")
        return str(caught.value)

    mine = FolderLock(tmp_path / "lock", "out")
    owner = tmp_path / "lock.owner"
    assert f"out is being written by process {os.getpid()}; wait" in refused()
    owner.write_text(json.dumps({"host": socket.gethostname() + "-2", "process": 7}))
    assert f"by process 7 on {socket.gethostname()}-2; wait" in refused()
    for strange in ("", "[]", '{"host": "x"}', '{"host": "x", "process": null}'):
        owner.write_text(strange)
        assert "by another process; wait" in refused()
    mine.close()
    mine.close()
    assert not owner.exists()
    FolderLock(tmp_path / "lock", "out").close()


def test_a_path_without_a_name_is_no_file() -> None:
    with pytest.raises(StorageError, match="names no file"), atomic_path("/"):
        pass


@pytest.mark.parametrize("told", ["cause", "context", "neither"])
def test_the_reason_of_a_failed_upload_is_what_s3_said(told: str) -> None:
    fault = ClientError({"Error": {"Code": "AccessDenied", "Message": "said"}}, "PutObject")
    failed = S3UploadFailedError("no more tries")
    if told == "cause":
        failed.__cause__ = fault
    elif told == "context":
        failed.__context__ = fault
    kind, words = (
        (StorageError, "no more tries") if told == "neither" else (StorageDenied, "needs s3:PutObject")
    )
    with pytest.raises(kind, match=words), s3_errors("s3://b/k", "s3:PutObject"):
        raise failed
