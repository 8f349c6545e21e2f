"""Mutated files over all readers: no crash, no hang, nothing but our own errors."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import glymur
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image

import tilekit
from tests.scans import mutants
from tests.scans.test_pdf import drawing, pdf_of

PER_SEED = 14
PIXELS = np.random.default_rng(3).integers(0, 256, (180, 140, 3), np.uint8)


def seeds(folder: Path) -> dict[str, bytes]:
    """A small whole file for every reader and way of storing."""
    picture = Image.fromarray(PIXELS)
    found = {}
    for name, format, options in [
        ("jpeg", "JPEG", {}),
        ("progressive", "JPEG", {"progressive": True}),
        ("png", "PNG", {}),
        ("interlaced", "PNG", {"compress_level": 1}),
        ("gif", "GIF", {}),
        ("webp", "WEBP", {}),
        ("avif", "AVIF", {}),
        ("ppm", "PPM", {}),
    ]:
        out = io.BytesIO()
        picture.save(out, format, **options)
        found[name] = out.getvalue()
    for compression in (None, "deflate", "lzw", "jpeg", "webp", "zstd", "lzma"):
        for tile in (None, (64, 64)):
            path = folder / "a.tif"
            layout = {"tile": tile} if tile else {"rowsperstrip": 16}
            tifffile.imwrite(path, PIXELS, compression=compression, photometric="rgb", **layout)
            found[f"tiff-{compression}-{'tiles' if tile else 'strips'}"] = path.read_bytes()
    out = io.BytesIO()
    Image.fromarray(PIXELS[..., 0] > 128).save(out, "TIFF", compression="group4")
    found["tiff-g4"] = out.getvalue()
    glymur.Jp2k(folder / "a.jp2", data=PIXELS, tilesize=(64, 64))
    found["jp2"] = (folder / "a.jp2").read_bytes()
    out = io.BytesIO()
    pillow_heif.from_bytes("RGB", (140, 180), PIXELS.tobytes()).save(out)
    found["heic"] = out.getvalue()
    text = "Aperio Image Library v1\n140x180 (64x64) JPEG|AppMag = 40|MPP = 0.25"
    tifffile.imwrite(
        folder / "a.svs", PIXELS, tile=(64, 64), compression="jpeg", description=text, photometric="rgb",
        metadata=None,
    )  # fmt: skip
    found["svs"] = (folder / "a.svs").read_bytes()
    found["pdf"] = drawing()
    found["pdf-scan"] = pdf_of(picture, picture)
    found["svg"] = (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="90" height="50"><rect width="45" height="50"/></svg>'
    )
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


@pytest.mark.timeout(600)
def test_mutated_files_are_read_or_refused(tmp_path):
    files = tmp_path / "mutants"
    files.mkdir()
    for name, data in seeds(tmp_path).items():
        (files / f"{name}-whole").write_bytes(data)
        for number in range(PER_SEED):
            chance = random.Random(f"{name} {number} {os.environ.get('TILEKIT_FUZZ_SEED', '')}")
            (files / f"{name}-{number:03}").write_bytes(mutate(data, chance))
    count = len(list(files.iterdir()))
    assert count >= 400
    run = subprocess.run(
        [sys.executable, mutants.__file__, str(files)],
        capture_output=True,
        text=True,
        timeout=550,
        env={**os.environ, "PYTHONPATH": str(Path(tilekit.__file__).parents[1])},
        check=False,
    )
    lines = run.stdout.splitlines()
    assert run.returncode == 0, (lines[-1], run.stderr[-3000:])
    verdicts = {
        name: verdict for _, name, verdict in (line.split(" ", 2) for line in lines if line.startswith("end"))
    }
    assert len(verdicts) == count
    assert not {name: verdict for name, verdict in verdicts.items() if verdict.startswith("WRONG")}
    assert all(verdict == "whole" for name, verdict in verdicts.items() if name.endswith("-whole"))
    tally = Counter(verdicts.values())
    assert tally["ScanCorrupt"] > count / 4
    assert run.stderr.strip() == ""
