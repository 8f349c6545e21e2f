"""Detectors run over scans: `detect_tiles`, `detect_whole`, and many scans to one file.

For users, `archive`, `bench`, `demo` and `cli`. It owns the order of tiles, how many are in flight and how their boxes
become the page's; a detector owns its encoding and retries. It never starts or bills a model, and its results do not
depend on the number of workers.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
