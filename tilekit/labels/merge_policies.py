"""Merge policies in files, as `tilekit tune-merge` writes and `tilekit detect --merge` reads them."""

from __future__ import annotations

import json
import os

import msgspec

from tilekit.boxes.merging import MergePolicy
from tilekit.errors import InvalidArgument, LabelError
from tilekit.storage.local import storage_errors, write_text


def read_merge_policy(path: str | os.PathLike[str]) -> MergePolicy:
    """Read a policy: a JSON object of `MergePolicy`'s fields. Raises StorageNotFound, or LabelError naming the field."""
    with storage_errors(path), open(path, "rb") as file:
        raw = file.read()
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise LabelError(f"{path}: is not JSON: {exc}") from exc
    try:
        return MergePolicy.from_json(value)
    except InvalidArgument as exc:
        raise LabelError(f"{path}: {exc}") from exc


def write_merge_policy(policy: MergePolicy, path: str | os.PathLike[str]) -> None:
    """Write a policy; the file appears whole or not at all."""
    write_text(path, json.dumps(policy.to_json(), ensure_ascii=False, indent=2) + "\n")
