"""BMP against Pillow's own pixels; what is damaged or too large is one sentence."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from PIL import Image

import tilekit as tk
from tilekit.errors import ScanCorrupt, ScanTooLarge, ScanUnsupported

PIXELS = np.random.default_rng(1).integers(0, 256, (37, 53, 3), np.uint8)


def bmp(mode):
    out = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(out, "BMP", dpi=(300, 300))
    return out.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_pixels_are_those_of_the_picture(mode):
    with tk.open_scan(bmp(mode)) as scan:
        assert (scan.width, scan.height, scan.info.kind) == (53, 37, "bmp")
        assert scan.dpi == pytest.approx(300, abs=0.1)
        found = np.concatenate(
            [tile.pixels for tile in tk.read_tiles(scan, tk.Tiling(20, edge="clip").parts(1))]
        )
    wanted = Image.fromarray(PIXELS).convert(mode).convert("L" if found.shape[2] == 1 else "RGB")
    assert np.array_equal(found.squeeze(), np.asarray(wanted))


def test_damage_and_size_are_told():
    whole = bmp("RGB")
    with pytest.raises(ScanCorrupt):
        tk.open_scan(whole[:900])
    with pytest.raises(ScanTooLarge):
        tk.open_scan(whole, max_pixels=100)
    with pytest.raises(ScanUnsupported):
        tk.open_scan(b"BM is how this text begins")
    for at in range(14, 54):
        with contextlib.suppress(tk.TilekitError):
            tk.open_scan(whole[:at] + bytes([whole[at] ^ 0x81]) + whole[at + 1 :], max_pixels=10_000).close()
