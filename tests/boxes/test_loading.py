"""Kernels are compiled once, from any number of threads and processes, with or without a place to keep them."""

from __future__ import annotations

import os
import subprocess
import sys

SCRIPT = """
import sys
import threading
import numpy as np
from tilekit.boxes.overlap import iou
from tilekit.boxes.suppression import nms

rng = np.random.default_rng(1)
corner = rng.random((40, 2)) * 100
boxes, scores = np.concatenate([corner, corner + 20], axis=1), rng.random(40)
answers = []
barrier = threading.Barrier(8)


def work():
    barrier.wait()
    kept = nms(boxes, scores)
    answers.append((kept.tolist(), iou(boxes, boxes).tolist()))


threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(answers) == 8 and all(answer == answers[0] for answer in answers)
print(answers[0][0])
"""


def test_eight_threads_in_four_processes_on_a_cold_cache(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    running = [
        subprocess.Popen([sys.executable, "-c", SCRIPT], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [process.communicate(timeout=240)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert said[0]
    assert len(set(said)) == 1


def test_importing_the_boxes_does_not_import_numba():
    code = "import sys, tilekit.boxes.merging, tilekit.boxes.fusion; print('numba' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
    )
