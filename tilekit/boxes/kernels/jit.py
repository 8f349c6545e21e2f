"""The one decorator of all kernels: explicit signature, compiled on import, cached, nogil, serial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

_F = TypeVar("_F", bound=Callable[..., Any])

# Without numba's reference counting: no kernel makes arrays, and each argument is taken in 15 ns, not 35.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}


def kernel(signature: str, nogil: bool = True) -> Callable[[_F], _F]:
    """Compile for one signature; machine code is kept on disk where that is possible.

    numba looks for a writable place itself: beside the module, else the user's cache folder. Where
    there is none (read-only install, no home) or it is full, the kernel is compiled in memory.
    `nogil=False` is for what ends within a microsecond: giving the lock away and waiting for it costs as much.
    In signatures `RF`, `RI`, `RB`, `RH`, `R2` are read-only contiguous float64, int64, uint8, uint16,
    and (n, 4) float64; `F`, `I`, `S`, `B`, `F2`, `S2` are writable float64, int64,
    int32, uint8, and (n, m) float64 and int32.
    """
    types = _signature(signature)

    def compiled(function: _F) -> _F:
        try:
            made: _F = numba.njit(types, cache=True, nogil=nogil, **_OPTIONS)(function)
        except (RuntimeError, OSError):
            made = numba.njit(types, cache=False, nogil=nogil, **_OPTIONS)(function)
        return made

    return compiled


def inlined(function: _F) -> _F:
    """A small function that kernels of the same module call; compiled into its callers."""
    made: _F = numba.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)
    return made


def _signature(text: str) -> Any:
    array, types = numba.types.Array, numba.types
    names = {
        "RF": array(types.float64, 1, "C", readonly=True),
        "RI": array(types.int64, 1, "C", readonly=True),
        "RS": array(types.int32, 1, "C", readonly=True),
        "RB": array(types.uint8, 1, "C", readonly=True),
        "RH": array(types.uint16, 1, "C", readonly=True),
        "R2": array(types.float64, 2, "C", readonly=True),
        "F": array(types.float64, 1, "C"),
        "I": array(types.int64, 1, "C"),
        "S": array(types.int32, 1, "C"),
        "B": array(types.uint8, 1, "C"),
        "F2": array(types.float64, 2, "C"),
        "S2": array(types.int32, 2, "C"),
        "I2": array(types.int64, 2, "C"),
        "i": types.int64,
        "f": types.float64,
        "void": types.void,
    }
    result, _, rest = text.partition("(")
    return names[result](*(names[part.strip()] for part in rest.rstrip(")").split(",")))
