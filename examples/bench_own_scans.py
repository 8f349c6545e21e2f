"""Which settings are fastest on this machine, for your scans? python bench_own_scans.py a.tif b.jpg   (or without)."""

import sys

from tilekit.bench.command import TilingPlan, bench_tiling
from tilekit.testing.scans import write_scan


def main(*scans: str) -> None:
    if not scans:
        write_scan("scan.jpg", 3000, 2000, "jpeg")
        scans = ("scan.jpg",)
    # `tilekit bench tiling` does the same; peers=find_peers() of tilekit.bench.peers times others beside it.
    plan = TilingPlan(scans=scans, tiles=(512, 1024), formats=("jpeg",), rounds=1, quick=True)
    for setting in bench_tiling(plan, say=print)["settings"]:
        print(setting)


if __name__ == "__main__":
    main(*sys.argv[1:])
