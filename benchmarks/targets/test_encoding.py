"""Encoding one tile by format beside everyone who can, and looking whether a tile is blank."""

from __future__ import annotations

import io

import numpy as np
import pytest

from tilekit.scans.blank import is_blank
from tilekit.scans.encoding import decode_image, encode_image
from tilekit.testing.scans import paper_scan


def by_opencv(format):
    import cv2

    options = {
        "jpeg": [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111],
        "png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
        "webp": [cv2.IMWRITE_WEBP_QUALITY, 101],  # above 100 is lossless
    }[format]
    # Its pictures are blue first; handing it ours as they are spares it the turn and changes no cost.
    return lambda pixels: cv2.imencode(".jpg" if format == "jpeg" else f".{format}", pixels, options)[
        1
    ].tobytes()


def by_pillow(format):
    from PIL import Image

    options = {
        "jpeg": {"quality": 90, "subsampling": 0},
        "png": {"compress_level": 1},
        "webp": {"lossless": True, "quality": 75, "method": 1},
    }[format]

    def encode(pixels):
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, format, **options)
        return out.getvalue()

    return encode


def by_vips(format):
    import pyvips

    suffix = {
        "jpeg": ".jpg[Q=90,subsample_mode=off]", "png": ".png[compression=1,filter=none]",
        "webp": ".webp[lossless,effort=1]",
    }[format]  # fmt: skip
    return lambda pixels: pyvips.Image.new_from_array(pixels).write_to_buffer(suffix)


def by_imagecodecs(format):
    import imagecodecs

    if format == "jpeg":
        return lambda pixels: imagecodecs.jpeg8_encode(pixels, level=90, subsampling="444")
    if format == "png":
        return lambda pixels: imagecodecs.png_encode(pixels, level=1)
    return lambda pixels: imagecodecs.webp_encode(pixels, lossless=True, method=1)


PEERS = {"OpenCV": by_opencv, "Pillow": by_pillow, "libvips": by_vips, "imagecodecs": by_imagecodecs}


def error(data, pixels, name):
    """Mean squared error of what was encoded, its bands as they were given."""
    found = decode_image(data)
    found = found[..., ::-1] if name == "OpenCV" else found
    return float(np.mean((found.astype(float) - pixels) ** 2))


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_encoding(frame, format):
    pixels = paper_scan(1024, 1024, seed=3)
    ours = encode_image(pixels, format).data
    most = 1.26 * error(ours, pixels, "tilekit")  # 1 dB; 0 for what is lossless
    works, sizes, left = {"tilekit": lambda: encode_image(pixels, format)}, {"tilekit": len(ours)}, []
    for name, maker in PEERS.items():
        try:
            way = maker(format)
            data = way(pixels)
        except Exception as exc:  # noqa: BLE001 - a peer may fail in any way
            left.append(f"{name}: {type(exc).__name__}: {exc}"[:120])
            continue
        if error(data, pixels, name) > most:
            left.append(f"{name}: another picture")
            continue
        works[name], sizes[name] = (lambda way=way: way(pixels)), len(data)
    timed = frame.pair(works, rounds=5, repeat=True)
    best = timed.best_peer([name for name in works if name != "tilekit"])
    note = f"fastest peer: {best}" + "".join(f"; {text}" for text in left)
    ratio = None if best is None else timed.ratio(best, "tilekit")
    frame.record(f"encode.{format}", ratio, note, cost=timed, bytes=sizes)


def test_blank(frame):
    grain = np.random.default_rng(0).normal(0, 1, (1024, 1024, 1))
    paper = (np.array([214, 211, 202]) + grain).round().astype(np.uint8)
    assert is_blank(paper)
    works = {"look": lambda: is_blank(paper), "encode": lambda: encode_image(paper)}
    timed = frame.pair(works, rounds=5, repeat=True)
    frame.record("blank.share", timed.ratio("look", "encode"), "a blank tile, looked at whole", cost=timed)
