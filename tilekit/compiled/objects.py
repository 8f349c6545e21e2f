"""Objects on disk: what one is made from, where it lies, and the proof at its end that it is the right one."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

_FORMAT = 2
_SIZE = 4  # bytes at the end of a file that say how long what is told before them is
_WORD = re.compile(rb"\w+")
_HERE = Path(__file__).parent
SHIPPED = _HERE / "machine_code"
_SHAPES_CODE = ("decorators.py", "emitting.py", "signatures.py")


class MachineCode(NamedTuple):
    """An object, and what it calls that the process must have; linking aborts the process where that is missing.

    `shared`: it is a shared library, to be loaded from `path`.
    """

    code: bytes
    needs: tuple[str, ...] = ()
    shared: bool = False
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class ObjectRecipe:
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


def object_recipe(
    function: Callable[..., Any], signature: str, nogil: bool, interpreter: str, processor: str
) -> ObjectRecipe | None:
    """The recipe of a kernel, or None where its sources cannot be told: typed at a prompt, or in a closure."""
    try:
        sources = fingerprint(Path(function.__code__.co_filename).resolve(strict=True))
    except (OSError, KeyError):
        return None
    if function.__closure__ is not None:
        return None
    symbol = f"{function.__module__}.{function.__qualname__}".replace("<locals>.", "")
    return ObjectRecipe(
        symbol, function.__code__.co_firstlineno, signature, nogil, sources, interpreter, processor
    )


def fingerprint(file: Path) -> str:
    """Hash of a file of kernels, of all files beside it that it names, and those name, and of what makes code of them.

    A kernel may import nothing else (a test holds that), so no change that matters goes unseen.
    """
    texts = _sources(file.parent)
    needed, open_ends = {file.stem}, [file.stem]
    while open_ends:
        words = {word.decode() for word in _WORD.findall(texts[open_ends.pop()])}
        named = words & texts.keys()
        open_ends += named - needed
        needed |= named
    return _hash({stem: texts[stem] for stem in needed} | _shapes_code())


def fingerprint_of_all(folder: Path) -> str:
    """Hash of all files of kernels in a folder."""
    return _hash(_sources(folder) | _shapes_code())


def _hash(texts: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, text in sorted(texts.items()):
        digest.update(f"{name} {len(text)}\n".encode())
        digest.update(text)
    return digest.hexdigest()


@functools.cache
def _sources(folder: Path) -> dict[str, bytes]:
    return {file.stem: file.read_bytes() for file in folder.glob("*.py")}


@functools.cache
def _shapes_code() -> dict[str, bytes]:
    return {name: (_HERE / name).read_bytes() for name in _SHAPES_CODE}


def find(wanted: ObjectRecipe, compiler: str) -> MachineCode | None:
    """The object made from this very recipe, from the wheel or the user's cache, or None.

    One from the cache must come from the present compiler as well; one from the wheel was tested there as it is.
    """
    found = read(SHIPPED / wanted.file_name, wanted)
    if found is None and (place := cache_folder()) is not None:
        found = read(place / wanted.file_name, wanted, compiler)
    return found


def read(path: Path, wanted: ObjectRecipe, compiler: str | None = None) -> MachineCode | None:
    """An object's code where the file is whole and what is told behind it names this recipe (and compiler)."""
    try:
        data = path.read_bytes()
        size = int.from_bytes(data[-_SIZE:], "little")
        code, header = data[: -_SIZE - size], data[-_SIZE - size : -_SIZE]
        told = json.loads(header)
    except (OSError, ValueError):
        return None
    if not isinstance(told, dict) or told.get("recipe") != asdict(wanted):
        return None
    if compiler is not None and told.get("compiler") != compiler:
        return None
    made = MachineCode(code, tuple(told.get("needs", ())), bool(told.get("shared")), path)
    return made if told.get("sha256") == _seal(made) else None


def _seal(made: MachineCode) -> str:
    names = (*made.needs, str(made.shared))
    return hashlib.sha256(b"\0".join([*(name.encode() for name in names), made.code])).hexdigest()


def keep(folder: Path, made_from: ObjectRecipe, compiler: str, made: MachineCode) -> MachineCode:
    """Write an object beside and rename it, and give it with its place; raises OSError where that cannot be.

    What is told of it stands behind it, where it disturbs no loader of shared libraries.
    """
    told: dict[str, Any] = {
        "recipe": asdict(made_from),
        "compiler": compiler,
        "needs": made.needs,
        "shared": made.shared,
        "sha256": _seal(made),
    }
    header, path = json.dumps(told, sort_keys=True).encode(), folder / made_from.file_name
    write(path, made.code + header + len(header).to_bytes(_SIZE, "little"))
    return made._replace(path=path)


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
