"""What suites run in fresh processes, by `tilekit.bench.child`: each gives a callable that is timed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np


def small_tiled(path, out, count):
    """`count` scans tiled one after the other, each to a folder with its index."""
    import tilekit as tk
    from tilekit.bench.tilers import load

    load(path, "jpeg")

    def work():
        for place in range(count):
            tk.tile_scan(path, f"{out}/{place}", tk.Tiling(1024, 128), workers=1)
        shutil.rmtree(out)

    return work


def small_plain(path, out, count):
    """Decode and encode and a plain file, nothing else."""
    import simplejpeg

    data = Path(path).read_bytes()

    def work():
        for place in range(count):
            folder = Path(out, str(place))
            folder.mkdir(parents=True)
            pixels = simplejpeg.decode_jpeg(data)
            (folder / "tile.jpg").write_bytes(simplejpeg.encode_jpeg(pixels, 90, colorsubsampling="444"))
        shutil.rmtree(out)

    return work


def skipped(path, out, skip):
    """A page tiled, its blank tiles left out or not."""
    import tilekit as tk
    from tilekit.bench.tilers import load

    load(path, "jpeg")

    def work():
        done = tk.tile_scan(path, out, tk.Tiling(1024, 128), skip_blank=skip)
        return {"written": done.tiles}

    return work


def manifest_check(path, out):
    """A manifest checked from end to end."""
    from tilekit.labels.checking import check_manifest

    def work():
        return {"clean": check_manifest(path, uploaded=True).clean}

    return work


def manifest_fix(path, out):
    """A manifest read, checked and written."""
    from tilekit.labels.fixing import fix_manifest

    def work():
        return {"lines": fix_manifest(path, out, uploaded=True).written}

    return work


def manifest_copy(path, out):
    """A manifest read and written line by line."""
    from tilekit.labels.ground_truth import ManifestWriter, iter_manifest

    def work():
        count = 0
        with ManifestWriter(out) as writer:
            for line in iter_manifest(path):
                writer.write(line.source, line.size, line.annotations())
                count += 1
        return {"lines": count}

    return work


def local_detection(count):
    """Seconds of each detection on a gray tile by a network as the local service trains it."""
    import torch

    from tilekit.local.inference import LoadedModel
    from tilekit.local.network import CenterNetwork, load, save
    from tilekit.scans.encoding import encode_image
    from tilekit.testing.scans import paper_scan

    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        save(file.name, CenterNetwork(1, 4), list("abcd"))
        model = LoadedModel(*load(file.name), 1280)
    data = encode_image(paper_scan(1024, 1024, seed=1, gray=True)).data
    model.detect(data)

    def work():
        took = []
        for _ in range(count):
            start = time.perf_counter()
            model.detect(data)
            took.append(time.perf_counter() - start)
        return {"seconds": took}

    return work


def suppressed(case, count):
    """Bytes a box that one nms adds to the process, beside its input."""
    from tilekit.bench.boxes import spread, surprises
    from tilekit.bench.child import peak_mb
    from tilekit.boxes.suppression import nms

    warm = spread(2000, 5000.0)
    nms(warm.boxes, warm.scores, np.zeros(2000, np.int64))
    given, labels = (spread(count, 100.0 * count**0.5), None) if case == "spread" else surprises(count)[case]

    def work():
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
        before = resident_mb()
        start = time.perf_counter()
        kept = len(nms(given.boxes, given.scores, labels))
        spent = time.perf_counter() - start
        return {"bytes": max(0.0, peak_mb() - before) * 2**20 / count, "kept": kept, "seconds": spent}

    return work


def resident_mb():
    """Memory in use now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def archived(source, out, workers):
    """An archive run from start to summary; one worker has one core, as each of two has."""
    if workers == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # the worker inherits it
    from tilekit import TileJob, Tiling, process_archive

    def work():
        done = process_archive(source, out, TileJob(Tiling(1024, 128, edge="clip")), workers=workers)
        return {"done": done.done, "failed": done.failed, "skipped": done.skipped, "tiles": done.tiles}

    return work


def rerun(source, out, state):
    """A rerun over a ledger in which all is done."""
    from tilekit import TileJob, Tiling, process_archive
    from tilekit.archive import ArchiveOptions

    def work():
        done = process_archive(
            source, out, TileJob(Tiling(1024, 128)), workers=1, options=ArchiveOptions(state=state)
        )
        return {"done": done.done, "skipped": done.skipped}

    return work


def dzsaved(files, sizes, out, part, parts):
    """Every `parts`-th file by libvips dzsave in one process with one thread; PDF pages by pypdfium2."""
    import os

    os.environ["VIPS_CONCURRENCY"] = "1"
    import pypdfium2
    import pyvips

    def work():
        tiles = 0
        for place, (file, (width, _)) in enumerate(zip(files, sizes, strict=True)):
            if place % parts != part:
                continue
            if file.endswith(".pdf"):
                with pypdfium2.PdfDocument(file) as document:
                    page = document[0]
                    image = pyvips.Image.new_from_array(
                        page.render(scale=width / page.get_width(), rev_byteorder=True).to_numpy()
                    )
            else:
                image = pyvips.Image.new_from_file(file, access="sequential")
            if image.format != "uchar":
                image = image.cast("uchar")
            target = f"{out}/{place}"
            os.makedirs(target)
            image.dzsave(
                f"{target}/dz", tile_size=896, overlap=64, depth="one", suffix=".jpg[Q=90,subsample_mode=off]"
            )
            tiles += len(os.listdir(f"{target}/dz_files/0"))
        return {"tiles": tiles}

    return work


def first_nms():
    """Imports and one suppression of boxes enough for the large kernel."""

    def work():
        from tilekit.boxes.suppression import nms

        rng = np.random.default_rng(0)
        corner = rng.random((2000, 2)) * 5000
        return len(nms(np.hstack([corner, corner + 30]), rng.random(2000)))

    return work
