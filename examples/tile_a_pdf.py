"""Tile every page of a PDF: python tile_a_pdf.py plans.pdf tiles/   (without arguments: a PDF made here)."""

import sys

import tilekit as tk
from tilekit.testing.scenes import scene_pdf


def main(pdf: str = "plans.pdf", out: str = "tiles") -> None:
    if len(sys.argv) < 2:
        scene_pdf(pdf, 2, seed=1, dpi=150, width=1800, height=1280)
    tiling = tk.Tiling(tile=1024, overlap=128)
    for scan in tk.scan_pages(pdf, dpi=150):  # one page at a time; memory does not grow with the file
        made = tk.tile_scan(scan, f"{out}/page-{scan.key.page + 1}", tiling, skip_blank=True)
        print(f"{scan.key}: {scan.width} x {scan.height} px, {made.tiles} tiles, {made.blank} blank")


if __name__ == "__main__":
    main(*sys.argv[1:])
