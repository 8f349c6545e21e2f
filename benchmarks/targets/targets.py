"""Every target of the tiling, box, detection and archive work, as data: one line of the table each."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("jpeg", "png", "deflate-strips", "lzw-strips", "tiled-jpeg")
PAPERS = ("clean", "noisy")
CUT_KINDS, LOADS = ("jpeg", "tiled-jpeg"), ("idle", "busy")


@dataclass(frozen=True)
class Target:
    """`value` is reached when the figure is at least (`>=`) or at most (`<=`) it; None: a figure without target."""

    id: str
    text: str
    sense: str = ">="
    value: float | None = None
    unit: str = "x"

    def reached(self, figure: float) -> bool | None:
        if self.value is None:
            return None
        return figure >= self.value if self.sense == ">=" else figure <= self.value


def _tiling() -> list[Target]:
    found = []
    for paper in PAPERS:
        for kind in KINDS:
            least = 1.5 if kind == "tiled-jpeg" else 1.2
            text = f"tile {kind}, {paper}: times faster than dzsave"
            found.append(Target(f"tiling.dzsave.{kind}.{paper}", text, ">=", least))
        found.append(
            Target(f"tiling.dzsave.mean.{paper}", f"geometric mean over the five, {paper}: dzsave", ">=", 1.4)
        )
    for kind in CUT_KINDS:
        for load in LOADS:
            text = f"cut {kind} without decoding, whole processes to disk, {load} cores: times faster than dzsave"
            found.append(Target(f"tiling.cut.{kind}.{load}", text, ">=", 3.0 if load == "idle" else 2.0))
    found += [
        Target("tiling.sahi", "tile jpeg: times faster than SAHI slice_image", ">=", 4.0),
        Target("tiling.image_slicer", "tile jpeg, no overlap: times faster than image_slicer", ">=", 1.4),
        Target("tiling.opencv", "tile jpeg: times faster than OpenCV"),
        Target("tiling.pillow", "tile jpeg: times faster than Pillow"),
        Target("tiling.tifffile", "tile tiled-jpeg: times faster than tifffile + simplejpeg"),
        Target("tiling.large_image", "tile tiled-jpeg: times faster than large_image"),
        Target("tiling.webp", "tile jpeg to lossless WebP: times faster than dzsave"),
        Target(
            "tiling.blank", "tile a jpeg page, nine tenths of it blank: time saved by leaving blank tiles out"
        ),
    ]
    found += [
        Target(f"tiling.limit.{kind}", f"tile {kind}: share of the limit (decode + encode)", ">=", 0.8, "")
        for kind in KINDS
    ]
    return [
        *found,
        Target("tiling.small", "scans of 1 Mpx: time over decode + encode", "<=", 1.2),
        Target("memory.growth", "peak memory of 10 Gpx over 1 Gpx, tiled TIFF", "<=", 1.1),
        Target("memory.large", "peak memory of 10 Gpx, tiled TIFF", "<=", 300, "MB"),
        Target("memory.scanline", "peak memory of a 144 Mpx JPEG over its documented bound", "<=", 1.0),
        Target("memory.dzsave", "dzsave's peak memory over tilekit's, 1 Gpx tiled TIFF"),
        Target("rate.large", "10 Gpx tiled TIFF, encoded and not kept", unit="Mpx/s"),
    ]


def _boxes() -> list[Target]:
    fast = "times faster than the fastest peer"
    found = [
        Target("nms.spread.1000000", f"nms, 10^6 spread: {fast}", ">=", 15),
        Target("nms.tile-merge.1000000", f"nms, 10^6 tile-merge-like: {fast}", ">=", 15),
        Target("nms.spread.100000", f"nms, 10^5 spread: {fast}", ">=", 8),
        Target("nms.tile-merge.100000", f"nms, 10^5 tile-merge-like: {fast}", ">=", 8),
        Target("nms.cluster.100000", f"nms, 10^5 in a cluster of 6,000 px: {fast}", ">=", 8),
        Target("nms.heap.100000", f"nms, 10^5 in a heap of 1,000 px: {fast}", ">=", 3),
        Target("nms.spread.1000", f"nms, 1,000: {fast}", ">=", 5),
        Target("nms.spread.10", f"nms, 10 boxes: {fast}", ">=", 1),
    ]
    names = ("one page-sized box", "identical", "in a line", "six decades of size", "10,000 labels")
    found += [
        Target(f"nms.surprise.{name}", f"nms, 10^6, {name}: time over the spread case", "<=", 3)
        for name in names
    ]
    found += [
        Target(f"nms.memory.{name}", f"nms, 10^6, {name}: memory a box", "<=", 200, "B")
        for name in ("spread", *names)
    ]
    return [
        *found,
        Target("nms.ten-million", "nms, 10^7 spread: time over 10^6", "<=", 14),
        Target("nms.threads", "nms, 10^6 in two threads: times faster than one after the other"),
        Target("soft_nms.10000", "soft_nms, 10^4: times faster than ensemble-boxes", ">=", 20),
        Target("wbf.10000", "wbf, 10^4: times faster than ensemble-boxes", ">=", 20),
        Target("soft_nms.growth", "soft_nms, 10^5 spread over 10^4 (quadratic is 100)", "<=", 25),
        Target("wbf.growth", "wbf, 10^5 spread over 10^4 (quadratic is 100)", "<=", 25),
        Target("remap.rate", "remap_to_tiles, one core", ">=", 50, "M outputs/s"),
        Target("remap.memory", "remap_to_tiles: outputs' bytes a second over copying as many in memory"),
        Target("merge.nms", "merge of 10^6 detections over one nms of them", "<=", 3),
    ]


def _encoding() -> list[Target]:
    return [
        *(
            Target(f"encode.{format}", f"encode a 1024 px tile, {words}: times faster than the fastest peer")
            for format, words in (("jpeg", "JPEG Q90 4:4:4"), ("png", "PNG"), ("webp", "lossless WebP"))
        ),
        Target("blank.share", "looking whether a tile is blank, over encoding it as JPEG", "<=", unit="x"),
    ]


def _labels() -> list[Target]:
    return [
        *(
            Target(
                f"labels.check.{count}",
                f"check a manifest, {count} boxes a line: times a json.loads loop",
                ">=",
                3,
            )
            for count in (5, 20, 50)
        ),
        Target("labels.read", "read a manifest, 20 boxes a line: times the speed of json.loads alone"),
        Target("labels.memory.check", "memory of checking a manifest of 1 GB", "<=", 300, "MB"),
        Target(
            "labels.check.dates",
            "check a manifest, 5 boxes and an own date a line: times a json.loads loop",
            ">=",
            3,
        ),
        *(
            Target(
                f"labels.fix.{count}",
                f"read, check and write a manifest, {count} boxes a line: times a json loop",
                ">=",
                3,
            )
            for count in (5, 50)
        ),
        Target(
            "labels.memory.fix", "memory of reading, checking and writing a manifest of 1 GB", "<=", 300, "MB"
        ),
        Target("labels.memory.copy", "memory of reading and writing a manifest of 1 GB", "<=", 300, "MB"),
        Target("labels.coco", "COCO file of 10^5 boxes to YOLO files: times faster than globox"),
        Target("dataset.tile_scan", "tile_dataset over tile_scan, the same 1,568 tiles", "<=", 1.05),
    ]


def _service() -> list[Target]:
    return [
        Target("service.cpu", "detector: CPU of a call of 0.5 MB over the bare boto3 call", "<=", 1.2),
        Target("service.rate.50", "50 calls/s allowed: share reached after 10 s", ">=", 0.95, ""),
        Target("service.refused.50", "50 calls/s allowed: share refused after 10 s", "<=", 0.02, ""),
        Target("service.rate.5", "5 calls/s allowed: share reached after 30 s", ">=", 0.85, ""),
        Target("service.refused.5", "5 calls/s allowed: share refused after 30 s", "<=", 0.05, ""),
        Target("service.upload.small", "upload 400 files of 20 kB: throughput over s3transfer", ">=", 0.9),
        Target("service.upload.large", "upload 3 files of 40 MB: throughput over s3transfer", ">=", 0.9),
        Target(
            "local.detect", "local server: DetectCustomLabels on a 1024 px tile, one core", "<=", 120, "ms"
        ),
        Target("local.overhead", "local server: a call with a canned answer", "<=", 2, "ms"),
        Target("local.requests", "local server: canned requests, two clients", ">=", 200, "/s"),
    ]


def _detection() -> list[Target]:
    return [
        Target("detect.busy", "one worker of 20 ms busy after its first tile", ">=", 0.95, ""),
        Target("detect.sahi.1", "detect 144 Mpx, one worker: times faster than SAHI", ">=", 1.6),
        Target("detect.slicer.1", "detect 144 Mpx, one worker: the faster InferenceSlicer", ">=", 1.4),
        Target("detect.slicer.4", "detect 144 Mpx, four workers: the faster InferenceSlicer", ">=", 2.0),
        Target("detect.memory", "detect 144 Mpx: memory over the least of SAHI and supervision", "<=", 1 / 3),
        Target("detect.growth", "detect: memory at 400 Mpx over 25 Mpx, tiled TIFF", "<=", 1.25),
        Target("detect.growth.sahi", "the same, SAHI"),
        Target("detect.growth.slicer", "the same, supervision (windowed raster)"),
        Target("detect.wrong", "boxes wrong or lost after merging, known truth", "<=", 0, ""),
        Target("detect.wrong.sahi", "the same, SAHI", unit=""),
        Target("detect.wrong.slicer", "the same, supervision", unit=""),
        Target("evaluate.seconds", "evaluate 10^6 predictions on 10^4 pages", "<=", 5, "s"),
        Target("evaluate.coco", "evaluate (three criteria): times the speed of pycocotools at one IoU"),
        Target("report.seconds", "report of 200 pages", "<=", 60, "s"),
    ]


def _archive() -> list[Target]:
    return [
        Target("archive.cores", "archive of mixed scans: two processes over one", ">=", 1.9),
        Target(
            "archive.dzsave", "archive of mixed scans: times faster than `xargs -P2 vips dzsave`", ">=", 1.2
        ),
        Target("archive.pyvips", "archive of mixed scans: times faster than dzsave in two Python processes"),
        Target("archive.overhead", "archive: the parent's time a task", "<=", 3, "ms"),
        Target("archive.rerun", "archive: rerun that skips 10^6 tasks", "<=", 20, "s"),
        Target("archive.memory", "archive: memory of that rerun", "<=", 300, "MB"),
    ]


def _startup() -> list[Target]:
    return [
        Target("startup.import", "import tilekit", "<=", 150, "ms"),
        Target("startup.help", "tilekit --help, over an empty Python", "<=", 150, "ms"),
        Target("startup.kernel.warm", "first nms of a process, kernels on disk", "<=", 0.5, "s"),
        Target("startup.kernel.cold", "first nms of a process, nothing on disk", "<=", 1.5, "s"),
    ]


TARGETS: dict[str, Target] = {
    target.id: target
    for target in (
        *_tiling(),
        *_encoding(),
        *_boxes(),
        *_labels(),
        *_detection(),
        *_service(),
        *_archive(),
        *_startup(),
    )
}
