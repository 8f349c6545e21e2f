"""Let people correct what a model found, in Ground Truth, and train on it.

1. What was found on new pages becomes a manifest that an adjustment job opens.
2. People correct it there. (Here a line of code plays the reviewer and adds a symbol that was missed.)
3. The reviewed pages replace their old labels, and a new dataset is cut.
"""

import tilekit as tk
from tilekit.scans.encoding import encode_image
from tilekit.testing.scenes import scene_page


def main() -> None:
    truth, sizes = {}, {}
    for number in range(8):
        pixels, boxes = scene_page(number, 1000, 800)
        with open(f"page-{number}.png", "wb") as file:
            file.write(encode_image(pixels, "png").data)
        key = tk.PageKey(f"page-{number}.png")
        truth[key], sizes[key] = boxes, (1000, 800)
    first, new = list(truth)[:6], list(truth)[6:]
    base = tk.LabelSet({key: truth[key] for key in first}, sizes={key: sizes[key] for key in first})

    found = []  # 1. a model's results on new pages; this one missed the last symbol of each
    for key in new:
        seen = truth[key][:-1]
        scores = [0.8] * len(seen)
        boxes = tk.Detections(seen.boxes, scores, seen.class_ids, seen.names)
        found.append(tk.PageDetections(key, *sizes[key], boxes))
    tk.write_predictions(found, "detections.jsonl")
    tk.write_labels(tk.read_predictions("detections.jsonl").to_labels(), "to-review.manifest")

    reviewed = tk.LabelSet({key: truth[key] for key in new}, sizes={key: sizes[key] for key in new})  # 2.
    tk.write_labels(reviewed, "reviewed.manifest")

    merged = tk.labels.merge_labels(base, tk.read_labels("reviewed.manifest"))  # 3.
    tk.write_labels(merged.labels, "next.manifest")
    summary = tk.tile_dataset("next.manifest", "next", tk.Tiling(tile=512, overlap=64))
    print(f"{len(merged.added)} pages added, {len(merged.replaced)} replaced; {summary.tiles} tiles in next/")


if __name__ == "__main__":
    main()
