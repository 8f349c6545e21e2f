"""An object made a shared library, by the linker of the machine that compiles, where it has one."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tilekit.compiled.objects import MachineCode

# No libraries are named: what a kernel calls of libc and libm is there in every interpreter, of any version.
_OPTIONS = ("-shared", "-z", "noexecstack", "-z", "now", "--build-id=none", "--strip-all")
_SECONDS = 60


def shared(made: MachineCode) -> MachineCode:
    """The object as a shared library; itself where no linker is at hand, or it fails."""
    linker = shutil.which("ld") or shutil.which("ld.lld")
    if linker is None:
        return made
    try:
        with tempfile.TemporaryDirectory() as folder:
            given, out = Path(folder, "kernel.o"), Path(folder, "kernel.so")
            given.write_bytes(made.code)
            command = [linker, *_OPTIONS, "-o", str(out), str(given)]
            subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
            return made._replace(code=out.read_bytes(), shared=True)
    except (OSError, subprocess.SubprocessError):
        return made
