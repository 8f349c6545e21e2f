"""Foreign errors in our sentences."""

from __future__ import annotations


def one_line(exc: BaseException) -> str:
    """What an error says, on one line of at most 200 characters; its type if it says nothing."""
    return " ".join(str(exc).split())[:200] or type(exc).__name__
