"""From an object to a callable: found or made, put into the process, called by the interpreter.

What was linked into a shared library is loaded as such; a bare object is linked here, by llvmlite.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import platform
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from tilekit.compiled import objects
from tilekit.compiled.signatures import Signature

_V3 = {
    "avx",
    "avx2",
    "bmi1",
    "bmi2",
    "f16c",
    "fma",
    "abm",
    "movbe",
    "popcnt",
    "sse4_2",
    "xsave",
}  # Linux' names
_linking = threading.Lock()
_BOUND = (np.ndarray, TypeError, SystemError)  # what entries find in their first argument
_kept: list[Any] = []  # what the interpreter points to for as long as it runs
loaded: list[objects.ObjectRecipe] = []  # what this process runs as objects


class _Method(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("text", ctypes.c_char_p),
    )


_FASTCALL = 0x80


def load(function: Callable[..., Any], text: str, signature: Signature, nogil: bool) -> Callable[..., Any]:
    """The kernel as machine code: from the wheel, the user's cache, or compiled now and kept for the next process."""
    wanted = objects.object_recipe(function, text, nogil, interpreter(), processor()) if portable() else None
    if wanted is None:
        from tilekit.compiled.emitting import by_numba

        return by_numba(function, signature, nogil)
    made = objects.find(wanted, compiler())
    if made is None:
        from tilekit.compiled.emitting import NotPortable, by_numba, emit
        from tilekit.compiled.linking import shared

        try:
            made = emit(function, signature, wanted.symbol, nogil, wanted.processor)
        except NotPortable:
            return by_numba(function, signature, nogil)
        if (folder := objects.cache_folder()) is not None:
            with contextlib.suppress(OSError):  # a full disk: compiled again next time
                made = objects.keep(folder, wanted, compiler(), shared(made))
    linked = link(made, wanted.symbol, function.__doc__)
    if linked is None:
        from tilekit.compiled.emitting import by_numba

        return by_numba(function, signature, nogil)
    loaded.append(wanted)
    return linked


@functools.cache
def portable() -> bool:
    """Whether this interpreter is one that objects are made for; checked, not believed."""
    return (
        sys.platform == "linux"
        and platform.machine() == "x86_64"
        and sys.implementation.name == "cpython"
        and object.__basicsize__ == 16  # neither without the lock, nor with counted references
        and int(np.__version__.split(".")[0]) == 2
        and _arrays_are_as_known()
    )


def interpreter() -> str:
    """What objects know of the interpreter: the layout of objects and arrays, and the calls of its stable interface."""
    return "cpython3-numpy2-linux"


@functools.cache
def processor() -> str:
    """The level of instructions that this processor has; objects are made for a level, not for one processor."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            told = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        told = ""
    return "x86-64-v3" if set(told.split()) >= _V3 else "x86-64"


def compiler() -> str:
    """The compiler that is installed; each numba asks for one llvmlite."""
    import llvmlite

    return f"llvmlite {llvmlite.__version__}"


def link(made: objects.MachineCode, symbol: str, text: str | None) -> Callable[..., Any] | None:
    """Put an object into the process and make a function of it; None where the process has not all that it calls."""
    address = _library(made, symbol) if made.shared else _linked(made, symbol)
    if address is None:
        return None
    method = _Method(symbol.rpartition(".")[2].encode(), address, _FASTCALL, (text or "").encode())
    _kept.append(method)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = (
        ctypes.py_object,
        (ctypes.POINTER(_Method), ctypes.py_object, ctypes.py_object),
    )
    linked: Callable[..., Any] = make(ctypes.byref(method), _BOUND, symbol.rpartition(".")[0])
    return linked


def _library(made: objects.MachineCode, symbol: str) -> int | None:
    """Address of the entry of a shared library."""
    try:
        library = ctypes.PyDLL(str(made.path))
    except OSError:  # on a disk from which nothing may run, or where the interpreter hides what it calls
        return None
    _kept.append(library)
    return ctypes.cast(library[symbol], ctypes.c_void_p).value


def _linked(made: objects.MachineCode, symbol: str) -> int | None:
    """Address of the entry of a bare object, which llvmlite links."""
    from llvmlite import binding

    with _linking:
        engine = _engine()
        if not all(binding.address_of_symbol(name) for name in made.needs):
            return None
        engine.add_object_file(binding.ObjectFileRef.from_data(made.code))
        engine.finalize_object()
        return int(engine.get_function_address(symbol))


@functools.cache
def _engine() -> Any:
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine()
    return binding.create_mcjit_compiler(binding.parse_assembly(""), machine)


def _arrays_are_as_known() -> bool:
    """Whether the fields of arrays lie where numpy's headers put them for every extension."""
    sample = np.zeros((3, 5), np.int32)
    start, kind = id(sample), id(sample.dtype)
    shape = ctypes.c_void_p.from_address(start + 32).value or 0
    bound = id(_BOUND)
    sealed = sample.view()
    sealed.flags.writeable = False
    return (
        ctypes.c_void_p.from_address(start + 8).value == id(np.ndarray)
        and ctypes.c_void_p.from_address(start + 16).value == sample.ctypes.data
        and ctypes.c_int.from_address(start + 24).value == 2
        and list((ctypes.c_ssize_t * 2).from_address(shape)) == [3, 5]
        and ctypes.c_void_p.from_address(start + 56).value == kind
        and ctypes.c_int.from_address(start + 64).value & 0x501 == 0x501
        and ctypes.c_int.from_address(id(sealed) + 64).value & 0x501 == 0x101
        and ctypes.c_char.from_address(kind + 26).value in b"=<"
        and ctypes.c_int.from_address(kind + 28).value == sample.dtype.num
        and [ctypes.c_void_p.from_address(bound + at).value for at in (24, 32, 40)] == list(map(id, _BOUND))
    )
