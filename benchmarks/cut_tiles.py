"""Tiles cut from the bits of a JPEG or a JPEG-block TIFF, beside libvips' dzsave: `python benchmarks/cut_tiles.py [side] [minutes]`.

Both run interleaved, as whole processes that write files to disk, first with nothing else running, then with every
core kept at work beside them; "within a process" is the second of two tilings in one process, without what starting
costs. Ratios are medians of rounds: wall dzsave / tilekit, CPU seconds tilekit / dzsave. Peak, bytes and PSNR against
the decoded scan (of nine tiles) are told for both. "What a service is sent" is the CPU of `detect_tiles` with a
RekognitionDetector whose answers are empty, tiles cut against tiles decoded and encoded. The record is
`benchmarks/results/cut-tiles.json`; it takes about three minutes, and stops adding rounds at `minutes` (3.3).

The same rows, without "within a process", are the suite `cutting` of `benchmarks/run.py`.

`python benchmarks/cut_tiles.py memory [Gpx ...]` tells the peak of processes that cut 1, 4 and 10 Gpx (a JPEG ends at
4.29), of scans that repeat a strip or a block and whose tiles are counted, not kept: `results/cut-memory.json`.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

RECORD = Path(__file__).parent / "results" / "cut-tiles.json"
OURS = """
import json, sys, time
import tilekit as tk
def run(out):
    wall, cpu = time.perf_counter(), time.process_time()
    made = tk.tile_scan(sys.argv[1], out, tk.Tiling(1024, 128))
    return time.perf_counter() - wall, time.process_time() - cpu, made.tiles, made.kept, made.bytes
first = run(sys.argv[2] + "/a")
print(json.dumps(run(sys.argv[2] + "/b") if sys.argv[3] == "twice" else first))
"""
PEER = """
import sys, pyvips
image = pyvips.Image.new_from_file(sys.argv[1], access="sequential")
image.dzsave(sys.argv[2] + "/d", depth="one", tile_size=896, overlap=64, suffix=".jpg[Q=90]")
"""
SCANS = """
import sys
import pyvips
from tilekit.testing.scans import write_scan
folder, side = sys.argv[1], int(sys.argv[2])
write_scan(folder + "/page.jpg", side, side)
for quality in (90, 75):
    image = pyvips.Image.new_from_file(folder + "/page.jpg", access="sequential")
    image.tiffsave(f"{folder}/q{quality}.tif", compression="jpeg", Q=quality, tile=True, tile_width=256, tile_height=256)
"""
PSNR = """
import json, sys
from pathlib import Path
import numpy as np
import tilekit as tk
out, found = Path(sys.argv[2]), []
with tk.open_scan(sys.argv[1]) as scan:
    for name, step, back in (("a", 896, 0), ("d_files/0", 896, 64)):
        errors = []
        for row in (1, 2, 3):
            for col in (1, 2, 3):
                x, y = col * step - back, row * step - back
                file = f"{col}_{row}.jpg" if back else f"*.x{x}.y{y}.*.jpg"
                with tk.open_scan(next((out / name).rglob(file))) as tile:
                    pixels = tile.read(0, 0, tile.width, tile.height).astype(float)
                want = scan.read(x, y, x + pixels.shape[1], y + pixels.shape[0])
                errors.append(((pixels - want) ** 2).mean())
        mean = float(np.mean(errors))
        found.append(None if mean == 0 else 10 * float(np.log10(255 ** 2 / mean)))
print(json.dumps(found))
"""
SENT = """
import json, sys, time
import tilekit as tk
from tilekit.aws.detector import RekognitionDetector
from tilekit.aws.rate import RateLimiter
class Client:
    def detect_custom_labels(self, **request):
        return {"CustomLabels": []}
def cpu(quality):
    detector = RekognitionDetector(
        "arn:aws:rekognition:us-east-1:123456789012:project/p/version/v/1700000000000",
        client=Client(), quality=quality, limiter=RateLimiter(1e6, highest=1e6),
    )
    start = time.process_time()
    with tk.open_scan(sys.argv[1]) as scan:
        tk.detect_tiles(scan, detector, tk.Tiling(1024, 128))
    return time.process_time() - start
