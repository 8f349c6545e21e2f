"""A process forked after its parent has read pixels is told so, instead of waiting without end."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import warnings

import numpy as np

import tilekit as tk
from tilekit.errors import ScanError
from tilekit.scans.encoding import encode_image

DATA = encode_image(np.zeros((300, 300, 3), np.uint8), "png").data
FRESH = """
import os, signal, sys
import tilekit as tk
tk.scan_info(sys.argv[1])  # a header is read without threads
child = os.fork()
if not child:
    signal.alarm(60)
    with tk.open_scan(sys.argv[1]) as scan:
        os._exit(int(scan.read(0, 0, 300, 300).any()))
sys.exit(os.waitpid(child, 0)[1])
"""


def _in_child(queue) -> None:
    try:
        tk.open_scan(DATA)
    except ScanError as exc:
        queue.put(str(exc))


def test_a_fork_after_pixels_is_told():
    with tk.open_scan(DATA) as scan:
        scan.read(0, 0, 300, 300)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = context.Process(target=_in_child, args=(queue,))
        child.start()
    assert "spawn" in queue.get(timeout=60)
    child.join(60)


def test_a_fork_before_pixels_reads_them(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(DATA)
    done = subprocess.run([sys.executable, "-c", FRESH, str(path)], timeout=100, check=False)
    assert done.returncode == 0
