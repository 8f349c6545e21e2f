"""Types of option values that several commands take."""

from __future__ import annotations

from typing import Any

import click


class Overlap(click.ParamType[Any]):
    """A whole number is px, one with a point a ratio of the tile."""

    name = "px|ratio"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Int or float; `Tiling` checks its range."""
        try:
            return value if not isinstance(value, str) else float(value) if "." in value else int(value)
        except ValueError:
            self.fail(f"{value!r} is neither px (128) nor a ratio (0.125)", param, ctx)


class Dpi(click.ParamType[Any]):
    """A number, or "native"."""

    name = "dpi"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Float, or the word."""
        try:
            return value if value == "native" else float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor native", param, ctx)
