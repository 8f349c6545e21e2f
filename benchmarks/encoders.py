"""One tile through every encoder at equal settings: milliseconds, bytes and PSNR, interleaved in one run.

`python -m benchmarks.encoders` prints the table and writes benchmarks/results/encoders.json. JPEG pixels come from a
JPEG of the same settings, as tiles of a JPEG scan do; a decoder's PSNR against them tells the accurate DCT from the fast.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from tilekit.scans.encoding import decode_image, encode_image

RECORD = Path(__file__).parent / "results" / "encoders.json"
SIDE, ROUNDS = 1024, 15
Encoder = Callable[[np.ndarray], bytes]


def page(noise: float, bands: int) -> np.ndarray:
    """Paper with dark rectangles, and noise of so many gray levels."""
    rng = np.random.default_rng(0)
    pixels = np.full((SIDE, SIDE, 3), 245, np.int16)
    for _ in range(400):
        x, y = rng.integers(0, SIDE - 40, 2)
        width, height = rng.integers(3, 40, 2)
        pixels[y : y + height, x : x + width] = rng.integers(0, 120, 3)
    pixels += rng.normal(0, noise, pixels.shape).astype(np.int16)
    return np.ascontiguousarray(np.clip(pixels, 0, 255).astype(np.uint8)[..., :bands])


def _vips(pixels: np.ndarray, how: Callable) -> bytes:
    import pyvips

    height, width, bands = pixels.shape
    image = pyvips.Image.new_from_memory(pixels, width, height, bands, "uchar")
    return bytes(how(image.copy(interpretation="b-w" if bands == 1 else "srgb")))


def jpeg_ways(sub: str) -> dict[str, Encoder]:
    """Encoders of JPEG at quality 90."""
    import simplejpeg

    return {
        "tilekit": lambda tile: encode_image(tile, quality=90, subsampling=sub).data,
        "libvips": lambda tile: _vips(
            tile, lambda image: image.jpegsave_buffer(Q=90, subsample_mode="off" if sub == "444" else "on")
        ),
        "simplejpeg": lambda tile: simplejpeg.encode_jpeg(tile, 90, "RGB", sub, False),
    }


def png_ways() -> dict[str, Encoder]:
    """Encoders of PNG, each at its fastest setting."""
    import cv2

    return {
        "tilekit": lambda tile: encode_image(tile, "png").data,
        "libvips": lambda tile: _vips(tile, lambda image: image.pngsave_buffer(compression=1, filter="none")),
        "OpenCV": lambda tile: cv2.imencode(".png", tile, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes(),
    }


def psnr(one: np.ndarray, other: np.ndarray) -> float | None:
    """Peak signal to noise in dB; None where both are equal."""
    error = np.mean((one.astype(float) - other) ** 2)
    return round(float(10 * np.log10(255**2 / error)), 1) if error else None


def rows() -> list[dict]:
    """One row an encoder, setting and page."""
    made = []
    cases: list[tuple[str, dict[str, Encoder], np.ndarray]] = []
    for noise in (0, 2, 12):
        for sub in ("444", "420"):
            first = encode_image(page(noise, 3), quality=90, subsampling=sub).data
            cases.append((f"JPEG {sub}, noise {noise}", jpeg_ways(sub), decode_image(first)))
        cases += [(f"PNG, {bands} bands, noise {noise}", png_ways(), page(noise, bands)) for bands in (3, 1)]
    for name, ways, pixels in cases:
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, encode in ways.items():
                start = time.process_time()
                encode(pixels)
                taken[way].append(1000 * (time.process_time() - start))
        for way, encode in ways.items():
            data = encode(pixels)
            made.append({
                "what": name, "by": way, "cpu_ms": round(median(taken[way]), 2), "bytes": len(data),
                "psnr": psnr(decode_image(data), pixels) if name.startswith("JPEG") else None,
                "times_libvips": round(median(v / o for v, o in zip(taken["libvips"], taken[way], strict=True)), 2),
            })  # fmt: skip
    return made


if __name__ == "__main__":
    table = rows()
    for row in table:
        print(" | ".join(str(value) for value in row.values()))
    RECORD.write_text(json.dumps(table, indent=1) + "\n")
