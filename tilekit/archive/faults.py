"""Whose fault it was: the scan's, which is recorded, or the place's, which ends the run and is recorded nowhere."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tilekit.errors import (
    MissingExtra,
    ModelNotReady,
    QuotaExceeded,
    ServiceDenied,
    ServiceLost,
    ServiceThrottled,
    StorageDenied,
    StorageFull,
    StorageLost,
    TilekitError,
)
from tilekit.storage.local import FULL, LOST, PART_SUFFIX, storage_error

# what no other page would fare better with; EIO may be one scan's bad sector
_PLACE = FULL | (LOST - {errno.EIO}) | {errno.EMFILE, errno.ENFILE, errno.EROFS}
_WRITING = (
    StorageDenied,
    ServiceDenied,
    ServiceLost,
    QuotaExceeded,
    ModelNotReady,
    ServiceThrottled,
    MissingExtra,
)


def place_fault(error: BaseException, *, writing: bool) -> str:
    """Why no other page would fare better, or "" where it is this scan's own fault.

    `writing`: the scan was open already, so what is denied is the output or the model.
    """
    for found in _chain(error):
        if isinstance(found, (StorageFull, StorageLost)) or (writing and isinstance(found, _WRITING)):
            return str(error) if isinstance(error, TilekitError) else str(found)
        if isinstance(found, OSError) and found.errno in _PLACE:
            return (
                str(error)
                if isinstance(error, TilekitError)
                else str(storage_error(found, found.filename or "?"))
            )
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


class Watchman:
    """Looks whether the places of a run are still what they were when it began.

    A mount that went away leaves an empty folder, in which every scan seems to be missing.
    """

    def __init__(self, inputs: Sequence[str | os.PathLike[str]], out: str) -> None:
        self._out = None if out.startswith("s3://") else Path(out)
        folders = [os.fspath(item) for item in inputs if not os.fspath(item).startswith("s3://")]
        self._devices = {folder: _device(folder) for folder in [*folders, *([out] if self._out else [])]}

    def fault(self) -> str:
        """What is wrong with them, or ""."""
        for folder, device in self._devices.items():
            if device is not None and _device(folder) != device:
                return f"{folder}: is gone, or another disk is mounted there; run again when it is back"
        if self._out is None or not self._out.is_dir():
            return ""
        probe = self._out / f".probe-{os.getpid()}{PART_SUFFIX}"
        try:
            probe.write_bytes(bytes(4096))
        except OSError as exc:
            return str(storage_error(exc, self._out))
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()
        return ""


def _device(path: str) -> int | None:
    try:
        return os.stat(path).st_dev
    except OSError:
        return None
