"""Objects on disk: what one is made from, where it lies, and the proof in its header that it is the right one."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_FORMAT = 1
_HERE = Path(__file__).parent
SHIPPED = _HERE / "objects"
_SHAPES_CODE = ("decorators.py", "emitting.py", "signatures.py")


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides about the machine code of one kernel; two equal recipes give interchangeable objects."""

    symbol: str
    line: int
    signature: str
    nogil: bool
    sources: str
    interpreter: str
    processor: str
    format: int = _FORMAT

    @property
    def key(self) -> str:
        """Short name of the recipe."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:20]

    @property
    def file_name(self) -> str:
        """Name of the object's file."""
        return f"{self.symbol}-{self.key}.kernel"


def recipe(
    function: Callable[..., Any], signature: str, nogil: bool, interpreter: str, processor: str
) -> Recipe | None:
    """The recipe of a kernel, or None where its sources cannot be told: typed at a prompt, or in a closure."""
    try:
        folder = Path(function.__code__.co_filename).resolve(strict=True).parent
        sources = fingerprint(folder)
    except OSError:
        return None
    if function.__closure__ is not None:
        return None
    symbol = f"{function.__module__}.{function.__qualname__}".replace("<locals>.", "")
    return Recipe(
        symbol, function.__code__.co_firstlineno, signature, nogil, sources, interpreter, processor
    )


@functools.cache
def fingerprint(folder: Path) -> str:
    """Hash of all sources beside a kernel, which are all it may import, and of what makes code of them."""
    digest = hashlib.sha256()
    for file in [*sorted(folder.glob("*.py")), *(_HERE / name for name in _SHAPES_CODE)]:
        text = file.read_bytes()
        digest.update(f"{file.name} {len(text)}\n".encode())
        digest.update(text)
    return digest.hexdigest()


def find(wanted: Recipe, compiler: str) -> bytes | None:
    """The object made from this very recipe, from the wheel or the user's cache, or None.

    One from the cache must come from the present compiler as well; one from the wheel was tested there as it is.
    """
    found = read(SHIPPED / wanted.file_name, wanted)
    if found is None and (place := cache_folder()) is not None:
        found = read(place / wanted.file_name, wanted, compiler)
    return found


def read(path: Path, wanted: Recipe, compiler: str | None = None) -> bytes | None:
    """An object's code where the file is whole and its header names this recipe (and compiler)."""
    try:
        header, _, code = path.read_bytes().partition(b"\n")
        told = json.loads(header)
    except (OSError, ValueError):
        return None
    if not isinstance(told, dict) or told.get("recipe") != asdict(wanted):
        return None
    if compiler is not None and told.get("compiler") != compiler:
        return None
    return code if told.get("sha256") == hashlib.sha256(code).hexdigest() else None


def keep(folder: Path, made_from: Recipe, compiler: str, code: bytes) -> None:
    """Write an object beside and rename it; raises OSError where that cannot be."""
    told: dict[str, Any] = {
        "recipe": asdict(made_from),
        "compiler": compiler,
        "sha256": hashlib.sha256(code).hexdigest(),
    }
    write(folder / made_from.file_name, json.dumps(told, sort_keys=True).encode() + b"\n" + code)


def write(path: Path, data: bytes) -> None:
    """Write beside and rename."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".making-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def cache_folder() -> Path | None:
    """The user's own folder for objects, or None where there is none that only the user can write to."""
    for base in _cache_bases():
        folder = base / "tilekit-kernels"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            state = folder.stat()
        except OSError:
            continue
        if not hasattr(os, "geteuid") or (state.st_uid == os.geteuid() and not state.st_mode & 0o022):
            return folder
    return None


def _cache_bases() -> Iterator[Path]:
    if asked := os.environ.get("NUMBA_CACHE_DIR"):  # where a user of numba wants compiled code to be
        yield Path(asked)
        return
    if asked := os.environ.get("XDG_CACHE_HOME"):
        yield Path(asked)
    if (home := os.path.expanduser("~")) != "~" and sys.platform != "win32":
        yield Path(home, ".cache")
