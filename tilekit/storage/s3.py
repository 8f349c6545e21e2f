"""S3: objects in, objects out, errors in our own words. The only S3 code in the package.

Credentials, region, profile and endpoint come from boto3's own chain; an `Access` holds what a
caller adds to it (nothing secret, so it can be pickled and sent to a worker).
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import IO, Any

from tilekit.errors import (
    InvalidArgument,
    StorageConflict,
    StorageDenied,
    StorageError,
    StorageLogin,
    StorageLost,
    StorageNotFound,
)
from tilekit.storage.local import atomic_path, storage_errors

_URI = re.compile(r"^s3://(?P<bucket>[0-9A-Za-z.\-_]{3,255})(?:/(?P<key>.*))?$", re.DOTALL)
_MISSING = {"404", "NoSuchKey", "NoSuchBucket", "NotFound", "NoSuchVersion", "NoSuchUpload"}
_DENIED = {"403", "AccessDenied", "Forbidden", "AllAccessDisabled", "AccountProblem"}
_LOGIN = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "RequestExpired"}
_BAD_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "UnrecognizedClientException"}
_REGION = {"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
SINGLE_PUT_BYTES = 16 * 1024 * 1024
_SURROUNDINGS = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
)
_BODY_ATTEMPTS = 5  # as s3transfer asks for a file
_READ_AHEAD = 1024 * 1024
_SMALL_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class S3Location:
    """A bucket and a key (or, for listings, a key prefix)."""

    bucket: str
    key: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> S3Location:
        return S3Location(self.bucket, f"{self.key.rstrip('/')}/{name}" if self.key else name)


@dataclass(frozen=True, slots=True)
class S3Object:
    """What a listing or a head says of an object; `etag` without its quotes."""

    location: S3Location
    size: int
    etag: str
    modified: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the cloud, beside boto3's own chain: region, profile, endpoint, or a session.

    Without arguments everything comes from the environment and the configuration files, as for
    any AWS tool. `session` is a boto3 Session to use instead; it cannot be pickled.
    """

    region: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    session: Any = field(default=None, compare=False, repr=False)

    def make_session(self) -> Any:
        """The boto3 Session to build clients from (sessions are not thread-safe, clients are)."""
        import boto3
        import botocore.exceptions
        import botocore.session

        if self.session is not None:
            return self.session
        bare = botocore.session.get_session()
        try:
            loader = _service_models(bare.get_config_variable("data_path"))
            bare.register_component("data_loader", loader)
            session = boto3.session.Session(
                region_name=self.region, profile_name=self.profile, botocore_session=bare
            )
        except botocore.exceptions.ProfileNotFound as exc:
            raise self._no_profile() from exc
        loader.search_paths[:] = dict.fromkeys(loader.search_paths)  # each boto3 session adds its own again
        return session

    def _no_profile(self) -> InvalidArgument:
        return InvalidArgument(
            f"profile={self.profile!r} is not in the AWS configuration; see `aws configure list-profiles`"
        )

    def client(self, service: str, **settings: Any) -> Any:
        """A boto3 client; `settings` are those of botocore's Config.

        Raises InvalidArgument where no region is set.
        """
        import botocore.config
        import botocore.exceptions

        session = self.make_session()
        try:
            return session.client(
                service,
                region_name=self.region,
                endpoint_url=self.endpoint_url,
                config=botocore.config.Config(**settings),
            )
        except botocore.exceptions.NoRegionError as exc:
            raise InvalidArgument(
                "no AWS region is set; give region=, set AWS_DEFAULT_REGION or put it into the profile"
            ) from exc
        except botocore.exceptions.ProfileNotFound as exc:
            raise self._no_profile() from exc
        except botocore.exceptions.InvalidRegionError as exc:
            raise InvalidArgument(
                f"region={self.region!r} is no region; write one such as eu-west-1"
            ) from exc
        except ValueError as exc:
            raise InvalidArgument(f"endpoint_url={self.endpoint_url!r} is not a URL: {exc}") from exc


