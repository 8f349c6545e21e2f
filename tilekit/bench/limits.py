"""What no tiler can beat here: decoding alone, encoding alone, writing alone; and what bounds a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_BAND = 128
_SAMPLE = 32


def decode_alone(path: str, how: str) -> Callable[[], dict[str, Any]]:
    """Every pixel decoded once in one thread, none kept. `how`: libvips, simplejpeg or tilekit."""
    import os

    os.environ["VIPS_CONCURRENCY"] = "1"
    return {"libvips": _by_libvips, "simplejpeg": _by_simplejpeg, "tilekit": _by_tilekit}[how](path)


def _by_libvips(path: str) -> Callable[[], dict[str, Any]]:
    import pyvips

    def work() -> dict[str, Any]:
        image = pyvips.Image.new_from_file(path, access="sequential")
        region = pyvips.Region.new(image)
        for top in range(0, image.height, _BAND):
            region.fetch(0, top, image.width, min(_BAND, image.height - top))
        return {"pixels": image.width * image.height}

    return work


def _by_simplejpeg(path: str) -> Callable[[], dict[str, Any]]:
    import simplejpeg

    data = Path(path).read_bytes()

    def work() -> dict[str, Any]:
        gray = simplejpeg.decode_jpeg_header(data)[2] == "Gray"
        pixels = simplejpeg.decode_jpeg(data, colorspace="GRAY" if gray else "RGB")
        return {"pixels": pixels.shape[0] * pixels.shape[1]}

    return work


def _by_tilekit(path: str) -> Callable[[], dict[str, Any]]:
    from tilekit.scans.opening import open_scan

    def work() -> dict[str, Any]:
        with open_scan(path, max_pixels=2**62) as scan:
            heights = [_BAND] * (scan.height // _BAND)
            heights += [scan.height % _BAND] if scan.height % _BAND else []
            for _ in scan.bands_of_rows(heights):
                pass
            return {"pixels": scan.width * scan.height}

    return work


def encode_alone(
    path: str, out: str, tile: int, overlap: int, format: str, quality: int, sub: str
) -> Callable[[], dict[str, Any]]:
    """Tiles encoded in one thread from memory; and the same bytes written to `out`.

    Of a large scan 32 tiles, spread over it, stand for all. The answer holds seconds for all tiles.
    """
    from tilekit.grid import Tiling
    from tilekit.scans.encoding import encode_image
    from tilekit.scans.opening import open_scan
    from tilekit.tiles.reading import read_tiles

    options: Any = {"format": format, "quality": quality, "subsampling": sub}
    with open_scan(path, max_pixels=2**62) as scan:
        tiling = Tiling(tile, overlap)
        count = len(scan.grid(tiling))
        chosen = sorted({round(place * (count - 1) / max(1, _SAMPLE - 1)) for place in range(_SAMPLE)})
        pixels = [item.pixels for item in read_tiles(scan, tiling, only=chosen)]
    encode_image(pixels[0], **options)

    def work() -> dict[str, Any]:
        start = time.perf_counter()
        made = [encode_image(item, **options).data for item in pixels]
        middle = time.perf_counter()
        Path(out).mkdir(parents=True, exist_ok=True)
        for place, data in enumerate(made):
            Path(out, f"{place}.bin").write_bytes(data)
        scale = count / len(pixels)
        return {
            "encode": (middle - start) * scale,
            "write": (time.perf_counter() - middle) * scale,
            "tiles": count,
        }

    return work


def bound_of(decode: float, encode: float, write: float, workers: int, serial: bool) -> str:
    """What sets the least time of a run, in words: the largest of what cannot be shared further."""
    shared = (decode + encode) / workers
    if write > max(shared, decode if serial else 0.0):
        return "disk"
    if serial and decode > shared:
        return "decode (one thread only)"
    return f"processor: {'encode' if encode >= decode else 'decode'} ({round(100 * max(encode, decode) / (decode + encode))} %)"
