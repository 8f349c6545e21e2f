"""Tiles of scans for PyTorch: a map-style dataset, for whoever trains or runs a network of their own.

It asks `tiles` for pixels and `boxes` for what a tile shows of the page's labels. torch is imported on first use; the
room trains nothing and writes nothing.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
