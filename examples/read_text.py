"""Read all text on a huge drawing with DetectText, which gives at most 100 words an image: tiles lift that.

python read_text.py plan.tif --dry-run     how many calls it would take; none is made
python read_text.py plan.tif               calls Amazon Rekognition, which is billed by the call
"""

import argparse
from typing import Any

import tilekit as tk


def read_words(path: str, tiling: tk.Tiling, client: Any = None) -> tk.PageDetections:
    detector = tk.aws.TextDetector(level="WORD", client=client)
    policy = tk.MergePolicy(class_agnostic=True)  # a word on a border may be read in two ways
    with tk.open_scan(path) as scan:
        found = tk.detect_tiles(scan, detector, tiling, policy)
    for tile in detector.crowded:
        print(f"tile {tile.tile} has {tile.words} words, the most it can have: use smaller tiles")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("scan")
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--dry-run", action="store_true")
    given = parser.parse_args()
    tiling = tk.Tiling(tile=given.tile, overlap=given.tile // 4)  # a word must fit into the overlap
    if given.dry_run:
        with tk.open_scan(given.scan) as scan:
            print(f"{len(scan.grid(tiling))} calls of DetectText, one a tile")
        return
    found = read_words(given.scan, tiling)
    for word, box in zip(found.detections.labels, found.detections.boxes, strict=True):
        print(word, *box.round().astype(int), sep="\t")


if __name__ == "__main__":
    main()
