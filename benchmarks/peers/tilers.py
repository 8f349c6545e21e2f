"""Everyone else who cuts a scan into files, each as a small adapter that runs in a fresh process.

An adapter imports what it needs, then gives the work to time. The work tells how many tiles it wrote
and where three of them are from: `samples` of (file, x0, y0), for the check of quality.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tilekit.bench.peers import Tiler
from tilekit.bench.tilers import Answer, Work, thirds


def dzsave(
    path: str, out: str, tile: int, overlap: int, format: str, quality: int, sub: str, workers: int
) -> Work:
    """libvips dzsave, one level: tiles of `tile` px every `tile - overlap` px."""
    os.environ["VIPS_CONCURRENCY"] = str(workers)
    import pyvips

    if overlap % 2:
        raise ValueError(f"dzsave shares overlap between both sides: {overlap} px is odd")
    step, half = tile - overlap, overlap // 2
    suffix = _vips_suffix(format, quality, sub)

    def work() -> Answer:
        os.makedirs(out, exist_ok=True)
        image = pyvips.Image.new_from_file(path, access="sequential")
        image.dzsave(f"{out}/dz", tile_size=step, overlap=half, depth="one", suffix=suffix)
        folder = Path(out, "dz_files", "0")
        files = sorted(folder.iterdir())
        places = []
        for at in thirds(len(files)):
            col, row = (int(word) for word in files[at].stem.split("_"))
            places.append((str(files[at]), max(0, col * step - half), max(0, row * step - half)))
        return _told(files, places)

    return work


def vips_crop(
    path: str, out: str, tile: int, overlap: int, format: str, quality: int, sub: str, workers: int
) -> Work:
    """pyvips, one crop and write_to_file a tile, as scripts do."""
    os.environ["VIPS_CONCURRENCY"] = str(workers)
    import pyvips

    suffix = _vips_suffix(format, quality, sub)
    extension = suffix.partition("[")[0]

    def work() -> Answer:
        os.makedirs(out, exist_ok=True)
        image = pyvips.Image.new_from_file(path)
        files: list[tuple[Path, int, int]] = []
        for x0, y0, x1, y1 in _windows(image.width, image.height, tile, overlap):
            name = Path(out, f"{x0}_{y0}{extension}")
            image.crop(x0, y0, x1 - x0, y1 - y0).write_to_file(str(name) + suffix[len(extension) :])
            files.append((name, x0, y0))
        return _placed(files)

    return work


def image_slicer(
    path: str, out: str, tile: int, overlap: int, format: str, quality: int, sub: str, workers: int
) -> Work:
    """image_slicer 3: no overlap, and quality 75 whatever is asked."""
    os.environ["VIPS_CONCURRENCY"] = str(workers)
    from image_slicer import slice_image

    if overlap or (format == "jpeg" and quality != 75):
        raise ValueError("image_slicer knows no overlap and writes JPEG at quality 75")
    extension = "jpg" if format == "jpeg" else format

    def work() -> Answer:
        slice_image(path, out, f"{{row}}_{{col}}.{extension}", tile_width=tile, tile_height=tile)
        files = []
        for file in sorted(Path(out).iterdir()):
            row, col = (int(word) for word in file.stem.split("_"))
            files.append((file, col * tile, row * tile))
        return _placed(files)

    return work


def sahi(
    path: str, out: str, tile: int, overlap: int, format: str, quality: int, sub: str, workers: int
) -> Work:
    """SAHI slice_image to files; it saves by Pillow at quality 75."""
    from PIL import Image
    from sahi.slicing import slice_image

    Image.MAX_IMAGE_PIXELS = None
    if format == "jpeg" and quality != 75:
        raise ValueError("SAHI writes JPEG at quality 75")
    ratio = overlap / tile

    def work() -> Answer:
        slice_image(
            path, None, "tile", out, tile, tile, ratio, ratio, out_ext=".jpg" if format == "jpeg" else ".png"
        )
        files = []
        for file in sorted(Path(out).iterdir()):
            x0, y0 = (int(word) for word in file.stem.split("_")[1:3])
            files.append((file, x0, y0))
        return _placed(files)

    return work


def opencv(
    path: str, out: str, tile: int, overlap: int, format: str, quality: int, sub: str, workers: int
) -> Work:
    """OpenCV: the whole image in memory, slices, imwrite."""
    import cv2

    cv2.setNumThreads(workers)
    factor = {"444": 0x111111, "422": 0x211111, "420": 0x221111}[sub]
    if format == "jpeg":
        options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
    else:
        options = [cv2.IMWRITE_PNG_COMPRESSION, 1]

    def work() -> Answer:
        os.makedirs(out, exist_ok=True)
        image = cv2.imread(path)
        if image is None:
            raise ValueError("OpenCV cannot read it")
        files: list[tuple[Path, int, int]] = []
        for x0, y0, x1, y1 in _windows(image.shape[1], image.shape[0], tile, overlap):
            name = Path(out, f"{x0}_{y0}.{'jpg' if format == 'jpeg' else 'png'}")
            cv2.imwrite(str(name), image[y0:y1, x0:x1], options)
            files.append((name, x0, y0))
        return _placed(files)

    return work


def pillow(
    path: str, out: str, tile: int, overlap: int, format: str, quality: int, sub: str, workers: int
) -> Work:
    """Pillow: open, crop, save."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    options: dict[str, Any] = (
        {"quality": quality, "subsampling": {"444": 0, "422": 1, "420": 2}[sub]}
        if format == "jpeg"
        else {"compress_level": 1}
    )

    def work() -> Answer:
        os.makedirs(out, exist_ok=True)
        files: list[tuple[Path, int, int]] = []
        with Image.open(path) as image:
            for x0, y0, x1, y1 in _windows(image.width, image.height, tile, overlap):
                name = Path(out, f"{x0}_{y0}.{'jpg' if format == 'jpeg' else 'png'}")
                image.crop((x0, y0, x1, y1)).save(name, **options)
                files.append((name, x0, y0))
        return _placed(files)

    return work


