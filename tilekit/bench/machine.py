"""The machine a run was made on, and whether it has room for what is asked."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tilekit
from tilekit.errors import InvalidArgument, StorageFull

PACKAGES = (
    "numpy",
    "pyvips",
    "pyvips-binary",
    "numba",
    "simplejpeg",
    "imagecodecs",
    "isal",
    "boto3",
    "pillow",
    "s3transfer",
)


def machine() -> dict[str, Any]:
    """Processor, cores, memory and system, as far as the machine tells."""
    return {
        "name": platform.node(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(total_memory() / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else [],
    }


def versions(packages: Sequence[str] = ()) -> dict[str, str | None]:
    """Versions of tilekit, of what it stands on and of `packages`; None where one is not installed."""
    found: dict[str, str | None] = {"tilekit": tilekit.__version__}
    for name in dict.fromkeys((*PACKAGES, *packages)):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def machine_slug() -> str:
    """A short name for files: processor and cores."""
    words = re.sub(r"[^a-z0-9]+", "-", f"{platform.machine()}-{os.cpu_count()}cores".lower())
    return words.strip("-")


def total_memory() -> int:
    """Bytes of memory of this machine or its control group."""
    from tilekit.archive.admitting import machine_memory

    return machine_memory()


def free_memory() -> int:
    """Bytes that new work can take without swapping."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable"):
                return min(int(line.split()[1]) * 1024, total_memory())
    return total_memory() // 2


def require_room(what: str, folder: Path, disk: int, memory: int) -> None:
    """Say before the start that `disk` or `memory` bytes are not there.

    Raises StorageFull for the disk of `folder`, InvalidArgument for the memory, with both figures.
    """
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if disk > free:
        raise StorageFull(f"{what} needs {_gb(disk)} of disk at {folder}; {_gb(free)} are free")
    if memory > free_memory():
        raise InvalidArgument(
            f"{what} needs {_gb(memory)} of memory; {_gb(free_memory())} are free: choose a smaller size"
        )


def energy_joules() -> float | None:
    """The processor's energy counter, where the machine tells (Linux powercap); None elsewhere."""
    total, found = 0, False
    for path in Path("/sys/class/powercap").glob("intel-rapl:[0-9]/energy_uj"):
        with contextlib.suppress(OSError, ValueError):
            total, found = total + int(path.read_text()), True
    return total / 1e6 if found else None


def today() -> str:
    """The date in UTC, for file names."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
