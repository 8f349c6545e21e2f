"""A scan as a lazy dask array: python scan_as_dask_array.py [scan.tif]; only the chunks that are needed are read."""

import sys

import numpy as np

import tilekit as tk
from tilekit.testing.scans import write_scan


def main(path: str | None = None) -> None:
    if path is None:
        path = "scan.tif"
        write_scan(path, 3000, 2000, "tiled-deflate")
    with tk.open_scan(path) as scan:
        pixels = scan.to_dask(chunk=1024)
    print(pixels)
    # The array opens the scan for itself, here and in every process of a cluster.
    gray = pixels[..., :3].mean(axis=2)
    side = 256
    rows, cols = (size // side * side for size in gray.shape)
    blocks = gray[:rows, :cols].reshape(rows // side, side, cols // side, side).mean(axis=(1, 3)).compute()
    row, col = np.unravel_index(int(blocks.argmin()), blocks.shape)
    print(f"darkest {side} px: at x {col * side}, y {row * side}")


if __name__ == "__main__":
    main(*sys.argv[1:])
