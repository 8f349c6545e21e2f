"""Detect with a model of one's own, Python or ONNX: python own_detector.py scan.png model.onnx   (or without)."""

import sys

import numpy as np

import tilekit as tk
from tilekit.draw import draw
from tilekit.scans.encoding import encode_image


def find_squares(pixels):
    """Any function of (h, w, bands) uint8 will do: rows of x0, y0, x1, y1, score, class id in tile pixels."""
    ink = np.pad(pixels[:, :, 0] < 128, ((1, 0), (1, 0)))
    ys, xs = np.nonzero(ink[1:, 1:] & ~ink[:-1, 1:] & ~ink[1:, :-1])
    high, wide = pixels.shape[:2]
    return [[x, y, min(x + 20, wide), min(y + 20, high), 0.9, 0] for x, y in zip(xs, ys, strict=True)]


def make_page(path: str) -> None:
    page = np.full((900, 1300, 1), 255, np.uint8)
    for x, y in [(40, 50), (250, 70), (505, 300), (700, 800), (1200, 505)]:
        page[y : y + 20, x : x + 20] = 0
    with open(path, "wb") as file:
        file.write(encode_image(page, "png").data)


def main(path: str = "page.png", model: str | None = None) -> None:
    if len(sys.argv) < 2:
        make_page(path)
    detector = tk.OnnxDetector(model) if model else tk.CallableDetector(find_squares, names=["square"])
    with tk.open_scan(path) as scan:
        found = tk.detect_tiles(scan, detector, tk.Tiling(tile=512, overlap=64))
        picture = draw(scan, found.detections)
    with open("found.png", "wb") as file:
        file.write(encode_image(picture, "png").data)
    tk.write_predictions([found], "detections.jsonl")
    print(found.counts, "in detections.jsonl, drawn in found.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
