"""One detection pipeline in a process of its own: `python pipelines.py WHO SCAN WORKERS NAP FINDS`.

WHO: tilekit, sahi, supervision-array or supervision-raster. Every one gets the same detector, which
takes NAP seconds a tile and, with FINDS 1, finds the black squares drawn on the page. Prints a JSON line:
wall and CPU seconds with imports, peak MB, busy share of one worker after its first tile, boxes (x0, y0, x1, y1).
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time

import numpy as np

TILE, OVERLAP = 1024, 128
began = time.perf_counter()


class Detector:
    """Sleeps as a model would, and finds dark squares by their corners and runs."""

    def __init__(self, nap: float, finds: bool) -> None:
        self.nap, self.finds = nap, finds
        self.lock = threading.Lock()
        self.spans: list[tuple[float, float]] = []

    def __call__(self, pixels):
        start = time.perf_counter()
        time.sleep(self.nap)
        with self.lock:
            self.spans.append((start, time.perf_counter()))
        return self.squares(pixels) if self.finds else np.empty((0, 5))

    def squares(self, pixels):
        dark = pixels[:, :, 1 if pixels.shape[2] == 3 else 0] < 100
        ink = np.pad(dark, ((1, 0), (1, 0)))
        rows = []
        for y, x in np.argwhere(ink[1:, 1:] & ~ink[:-1, 1:] & ~ink[1:, :-1]).tolist():
            right, below = dark[y, x : x + 64], dark[y : y + 64, x]
            wide = int(np.argmin(right)) if not right.all() else len(right)
            high = int(np.argmin(below)) if not below.all() else len(below)
            if min(wide, high) >= 3:
                rows.append([x, y, x + wide, y + high, 0.5 + 0.4 * ((x * 31 + y * 17) % 97) / 97])
        return np.array(rows, float).reshape(-1, 5)

    def busy(self, workers: int) -> float:
        """Share of the time from the first tile's end to the last tile's end spent detecting."""
        first, last = self.spans[0][1], max(end for _, end in self.spans)
        inside = sum(end - max(start, first) for start, end in self.spans if end > first)
        return inside / max(1e-9, (last - first) * workers)


def tilekit(path, detector, workers):
    import tilekit as tk

    wrapped = tk.CallableDetector(detector, names=["square"], workers=workers)
    with tk.open_scan(path) as scan:
        return tk.detect_tiles(scan, wrapped, tk.Tiling(TILE, OVERLAP)).boxes


def sahi(path, detector, workers):
    from PIL import Image
    from sahi.models.base import DetectionModel
    from sahi.predict import get_sliced_prediction
    from sahi.prediction import ObjectPrediction

    Image.MAX_IMAGE_PIXELS = None

    class Model(DetectionModel):
        def check_dependencies(self, packages=None):
            pass

        def load_model(self):
            self.model = detector

        def perform_inference(self, image):
            self.rows = detector(image)

        @property
        def category_names(self):
            return ["square"]

        def _create_object_prediction_list_from_original_predictions(
            self, shift_amount_list=None, full_shape_list=None
        ):
            shift = (shift_amount_list or [[0, 0]])[0]
            shape = (full_shape_list or [None])[0]
            self._object_prediction_list_per_image = [
                [
                    ObjectPrediction(
                        bbox=row[:4].tolist(),
                        score=float(row[4]),
                        category_id=0,
                        category_name="square",
                        shift_amount=shift,
                        full_shape=shape,
                    )
                    for row in self.rows
                ]
            ]

    ratio = OVERLAP / TILE
    found = get_sliced_prediction(
        path,
        Model(model_path="none", device="cpu", category_mapping={"0": "square"}),
        slice_height=TILE,
        slice_width=TILE,
        overlap_height_ratio=ratio,
        overlap_width_ratio=ratio,
        perform_standard_pred=False,
        verbose=0,
    )
    return np.array([item.bbox.to_xyxy() for item in found.object_prediction_list], float).reshape(-1, 4)


def slicer(detector, workers):
    import supervision

    def callback(pixels):
        rows = detector(pixels)
        if not len(rows):
            return supervision.Detections.empty()
        return supervision.Detections(
            xyxy=rows[:, :4], confidence=rows[:, 4], class_id=np.zeros(len(rows), int)
        )

    return supervision.InferenceSlicer(
        callback=callback, slice_wh=(TILE, TILE), overlap_wh=(OVERLAP, OVERLAP), thread_workers=workers
    )


def supervision_array(path, detector, workers):
    import os

    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(2**40)
    import cv2

    return slicer(detector, workers)(cv2.imread(path)).xyxy


def supervision_raster(path, detector, workers):
    import warnings

    import rasterio

    warnings.simplefilter("ignore")
    with rasterio.open(path) as source:
        return slicer(detector, workers)(source).xyxy


PIPELINES = {
    "tilekit": tilekit,
    "sahi": sahi,
    "supervision-array": supervision_array,
    "supervision-raster": supervision_raster,
}


def main() -> None:
    who, path, workers, nap, finds = sys.argv[1:]
    detector = Detector(float(nap), finds == "1")
    boxes = PIPELINES[who](path, detector, int(workers))
    print(
        json.dumps(
            {
                "wall": time.perf_counter() - began,
                "cpu": time.process_time(),
                "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "busy": detector.busy(int(workers)),
                "tiles": len(detector.spans),
                "boxes": np.asarray(boxes, float).tolist(),
            }
        )
    )


if __name__ == "__main__":
    main()