@cache
def _service_models(data_path: str | None) -> Any:
    """botocore's models of the services, megabytes of JSON: read once a process, not once a session."""
    import botocore.loaders

    return botocore.loaders.create_loader(data_path)


def is_s3(uri: object) -> bool:
    """Whether a source is an `s3://` address."""
    return isinstance(uri, str) and uri.startswith("s3://")


def parse_s3(uri: str | S3Location) -> S3Location:
    """Read `s3://bucket/key`; raises InvalidArgument on anything else."""
    if isinstance(uri, S3Location):
        return uri
    found = _URI.match(uri) if isinstance(uri, str) else None
    if found is None:
        bucket = uri.removeprefix("s3://").partition("/")[0] if is_s3(uri) else ""
        if bucket:
            raise InvalidArgument(
                f"{uri!r}: {bucket!r} cannot be the name of a bucket; one has 3 to 63 lower-case letters, digits, "
                "dots and hyphens"
            )
        raise InvalidArgument(f"{uri!r} is not an S3 address; write s3://bucket/key")
    return S3Location(found["bucket"], found["key"] or "")


class S3Store:
    """Objects of S3, in our words. Thread-safe; one client with `connections` sockets.

    Errors are StorageNotFound, StorageDenied or StorageError and name the object. Retries are
    botocore's own (5 attempts), the only layer here. Pickles as its Access.
    """

    def __init__(self, access: Access | None = None, *, connections: int = 10) -> None:
        self.access = access or Access()
        self.connections = connections
        self._client: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _store, (self.access, self.connections)

    @property
    def client(self) -> Any:
        """The boto3 client, made at the first call."""
        if self._client is None:
            self._client = self.access.client(
                "s3",
                retries={"mode": "standard", "total_max_attempts": 5},
                max_pool_connections=self.connections,
                connect_timeout=10,
                read_timeout=60,
                tcp_keepalive=True,
            )
            self._client.meta.events.register("before-send.s3.PutObject", _send_at_once)
        return self._client

    def head(self, uri: str | S3Location) -> S3Object:
        """Size, ETag and metadata of an object."""
        place = _object(uri)
        with s3_errors(place, "s3:GetObject"):
            answer = self.client.head_object(Bucket=place.bucket, Key=place.key)
        return S3Object(
            place,
            answer["ContentLength"],
            answer["ETag"].strip('"'),
            answer["LastModified"],
            dict(answer.get("Metadata", {})),
        )

    def exists(self, uri: str | S3Location) -> bool:
        """Whether there is such an object."""
        try:
            self.head(uri)
        except StorageNotFound:
            return False
        return True

    def get(self, uri: str | S3Location, start: int | None = None, stop: int | None = None) -> bytes:
        """The bytes of an object, or of its half-open range [start, stop)."""
        place = _object(uri)
        extra = {}
        if start is not None or stop is not None:
            if stop is not None and stop <= (start or 0):
                return b""
            extra["Range"] = f"bytes={start or 0}-{'' if stop is None else stop - 1}"
        with s3_errors(place, "s3:GetObject"):
            return self._body(place, extra)

    def _body(self, place: S3Location, extra: dict[str, Any]) -> bytes:
        """The answer's bytes; asked again where the connection breaks while they come, which botocore leaves to us."""
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        for left in reversed(range(_BODY_ATTEMPTS)):
            body = self.client.get_object(Bucket=place.bucket, Key=place.key, **extra)["Body"]
            try:
                with contextlib.closing(body):
                    return bytes(body.read())
            except (HTTPClientError, IncompleteReadError):
                if not left:
                    raise
        raise AssertionError("a last attempt returns or raises")

    def get_text(self, uri: str | S3Location) -> str:
        """An object as UTF-8 text."""
        try:
            return self.get(uri).decode("utf-8")
        except UnicodeDecodeError as exc:
            raise StorageError(f"{uri}: is not UTF-8 text") from exc

    def put(
        self,
        uri: str | S3Location,
        data: bytes | IO[bytes],
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        """Write an object in one request and return its ETag.

        `if_absent` refuses to replace one, `if_match` any but the one of this ETag: StorageConflict.
        """
        place = _object(uri)
        extra: dict[str, Any] = {}
        if content_type:
            extra["ContentType"] = content_type
        if metadata:
            extra["Metadata"] = dict(metadata)
        if if_absent:
            extra["IfNoneMatch"] = "*"
        if if_match is not None:
            extra["IfMatch"] = f'"{if_match}"'
        with s3_errors(place, "s3:PutObject"):
            answer = self.client.put_object(Bucket=place.bucket, Key=place.key, Body=data, **extra)
        return str(answer["ETag"]).strip('"')

    def list(self, uri: str | S3Location) -> Iterator[S3Object]:
        """All objects whose key starts with the address's key, in key order, page by page."""
        place = parse_s3(uri)
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=place.key)
        with s3_errors(place, "s3:ListBucket"):
            for page in pages:
                for item in page.get("Contents", ()):
                    yield S3Object(
                        S3Location(place.bucket, item["Key"]),
                        item["Size"],
                        item["ETag"].strip('"'),
                        item["LastModified"],
                    )

    def delete(self, uri: str | S3Location) -> None:
        """Remove an object; one that is not there is fine."""
        place = _object(uri)
        with s3_errors(place, "s3:DeleteObject"):
            self.client.delete_object(Bucket=place.bucket, Key=place.key)

    def upload(self, path: str | Path, uri: str | S3Location, *, content_type: str | None = None) -> str:
        """Send a local file and return the object's ETag: one request up to 16 MB, in parts above.

        Memory: the file's bytes up to 16 MB, else s3transfer's parts (10 x 8 MB).
        """
        place = _object(uri)
        file = Path(path)
        with storage_errors(file):
            size = file.stat().st_size
            if size <= SINGLE_PUT_BYTES:
                return self.put(place, file.read_bytes(), content_type=content_type)
        with s3_errors(place, "s3:PutObject"):
            self.client.upload_file(
                str(file),
                place.bucket,
                place.key,
                ExtraArgs={"ContentType": content_type} if content_type else None,
                Config=_parts(),
            )
        return self.head(place).etag

    def download(self, uri: str | S3Location, path: str | Path) -> Path:
        """Fetch an object to a local file, which appears whole or not at all."""
        place = _object(uri)
        with atomic_path(path) as part, s3_errors(place, "s3:GetObject"):
            self.client.download_file(place.bucket, place.key, str(part), Config=_parts())
        return Path(path)

    def open(self, uri: str | S3Location) -> IO[bytes]:
        """A seekable, read-only file over an object, fetched by ranges of 1 MB; one object, one size."""
        found = self.head(uri)
        return io.BufferedReader(_Ranges(self, found), _READ_AHEAD)


