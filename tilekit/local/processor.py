"""What trains here: the graphics processor where torch has one, else the processor and what it is good at."""

from __future__ import annotations

from pathlib import Path

import torch


def training_device() -> torch.device:
    """Where a network learns: CUDA's first device where this build of torch sees one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bfloat16(device: torch.device) -> bool:
    """Whether convolutions in bfloat16 are done by the device itself; elsewhere they are slower, not faster."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "").split()
    return not {"amx_bf16", "avx512_bf16"}.isdisjoint(flags)
