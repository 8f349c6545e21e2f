"""What the processor is good at."""

from __future__ import annotations

from pathlib import Path


def has_bfloat16() -> bool:
    """Whether convolutions in bfloat16 are done by the processor itself; elsewhere they are slower, not faster."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "").split()
    return not {"amx_bf16", "avx512_bf16"}.isdisjoint(flags)
