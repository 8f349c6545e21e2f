"""Signatures of AWS, version 4: who signed a request, and whether with the key of the one who is said to.

A key's account is the one given with it. Without keys any signature will do, and a key that is a number of 12
digits stands for the account of that number, so that a copy between two accounts can be tried.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, unquote

from tilekit.errors import InvalidArgument, StorageError
from tilekit.local.accounts import ACCOUNT
from tilekit.local.protocol import ServiceFault

ALGORITHM = "AWS4-HMAC-SHA256"
_AGE = 15 * 60  # seconds a signature is good for, on AWS and here
_SCOPE = re.compile(r"([^/,\s]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
_FIELD = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]+)")
_UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True, slots=True)
class Key:
    """A secret and the account it belongs to."""

    secret: str
    account: str = ACCOUNT


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came: `path` with its query, header names in any case, `digest` of its body in hex."""

    method: str
    path: str
    headers: Mapping[str, str]
    digest: str


@dataclass(frozen=True, slots=True)
class Signature:
    """What a request says of its signature. `presigned`: it stands in the query."""

    access_key: str
    day: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    value: str
    presigned: bool


def read_signature(request: Request) -> Signature | None:
    """The signature of a request, None where it has none; ServiceFault for one that cannot be read."""
    authorization = request.headers.get("Authorization", "")
    query = dict(parse_qsl(request.path.partition("?")[2], keep_blank_values=True))
    if authorization:
        fields = dict(_FIELD.findall(authorization)) if authorization.startswith(ALGORITHM) else {}
    elif "X-Amz-Signature" in query:
        fields = {
            name: query.get(f"X-Amz-{name}", "") for name in ("Credential", "SignedHeaders", "Signature")
        }
    else:
        return None
    scope = _SCOPE.fullmatch(fields.get("Credential", ""))
    if scope is None or not fields.get("Signature"):
        raise ServiceFault(
            "IncompleteSignatureException",
            "Authorization header requires 'Credential' and 'Signature' parameters.",
        )
    names = tuple(fields.get("SignedHeaders", "").split(";"))
    key, day, region, service = scope.groups()
    return Signature(key, day, region, service, names, fields["Signature"], presigned=not authorization)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that may sign; none known: anyone may."""

    known: Mapping[str, Key]

    def account(self, access_key: str) -> str:
        """The account of an access key."""
        key = self.known.get(access_key)
        if key is not None:
            return key.account
        return access_key if re.fullmatch(r"\d{12}", access_key) else ACCOUNT

    def check(self, request: Request, signature: Signature) -> None:
        """ServiceFault where keys are known and this signature is not by one of them, or too old."""
        if not self.known:
            return
        key = self.known.get(signature.access_key)
        if key is None:
            raise ServiceFault(
                "UnrecognizedClientException", "The security token included in the request is invalid."
            )
        moment, seconds = _validity(request, signature)
        age = (datetime.now(UTC) - moment).total_seconds()
        if not -_AGE <= age <= seconds:
            raise ServiceFault(
                "InvalidSignatureException", f"Signature expired or not yet valid: {moment:%Y%m%dT%H%M%SZ}."
            )
        if not hmac.compare_digest(sign(request, signature, key.secret), signature.value):
            raise ServiceFault(
                "InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided.",
            )
        claimed = _header(request, "x-amz-content-sha256")
        if re.fullmatch(r"[0-9a-f]{64}", claimed) and claimed != request.digest:
            raise ServiceFault("InvalidSignatureException", "The body is not the one that was signed.")


def sign(request: Request, signature: Signature, secret: str) -> str:
    """The signature that the holder of `secret` would give this request."""
    moment, _ = _validity(request, signature)
    scope = f"{signature.day}/{signature.region}/{signature.service}/aws4_request"
    canonical = hashlib.sha256(_canonical(request, signature).encode()).hexdigest()
    text = "\n".join([ALGORITHM, f"{moment:%Y%m%dT%H%M%SZ}", scope, canonical])
    key = f"AWS4{secret}".encode()
    for part in (signature.day, signature.region, signature.service, "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


def _canonical(request: Request, signature: Signature) -> str:
    # S3 signs the path as it is sent; the other services have one path only.
    sent, _, asked = request.path.partition("?")
    path = quote(unquote(sent), safe="/-_.~") or "/"
    pairs = [
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(asked, keep_blank_values=True)
        if name != "X-Amz-Signature"
    ]
    headers = "".join(
        f"{name}:{' '.join(_header(request, name).split())}\n" for name in signature.signed_headers
    )
    payload = _header(request, "x-amz-content-sha256") or (
        _UNSIGNED if signature.presigned else request.digest
    )
    query = "&".join(f"{name}={value}" for name, value in sorted(pairs))
    return "\n".join([request.method, path, query, headers, ";".join(signature.signed_headers), payload])


def _validity(request: Request, signature: Signature) -> tuple[datetime, float]:
    """When a request was signed and how many seconds the signature is good for."""
    query = dict(parse_qsl(request.path.partition("?")[2])) if signature.presigned else {}
    text = query.get("X-Amz-Date", "") or _header(request, "x-amz-date")
    try:
        moment = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        seconds = float(min(int(query["X-Amz-Expires"]), 604800)) if signature.presigned else float(_AGE)
    except (ValueError, KeyError) as exc:
        raise ServiceFault("IncompleteSignatureException", "X-Amz-Date is missing or is no date.") from exc
    if signature.day != f"{moment:%Y%m%d}":
        raise ServiceFault("InvalidSignatureException", "Date in Credential scope does not match X-Amz-Date.")
    return moment, seconds


def _header(request: Request, name: str) -> str:
    return next((value for known, value in request.headers.items() if known.lower() == name.lower()), "")


KeySource = str | os.PathLike[str] | Mapping[str, str | Key]


def read_keys(source: KeySource | None) -> Keys:
    """Keys from a JSON file or a mapping: access key to its secret, or to {"secret": ..., "account": ...}.

    Raises StorageError for an unreadable file, InvalidArgument for anything else that is wrong.
    """
    if source is None:
        return Keys({})
    entries: object = source
    if isinstance(source, (str, os.PathLike)):
        try:
            with open(source, encoding="utf-8") as file:
                entries = json.load(file)
        except OSError as exc:
            raise StorageError(f"{source}: the keys file cannot be read: {exc.strerror or exc}") from exc
        except ValueError as exc:
            raise InvalidArgument(f"{source}: the keys file is not JSON: {exc}") from exc
    if not isinstance(entries, Mapping) or not entries:
        raise InvalidArgument("keys: give an object of access keys, each with its secret")
    return Keys({str(name): _key(str(name), entry) for name, entry in entries.items()})


def _key(name: str, entry: object) -> Key:
    if isinstance(entry, Key):
        found = entry
    elif isinstance(entry, str):
        found = Key(entry)
    elif isinstance(entry, Mapping) and set(entry) <= {"secret", "account"} and "secret" in entry:
        found = Key(str(entry["secret"]), str(entry.get("account", ACCOUNT)))
    else:
        raise InvalidArgument(f'keys, {name}: give its secret, or {{"secret": ..., "account": ...}}')
    if not found.secret or not re.fullmatch(r"\d{12}", found.account):
        raise InvalidArgument(f"keys, {name}: the secret must not be empty and the account has 12 digits")
    return found
