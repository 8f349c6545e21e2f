"""Compiles the kernels while a wheel is built, so that nobody's first call waits for a compiler."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileKernels(BuildHookInterface):
    """Puts machine code for this platform beside the sources; elsewhere numba compiles on first use."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile into a folder that only this build sees, and add what is there to the wheel."""
        if (
            version != "standard"
        ):  # an editable install compiles on first use and keeps it in the user's cache
            return
        self.folder = tempfile.TemporaryDirectory()
        command = "import pathlib, sys; from tilekit.compiled.packages import build; print(build(pathlib.Path(sys.argv[1])))"
        subprocess.run(
            [sys.executable, "-c", command, self.folder.name],
            # Before what pip put there: an environment for building is nothing else than that.
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, [self.root, os.environ.get("PYTHONPATH")])),
            },
            check=True,
        )
        build_data["force_include"].update(
            {
                str(file): f"tilekit/compiled/machine_code/{file.name}"
                for file in sorted(Path(self.folder.name).iterdir())
            }
        )

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        if version == "standard":
            self.folder.cleanup()
