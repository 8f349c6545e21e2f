"""An archive as an array job: python archive_on_batch.py scans/ tiles/   (or scans made here); no scheduler of ours.

AWS Batch starts one container for each index and says which it is; the last step, `merge`, is a job that depends on
the array. Started by hand, without Batch, it plays all of it here: three jobs side by side, then the merge.
"""

import os
import subprocess
import sys

import tilekit as tk
from tilekit.archive import merge_ledgers
from tilekit.testing.scans import write_scan

SIZE = 3


def job(scans: str, out: str, index: int, count: int) -> None:
    """One container: every scan whose name hashes to this part; killed by Spot, it is simply started again."""
    recipe = tk.TileJob(tk.Tiling(tile=512, overlap=64))
    done = tk.process_archive(scans, out, recipe, workers=1, shard=f"{index + 1}/{count}")
    print(f"part {index + 1} of {count}: {done.done} pages done, {done.failed} failed", file=sys.stderr)
    sys.exit(0 if done.ok else 1)


def play(scans: str, out: str) -> None:
    """What Batch would do, on this machine."""
    sizes = {"AWS_BATCH_JOB_ARRAY_SIZE": str(SIZE)}
    jobs = [
        subprocess.Popen(
            [sys.executable, __file__, scans, out],
            env=os.environ | sizes | {"AWS_BATCH_JOB_ARRAY_INDEX": str(i)},
        )
        for i in range(SIZE)
    ]
    codes = [one.wait() for one in jobs]
    print(f"{merge_ledgers(out)} pages of {SIZE} jobs merged, exit codes {codes}")


def main(scans: str | None = None, out: str = "tiles") -> None:
    if scans is None:
        scans = "scans"
        for number in range(6):
            write_scan(f"{scans}/{number}.jpg", 1500, 1000, "jpeg", seed=number)
    index = os.environ.get("AWS_BATCH_JOB_ARRAY_INDEX")
    if index is None:
        play(scans, out)
    else:
        job(scans, out, int(index), int(os.environ.get("AWS_BATCH_JOB_ARRAY_SIZE", SIZE)))


if __name__ == "__main__":
    main(*sys.argv[1:])
