"""Decode mutated files in a process of its own: `python mutants.py FOLDER`, one verdict a line."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import warnings
from pathlib import Path

LIMIT_S = 60.0
MAX_PIXELS = 20_000_000


def decode(path: Path) -> str:
    """ "whole", the name of one of our errors, or "WRONG ..." for anything else."""
    import tilekit as tk
    from tilekit.errors import ScanError

    try:
        for scan in tk.scan_pages(path, max_pixels=MAX_PIXELS, untrusted=True):
            heights = [97] * (scan.height // 97) + ([scan.height % 97] if scan.height % 97 else [])
            rows = sum(band.shape[0] for band in scan.bands_of_rows(heights))
            if rows != scan.height:
                return f"WRONG {rows} rows of {scan.height}"
            scan.read(0, 0, scan.width, min(50, scan.height))
            if scan.key.page > 3:
                break
    except ScanError as exc:
        if str(path) not in str(exc) or "\n" in str(exc):
            return f"WRONG message {exc}"
        return type(exc).__name__
    except BaseException as exc:  # noqa: BLE001 - that is what is being looked for
        return f"WRONG {type(exc).__name__}: {exc}"
    return "whole"


def main(folder: str) -> None:
    from tilekit.scans import vips

    vips.SMALL_BYTES = 40_000  # small files take the way of large ones
    faulthandler.enable()
    warnings.simplefilter("error")
    for path in sorted(Path(folder).iterdir()):
        print(f"start {path.name}", flush=True)
        timer = threading.Timer(LIMIT_S, lambda: os._exit(3))
        timer.daemon = True
        timer.start()
        print(f"end {path.name} {decode(path)}", flush=True)
        timer.cancel()


if __name__ == "__main__":
    main(sys.argv[1])
