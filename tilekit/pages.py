"""PageKey: the identity of a page everywhere: labels, predictions, ledgers, JSON lines."""

from __future__ import annotations

import re
from typing import NamedTuple

from tilekit.errors import InvalidArgument

_FRAGMENT = re.compile(r"^(?P<source>.+)#page=(?P<number>[0-9]+)$", re.DOTALL)


class PageKey(NamedTuple):
    """A page: the scan file's path or URL as given, and the zero-based page in it."""

    source: str
    page: int = 0

    def __str__(self) -> str:
        """Text form, which alone counts pages from one: `file.pdf#page=3` is page 2."""
        return f"{self.source}#page={self.page + 1}" if self.page else self.source

    @classmethod
    def parse(cls, text: str) -> PageKey:
        """Read the text form; `file.pdf` alone is its first page.

        Raises InvalidArgument for `#page=0`, since the text form counts from one.
        """
        found = _FRAGMENT.match(text)
        if found is None:
            return cls(text, 0)
        number = int(found["number"])
        if number < 1:
            raise InvalidArgument(f"{text!r}: pages count from one in this form; the first is #page=1")
        return cls(found["source"], number - 1)
