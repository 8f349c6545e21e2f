"""Mutated scans through every reader: no crash, no hang, no traceback, no more memory than stated.

`python -m benchmarks.mutated_scans --files 1000 --seed 1` writes small whole files, one for every reader and way of
storing, then mutants of them, and has them decoded by processes of their own; it prints one line a verdict and a JSON
summary. A process that dies or hangs is counted, started again, and goes on behind the file that ended it.

Stated memory: what a page of `MAX_PIXELS` takes at 16 bytes a pixel, `BUDGET` and 64 MB, above an idle process.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

LIMIT_S = 60.0
MAX_PIXELS = 4_000_000
BUDGET = 64 << 20
STATED_MB = (MAX_PIXELS * 16 + BUDGET + (64 << 20)) / 1e6
_RESET_PEAK = "5"  # of /proc/self/clear_refs


def seeds(folder: Path) -> dict[str, bytes]:
    """A small whole file for every reader and way of storing, as libraries other than tilekit write them."""
    import glymur
    import imagecodecs
    import numpy as np
    import pillow_heif
    import tifffile
    from PIL import Image

    pixels = np.random.default_rng(3).integers(0, 256, (180, 140, 3), np.uint8)
    picture = Image.fromarray(pixels)
    found: dict[str, bytes] = {}

    def saved(name: str, form: str, image: Any = picture, **options: Any) -> None:
        out = io.BytesIO()
        image.save(out, form, **options)
        found[name] = out.getvalue()

    def tiff(name: str, values: Any, **options: Any) -> None:
        tifffile.imwrite(folder / "a.tif", values, **options)
        found[name] = (folder / "a.tif").read_bytes()

    for form in ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "PPM", "BMP", "PCX", "TGA", "JPEG2000", "PDF"):
        saved(form.lower(), form)
    saved("jpeg-progressive", "JPEG", progressive=True)
    saved("jpeg-cmyk", "JPEG", picture.convert("CMYK"))
    saved("png-palette", "PNG", picture.quantize(64))
    saved("png-gray", "PNG", picture.convert("L"))
    saved("gif-frames", "GIF", save_all=True, append_images=[picture.rotate(90), picture.rotate(180)])
    saved("pbm", "PPM", picture.convert("1"))
    saved("tga-runs", "TGA", picture.quantize(8).convert("RGB"), compression="tga_rle")
    saved("tiff-g4", "TIFF", picture.convert("1"), compression="group4")
    saved("pdf-pages", "PDF", save_all=True, append_images=[picture])
    for compression in (None, "deflate", "lzw", "jpeg", "webp", "zstd", "lzma", "jpeg2000", "lerc"):
        for layout in ({"tile": (64, 64)}, {"rowsperstrip": 16}):
            kind = "tiles" if "tile" in layout else "strips"
            tiff(f"tiff-{compression}-{kind}", pixels, compression=compression, photometric="rgb", **layout)
    apart = np.moveaxis(pixels, 2, 0).copy()
    tiff("tiff-apart", apart, photometric="rgb", planarconfig="separate", tile=(64, 64))
    tiff("tiff-float", pixels[..., 0].astype(np.float32), compression="zlib", predictor=True)
    tiff("tiff-12-bits", pixels[..., 0].astype(np.uint16) * 16, bitspersample=12, photometric="minisblack")
    tiff("tiff-lab", pixels, photometric="cielab")
    with tifffile.TiffWriter(folder / "b.tif") as file:
        file.write(pixels, photometric="rgb", tile=(64, 64), subifds=1)
        file.write(pixels[::2, ::2], photometric="rgb", tile=(64, 64), subfiletype=1)
        file.write(pixels[:90], photometric="rgb", tile=(64, 64))
    found["tiff-pyramid"] = (folder / "b.tif").read_bytes()
    glymur.Jp2k(folder / "a.jp2", data=pixels, tilesize=(64, 64))
    found["jp2-tiles"] = (folder / "a.jp2").read_bytes()
    found["j2k-deep"] = imagecodecs.jpeg2k_encode(pixels.astype(np.uint16) << 4, codecformat="j2k", level=0)
    out = io.BytesIO()
    pillow_heif.from_bytes("RGB", (140, 180), pixels.tobytes()).save(out)
    found["heic"] = out.getvalue()
    text = "Aperio Image Library v1\n140x180 (64x64) JPEG|AppMag = 40|MPP = 0.25"
    slide = {"tile": (64, 64), "compression": "jpeg", "photometric": "rgb", "metadata": None}
    tiff("slide", pixels, description=text, **slide)
    found["svg"] = (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="90" height="50"><rect width="45" height="50"/></svg>'
    )
    found["pfm"] = b"Pf\n140 180\n-1.0\n" + (pixels[..., 0] / 255).astype("<f4").tobytes()
    found["netpbm-text"] = b"P3\n14 18\n255\n" + b" ".join(
        b"%d" % value for value in pixels[:18, :14].ravel()
    )
    head = b"8BPS\0\1" + bytes(6) + bytes([0, 3, 0, 0, 0, 180, 0, 0, 0, 140, 0, 8, 0, 3]) + bytes(14)
    found["psd"] = head + apart.tobytes()
    return found


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Cut, flip, overwrite, remove or repeat some of it; headers are hit more often."""
    made = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 5])):
        end = len(made) if chance.random() < 0.5 else min(len(made), 300)
        at = chance.randrange(max(1, end))
        size = chance.choice([1, 1, 2, 4, 30])
        kind = chance.randrange(6)
        if kind == 0:
            del made[max(1, at) :]
        elif kind == 1:
            made[at : at + 1] = bytes([made[at] ^ (1 << chance.randrange(8))]) if at < len(made) else b""
        elif kind == 2:
            made[at : at + size] = chance.randbytes(size)
        elif kind == 3:
            made[at : at + size] = chance.choice([b"\0", b"\xff", b"\x7f"]) * size
        elif kind == 4:
            del made[at : at + size]
        else:
            made[at:at] = made[at : at + size * 4]
    return bytes(made)


