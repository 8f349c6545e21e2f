"""What the page beside tiles of the native scale costs: `python benchmarks/one_reading.py [side] [rounds] [KIND or WAY ...]`.

Each kind of scan is tiled in one process, alternately at the native scale alone and at that and as a page of 1280 px,
to a RAM disk where there is one; ratios of wall and CPU seconds (both / alone) are medians of rounds. `pixels` rows
read tiles as arrays, as a detector does, and drop them; `dataset` rows are of `tile_dataset`. Peaks are of processes that do one or the other once. The record is
`benchmarks/results/one-reading.json`, each kind by itself, so that one can be measured anew.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RECORD = Path(__file__).parent / "results" / "one-reading.json"
SCANS = {
    "JPEG gray": "gray.jpg",
    "JPEG 4:4:4": "444.jpg",
    "JPEG 4:2:2": "422.jpg",
    "JPEG 4:2:0": "420.jpg",
    "PNG": "page.png",
    "TIFF strips, deflate": "strips.tif",
    "TIFF blocks, deflate": "deflate.tif",
    "TIFF blocks, LZW": "lzw.tif",
    "TIFF blocks, JPEG RGB": "q90.tif",
    "TIFF blocks, JPEG 4:2:0": "q75.tif",
}
WAYS = ("files", "pixels", "dataset")
MAKE = """
import sys
import pyvips
from tilekit.testing.scans import write_scan
folder, side, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
write_scan(folder + "/444.jpg", side, side)
image = pyvips.Image.new_from_file(folder + "/444.jpg", access="sequential")
blocks = dict(tile=True, tile_width=256, tile_height=256)
if name == "gray.jpg":
    image.colourspace("b-w").jpegsave(folder + "/" + name, Q=90)
elif name == "420.jpg":
    image.jpegsave(folder + "/" + name, Q=90, subsample_mode="on")
elif name == "422.jpg":
    import simplejpeg
    pixels = image.numpy()
    open(folder + "/" + name, "wb").write(simplejpeg.encode_jpeg(pixels, 90, "RGB", "422"))
elif name == "page.png":
    image.pngsave(folder + "/" + name, compression=1)
elif name == "strips.tif":
    image.tiffsave(folder + "/" + name, compression="deflate")
elif name in ("deflate.tif", "lzw.tif"):
    image.tiffsave(folder + "/" + name, compression=name[:-4], predictor="none", **blocks)
elif name in ("q90.tif", "q75.tif"):
    image.tiffsave(folder + "/" + name, compression="jpeg", Q=int(name[1:3]), **blocks)
"""
TIMED = """
import json, shutil, sys, tempfile, time
import tilekit as tk
path, place, how, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
native, page = tk.Tiling(1024, 128), tk.Tiling.whole(1280)
if how == "dataset":
    with tk.open_scan(path) as scan:
        side = min(scan.width, scan.height)
        boxes = [[x, y, x + 40, y + 40] for x in range(60, side - 60, 400) for y in range(60, side - 60, 400)]
        boxes.append([side // 4, side // 4, side // 4 * 3, side // 4 * 3])
        found = tk.Annotations(boxes, [0] * (len(boxes) - 1) + [1], ("mark", "table"))
        labels = tk.LabelSet({scan.key: found}, sizes={scan.key: (scan.width, scan.height)}, names=found.names)
    options = tk.datasets.DatasetOptions(rules=tk.datasets.CarryingRules(slivers="keep"))
def run(tiling):
    out = tempfile.mkdtemp(dir=place)
    wall, cpu = time.perf_counter(), time.process_time()
    if how == "pixels":
        with tk.open_scan(path) as scan:
            for tile in tk.read_tiles(scan, tiling):
                pass
    elif how == "dataset":
        tk.tile_dataset({"train": labels}, out, tiling, options=options)
    else:
        tk.tile_scan(path, out, tiling)
    used = time.perf_counter() - wall, time.process_time() - cpu
    shutil.rmtree(out)
    return used
both = tk.Scales(native, page)
if rounds:
    run(both), run(native)
    print(json.dumps([[run(native), run(both)] for _ in range(rounds)]))
else:
    run(both if sys.argv[5] == "both" else native)
    from pathlib import Path
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps(int(peak.split()[1]) / 1024))
"""


def ran(code: str, *arguments: str) -> str:
    """What a process of this code printed."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.PIPE
    ).stdout.decode()


def measured(path: str, place: str, how: str, rounds: int) -> dict:
    """Medians of ratios, and the seconds and peaks behind them."""
    pairs = json.loads(ran(TIMED, path, place, how, str(rounds)))
    row = {"rounds": len(pairs)}
    for which, what in enumerate(("wall", "cpu")):
        ratios = [both[which] / alone[which] for alone, both in pairs]
        row[f"{what}_ratio"] = round(statistics.median(ratios), 3)
        row[f"{what}_range"] = [round(min(ratios), 3), round(max(ratios), 3)]
        row[what] = [
            round(statistics.median(side[which] for side in sides), 3) for sides in zip(*pairs, strict=True)
        ]
    row["peak_mb"] = [round(float(ran(TIMED, path, place, how, "0", which))) for which in ("alone", "both")]
    return row


def main(side: int, rounds: int, wanted: list[str]) -> None:
    """Measure, print, write the record."""
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    room = "/dev/shm" if os.path.isdir("/dev/shm") else None
    print(f"{'native and page / native':34} CPU   wall   CPU s          wall s         peak MB")
    with tempfile.TemporaryDirectory(dir=room) as place:
        for name, file in SCANS.items():
            if set(wanted) - set(WAYS) and name not in wanted:
                continue
            ran(MAKE, place, str(side), file)
            for how in [word for word in WAYS if word in wanted] or WAYS:
                row = measured(f"{place}/{file}", place, how, rounds)
                record[f"{name}, {how}"] = {"side": side, "cores": os.cpu_count(), **row}
                told = "  ".join(f"{row[what][0]:5.2f} {row[what][1]:5.2f}" for what in ("cpu", "wall"))
                peaks = "/".join(map(str, row["peak_mb"]))
                print(
                    f"{name + ', ' + how:34} {row['cpu_ratio']:.2f}  {row['wall_ratio']:.2f}  {told}  {peaks}",
                    flush=True,
                )
            if file != "444.jpg":
                Path(place, file).unlink()
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    main(*[*numbers, *(12_000, 5)[len(numbers) :]][:2], [word for word in sys.argv[1:] if not word.isdigit()])
