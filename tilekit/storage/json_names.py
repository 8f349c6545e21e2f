r"""JSON by msgspec that also holds names of files that are not UTF-8.

Python has such bytes as surrogate escapes; JSON has those as `\udcXX`, which msgspec neither writes nor reads.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")


def encoded(value: Any) -> bytes:
    """The value as JSON."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        text = json.dumps(
            msgspec.to_builtins(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        return text.encode("utf-8", "backslashreplace")


def decoded(decoder: msgspec.json.Decoder[_T], raw: bytes | memoryview) -> _T:
    """What `decoder` reads. Raises as it does: msgspec.DecodeError, UnicodeDecodeError, RecursionError."""
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as exc:
        if "surrogate" not in str(exc):
            raise
        try:
            value = json.loads(bytes(raw))
            json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")
        except ValueError:  # no JSON, or a lone surrogate that stands for no byte
            raise exc from None
        found: _T = msgspec.convert(value, decoder.type)  # its type is Any from msgspec 0.23 on
        return found


def parts(raw: bytes) -> dict[str, msgspec.Raw] | list[msgspec.Raw]:
    """An object or a list, whose values are left as bytes. Raises as `decoded` does."""
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw] | list[msgspec.Raw])
    except msgspec.DecodeError as exc:
        if "surrogate" not in str(exc):
            raise
        value = decoded(msgspec.json.Decoder(dict[str, Any] | list[Any]), raw)
        if isinstance(value, list):
            return [msgspec.Raw(encoded(part)) for part in value]
        return {name: msgspec.Raw(encoded(part)) for name, part in value.items()}


def fields(raw: bytes) -> dict[str, msgspec.Raw]:
    """An object, whose values are left as bytes. Raises as `decoded` does."""
    found = parts(raw)
    if isinstance(found, list):
        raise msgspec.ValidationError("Expected `object`, got `array`")
    return found
