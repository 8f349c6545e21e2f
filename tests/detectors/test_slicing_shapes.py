"""What SAHI and supervision publish for slicing with masks and oriented boxes: the same callback through our API.

Bars at any angle, some longer than the overlap; a detector that sees exactly what a tile shows of each.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import tilekit as tk
from tilekit.errors import DetectorError
from tilekit.grid import Window
from tilekit.scans.encoding import encode_image
from tilekit.tiles.tile import Tile

WIDTH, HEIGHT, TILE, OVERLAP = 560, 420, 200, 60
pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


def scene(seed: int) -> tuple[np.ndarray, tk.boxes.OrientedBoxes]:
    """A page with bars that do not touch."""
    rng = np.random.default_rng(seed)
    page, rows = np.full((HEIGHT, WIDTH, 3), 255, np.uint8), []
    room = np.zeros((HEIGHT, WIDTH), np.uint8)
    for _ in range(400):
        size = rng.uniform(25, 95), rng.uniform(8, 16)
        row = [*rng.uniform(60, (WIDTH - 60, HEIGHT - 60)), *size, rng.uniform(0, 180)]
        corners = tk.boxes.OrientedBoxes([row]).corners[0]
        grown = tk.boxes.OrientedBoxes([[*row[:2], row[2] + 8, row[3] + 8, row[4]]]).corners[0]
        mark = cv2.fillPoly(np.zeros_like(room), [np.rint(grown).astype(np.int32)], 1)
        if len(rows) < 24 and not (mark & room).any():
            room |= mark
            rows.append(row)
            cv2.fillPoly(page, [np.rint(corners - 0.5).astype(np.int32)], (0, 0, 0))
    return page, tk.boxes.OrientedBoxes(rows)


def look(pixels: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Masks, corners (n, 4, 2), boxes and scores of the bars that a tile shows."""
    dark = (np.asarray(pixels)[..., 0] < 128).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dark)
    shown = [k for k in range(1, count) if stats[k, 4] >= 20]
    masks = [labels == k for k in shown]
    corners = [cv2.boxPoints(cv2.minAreaRect(_edges(mask))) for mask in masks]
    boxes = np.array([[x, y, x + w, y + h] for x, y, w, h, _ in stats[shown]], float).reshape(-1, 4)
    scores = np.array([0.5 + 0.4 * min(1, stats[k, 4] / 1500) for k in shown])
    return masks, np.array(corners, float).reshape(-1, 4, 2), boxes, scores


def _edges(mask: np.ndarray) -> np.ndarray:
    """The corners of a mask's pixels, as minAreaRect wants them."""
    y, x = np.nonzero(mask)
    return np.concatenate([np.stack([x + i, y + j], 1) for i in (0, 1) for j in (0, 1)]).astype(np.float32)


def callback(kind: str):
    """As supervision's guides write it: pixels of a slice in, `sv.Detections` out."""
    import supervision as sv

    def call(pixels: np.ndarray) -> sv.Detections:
        masks, corners, boxes, scores = look(pixels)
        if not len(boxes):
            return sv.Detections.empty()
        more = {"mask": np.array(masks)} if kind == "mask" else {"data": {"xyxyxyxy": corners}}
        return sv.Detections(xyxy=boxes, confidence=scores, class_id=np.zeros(len(boxes), int), **more)

    return call


def by_supervision(page: np.ndarray, kind: str, how: str, metric: str) -> tk.Detections:
    import supervision as sv

    slicer = sv.InferenceSlicer(
        callback(kind),
        slice_wh=(TILE, TILE),
        overlap_wh=(OVERLAP, OVERLAP),
        overlap_filter=how,
        overlap_metric=metric,
    )
    return tk.Detections.from_supervision(slicer(page), ["bar"])


def by_sahi(page: np.ndarray, kind: str) -> tk.Detections:
    from sahi.models.base import DetectionModel
    from sahi.predict import get_sliced_prediction
    from sahi.prediction import ObjectPrediction
    from sahi.utils.cv import get_coco_segmentation_from_bool_mask

    class Model(DetectionModel):
        def check_dependencies(self, packages=None):
            pass

        def load_model(self):
            self.model = look

        def perform_inference(self, image):
            self.seen, self.size = look(image), image.shape[:2]

        @property
        def category_names(self):
            return ["bar"]

        def _create_object_prediction_list_from_original_predictions(
            self, shift_amount_list=None, full_shape_list=None
        ):
            made = []
            for mask, corners, box, score in zip(*self.seen, strict=True):
                outline = (
                    get_coco_segmentation_from_bool_mask(mask)
                    if kind == "mask"
                    else [corners.ravel().tolist()]
                )
                made.append(
                    ObjectPrediction(
                        bbox=box.tolist(),
                        segmentation=outline,
                        score=float(score),
                        category_id=0,
                        category_name="bar",
                        shift_amount=(shift_amount_list or [[0, 0]])[0],
                        full_shape=(full_shape_list or [list(self.size)])[0],
                    )
                )
            self._object_prediction_list_per_image = [made]

    found = get_sliced_prediction(
        page,
        Model(model_path="none", device="cpu", category_mapping={"0": "bar"}),
        slice_height=TILE,
        slice_width=TILE,
        overlap_height_ratio=OVERLAP / TILE,
        overlap_width_ratio=OVERLAP / TILE,
        perform_standard_pred=False,
        verbose=0,
    ).object_prediction_list
    outlines = tk.boxes.Polygons.of([one.mask.segmentation for one in found])
    return tk.Detections.from_shapes(outlines, [one.score.value for one in found], names=["bar"])


def faults(found: tk.Detections, truth: tk.Annotations) -> int:
    """Bars not found with an IoU of 0.75 by their own area, and what is found beside them."""
    hits = int((tk.match(found, truth, 0.75, by="shape").truth_of >= 0).sum())
    return len(truth) + len(found) - 2 * hits


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mask", "oriented"])
@pytest.mark.parametrize("seed", [0, 1])
def test_sliced_shapes_are_at_least_as_good_as_theirs(kind, seed, tmp_path):
    page, bars = scene(seed)
    truth = tk.Annotations.from_shapes(bars, names=["bar"])
    (tmp_path / "page.png").write_bytes(encode_image(page, "png").data)
    detector = tk.CallableDetector(callback(kind), names=["bar"])
    with tk.open_scan(tmp_path / "page.png") as scan:
        found = tk.detect_tiles(scan, detector, tk.Tiling(TILE, OVERLAP)).detections
    assert found.shapes.kind == kind
    ours = faults(found, truth)
    theirs = {"SAHI": faults(by_sahi(page, kind), truth)}
    for how, metric in (("non_max_suppression", "iou"), ("non_max_merge", "ios")):
        theirs[f"supervision {how}"] = faults(by_supervision(page, kind, how, metric), truth)
    assert ours <= min(theirs.values()), theirs
    assert ours <= 2  # of 24 bars


def test_shapes_that_a_callback_gives_badly_are_named():
    class Bad:
        xyxy = np.array([[0.0, 0, 5, 5]])
        confidence, class_id, mask = np.array([0.5]), np.array([0]), None
        data = {"xyxyxyxy": np.full((1, 4, 2), np.nan)}  # noqa: RUF012

    tile = Tile(0, 0, 0, Window(0, 0, 9, 9), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(DetectorError, match="shapes cannot be read"):
        tk.CallableDetector(lambda pixels: Bad(), names=["x"]).detect([tile])