def write_mutants(folder: Path, count: int, seed: int) -> int:
    """The whole files and at least `count` mutants, the same for every reader; how many files."""
    with tempfile.TemporaryDirectory() as beside:
        whole = seeds(Path(beside))
    for name, data in whole.items():
        (folder / f"{name}-whole").write_bytes(data)
        for number in range(-(-count // len(whole))):
            (folder / f"{name}-{number:03}").write_bytes(
                mutate(data, random.Random(f"{seed} {name} {number}"))
            )
    return len(list(folder.iterdir()))


def decode(path: Path) -> str:
    """ "whole", the name of one of our errors, or "WRONG ..." for anything else."""
    import tilekit as tk
    from tilekit.errors import ScanError

    try:
        levels = "minmax" if path.name.startswith(("tiff-float", "pfm")) else None
        for scan in tk.scan_pages(path, max_pixels=MAX_PIXELS, budget=BUDGET, untrusted=True, levels=levels):
            heights = [97] * (scan.height // 97) + ([scan.height % 97] if scan.height % 97 else [])
            rows = sum(band.shape[0] for band in scan.bands_of_rows(heights))
            if rows != scan.height:
                return f"WRONG {rows} rows of {scan.height}"
            scan.read(0, 0, scan.width, min(50, scan.height))
            if scan.key.page > 3:
                break
    except ScanError as exc:
        if str(path) not in str(exc) or "\n" in str(exc):
            return f"WRONG message {exc}"
        return type(exc).__name__
    except BaseException as exc:  # noqa: BLE001 - that is what is being looked for
        return f"WRONG {type(exc).__name__}: {exc}"
    return "whole"


def _peak_mb() -> float:
    """The most memory since it was last asked, where the system can tell; else since the start."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * 1024 / 1e6


def work(names: list[str]) -> None:
    """Decode files, a line before and after each; ends the process where one takes over a minute."""
    from tilekit.scans import vips

    vips.SMALL_BYTES = 40_000  # small files take the way of large ones
    faulthandler.enable()
    warnings.simplefilter("error")
    idle = _peak_mb()
    for name in names:
        path = Path(name)
        print(f"start {path.name}", flush=True)
        timer = threading.Timer(LIMIT_S, lambda: os._exit(3))
        timer.daemon = True
        timer.start()
        verdict = decode(path)
        timer.cancel()
        print(f"end {path.name} {max(0.0, _peak_mb() - idle):.0f} {verdict}", flush=True)


def run(folder: Path) -> dict[str, Any]:
    """Every file of a folder decoded: verdicts by name, the most memory, what the processes wrote to stderr."""
    left = sorted(folder.iterdir())
    verdicts: dict[str, str] = {}
    most, noise = 0.0, ""
    root = Path(__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    while left:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.mutated_scans", "--work"],
            input="\n".join(map(str, left)), capture_output=True, text=True, env=env, cwd=root, check=False,
        )  # fmt: skip
        noise += done.stderr
        begun = ""
        for line in done.stdout.splitlines():
            word, name, *rest = line.split(" ", 3)
            begun = name
            if word == "end":
                most = max(most, float(rest[0]))
                verdicts[name] = rest[1] if float(rest[0]) <= STATED_MB else f"WRONG memory {rest[0]} MB"
        if done.returncode and begun not in verdicts:
            verdicts[begun] = "WRONG hang" if done.returncode == 3 else f"WRONG crash {done.returncode}"
        elif done.returncode:
            raise RuntimeError(f"the process that decodes does not start: {done.stderr[-2000:]}")
        left = [path for path in left if path.name not in verdicts]
    return {"verdicts": verdicts, "most_mb": most, "stderr": noise}


def main() -> None:
    """The command line: see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder to keep the files in")
    parser.add_argument("--work", action="store_true", help="decode what stdin names")
    options = parser.parse_args()
    if options.work:
        work(sys.stdin.read().splitlines())
        return
    with tempfile.TemporaryDirectory() as made:
        folder = options.keep or Path(made)
        folder.mkdir(exist_ok=True)
        write_mutants(folder, options.files, options.seed)
        found = run(folder)
    wrong = {name: verdict for name, verdict in found["verdicts"].items() if verdict.startswith("WRONG")}
    tally = Counter(
        "WRONG" if verdict.startswith("WRONG") else verdict for verdict in found["verdicts"].values()
    )
    summary = {
        "files": len(found["verdicts"]), "seed": options.seed, "tally": dict(tally), "most_mb": round(found["most_mb"]),
        "stated_mb": round(STATED_MB), "wrong": wrong, "stderr": found["stderr"][-2000:],
    }  # fmt: skip
    print(json.dumps(summary, indent=2))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
