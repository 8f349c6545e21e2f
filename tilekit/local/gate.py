"""Who may come in: the names the server answers to, the pages that may call, what is asked of which service.

Pure questions; `serving` asks them. A name that a stranger's domain could have is no name of this server (a page
could otherwise be pointed at this machine), and a page from anywhere but this machine may ask nothing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

MOST_BODY = 1 << 30  # bytes of one S3 request: the service's largest manifest
MOST_CONNECTIONS = 256
IDLE_SECONDS = 60.0
CORS_HEADERS = (
    ("Access-Control-Allow-Methods", "GET, PUT, POST, DELETE, HEAD"),
    ("Access-Control-Expose-Headers", "ETag, x-amzn-RequestId, x-amzn-ErrorType"),
    ("Access-Control-Max-Age", "600"),
    ("Vary", "Origin"),
)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def host_names(host: str, more: Iterable[str] = ()) -> frozenset[str]:
    """The names a server bound to `host` answers to, beside loopback's own."""
    return frozenset(name.lower().strip("[]") for name in (host, *more))


def host_allowed(header: str | None, bound: str, names: frozenset[str]) -> bool:
    """Whether a Host header is one of this server's names.

    Loopback by name or address; the names given; and where the server listens beyond loopback any address
    in figures, since no stranger's domain is one. A missing header is HTTP/1.0, which no browser speaks.
    """
    if header is None:
        return True
    name = _host_of(header)
    if name is None:
        return False
    if name == "localhost" or name.endswith(".localhost") or name in names:
        return True
    address = _address(name)
    if address is None:
        return any(name.endswith("." + known) for known in names if _address(known) is None)
    return address.is_loopback or not is_loopback(bound)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server bound to `host`."""
    address = _address(host.strip("[]"))
    return host == "localhost" if address is None else address.is_loopback


def origin_allowed(origin: str | None) -> bool:
    """Whether a page of this origin may call: none named (no page), or a page of this machine."""
    if origin is None:
        return True
    parts = urlsplit(origin) if origin.startswith(("http://", "https://")) else None
    name = _host_of(parts.netloc) if parts is not None else None
    if name is None:
        return False
    address = _address(name)
    return name == "localhost" or name.endswith(".localhost") or (address is not None and address.is_loopback)


def cors_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """What a page of an allowed origin needs to read in the answer."""
    origin = headers.get("Origin")
    if origin is None or not origin_allowed(origin):
        return []
    asked = headers.get("Access-Control-Request-Headers", "")
    allowed = re.sub(r"[^A-Za-z0-9, -]", "", asked)[:2000]
    more = [("Access-Control-Allow-Headers", allowed)] if allowed else []
    return [("Access-Control-Allow-Origin", origin), *CORS_HEADERS, *more]


def is_motos_own(path: str) -> bool:
    """Whether a path is of moto's own pages, which reset, seed and show what it holds."""
    return unquote(path.partition("?")[0]).lstrip("/").lower().startswith("moto-api")


def bucket_problem(path: str, host: str | None) -> str | None:
    """What is wrong with the bucket's name in an S3 request; None for a good name or none."""
    name = _host_of(host) if host else None
    if name and name.endswith(".localhost"):
        bucket = name.removesuffix(".localhost").removesuffix(".s3")
        bucket = "" if bucket == "s3" else bucket
    else:
        bucket = unquote(path.partition("?")[0]).lstrip("/").partition("/")[0]
    if not bucket:
        return None
    good = _BUCKET.fullmatch(bucket) and ".." not in bucket and not re.fullmatch(r"[\d.]+", bucket)
    return None if good else "The specified bucket is not valid."


def _host_of(header: str) -> str | None:
    """The name in `name`, `name:port` or `[address]:port`; None where it is none of these."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?", header.strip())
    return found[1].strip("[]").lower().rstrip(".") if found else None


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
