"""Labels: manifests against a json.loads loop, their memory, formats against globox, tile_dataset against tile_scan."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

import tilekit as tk
from benchmarks.manifests import large_manifest, plain_loop, write_manifest
from tilekit.bench.processes import run_task
from tilekit.labels.checking import check_manifest
from tilekit.labels.fixing import fix_manifest
from tilekit.labels.ground_truth import iter_manifest

TILING = tk.Tiling(1024, 128)


@pytest.mark.parametrize("boxes", [5, 20, 50])
def test_check(frame, tmp_path, boxes):
    path = write_manifest(tmp_path / "train.manifest", frame.pick(6000, 500), boxes=boxes)
    assert not plain_loop(path)
    assert check_manifest(path, uploaded=True).clean
    works = {"loop": lambda: plain_loop(path), "tilekit": lambda: check_manifest(path, uploaded=True)}
    timed = frame.pair(works, rounds=3, warm=False)
    rate = frame.pick(6000, 500) / timed.seconds("tilekit")
    frame.record(f"labels.check.{boxes}", timed.ratio("loop", "tilekit"), f"{rate:,.0f} lines/s", cost=timed)


def test_check_dates(frame, tmp_path):
    """Lines of which each has another creation date, so that their metadata does not repeat."""
    path = write_manifest(tmp_path / "train.manifest", frame.pick(6000, 500), boxes=5, dated=True)
    works = {"loop": lambda: plain_loop(path), "tilekit": lambda: check_manifest(path, uploaded=True).clean}
    timed = frame.pair(works, rounds=3, warm=False)
    frame.record("labels.check.dates", timed.ratio("loop", "tilekit"), cost=timed)


@pytest.mark.parametrize("boxes", [5, 50])
def test_fix(frame, tmp_path, boxes):
    """Read, checked and written; the same lines come out."""
    path = write_manifest(tmp_path / "train.manifest", frame.pick(6000, 500), boxes=boxes)
    ours, theirs = tmp_path / "ours.manifest", tmp_path / "theirs.manifest"
    works = {
        "loop": lambda: plain_loop(path, theirs),
        "tilekit": lambda: fix_manifest(path, ours, uploaded=True).written,
    }
    timed = frame.pair(works, rounds=3, warm=False)
    assert ours.read_bytes() == theirs.read_bytes()
    frame.record(f"labels.fix.{boxes}", timed.ratio("loop", "tilekit"), "equal bytes", cost=timed)


def test_read(frame, tmp_path):
    path = write_manifest(tmp_path / "train.manifest", frame.pick(6000, 500), boxes=20)

    def plain():
        with path.open("rb") as file:
            return sum(1 for text in file if json.loads(text))

    works = {"json": plain, "tilekit": lambda: sum(1 for _ in iter_manifest(path))}
    assert works["json"]() == works["tilekit"]()
    timed = frame.pair(works, rounds=3, warm=False)
    frame.record("labels.read", timed.ratio("json", "tilekit"), cost=timed)


@pytest.mark.parametrize("what", ["check", "fix", "copy"])
def test_memory(frame, fresh, what):
    if not frame.first:
        return
    path = large_manifest(frame.cache, frame.pick(999_000_000, 5_000_000))
    out = fresh()
    os.makedirs(out)
    task = {
        "do": f"benchmarks.targets.works:manifest_{what}",
        "path": str(path),
        "out": f"{out}/copy.manifest",
    }
    cost = run_task(task, deadline=150)
    size = path.stat().st_size / 1e6
    note = f"{size:,.0f} MB in {cost.seconds:.1f} s"
    frame.record(f"labels.memory.{what}", cost.peak_mb, note, exact=True, seconds=cost.seconds, cpu=cost.cpu)


def coco_file(path, images, each):
    """A COCO file as annotation tools write it."""
    rng = np.random.default_rng(0)
    corner, side = rng.integers(0, 900, (images * each, 2)), rng.integers(8, 90, (images * each, 2))
    rows = [
        {"id": place, "image_id": place // each, "category_id": place % 4, "bbox": [*at, *size],
         "area": size[0] * size[1], "iscrowd": 0}
        for place, (at, size) in enumerate(zip(corner.tolist(), side.tolist(), strict=True))
    ]  # fmt: skip
    document = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 1024, "height": 1024} for i in range(images)],
        "annotations": rows,
        "categories": [{"id": i, "name": name} for i, name in enumerate("abcd")],
    }
    path.write_text(json.dumps(document))
    return path


def numbers(folder):
    """Every line of every YOLO file as numbers, by file; None for pages without boxes."""
    return {
        path.stem: np.sort(np.loadtxt(path, ndmin=2), axis=0)
        for path in sorted(folder.rglob("*.txt"))
        if path.stem.isdigit()
    }


def test_conversion(frame, tmp_path):
    path = coco_file(tmp_path / "coco.json", frame.pick(2000, 100), 50)
    try:
        from globox import AnnotationSet
    except ImportError:
        frame.record("labels.coco", None, "globox: not installed")
        return

    def ours():
        tk.write_labels(tk.read_labels(path), tmp_path / "ours", "yolo")

    def theirs():
        found = AnnotationSet.from_coco(path)
        found.save_yolo_v5(
            tmp_path / "theirs", label_to_id={name: place for place, name in enumerate("abcd")}
        )

    (tmp_path / "theirs").mkdir()
    ours()
    theirs()
    mine, other = numbers(tmp_path / "ours"), numbers(tmp_path / "theirs")
    same = mine.keys() == other.keys() and all(
        mine[key].shape == other[key].shape and np.allclose(mine[key], other[key], atol=1e-5) for key in mine
    )
    if not same:
        frame.record("labels.coco", None, f"globox: other output ({len(other)} files, tilekit {len(mine)})")
        return
    timed = frame.pair({"tilekit": ours, "globox": theirs}, rounds=3, warm=False)
    frame.record("labels.coco", timed.ratio("globox", "tilekit"), "equal boxes in all files", cost=timed)


def test_dataset(frame, fresh):
    """Boxes on every tile, so that both write the same files."""
    side, pages = frame.pick(12_000, 3000), frame.pick(8, 1)
    scan = frame.scan("jpeg", side)
    source = fresh()
    os.makedirs(source)
    keys = [tk.PageKey(f"{source}/plan{place}.jpg") for place in range(pages)]
    for key in keys:
        os.symlink(scan.path, key.source)
    low = np.random.default_rng(1).uniform(0, side - 40, (side * side // 50_000, 2))
    boxes = tk.Annotations(np.concatenate([low, low + 30], axis=1), None, ("symbol",))
    labels = tk.LabelSet(dict.fromkeys(keys, boxes), sizes=dict.fromkeys(keys, (side, side)))
    out, tiles = fresh(), pages * len(TILING.grid(side, side))

    def dataset():
        assert (
            tk.tile_dataset(
                labels,
                out,
                TILING,
                split=(1, 0, 0),
                options=tk.DatasetOptions(rules=tk.datasets.CarryingRules(max_boxes=10_000)),
            ).tiles
            == tiles
        )
        shutil.rmtree(out)

    def scanned():
        assert sum(tk.tile_scan(key.source, out, TILING).tiles for key in keys) == tiles
        shutil.rmtree(out)

    timed = frame.pair({"dataset": dataset, "scan": scanned}, rounds=1, warm=False)
    assert not timed.failed, timed.failed
    frame.record(
        "dataset.tile_scan", timed.ratio("dataset", "scan"), f"{tiles} tiles of {pages} pages", cost=timed
    )
