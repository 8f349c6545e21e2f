"""All kernels of a room at once: whether they load without compiling, and making them so, as the wheel does."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import pkgutil
import tempfile
from pathlib import Path

from tilekit.compiled import objects


def is_ready(room: str) -> bool:
    """Whether every kernel of a room, as `tilekit.jpeg.kernels`, loads in milliseconds; loads nothing of it.

    A caller that has another way may take it while this is False, so that no user waits for a compiler.
    """
    from tilekit.compiled.loading import compiler, portable

    if not portable():
        return False
    cached = objects.cache_folder()
    return (objects.SHIPPED / mark(room)).exists() or (
        cached is not None and (cached / mark(room, compiler())).exists()
    )


def prepare(room: str) -> None:
    """Load every kernel of a room, compiling what is not there, and note in the user's cache that it is complete."""
    from tilekit.compiled.loading import compiler

    for module in pkgutil.iter_modules([str(_folder(room))]):
        importlib.import_module(f"{room}.{module.name}")
    if (folder := objects.cache_folder()) is not None:
        objects.write(folder / mark(room, compiler()), b"")


def mark(room: str, made_by: str = "wheel") -> str:
    """Name of the empty file that says: of these sources, for this interpreter and processor, all objects are here."""
    from tilekit.compiled.loading import interpreter, processor

    sources = objects.fingerprint_of_all(_folder(room))[:20]
    return f"{room}-{sources}-{interpreter()}-{processor()}-{made_by.replace(' ', '-')}.whole"


def _folder(room: str) -> Path:
    found = importlib.util.find_spec(room)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"no room of kernels is called {room}")
    return Path(next(iter(found.submodule_search_locations))).resolve()


def build(folder: Path) -> int:
    """Write every kernel of the package into a folder for the wheel, compiling what is not there; gives their number.

    In a process of its own: it loads all rooms of kernels, from a cache of its own that begins with what the user's
    has and is given back at the end; others may empty the user's meanwhile.
    """
    from tilekit.compiled.loading import compiler, loaded, portable

    if not portable():
        return 0
    users = objects.cache_folder()
    with tempfile.TemporaryDirectory(prefix="tilekit-build-") as own:
        if users is not None:
            _copy(users, Path(own, users.name))
        os.environ["NUMBA_CACHE_DIR"] = own
        top = Path(__file__).parents[1]
        for found in sorted(top.rglob("kernels/__init__.py")):
            room = ".".join(found.parent.relative_to(top.parent).parts)
            prepare(room)
            objects.write(folder / mark(room), b"")
        for recipe in loaded:
            if (made := objects.find(recipe, compiler())) is None:
                raise OSError(f"the object of {recipe.symbol} could not be kept in {own}; is the disk full?")
            objects.keep(folder, recipe, compiler(), made)
        if users is not None and (mine := objects.cache_folder()) is not None:
            _copy(mine, users)
    return len(loaded)


def _copy(source: Path, target: Path) -> None:
    """Objects of one cache into another that lacks them; what cannot be copied is compiled again."""
    for file in source.glob("*.kernel"):
        with contextlib.suppress(OSError):
            if not (target / file.name).exists():
                objects.write(target / file.name, file.read_bytes())
