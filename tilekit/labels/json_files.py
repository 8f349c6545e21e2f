"""Reading JSON label files: what breaks is said in one sentence with the file."""

from __future__ import annotations

import os
from typing import Any

from tilekit.errors import LabelError
from tilekit.labels.files import read_bytes
from tilekit.labels.sources import PathLike
from tilekit.rekognition.lines import decode_plain


def read_json(path: PathLike) -> Any:
    """The document; LabelError where it is none."""
    try:
        return decode_plain(read_bytes(path))
    except ValueError as exc:
        raise LabelError(f"{os.fspath(path)}: {exc}") from exc


def read_json_object(path: PathLike, *needed: str) -> dict[str, Any]:
    """The document, an object with these keys."""
    document = read_json(path)
    lacking = [key for key in needed if not isinstance(document, dict) or key not in document]
    if not isinstance(document, dict) or lacking:
        raise LabelError(f"{os.fspath(path)}: is not an object with {', '.join(needed or ('keys',))}")
    return document
