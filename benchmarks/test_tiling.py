"""Tiling against its peers, each timed in turn in one run; what counts is the ratio.

    pytest benchmarks/test_tiling.py --benchmark-columns=min,median

144 Mpx, tiles of 1024 px every 896, JPEG quality 90, 4:4:4, to files; `extra_info["ratio"]` is the
peer's median time over tilekit's, from interleaved rounds. `limit` is decode plus encode, each at
the fastest found alone, over the cores used.
"""

from __future__ import annotations

import os
import shutil
import statistics
import time

import numpy as np
import pytest

import tilekit as tk
from tilekit.scans.encoding import decode_image, encode_image
from tilekit.testing.scans import write_scan

SIDE = int(os.environ.get("TILEKIT_BENCH_SIDE", "12000"))
ROUNDS = int(os.environ.get("TILEKIT_BENCH_ROUNDS", "5"))
KINDS = {"jpeg": "jpg", "png": "png", "deflate-strips": "tif", "lzw-strips": "tif", "tiled-jpeg": "tif"}
PAPER = {"clean": True, "noisy": 12.0}
TILING = tk.Tiling(1024, 128)


@pytest.fixture(scope="session")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    made = {}

    def scan(kind, paper):
        if (kind, paper) not in made:
            path = folder / f"{kind}-{paper}.{KINDS[kind]}"
            made[kind, paper] = write_scan(path, SIDE, SIDE, kind, noise=PAPER[paper])
        return made[kind, paper]

    return scan


def tilekit(path, out):
    tk.tile_scan(path, out, TILING)


def tilekit_no_overlap(path, out):
    tk.tile_scan(path, out, tk.Tiling(1024, edge="clip"), quality=75, subsampling="420")


def dzsave(path, out):
    import pyvips

    image = pyvips.Image.new_from_file(str(path), access="sequential")
    image.dzsave(
        str(out / "x"), tile_size=896, overlap=64, depth="one", suffix=".jpg[Q=90,subsample_mode=off]"
    )


def image_slicer(path, out):
    import image_slicer

    image_slicer.slice_image(str(path), tile_width=1024, tile_height=1024, output_dir=str(out))


def sahi(path, out):
    from sahi.slicing import slice_image

    slice_image(
        str(path), output_file_name="x", output_dir=str(out), slice_height=1024, slice_width=1024,
        overlap_height_ratio=0.125, overlap_width_ratio=0.125, out_ext=".jpg",
    )  # fmt: skip


def opencv(path, out):
    import cv2

    page = cv2.imread(str(path))
    for x0, y0, x1, y1 in TILING.grid(page.shape[1], page.shape[0]):
        flags = [
            cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
        ]  # fmt: skip
        cv2.imwrite(str(out / f"{x0}-{y0}.jpg"), page[y0:y1, x0:x1], flags)


def pillow(path, out):
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    with Image.open(path) as page:
        for window in TILING.grid(*page.size):
            name = out / f"{window.x0}-{window.y0}.jpg"
            page.crop(tuple(window)).save(name, quality=90, subsampling=0)


def timed(work, path, out):
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    wall, cpu = time.perf_counter(), time.process_time()
    work(path, out)
    return time.perf_counter() - wall, time.process_time() - cpu


def race(benchmark, ours, peer, path, folder):
    """Rounds of ours, peer, ours, peer, ...; medians and their ratio go to extra_info."""
    rounds = [(timed(ours, path, folder / "a"), timed(peer, path, folder / "b")) for _ in range(ROUNDS + 1)][
        1:
    ]
    benchmark.extra_info["peer_s"] = statistics.median(theirs[0] for _, theirs in rounds)
    benchmark.extra_info["ratio"] = statistics.median(theirs[0] / mine[0] for mine, theirs in rounds)
    benchmark.extra_info["cpu_ratio"] = statistics.median(theirs[1] / mine[1] for mine, theirs in rounds)
    benchmark.pedantic(timed, args=(ours, path, folder / "a"), rounds=1)
    print(f"\n{ours.__name__} vs {peer.__name__}, {path.name}: {benchmark.extra_info}")


@pytest.mark.parametrize("paper", PAPER)
@pytest.mark.parametrize("kind", KINDS)
def test_dzsave(benchmark, scans, tmp_path, kind, paper):
    race(benchmark, tilekit, dzsave, scans(kind, paper), tmp_path)


@pytest.mark.parametrize("kind", ["jpeg", "tiled-jpeg"])
@pytest.mark.parametrize("peer", [sahi, opencv, pillow])
def test_whole_image_peers(benchmark, scans, tmp_path, peer, kind):
    race(benchmark, tilekit, peer, scans(kind, "clean"), tmp_path)


@pytest.mark.parametrize("kind", ["jpeg", "tiled-jpeg"])
def test_image_slicer(benchmark, scans, tmp_path, kind):
    race(benchmark, tilekit_no_overlap, image_slicer, scans(kind, "clean"), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_limit(benchmark, scans, tmp_path, kind):
    """Decode alone and encode alone, in CPU seconds, over the cores; never below the serial decode."""
    path = scans(kind, "clean")
    with tk.open_scan(path) as scan:
        tiles = [
            tile.pixels for tile in tk.read_tiles(scan, TILING, only=range(0, len(scan.grid(TILING)), 5))
        ]
        count = len(scan.grid(TILING))
    data = path.read_bytes()

    def decode(_path, _out):
        with tk.open_scan(path) as scan:
            for _ in scan.bands_of_rows([128] * (SIDE // 128) + [SIDE % 128] * bool(SIDE % 128)):
                pass

    def decode_whole(_path, _out):
        import simplejpeg

        simplejpeg.decode_jpeg(data)

    def encode(_path, _out):
        for pixels in tiles:
            encode_image(pixels)

    decoders = [decode, decode_whole] if kind == "jpeg" else [decode]
    decoding = min(timed(work, path, tmp_path)[1] for work in decoders for _ in range(ROUNDS))
    encoding = min(timed(encode, path, tmp_path)[1] for _ in range(ROUNDS)) * count / len(tiles)
    cores = len(os.sched_getaffinity(0))
    serial = 0 if kind == "tiled-jpeg" else decoding
    limit = max(serial, (decoding + encoding) / cores)
    ours = statistics.median(timed(tilekit, path, tmp_path / "a")[0] for _ in range(ROUNDS))
    benchmark.extra_info |= {
        "limit_s": limit,
        "decode_s": decoding,
        "encode_s": encoding,
        "of_limit": limit / ours,
    }
    benchmark.pedantic(timed, args=(tilekit, path, tmp_path / "a"), rounds=1)
    print(f"\nlimit, {kind}: {benchmark.extra_info}")


def test_small_scans(benchmark, tmp_path):
    """A 1 Mpx scan against decoding and encoding it, nothing else."""
    path = write_scan(tmp_path / "small.jpg", 1024, 1024)

    def plain(path, out):
        for i in range(50):
            (out / f"{i}.jpg").write_bytes(encode_image(decode_image(path.read_bytes())).data)

    def tiled(path, out):
        for i in range(50):
            tk.tile_scan(path, out / str(i), TILING)

    race(benchmark, tiled, plain, path, tmp_path / "out")


def test_ten_million_windows(benchmark):
    grid = tk.Tiling(32).grid(102_400, 100_000)
    windows = benchmark(grid.windows)
    assert windows.shape == (len(grid), 4)
    assert np.array_equal(windows[-1], grid[-1])
