"""`kernel` and `inlined`, under which every kernel is written; neither imports numba unless it must compile."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

from tilekit.compiled.signatures import parse

_F = TypeVar("_F", bound=Callable[..., Any])


def kernel(signature: str, nogil: bool = True) -> Callable[[_F], _F]:
    """Machine code for one signature (see `signatures.parse`); serial, without the lock of the interpreter.

    `nogil=False` is for what ends within a microsecond: giving the lock away and waiting for it costs as much.
    With numba's own NUMBA_DISABLE_JIT=1 a kernel stays plain Python.
    """
    parsed = parse(signature)

    def compiled(function: _F) -> _F:
        if plain_python():
            return function
        from tilekit.compiled.loading import load

        return cast(_F, load(function, signature, parsed, nogil))

    return compiled


def inlined(function: _F) -> _F:
    """A small function that kernels call, of the same or another module of their room; compiled into its callers."""
    return cast(_F, Inlined(function))


class Inlined:
    """Stands for the function until a kernel that calls it is compiled."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.compiled: Any = None
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        """As plain Python, with NUMBA_DISABLE_JIT=1."""
        return self.function(*arguments)

    @functools.cached_property
    def _numba_type_(self) -> Any:
        """What numba asks a global for: the type of the function compiled for inlining."""
        from tilekit.compiled.emitting import for_inlining

        self.compiled = for_inlining(self.function)  # the type only points to it
        return self.compiled._numba_type_


def plain_python() -> bool:
    """Whether numba is told, by its own variable, not to compile."""
    return os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
