"""Tiles of labeled pages for a PyTorch training loop, in random order: python train_with_torch.py [labels.json]."""

import sys

import torch

import tilekit as tk
from tilekit.scans.encoding import encode_image
from tilekit.testing.scenes import scene_page


def make_labels(path: str) -> None:
    pages, sizes = {}, {}
    for number in range(2):
        pixels, found = scene_page(number, 1200, 900)
        key = tk.PageKey(f"page{number}.jpg")
        with open(key.source, "wb") as file:
            file.write(encode_image(pixels, "jpeg").data)
        pages[key], sizes[key] = found, (1200, 900)
    tk.write_labels(tk.LabelSet(pages, sizes=sizes), path, "coco")


def collate(items):
    """Tiles of one size stack; each has its own number of boxes."""
    tiles, targets = zip(*items, strict=True)
    return torch.stack(tiles), targets


def main(labels: str | None = None) -> None:
    if labels is None:
        labels = "labels.json"
        make_labels(labels)
    data = tk.torch.TileDataset(tk.read_labels(labels), tk.Tiling(tile=384, overlap=96))
    print(data)
    loader = torch.utils.data.DataLoader(data, 4, shuffle=True, num_workers=2, collate_fn=collate)
    count = boxes = 0
    for tiles, targets in loader:
        count += len(tiles)  # (batch, bands, 384, 384) uint8: your network trains here
        boxes += sum(len(target["boxes"]) for target in targets)
    print(f"2 workers gave {count} tiles and {boxes} boxes")


if __name__ == "__main__":
    main(*sys.argv[1:])
