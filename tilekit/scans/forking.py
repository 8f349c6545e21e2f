"""What libvips can no longer do after a fork.

Once it has computed pixels it has threads; a forked process has none of them and would wait for them without end.
"""

from __future__ import annotations

import os

from tilekit.errors import ScanError


class _State:
    computed = False  # in this process, or in one it was forked from
    cut_off = False


def _in_child() -> None:
    _State.cut_off = _State.computed


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def check_not_cut_off(name: str = "libvips") -> None:
    """Raises ScanError in a process that was forked after libvips had computed pixels."""
    if _State.cut_off:
        raise ScanError(
            f"{name}: cannot be read here, for this process was forked after its parent had read pixels, and libvips "
            'would wait without end; start processes by "spawn" or "forkserver" (multiprocessing.get_context), or '
            "read scans in them only"
        )


def about_to_compute() -> None:
    """Say that libvips is about to compute pixels. Raises ScanError as `check_not_cut_off`."""
    check_not_cut_off()
    _State.computed = True
