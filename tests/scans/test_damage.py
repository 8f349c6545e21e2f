"""Damage that could pass for a page: each kind is an error, never gray or black pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

import tilekit as tk
from tests.scans.test_formats import NOISE, pillow
from tilekit.errors import ScanCorrupt, ScanError


def read_all(source: object) -> None:
    with tk.open_scan(source) as scan:  # type: ignore[arg-type]
        for _ in scan.bands_of_rows([100, scan.height - 100]):
            pass


def read_part(source: object) -> None:
    with tk.open_scan(source) as scan:  # type: ignore[arg-type]
        scan.read(0, 0, scan.width, scan.height)


@pytest.mark.parametrize("read", [read_all, read_part])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "PPM", "TIFF"])
def test_a_cut_file(format, share, read):
    data = pillow(Image.fromarray(NOISE), format)
    with pytest.raises(ScanCorrupt):
        read(data[: int(len(data) * share)])


@pytest.mark.parametrize("read", [read_all, read_part])
@pytest.mark.parametrize("tile", [None, (64, 64)])
@pytest.mark.parametrize("compression", ["deflate", "lzw", "jpeg", "zstd", "lzma"])
def test_a_broken_segment_in_the_middle(tmp_path, compression, tile, read):
    path = tmp_path / "a.tif"
    layout = {"tile": tile} if tile else {"rowsperstrip": 32}
    tifffile.imwrite(path, NOISE, compression=compression, photometric="rgb", **layout)
    with tifffile.TiffFile(path) as file:
        start, size = file.pages[0].dataoffsets[6], file.pages[0].databytecounts[6]
    data = bytearray(path.read_bytes())
    data[start : start + size] = b"\xff" * size
    path.write_bytes(data)
    with pytest.raises(ScanCorrupt, match=r"a\.tif"):
        read(path)


def test_a_jpeg_with_garbage_inside():
    data = bytearray(pillow(Image.fromarray(NOISE), "JPEG", quality=95))
    data[len(data) // 2 : len(data) // 2 + 400] = b"\xff\x00\xaa\x55" * 100
    data[len(data) // 2 + 500] = 0xFF
    data[len(data) // 2 + 501] = 0xD9
    with pytest.raises(ScanCorrupt):
        read_all(bytes(data))


@pytest.mark.parametrize(
    ("field", "value"), [(256, 200_000), (257, 200_000), (273, 1 << 30), (259, 12345), (256, 0)]
)
def test_a_lying_tiff_header(tmp_path, field, value):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, NOISE[..., 0], rowsperstrip=411)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags[field].overwrite(value)
    with pytest.raises(ScanError, match=r"a\.tif"):
        read_all(path)


def test_a_slide_tile_of_gigabytes_is_refused(tmp_path):
    path = tmp_path / "a.svs"
    text = "Aperio Image Library v1\n307x411 (64x64) JPEG|MPP = 0.25"
    tifffile.imwrite(
        path, NOISE, tile=(64, 64), compression="jpeg", description=text, photometric="rgb", metadata=None
    )
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags[322].overwrite(1 << 28)
    with pytest.raises(ScanCorrupt, match="tiles"):
        tk.open_scan(path)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    from pathlib import Path

    path = tmp_path / "a.png"
    path.write_bytes(b"x")

    def refuse(*_: object, **__: object) -> io.BytesIO:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ScanError, match="permission denied"):
        tk.open_scan(path)


@pytest.mark.slow
def test_very_wide_and_very_tall_scans(tmp_path):
    for shape in [(2, 1_000_000), (1_000_000, 2)]:
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        for name, options in [
            ("strips", {"rowsperstrip": 1 if shape[0] == 2 else 4096}),
            ("tiles", {"tile": (256, 256)}),
        ]:
            path = tmp_path / f"{name}{shape[0]}.tif"
            tifffile.imwrite(path, pixels, compression="deflate", **options)
            with tk.open_scan(path) as scan:
                assert np.array_equal(next(scan.bands_of_rows([shape[0]]))[..., 0], pixels)
        png = tk.open_scan(_png(pixels))
        assert np.array_equal(next(png.bands_of_rows([shape[0]]))[..., 0], pixels)


def _png(pixels: np.ndarray) -> bytes:
    from tilekit.scans.encoding import encode_image

    return encode_image(pixels, "png").data
