"""The process that `tilekit.local.running` starts."""

from __future__ import annotations

import os
import sys

from tilekit.local.launch import run_launched

if __name__ == "__main__":
    code = run_launched()
    sys.stdout.flush()
    os._exit(code)  # a training or a detection under way is taken up again or given up, never waited for
