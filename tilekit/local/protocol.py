"""The wire: requests checked by botocore's own service model, answers and errors in JSON 1.1.

Shapes, patterns, lengths and enums come from botocore's `rekognition` model, so a wrong request
fails here for the reason it fails on the service. Errors carry `__type`, `Code`, `Logref` and
`Message` as the service's guide shows them (Rekognition guide, "Error components").
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

TARGET_PREFIX = "RekognitionService"
CONTENT_TYPE = "application/x-amz-json-1.1"
BODY_LIMIT = 10 * 1024 * 1024
_UNICODE_CLASSES = {r"\p{L}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s"}


class ServiceFault(Exception):
    """An error as the service words it: `code`, `message`, HTTP `status`."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


@lru_cache(maxsize=1)
def service_model() -> ServiceModel:
    """botocore's model of the service, API version 2016-06-27."""
    return ServiceModel(Loader().load_service_model("rekognition", "service-2"), "rekognition")


@lru_cache(maxsize=1)
def operation_names() -> frozenset[str]:
    """Every operation the service's model knows, done here or not."""
    return frozenset(service_model().operation_names)


def operation_of(target: str | None) -> str:
    """The operation named by an `X-Amz-Target` header; UnknownOperationException otherwise."""
    prefix, _, name = (target or "").partition(".")
    if prefix != TARGET_PREFIX or name not in operation_names():
        raise ServiceFault("UnknownOperationException", f"The operation {target!r} is not known.")
    return name


def parse_request(operation: str, body: bytes) -> dict[str, Any]:
    """The request's fields, blobs decoded, checked; unknown fields are dropped as the service does."""
    try:
        fields = json.loads(body or b"{}")
    except (ValueError, RecursionError) as exc:
        raise ServiceFault("SerializationException", "The request body is not valid JSON.") from exc
    if not isinstance(fields, dict):
        raise ServiceFault("SerializationException", "The request body is not a JSON object.")
    shape = service_model().operation_model(operation).input_shape
    problems: list[str] = []
    request = _read(shape, fields, "", problems)
    if problems:
        plural = "error" if len(problems) == 1 else "errors"
        raise ServiceFault(
            "ValidationException", f"{len(problems)} validation {plural} detected: {'; '.join(problems)}"
        )
    checked: dict[str, Any] = request
    return checked


def check_response(operation: str, answer: Mapping[str, Any]) -> list[str]:
    """What the service's model objects to in an answer; empty for a good one. Blobs are bytes."""
    shape = service_model().operation_model(operation).output_shape
    problems: list[str] = []
    if shape is not None:
        known = set(shape.members)
        problems += [f"{name}: not a field of {operation}'s answer" for name in answer if name not in known]
        try:
            _read(shape, dict(answer), "", problems)
        except ServiceFault as fault:
            problems.append(fault.message)
    return problems


def encode_answer(answer: Mapping[str, Any]) -> bytes:
    """The body of a good answer. Timestamps are given as epoch seconds."""
    return json.dumps(answer, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def encode_fault(fault: ServiceFault, request_id: str) -> bytes:
    """The body of an error."""
    fields = {"__type": fault.code, "Code": fault.code, "Logref": request_id, "Message": fault.message}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _read(shape: Any, value: Any, path: str, problems: list[str]) -> Any:
    readers = {"structure": _structure, "list": _list, "map": _map, "string": _string, "blob": _blob}
    if shape.type_name in readers:
        return readers[shape.type_name](shape, value, path, problems)
    if shape.type_name == "boolean":
        if not isinstance(value, bool):
            raise _wrong_type(path, "a boolean")
        return value
    if shape.type_name in ("integer", "long"):
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(path, "an integer")
        _bounds(shape, value, value, path, problems, "value")
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _wrong_type(path, "a number")
    _bounds(shape, value, value, path, problems, "value")
    return float(value)


def _structure(shape: Any, value: Any, path: str, problems: list[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong_type(path, "an object")
    missing = [name for name in shape.required_members if value.get(name) is None]
    problems += [_problem("null", _join(path, name), "Member must not be null") for name in missing]
    return {
        name: _read(member, value[name], _join(path, name), problems)
        for name, member in shape.members.items()
        if value.get(name) is not None
    }


def _list(shape: Any, value: Any, path: str, problems: list[str]) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong_type(path, "a list")
    _bounds(shape, len(value), value, path, problems, "length")
    return [
        _read(shape.member, item, f"{path}.{place + 1}.member", problems) for place, item in enumerate(value)
    ]


def _map(shape: Any, value: Any, path: str, problems: list[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong_type(path, "an object")
    _bounds(shape, len(value), value, path, problems, "length")
    for key in value:
        _read(shape.key, key, path, problems)
    return {key: _read(shape.value, item, path, problems) for key, item in value.items()}


def _string(shape: Any, value: Any, path: str, problems: list[str]) -> str:
    if not isinstance(value, str):
        raise _wrong_type(path, "a string")
    _bounds(shape, len(value), value, path, problems, "length")
    if shape.enum and value not in shape.enum:
        allowed = ", ".join(shape.enum)
        problems.append(_problem(value, path, f"Member must satisfy enum value set: [{allowed}]"))
    pattern = shape.metadata.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(value):
        problems.append(_problem(value, path, f"Member must satisfy regular expression pattern: {pattern}"))
    return value


def _blob(shape: Any, value: Any, path: str, problems: list[str]) -> bytes:
    if isinstance(value, bytes):
        data = value
    elif not isinstance(value, str):
        raise _wrong_type(path, "a base64 string")
    else:
        try:
            data = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as exc:
            raise ServiceFault(
                "SerializationException", f"{path or 'The value'} is not valid base64."
            ) from exc
    _bounds(shape, len(data), "binary data", path, problems, "length")
    return data


def _bounds(shape: Any, size: float, value: Any, path: str, problems: list[str], what: str) -> None:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    word = "have length" if what == "length" else "have value"
    if low is not None and size < low:
        problems.append(_problem(value, path, f"Member must {word} greater than or equal to {low}"))
    if high is not None and size > high:
        problems.append(_problem(value, path, f"Member must {word} less than or equal to {high}"))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    for java, python in _UNICODE_CLASSES.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern, re.DOTALL if pattern.startswith(r"^\{") else 0)


def _problem(value: Any, path: str, constraint: str) -> str:
    shown = str(value)
    shown = shown if len(shown) <= 200 else shown[:200] + "…"
    return f"Value '{shown}' at '{path}' failed to satisfy constraint: {constraint}"


def _join(path: str, name: str) -> str:
    lower = name[:1].lower() + name[1:]
    return f"{path}.{lower}" if path else lower


def _wrong_type(path: str, wanted: str) -> ServiceFault:
    return ServiceFault("SerializationException", f"{path or 'The request'} must be {wanted}.")
