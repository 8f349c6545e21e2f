"""tilekit: tile very large scans, carry labels, detect on tiles, merge, and prove the gain.

The public names are in `__init__.pyi`, which editors read too; each is loaded on first use, so `import tilekit` costs
next to nothing. What fewer people need is under its room, as `tilekit.boxes.giou`.
"""

from lazy_loader import attach_stub

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
