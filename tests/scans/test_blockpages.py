"""A page made of a TIFF's blocks on the way == a page read by itself, byte for byte, whoever decodes or parses them."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import pyvips
import simplejpeg
from hypothesis import assume, given
from hypothesis import strategies as st

import tilekit as tk
from tilekit.compiled import prepare
from tilekit.errors import ScanCorrupt
from tilekit.scans import reducing, vips
from tilekit.scans.blockpages import BlockEighth, block_reducer_for
from tilekit.scans.reducing import image_of, reduced
from tilekit.scans.tiff.blocks import jpeg_head


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    prepare("tilekit.scans.kernels")
    reducing.kernel_agrees.cache_clear()


def picture(width: int, height: int, bands: int, seed: int = 0) -> np.ndarray:
    """Soft shapes and noise."""
    rng = np.random.default_rng(seed)
    small = image_of(rng.integers(0, 256, (height // 30 + 2, width // 30 + 2, bands), np.uint8))
    soft = np.asarray(small.resize(31).crop(0, 0, width, height).numpy(), np.float64).reshape(
        height, width, bands
    )
    return np.clip(soft + rng.normal(0, 20, soft.shape), 0, 255).astype(np.uint8)


def tiff(pixels: np.ndarray, block: tuple[int, int], compression: str, **more: object) -> bytes:
    return image_of(pixels).tiffsave_buffer(
        compression=compression, tile=True, tile_width=block[0], tile_height=block[1], **more
    )


@given(
    st.tuples(st.integers(40, 200), st.integers(40, 200)),
    st.tuples(st.sampled_from([16, 32, 48]), st.sampled_from([16, 32, 64])),
    st.tuples(st.floats(4, 30), st.floats(4, 30)),
    st.sampled_from([1, 3]),
    st.integers(0, 9),
    st.booleans(),
)  # fmt: skip
def test_blocks_in_any_order_make_the_reduced_page(page, block, ratios, bands, seed, threads):
    pixels = np.random.default_rng(seed).integers(0, 256, (page[1], page[0], bands), np.uint8)
    size = tuple(max(1, int(side / ratio)) for side, ratio in zip(page, ratios, strict=True))
    layout = SimpleNamespace(down=-(-page[1] // block[1]), across=-(-page[0] // block[0]))
    blocks = SimpleNamespace(width=page[0], height=page[1], bands=bands, block=block, layout=layout)
    reducer = block_reducer_for(blocks, size)
    assume(reducer is not None)
    cells = [(row, col) for row in range(layout.down) for col in range(layout.across)]
    random.Random(seed).shuffle(cells)

    def show(cell):
        (row, col), (width, height) = cell, block
        part = pixels[row * height : (row + 1) * height, col * width : (col + 1) * width]
        reducer.see(row, col, b"", part)

    assert reducer.image() is None
    with ThreadPoolExecutor(3) as pool:
        list((pool.map if threads else map)(show, [*cells, *cells[:3]]))
    image = pyvips.Image.new_from_memory(pixels, *page, bands, "uchar")
    assert reducer.image().write_to_memory() == reduced(image, size).write_to_memory()


@st.composite
def tiffs(draw: st.DrawFn) -> bytes:
    """A TIFF in blocks of every kind that is decoded block by block."""
    bands, compression = (
        draw(st.sampled_from([1, 3])),
        draw(st.sampled_from(["jpeg", "jpeg", "deflate", "none"])),
    )
    size = (
        draw(st.integers(61, 400)),
        draw(st.integers(61, 400)),
    )  # at 60 the page beside is the one tile again
    block = draw(st.sampled_from([16, 64, 128])), draw(st.sampled_from([16, 64]))
    more = {}
    if compression == "jpeg":
        more["Q"] = draw(st.sampled_from([5, 75, 95]))  # from 90 on it is RGB
    if compression == "deflate":
        more["predictor"] = draw(st.sampled_from(["none", "horizontal"]))
    return tiff(picture(*size, bands, draw(st.integers(0, 3))), block, compression, **more)


@given(
    tiffs(),
    st.sampled_from([6, 20, 45, 60]),
    st.sampled_from([1, 2]),
    st.sampled_from(["pixels", "jpeg", "png"]),
)
def test_one_reading_gives_what_two_give(data, side, workers, how):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vips, "SMALL_BYTES", 0)
        scales = tk.Scales(tk.Tiling(64, 16), tk.Tiling.whole(side))

        def read(tiling):
            with tk.open_scan(data) as scan:
                if how == "pixels":
                    return [tile.pixels.tobytes() for tile in tk.read_tiles(scan, tiling, workers=workers)]
                found = []
                places = (
                    [scan.grid(one) for one in tiling]
                    if isinstance(tiling, tk.Scales)
                    else [scan.grid(tiling)]
                )
                from tilekit.tiles.reading import expected

                if isinstance(tiling, tk.Scales):
                    expected(scan, tiling)
                for grid in places:
                    found += [
                        tile.data for tile in tk.encode_tiles(scan, grid.tiling, format=how, workers=workers)
                    ]
                return found

        assert read(scales) == [*read(scales[0]), *read(scales[1])]


@pytest.mark.parametrize("how", ["read_tiles", "tile_scan"])
@pytest.mark.parametrize(("compression", "quality"), [("jpeg", 75), ("jpeg", 95), ("deflate", 0)])
def test_no_block_is_decoded_for_the_page_alone(tmp_path, monkeypatch, compression, quality, how):
    monkeypatch.setattr(vips, "SMALL_BYTES", 0)
    more = {"Q": quality} if quality else {}
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(picture(640, 480, 3), (64, 64), compression, **more))
    scales = tk.Scales(tk.Tiling(160, 16, align=16), tk.Tiling.whole(70))
    with tk.open_scan(path) as scan:
        monkeypatch.setattr(scan, "_loader", None)
        monkeypatch.setattr(scan.blocks(), "eighth", None)
        if how == "read_tiles":
            assert [tile.scale for tile in tk.read_tiles(scan, scales)][-1] == 1
        else:
            made = tk.tile_scan(scan, tmp_path / "out", scales)
            assert made.kept == (made.tiles if compression == "jpeg" else 0)


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("quality", [10, 75, 95])
def test_an_eighth_is_of_each_block_as_its_decoder_makes_it(bands, quality):
    """And about the mean of the pixels."""
    pixels = picture(333, 250, bands)
    data = tiff(pixels, (64, 48), "jpeg", Q=quality)
    with tk.open_scan(data) as scan:
        blocks = scan.blocks()
        made = BlockEighth(blocks).pixels()
        want = np.zeros((-(-250 // 48) * 6, -(-333 // 64) * 8, bands), np.uint8)
        head = jpeg_head(blocks.layout)
        for row in range(blocks.layout.down):
            for col in range(blocks.layout.across):
                small = simplejpeg.decode_jpeg(
                    head + blocks.data(row, col)[2:],
                    "GRAY" if bands == 1 else "RGB",
                    min_height=6,
                    min_width=8,
                    min_factor=1,
                )
                want[row * 6 : row * 6 + 6, col * 8 : col * 8 + 8] = small.reshape(6, 8, bands)
                assert np.array_equal(blocks.eighth(row, col), small.reshape(6, 8, bands))
        assert np.array_equal(made, want[:31, :41])
        page = reduced(image_of(made), (20, 15), (333 / 8, 250 / 8)).numpy().reshape(15, 20, bands)
        assert np.array_equal(scan.read(0, 0, 20, 15, scale=(20, 15)), page)
        whole = scan.read(0, 0, 328, 248).astype(float).reshape(31, 8, 41, 8, bands).mean((1, 3))
        assert np.abs(made - whole).mean() < 1.5


@pytest.mark.parametrize("compression", ["jpeg", "deflate"])
def test_a_truncated_file_is_told_alike(tmp_path, monkeypatch, compression):
    monkeypatch.setattr(vips, "SMALL_BYTES", 0)
    data = bytearray(tiff(picture(640, 480, 3), (64, 64), compression))
    with tk.open_scan(bytes(data)) as scan:
        layout = scan.blocks().layout
        middle = int(layout.offsets[len(layout.offsets) // 2])
    data[middle + 2 : middle + 400] = bytes(398)
    path = tmp_path / "a.tif"
    path.write_bytes(bytes(data))
    told = []
    for tiling in (tk.Tiling(160, 16), tk.Scales(tk.Tiling(160, 16), tk.Tiling.whole(70))):
        with pytest.raises(ScanCorrupt, match=r"a\.tif") as caught:
            tk.tile_scan(path, tmp_path / "out", tiling, workers=1)
        told.append(str(caught.value))
    assert told[0] == told[1]
    with pytest.raises(ScanCorrupt, match=r"a\.tif.* is damaged"):
        tk.tile_scan(path, tmp_path / "out", tk.Tiling.whole(70))
