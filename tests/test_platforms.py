"""Every module is imported where what only Unix has is missing, as on Windows."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import importlib, os, pkgutil, signal, sys
import tilekit

def every():
    for found in pkgutil.walk_packages(tilekit.__path__, "tilekit."):
        if not found.name.endswith(".__main__"):
            yield found.name

names = list(every())
for name in names:  # other libraries first, which have their own ways on Windows
    importlib.import_module(name)
for name in [name for name in sys.modules if name == "tilekit" or name.startswith("tilekit.")]:
    del sys.modules[name]
for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty"):
    sys.modules[name] = None
for name in ("fork", "sysconf", "pread", "getuid", "geteuid", "sched_getaffinity", "register_at_fork", "killpg", "setsid",
             "statvfs", "sync", "uname", "getloadavg", "chown", "fchmod", "O_DIRECTORY", "O_NOFOLLOW"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "alarm", "setitimer"):
    if hasattr(signal, name):
        delattr(signal, name)
import tilekit as tk
for name in names:
    importlib.import_module(name)

import tempfile
from pathlib import Path
import numpy as np
from tilekit.archive.admitting import usable_memory
from tilekit.scans.encoding import encode_image
import pytest

with tempfile.TemporaryDirectory() as folder:
    page = Path(folder, "a.png")
    page.write_bytes(encode_image(np.random.default_rng(1).integers(0, 256, (300, 200, 3), np.uint8), "png").data)
    made = tk.tile_scan(page, Path(folder, "tiles"), tk.Tiling(128))
    assert made.tiles == 6, made.tiles
    assert Path(tk.join_tiles(Path(folder, "tiles"), Path(folder, "b.png"))).exists()
    labels = Path(folder, "coco.json")
    labels.write_text('{"images": [{"id": 1, "file_name": "a.png", "width": 200, "height": 300}], "categories": '
                      '[{"id": 1, "name": "x"}], "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40]}]}')
    assert tk.read_labels(labels).boxes == 1
    assert list(tk.nms(np.array([[0, 0, 9, 9], [0, 0, 9, 8.5]], float), np.array([0.9, 0.8]))) == [0]
    assert usable_memory() > 0
print("imported", len(names))
"""


@pytest.mark.slow
def test_imports_and_works_without_what_only_unix_has():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) > 300
