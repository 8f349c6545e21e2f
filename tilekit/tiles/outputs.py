"""Which sink an output is: what a caller calls a place, as tiles are written there."""

from __future__ import annotations

import os
from pathlib import Path

from tilekit.errors import InvalidArgument
from tilekit.tiles.sinks import CallableSink, FolderSink, S3Sink, Sink


def sink_for(out: object) -> Sink:
    """The sink for a folder, `*.zip`, `*.tar`, `s3://` address, function, or a Sink itself."""
    if isinstance(out, Sink):
        return out
    if callable(out):
        return CallableSink(out)
    if not isinstance(out, (str, os.PathLike)):
        raise InvalidArgument(f"out={out!r} must be a path, an s3:// address or a function(name, data)")
    text = os.fspath(out)
    if text.startswith("s3://"):
        return S3Sink(text)
    if Path(text).is_dir():
        return FolderSink(text)
    suffix = Path(text).suffix.lower()
    if suffix not in (".zip", ".tar"):
        return FolderSink(text)
    from tilekit.tiles.containers import TarSink, ZipSink

    return ZipSink(text) if suffix == ".zip" else TarSink(text)
