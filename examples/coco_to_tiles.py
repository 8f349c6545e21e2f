"""Carry COCO labels of whole pages to tiles: python coco_to_tiles.py labels.json dataset/   (or without arguments)."""

import sys

import tilekit as tk
from tilekit.scans.encoding import encode_image
from tilekit.testing.scenes import scene_page


def make_labels(path: str) -> None:
    pages, sizes = {}, {}
    for number in range(6):
        pixels, found = scene_page(number, 1200, 900)
        with open(f"page-{number}.png", "wb") as file:
            file.write(encode_image(pixels, "png").data)
        key = tk.PageKey(f"page-{number}.png")
        pages[key], sizes[key] = found, (1200, 900)
    tk.write_labels(tk.LabelSet(pages, sizes=sizes), path, "coco")


def main(labels: str = "labels.json", out: str = "dataset") -> None:
    if len(sys.argv) < 2:
        make_labels(labels)
    plan = tk.recommend_tiling(labels)
    print(plan.reason)
    summary = tk.tile_dataset(
        labels, out, tk.Tiling(tile=512, overlap=64), options=tk.DatasetOptions(export=["coco", "yolo"])
    )
    print(f"{summary.tiles} tiles in {out}; train.coco.json and yolo/data.yaml are for other trainers")


if __name__ == "__main__":
    main(*sys.argv[1:])