def tifffile(
    path: str, out: str, tile: int, overlap: int, format: str, quality: int, sub: str, workers: int
) -> Work:
    """tifffile (decoding in threads by imagecodecs) and simplejpeg, as one would write it by hand."""
    import numpy as np
    import simplejpeg
    import tifffile as reader

    if format != "jpeg":
        raise ValueError("this peer is timed on JPEG tiles only")

    def work() -> Answer:
        os.makedirs(out, exist_ok=True)
        image = np.atleast_3d(reader.imread(path, maxworkers=workers))
        space = "RGB" if image.shape[2] == 3 else "GRAY"
        files: list[tuple[Path, int, int]] = []
        for x0, y0, x1, y1 in _windows(image.shape[1], image.shape[0], tile, overlap):
            part = np.ascontiguousarray(image[y0:y1, x0:x1])
            name = Path(out, f"{x0}_{y0}.jpg")
            name.write_bytes(simplejpeg.encode_jpeg(part, quality, space, sub))
            files.append((name, x0, y0))
        return _placed(files)

    return work


def large_image(
    path: str, out: str, tile: int, overlap: int, format: str, quality: int, sub: str, workers: int
) -> Work:
    """large_image's tile iterator, encoding by itself."""
    import large_image as reader

    if format != "jpeg":
        raise ValueError("this peer is timed on JPEG tiles only")
    shape: dict[str, Any] = {"width": tile, "height": tile}

    def work() -> Answer:
        os.makedirs(out, exist_ok=True)
        source = reader.open(path, jpegQuality=quality, jpegSubsampling={"444": 0, "422": 1, "420": 2}[sub])
        files: list[tuple[Path, int, int]] = []
        for item in source.tileIterator(
            tile_size=shape, tile_overlap={"x": overlap, "y": overlap}, format=("image",), encoding="JPEG"
        ):
            name = Path(out, f"{item['x']}_{item['y']}.jpg")
            name.write_bytes(item["tile"])
            files.append((name, int(item["x"]), int(item["y"])))
        return _placed(files)

    return work


def _by(name: str) -> str:
    return f"{__name__}:{name}"


TILERS = {
    "dzsave": Tiler("pyvips", _by("dzsave")),
    "vips_crop": Tiler("pyvips", _by("vips_crop")),
    "image_slicer": Tiler("image_slicer", _by("image_slicer"), plain=True, overlaps=False),
    "sahi": Tiler("sahi", _by("sahi"), plain=True),
    "opencv": Tiler("cv2", _by("opencv")),
    "pillow": Tiler("PIL", _by("pillow")),
    "tifffile": Tiler("tifffile", _by("tifffile")),
    "large_image": Tiler("large_image", _by("large_image")),
}


def _vips_suffix(format: str, quality: int, sub: str) -> str:
    if format == "jpeg":
        return f".jpg[Q={quality},subsample_mode={'off' if sub == '444' else 'on'}]"
    return ".png[compression=1,filter=none]" if format == "png" else ".webp[lossless,effort=1]"


def _windows(width: int, height: int, tile: int, overlap: int) -> list[tuple[int, int, int, int]]:
    from tilekit.grid import Tiling

    edge: Any = "shift" if overlap else "clip"
    return [
        (int(a), int(b), int(c), int(d))
        for a, b, c, d in Tiling(tile, overlap, edge=edge).grid(width, height)
    ]


def _placed(files: list[tuple[Path, int, int]]) -> Answer:
    places = [(str(files[at][0]), files[at][1], files[at][2]) for at in thirds(len(files))]
    return _told([file for file, _, _ in files], places)


def _told(files: list[Path], places: list[tuple[str, int, int]]) -> Answer:
    return {"tiles": len(files), "bytes": sum(file.stat().st_size for file in files), "samples": places}
