"""What a caller of open_scan asked for, checked, as every reader takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tilekit.pages import PageKey
from tilekit.rendition import Rendition
from tilekit.scans.sniffing import Format
from tilekit.scans.source import Source

DEFAULT_BUDGET = 4 << 30
Dpi = float | Literal["native"] | None


@dataclass(frozen=True)
class Request:
    """A page of a source, and how it is wanted: see `open_scan`.

    `rendition` None: only what is known without pixels is asked for, and nothing is refused for its values.
    """

    source: Source
    form: Format
    page: int
    dpi: Dpi
    max_pixels: int
    rendition: Rendition | None = field(default_factory=Rendition)
    budget: int = DEFAULT_BUDGET

    @property
    def key(self) -> PageKey:
        """The page asked for."""
        return PageKey(self.source.name, self.page)

    @property
    def number(self) -> float | None:
        """The resolution as a number; "native" means nothing to a raster."""
        return None if isinstance(self.dpi, str) else self.dpi
