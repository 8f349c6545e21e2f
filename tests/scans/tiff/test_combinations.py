"""Any combination of TIFF fields is read as an independent decoder reads it, or refused in words."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

import tilekit as tk
from tests.scans.tiff.combinations import HEIGHT, JPEG, WIDTH, Combination, drawn, logluv, seen
from tilekit.errors import InvalidArgument, ScanUnsupported

COUNT = 4000 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 420
WINDOW = (5, 3, 31, 22)
EVERY_TILE = tk.Tiling(24, overlap=3)


def decoded(path: Path, of: Combination) -> list[np.ndarray]:
    """Every page by tifffile and imagecodecs, as (h, w, samples)."""
    with tifffile.TiffFile(path) as file:
        pages = [page for page in file.pages if not page.is_reduced and not page.is_mask]
        found = [page.asarray() for page in pages]
    planes = [np.moveaxis(page, 0, 2) if of.apart and page.ndim == 3 else page for page in found]
    return [page.reshape(HEIGHT, WIDTH, of.samples) for page in planes]


def levels_of(of: Combination) -> tuple[float, float] | None:
    """What samples without an 8-bit meaning are opened with."""
    if of.form == 3:
        return 0, 1
    if of.form == 2:
        return -(1 << (of.bits - 1)), (1 << (of.bits - 1)) - 1
    return (0, (1 << 32) - 1) if of.bits == 32 else None


def verdict(path: Path, of: Combination) -> str:
    """ "same", "refused", or what is wrong."""
    of.write(path)
    levels = levels_of(of)
    stored = decoded(path, of)
    if of.compression != JPEG and not all(
        np.array_equal(page, of.stored(number)) for number, page in enumerate(stored)
    ):
        return "the other decoder does not read what was written"
    for number, page in enumerate(stored):
        try:
            with tk.open_scan(path, page=number, levels=levels) as scan:
                want = seen(of, page, levels)
                if scan.pages != of.pages:
                    return f"{scan.pages} pages"
                wrong = differs(scan, want)
        except ScanUnsupported:
            return "refused"
        except InvalidArgument as exc:
            return "refused" if "levels= are for" in str(exc) else f"{exc!r}"
        except Exception as exc:  # noqa: BLE001 - any other error is a finding
            return f"{exc!r}"
        if wrong:
            return f"page {number}: {wrong}"
    return "same"


def differs(scan, want: np.ndarray) -> str:
    x0, y0, x1, y1 = WINDOW
    if not np.array_equal(scan.read(x0, y0, x1, y1), want[y0:y1, x0:x1]):
        return "a window differs"
    if not np.array_equal(np.concatenate(list(scan.bands_of_rows([11, HEIGHT - 11]))), want):
        return "bands of rows differ"
    for tile in tk.read_tiles(scan, EVERY_TILE):
        box = tile.window
        if not np.array_equal(tile.pixels, want[box.y0 : box.y1, box.x0 : box.x1]):
            return f"tile {box} differs"
    return ""


@pytest.mark.slow
def test_every_combination_is_read_right_or_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(logging.getLogger("tifffile"), "disabled", True)
    found = {one: verdict(tmp_path / f"{place}.tif", one) for place, one in enumerate(drawn(COUNT, seed=0))}
    assert {one: words for one, words in found.items() if words not in ("same", "refused")} == {}
    assert len(found) == COUNT
    assert list(found.values()).count("same") > COUNT * 0.6


@pytest.mark.parametrize("uv", [(4 / 19, 9 / 19), (0.3, 0.5)])
def test_logluv(uv):
    luminance = np.tile(np.linspace(0.01, 1.4, 30), (4, 1))
    data, want = logluv(luminance, uv)
    with tk.open_scan(data) as scan:
        assert np.abs(scan.read(0, 0, 30, 4).astype(int) - want).max() <= 1


def test_a_tiff_that_does_not_say_what_its_samples_mean_warns(tmp_path):
    path = tmp_path / "a.tif"
    Combination("none").write(path)
    assert "black at zero" in tk.scan_info(path).warnings[0]
    Combination("none", bits=1, compression=4).write(path)
    with tk.open_scan(path) as scan:
        assert "white at zero" in scan.info.warnings[0]
        assert np.array_equal(
            scan.read(0, 0, WIDTH, HEIGHT), (1 - Combination("none", bits=1).stored()) * 255
        )