def default_store() -> S3Store:
    """The store by boto3's own chain, made once for a process and its surroundings: a client takes a while to make."""
    return _default_store(tuple(os.environ.get(name) for name in _SURROUNDINGS))


@lru_cache(maxsize=4)
def _default_store(_: tuple[str | None, ...]) -> S3Store:
    return S3Store(connections=32)


def open_s3(uri: str, *, access: Access | None = None) -> IO[bytes]:
    """A seekable, read-only file over an S3 object."""
    return S3Store(access).open(uri)


@contextlib.contextmanager
def s3_errors(place: S3Location | str, action: str) -> Iterator[None]:
    """Turn botocore's errors inside the block into ours, naming the object and the right needed."""
    import boto3.exceptions
    import botocore.exceptions

    try:
        yield
    except botocore.exceptions.ClientError as exc:
        raise _from_client_error(exc, place, action) from exc
    except (boto3.exceptions.S3UploadFailedError, boto3.exceptions.RetriesExceededError) as exc:
        cause = exc.__cause__ or exc.__context__
        if isinstance(cause, botocore.exceptions.ClientError):
            raise _from_client_error(cause, place, action) from exc
        raise StorageError(f"{place}: {exc}") from exc
    except botocore.exceptions.BotoCoreError as exc:
        raise connection_error(exc, str(place)) from exc


