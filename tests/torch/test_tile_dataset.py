"""Tiles by number are the tiles in a row; labels are those that the naive way carries; workers change nothing."""

from __future__ import annotations

import builtins
import pickle

import numpy as np
import pytest
import torch

import tilekit as tk
from tilekit.errors import InvalidArgument, MissingExtra
from tilekit.testing.scans import write_scan

SIZES = {"a.jpg": (430, 300), "b.tif": (300, 420)}


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    dice = np.random.default_rng(0)
    pages, sizes = {}, {}
    for name, (width, height) in SIZES.items():
        write_scan(
            folder / name, width, height, "jpeg" if name == "a.jpg" else "tiled-deflate", gray=name == "a.jpg"
        )
        corner = dice.uniform(0, (width - 60, height - 60), (12, 2))
        boxes = np.concatenate([corner, corner + dice.uniform(10, 60, (12, 2))], axis=1)
        key = tk.PageKey(str(folder / name))
        pages[key] = tk.Annotations(boxes, dice.integers(0, 2, 12), ("valve", "pump"), dice.random(12) < 0.3)
        sizes[key] = (width, height)
    return tk.LabelSet(pages, sizes=sizes)


TILING = tk.Tiling(128, 32)


@pytest.mark.parametrize("tiling", [TILING, tk.Tiling(200, 0, edge="pad"), tk.Tiling(100, 20, scale=0.5)])
def test_every_tile_is_the_one_that_comes_in_a_row(labels, tiling):
    data = tk.torch.TileDataset(labels.pages(), tiling)
    at = 0
    for key in labels:
        with tk.open_scan(key.source) as scan:
            for tile in tk.read_tiles(scan, tiling):
                got = data[at]
                assert (got.dtype, got.shape[0]) == (torch.uint8, 3)  # one page is in color
                assert np.array_equal(
                    got.numpy().transpose(1, 2, 0), np.broadcast_to(tile.pixels, (*got.shape[1:], 3))
                )
                assert data.place(at) == (key, tile.index, tile.window)
                at += 1
    assert (len(data), len(list(data))) == (at, at)
    assert torch.equal(data[-1], data[at - 1])
    for wrong in (at, -at - 1):
        with pytest.raises(IndexError):
            data[wrong]


def test_a_target_has_what_a_tile_shows_of_the_pages_labels(labels):
    data = tk.torch.TileDataset(labels, TILING, min_visible=0.4)
    assert data.names == labels.names
    for at in range(len(data)):
        key, _, window = data.place(at)
        page, expected = labels[key], []
        for row, (x0, y0, x1, y1) in enumerate(page.boxes.tolist()):
            left, top, right, bottom = (
                max(x0, window.x0),
                max(y0, window.y0),
                min(x1, window.x1),
                min(y1, window.y1),
            )
            share = max(0, right - left) * max(0, bottom - top) / ((x1 - x0) * (y1 - y0))
            if share >= 0.4 or (share > 0 and page.ignore[row]):
                box = [left - window.x0, top - window.y0, right - window.x0, bottom - window.y0]
                expected.append([*box, page.class_ids[row], page.ignore[row], share])
        target = data[at][1]
        got = [
            target["boxes"],
            target["labels"][:, None],
            target["ignore"][:, None],
            target["visible"][:, None],
        ]
        assert target["labels"].dtype == torch.int64
        want = np.array(expected).reshape(-1, 7)
        assert np.allclose(np.concatenate([part.numpy() for part in got], axis=1), want, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_give_the_same(labels, start):
    data = pickle.loads(pickle.dumps(tk.torch.TileDataset(labels, TILING, transform=first)))
    if start == "fork":
        code = "import sys, pickle, hashlib; from torch.utils.data import DataLoader\n"  # its own process: none has read pixels
        code += "data = pickle.load(open(sys.argv[1], 'rb'))\n"
        code += "print(*[int(tile.sum()) for tile in DataLoader(data, None, num_workers=2)])"
        said = in_fresh_process(code, data)
    else:
        loader = torch.utils.data.DataLoader(data, None, num_workers=1, multiprocessing_context="spawn")
        said = [int(tile.sum()) for tile in loader]
    assert said == [int(data[at].sum()) for at in range(len(data))]


def first(tile, target):
    return tile


def in_fresh_process(code, data):
    import subprocess
    import sys
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "data.pickle")
        file.write_bytes(pickle.dumps(data))
        top = Path(__file__).parents[2]
        ran = subprocess.run(
            [sys.executable, "-c", code, str(file)], capture_output=True, text=True, cwd=top, timeout=120
        )
    assert ran.returncode == 0, ran.stderr
    return [int(word) for word in ran.stdout.split()]


def test_only_some_pages_stay_open(tmp_path, monkeypatch):
    from tilekit.torch import tile_dataset

    monkeypatch.setattr(tile_dataset, "_OPEN", 2)
    paths = [write_scan(tmp_path / f"{place}.jpg", 100, 80, seed=place) for place in range(4)]
    data = tk.torch.TileDataset(paths, tk.Tiling(64))
    assert [data[at].shape for at in (0, -1, 3, 0)] == [(3, 64, 64)] * 4
    assert len(data._opened) == 2


def test_what_does_not_fit_is_said(labels, tmp_path, monkeypatch):
    key = labels.pages()[0]
    with pytest.raises(InvalidArgument, match="is not among the labels"):
        tk.torch.TileDataset(write_scan(tmp_path / "c.jpg", 50, 50), TILING, labels=labels)
    with pytest.raises(InvalidArgument, match="its labels are for 860 x 600 px, the scan has 430 x 300"):
        tk.torch.TileDataset(labels.replace(sizes={key: (860, 600)}), TILING)
    with pytest.raises(InvalidArgument, match="must be a Tiling"):
        tk.torch.TileDataset(key, 128)
    real = builtins.__import__

    def without(name, *rest):
        if name == "torch":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match="pip install torch"):
        tk.torch.TileDataset(key, TILING)