cpu("keep"), cpu(90)
print(json.dumps([[cpu("keep"), cpu(90)] for _ in range(3)]))
"""
LARGE = """
import io, struct, sys
import numpy as np
from PIL import Image
from tilekit.testing.scans import write_scan
place, pixels = sys.argv[1], int(float(sys.argv[2]) * 1e9)
write_scan(place + "/part.jpg", 4096, 128)
part = Image.open(place + "/part.jpg").convert("RGB")
side = int(pixels ** 0.5) // 16 * 16

def jpeg(path):
    width = min(side, 65_520)
    height = min(pixels // width // 16 * 16, 65_520)
    strip = Image.fromarray(np.tile(np.asarray(part), (1, -(-width // 4096), 1))[:, :width])
    out = io.BytesIO()
    strip.save(out, "JPEG", quality=75, subsampling="4:2:0", restart_marker_rows=1)
    data = out.getvalue()
    frame, begin = data.index(bytes([255, 192])), data.index(bytes([255, 218]))
    begin += 2 + int.from_bytes(data[begin + 2 : begin + 4], "big")
    array = np.frombuffer(data, np.uint8)[begin:-2]
    marks = np.flatnonzero((array[:-1] == 255) & (array[1:] >= 208) & (array[1:] <= 215))
    rows = [array[a:b].tobytes() for a, b in zip([0, *(marks + 2)], [*marks, len(array)])]
    with open(path, "wb") as file:
        file.write(data[: frame + 5] + height.to_bytes(2, "big") + data[frame + 7 : begin])
        for row in range(height // 16):
            file.write(rows[row % len(rows)])
            file.write(bytes([255, 208 + row % 8]) if row < height // 16 - 1 else bytes([255, 217]))

def tiff(path):
    out = io.BytesIO()
    Image.fromarray(np.tile(np.asarray(part)[:, :512], (4, 1, 1))).save(out, "JPEG", quality=75, subsampling="4:2:0")
    block, count = out.getvalue(), (-(-side // 512)) ** 2
    fields = {
        256: (4, [side]), 257: (4, [side]), 258: (3, [8, 8, 8]), 259: (3, [7]), 262: (3, [6]), 277: (3, [3]),
        322: (3, [512]), 323: (3, [512]), 324: (4, [8] * count), 325: (4, [len(block)] * count), 530: (3, [2, 2]),
    }
    at = 8 + len(block) + len(block) % 2
    entries, rest = b"", b""
    for tag, (kind, values) in fields.items():
        body = struct.pack("<%d%s" % (len(values), "HI"[kind == 4]), *values)
        if len(body) > 4:
            body, rest = struct.pack("<I", at + 6 + 12 * len(fields) + len(rest)), rest + body + bytes(len(body) % 2)
        entries += struct.pack("<HHI", tag, kind, len(values)) + body.ljust(4, bytes(1))
    with open(path, "wb") as file:
        file.write(struct.pack("<2sHI", b"II", 42, at) + block + bytes(len(block) % 2))
        file.write(struct.pack("<H", len(fields)) + entries + bytes(4) + rest)

(jpeg if sys.argv[3] == "jpeg" else tiff)(place + "/large." + sys.argv[3])
"""
COUNTED = """
import json, sys
import tilekit as tk
with tk.open_scan(sys.argv[1], max_pixels=2**62) as scan:
    made = tk.tile_scan(scan, lambda name, data: None, tk.Tiling(1024, 128, align=16))
    print(json.dumps({"mpx": scan.width * scan.height / 1e6, "tiles": made.tiles, "cut": made.kept}))
"""
INPUTS = {
    "JPEG 4:4:4": "page.jpg",
    "TIFF of JPEG blocks, RGB 4:4:4": "q90.tif",
    "TIFF of JPEG blocks, 4:2:0": "q75.tif",
}


class Runner:
    """Runs code in processes of their own, with bytecode kept as that of installed packages is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        self._env["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")

    def run(self, code: str, *arguments: str) -> dict:
        """Wall and CPU seconds, peak MB, and what was printed."""
        start = time.perf_counter()
        with tempfile.TemporaryFile() as told:
            command = [sys.executable, "-c", code, *arguments]
            process = subprocess.Popen(command, stdout=told, env=self._env)
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise SystemExit(f"a run failed with {process.returncode}")
            told.seek(0)
            answer = json.loads(told.read() or "null")
        return {
            "wall": wall,
            "cpu": used.ru_utime + used.ru_stime,
            "peak_mb": used.ru_maxrss / 1024,
            "told": answer,
        }

    def tiling(self, code: str, name: str, how: str = "once") -> dict:
        """One tiling to a folder that is gone afterwards."""
        with tempfile.TemporaryDirectory(dir=self.folder) as out:
            return {**self.run(code, str(self.folder / name), out, how), "bytes": _bytes_in(Path(out))}

    def psnr(self, name: str) -> list[float | None]:
        """dB of our and the peer's tiles against the decoded scan; None where nothing differs."""
        with tempfile.TemporaryDirectory(dir=self.folder) as out:
            for code in (OURS, PEER):
                self.run(code, str(self.folder / name), out, "once")
            return self.run(PSNR, str(self.folder / name), out)["told"]


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*.jpg"))


def measured(runner: Runner, name: str, rounds: int, until: float, *, warm: bool) -> dict:
    """Medians of rounds of both; rounds end where the time does, the first one is always whole."""
    found: list[tuple[dict, dict, dict | None]] = []
    while not found or (len(found) < rounds and time.monotonic() < until):
        ours, peer = runner.tiling(OURS, name), runner.tiling(PEER, name)
        found.append((ours, peer, runner.tiling(OURS, name, "twice") if warm else None))
    middle = statistics.median
    ours, peer, _ = found[-1]
    row = {
        "rounds": len(found),
        "wall_ratio": middle(peer["wall"] / ours["wall"] for ours, peer, _ in found),
        "cpu_ratio": middle(ours["cpu"] / peer["cpu"] for ours, peer, _ in found),
        "tiles": ours["told"][2],
        "cut": ours["told"][3],
        "bytes": {"tilekit": ours["bytes"], "dzsave": peer["bytes"]},
    }
    for what in ("wall", "cpu", "peak_mb"):
        row[what] = {
            who: middle(pair[place][what] for pair in found)
            for place, who in enumerate(("tilekit", "dzsave"))
        }
    if warm:
        row["within_wall_ratio"] = middle(
            peer["wall"] / again["told"][0] for _, peer, again in found if again
        )
        row["within_cpu_ratio"] = middle(again["told"][1] / peer["cpu"] for _, peer, again in found if again)
    return row


@contextlib.contextmanager
def busy(wanted: bool = True) -> Iterator[None]:
    """Every core kept at work by another process, for the block."""
    command = [sys.executable, "-c", "while True: pass"]
    loads = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1) if wanted]
    try:
        yield
    finally:
        for load in loads:
            load.kill()
            load.wait()


def words(row: dict) -> str:
    """A row as a note: what was cut, CPU, memory, bytes and PSNR of ours / dzsave's, and who is ahead."""
    peaks, sizes = row["peak_mb"], row["bytes"]
    psnr = "/".join("exact" if db is None else f"{db:.1f}" for db in row["psnr"])
    return (
        f"{row['cut']} of {row['tiles']} cut; CPU {row['cpu_ratio']:.2f} of dzsave's; peak MB "
        f"{peaks['tilekit']:.0f}/{peaks['dzsave']:.0f}; written MB {sizes['tilekit'] / 1e6:.1f}/"
        f"{sizes['dzsave'] / 1e6:.1f}; PSNR dB {psnr}{_behind(row)}"
    )


def _behind(row: dict) -> str:
    return "" if row["wall_ratio"] > 1.05 else "; dzsave is level or ahead"


def line(name: str, how: str, row: dict) -> str:
    """One row of the table."""
    within = (
        f"{row['within_wall_ratio']:5.2f} {row['within_cpu_ratio']:5.2f}"
        if "within_wall_ratio" in row
        else " " * 11
    )
    psnr = "/".join("exact" if db is None else f"{db:.1f}" for db in row.get("psnr", ())) or ""
    peaks, sizes = row["peak_mb"], row["bytes"]
    return (
        f"{name:32} {how:5} {row['wall_ratio']:5.2f} {row['cpu_ratio']:5.2f}  {within}"
        f"  {peaks['tilekit']:4.0f}/{peaks['dzsave']:4.0f} {sizes['tilekit'] / 1e6:6.1f}/{sizes['dzsave'] / 1e6:6.1f}"
        f"  {psnr:12} {row['cut']}/{row['tiles']}{_behind(row)}"
    )


def memory(sizes: list[float]) -> None:
    """Peak and time of cutting large scans, as processes of their own; writes a record."""
    record = []
    with tempfile.TemporaryDirectory() as place:
        runner = Runner(Path(place))
        for size in sizes:
            for kind in ("jpeg", "tif") if size <= 4.29 else ("tif",):
                runner.run(LARGE, place, str(size), kind)
                used = runner.run(COUNTED, f"{place}/large.{kind}")
                told = used.pop("told")
                record.append({"kind": kind, "gpx": round(told["mpx"] / 1000, 2), **used, **told})
                print(
                    f"{kind:5} {told['mpx'] / 1000:5.2f} Gpx: peak {used['peak_mb']:4.0f} MB, {used['wall']:6.1f} s, "
                    f"CPU {used['cpu']:6.1f} s, {told['cut']} of {told['tiles']} tiles cut",
                    flush=True,
                )
                Path(place, f"large.{kind}").unlink()
    RECORD.with_name("cut-memory.json").write_text(json.dumps(record, indent=1) + "\n")


def main(side: int, minutes: float) -> None:
    """Measure, print the table, write the record."""
    end = time.monotonic() + 60 * minutes
    rows: dict[str, dict[str, dict]] = {name: {} for name in INPUTS}
    print(
        f"{'tilekit / dzsave':32} load   wall   CPU  within a pr.   peak MB     written MB   PSNR dB      cut"
    )
    with tempfile.TemporaryDirectory() as place:
        runner = Runner(Path(place))
        runner.run(SCANS, place, str(side))
        for name, file in INPUTS.items():
            rows[name]["psnr"] = runner.psnr(file)  # the first run of each, which also writes the bytecode
        sent = runner.run(SENT, str(runner.folder / INPUTS["JPEG 4:4:4"]))["told"]
        share = statistics.median(cut / encoded for cut, encoded in sent)
        print(
            f"what a service is sent: CPU of cut tiles / of decoded and encoded ones {share:.2f}", flush=True
        )
        for how, rounds, warm in (("idle", 4, True), ("busy", 2, False)):
            with busy(how == "busy"):
                for place_of, (name, file) in enumerate(INPUTS.items()):
                    left = len(INPUTS) - place_of + (len(INPUTS) if how == "idle" else 0)
                    until = time.monotonic() + (end - time.monotonic()) / left
                    row = measured(runner, file, rounds, until, warm=warm)
                    row["psnr"] = rows[name]["psnr"]
                    rows[name][how] = row
                    print(line(name, how, row), flush=True)
    for found in rows.values():
        found.pop("psnr")
    RECORD.write_text(
        json.dumps({"side": side, "cores": os.cpu_count(), "sent_cpu_ratio": share, "rows": rows}, indent=1)
        + "\n"
    )


if __name__ == "__main__" and sys.argv[1:2] == ["memory"]:
    memory([float(size) for size in sys.argv[2:]] or [1, 4, 10])
elif __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12_000, float(sys.argv[2]) if len(sys.argv) > 2 else 3.3)
