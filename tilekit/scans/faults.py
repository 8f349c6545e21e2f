"""Foreign errors in our sentences, and pages of no size or too large a one."""

from __future__ import annotations

from tilekit.errors import ScanCorrupt, ScanTooLarge
from tilekit.pages import PageKey


def one_line(exc: BaseException) -> str:
    """What an error says, on one line of at most 200 characters; its type if it says nothing."""
    return " ".join(str(exc).split())[:200] or type(exc).__name__


def check_size(key: PageKey, width: int, height: int, max_pixels: int) -> None:
    """Raises ScanCorrupt for a page without pixels, ScanTooLarge above `max_pixels`."""
    if width < 1 or height < 1:
        raise ScanCorrupt(f"{key}: says it is {width} x {height} px; a page needs at least one pixel")
    if width * height > max_pixels:
        raise ScanTooLarge(
            f"{key}: has {width} x {height} = {width * height:,} px, over the limit of {max_pixels:,}; "
            "pass a larger max_pixels if you trust it"
        )
