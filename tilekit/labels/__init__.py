"""Label files: every format people keep boxes in, read to and written from one `LabelSet`; checks, merges, statistics.

For users and the rooms above. One module a format, found by content. It turns each file's own form of a box into base
pixels and back. It never trains or uploads, never drops a label in silence, and asks `scans` only for a page's size.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
