"""Scans: `open_scan` and the readers, one file a family of formats, as upright 8-bit gray or sRGB; encoding of tiles.

For `tiles` and every room above that needs pixels or sizes. It finds the format by content, converts color and depth
on opening, and answers for windows at any scale. It never guesses where a file is damaged (it refuses in words), never
holds a scan whole, and knows no tiling.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
