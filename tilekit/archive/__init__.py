"""Archives: many scans, each tiled, made a dataset of or detected on, resumable, on any `concurrent.futures.Executor`.

For users with thousands of scans, and for `cli`; nothing below calls it. One scan is one task, which writes its own
outputs and then one line of the ledger; a rerun skips what ledger and outputs prove done. It never schedules machines,
never stops at one bad scan, and holds no scan's pixels itself. Names load on first use: a worker that tiles need not
import what builds datasets or detects.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
