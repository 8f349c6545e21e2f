"""Whom tilekit is timed beside. `tilekit bench` finds them beside the source, or by `--peers benchmarks.peers`."""

from __future__ import annotations

from benchmarks.peers.boxes import FUSERS, SUPPRESSORS
from benchmarks.peers.tilers import TILERS
from tilekit.bench.peers import Peers

PACKAGES = (
    "sahi", "supervision", "image-slicer", "opencv-python-headless", "lsnms", "powerboxes", "ensemble-boxes",
    "tifffile", "large-image", "tiatoolbox", "torchvision", "globox", "pycocotools", "rasterio",
)  # fmt: skip
PEERS = Peers(TILERS, SUPPRESSORS, FUSERS, PACKAGES)