def connection_error(exc: Exception, subject: str) -> StorageError:
    """Our error for what botocore raises before or without an answer of the service."""
    import botocore.exceptions as known

    if isinstance(
        exc, (known.NoCredentialsError, known.PartialCredentialsError, known.CredentialRetrievalError)
    ):
        return StorageLogin(
            f"{subject}: no usable AWS credentials ({exc}); log in with `aws configure` or `aws sso login`, "
            "or set AWS_PROFILE"
        )
    if type(exc).__name__ in {"UnauthorizedSSOTokenError", "SSOTokenLoadError", "TokenRetrievalError"}:
        return StorageLogin(f"{subject}: the AWS login has ended; run `aws sso login` and try again")
    if isinstance(exc, known.EndpointConnectionError):
        return StorageLost(f"{subject}: the service cannot be reached ({exc}); check network and region")
    if isinstance(exc, known.ParamValidationError):
        return StorageError(f"{subject}: {str(exc).splitlines()[-1]}")
    return StorageLost(f"{subject}: {exc}")


def _from_client_error(exc: Any, place: S3Location | str, action: str) -> StorageError:
    error = exc.response.get("Error", {})
    code = str(error.get("Code", ""))
    if code in _MISSING:
        return StorageNotFound(
            f"{place}: {'no such bucket; make it with `aws s3 mb`' if code == 'NoSuchBucket' else 'no such object'}"
        )
    if code in _DENIED:
        return StorageDenied(f"{place}: access denied; the caller needs {action} on it")
    if code in _LOGIN:
        return StorageLogin(f"{place}: the AWS login has expired ({code}); log in and run again")
    if code in _BAD_KEYS:
        return StorageLogin(f"{place}: AWS does not accept these credentials ({code})")
    if code == "RequestTimeTooSkewed":
        return StorageLogin(f"{place}: this machine's clock is wrong by more than AWS allows; set it right")
    if code in _REGION:
        return StorageError(f"{place}: the bucket lives in another region than the one in use; set region=")
    if code in {"PreconditionFailed", "ConditionalRequestConflict"}:
        return StorageConflict(f"{place}: somebody else wrote it, or it is there already")
    if code in {"SlowDown", "503", "RequestLimitExceeded"}:
        return StorageLost(f"{place}: S3 asks to slow down; use fewer workers and run again")
    return StorageError(f"{place}: {error.get('Message') or code} ({code})")


def _send_at_once(request: Any, **_: Any) -> None:
    """Small objects go without asking first (`Expect: 100-continue`), which costs a round trip each."""
    if isinstance(request.body, io.BytesIO) and request.body.getbuffer().nbytes <= _SMALL_BYTES:
        request.headers.pop("Expect", None)


def _parts() -> Any:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(
        multipart_threshold=SINGLE_PUT_BYTES, max_concurrency=10, preferred_transfer_client="classic"
    )


def _object(uri: str | S3Location) -> S3Location:
    place = parse_s3(uri)
    if not place.key:
        raise InvalidArgument(f"{place} names a bucket; an object needs a key too")
    return place


def _store(access: Access, connections: int) -> S3Store:
    return S3Store(access, connections=connections)


class _Ranges(io.RawIOBase):
    """Ranged reads of one object."""

    def __init__(self, store: S3Store, found: S3Object) -> None:
        super().__init__()
        self._store = store
        self._found = found
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._found.size}[whence]
        if base + offset < 0:
            raise OSError(f"{self._found.location}: cannot seek to {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        stop = min(self._found.size, self._position + len(view))
        data = self._store.get(self._found.location, self._position, stop) if stop > self._position else b""
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def keyed_access(endpoint_url: str, *, region: str = "us-east-1") -> Access:
    """Access to a server that takes any credentials, such as `tilekit.local`, whatever the surroundings say."""
    import boto3

    session = boto3.session.Session("local", "local", region_name=region)
    return Access(region, None, endpoint_url, session)
