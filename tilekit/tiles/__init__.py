"""Tiles: read from a scan in one streaming pass, encoded, written, named, indexed, and joined again.

For users and the rooms above. It asks `grid` where tiles are and `scans` for pixels, and bounds what is in flight in
bytes. It never reads a row twice, never decides what is in a tile, and gives the same bytes for any number of
workers.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
