"""Evaluation: predictions matched with truth on whole pages, figures with their intervals, two of them compared.

Used by the command line, reports and demos, and by anyone who has labels and detections of the same pages. It reads no
pixels, trains nothing and calls no service; the only matching of boxes with truth is in `matching`.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
