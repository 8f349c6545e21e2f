"""Options of a command as one frozen value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import Any


def grouped(kind: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Hand the options that are fields of the dataclass `kind` to the command as one value, `options`.

    Stands right above the function, below click's decorators.
    """
    names = [field.name for field in fields(kind)]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def call(**given: Any) -> Any:
            options = kind(**{name: given.pop(name) for name in names})
            return command(**given, options=options)

        return call

    return decorate
