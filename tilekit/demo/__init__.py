"""The whole story on one machine: the same pages whole and in tiles, each trained, run and judged alike.

Pages are made (or a user's own are taken), labels carried to tiles, one model is trained on whole pages and
one on tiles, both find the symbols on the same test pages, and what was found is compared. On a local server,
or with a bucket on the real service: the code is the same. Test pages take no part in training or thresholds.
"""

from tilekit.demo.outcome import DemoOutcome
from tilekit.demo.pages import FULL, MIXED_TABLE, QUICK, DemoPages, DemoScale, make_pages, user_pages
from tilekit.demo.steps import run_demo

__all__ = [
    "FULL",
    "MIXED_TABLE",
    "QUICK",
    "DemoOutcome",
    "DemoPages",
    "DemoScale",
    "make_pages",
    "run_demo",
    "user_pages",
]
