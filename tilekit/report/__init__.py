"""The HTML report and page viewer: what was found, missed and invented, to look at in a browser without a server.

For users, `demo` and `cli`. It draws from an evaluation and the scans it is about, into one folder that can be sent
on. It never computes figures of its own, never fetches anything from the net, and never changes what it reports.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
