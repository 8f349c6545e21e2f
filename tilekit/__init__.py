"""tilekit: tile very large scans, carry labels, detect on tiles, merge, and prove the gain.

Every public name is loaded on first use, so `import tilekit` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "measure_jitter": "tilekit.evaluation.merge_fitting",
    "fit_merge": "tilekit.evaluation.merge_fitting",
    "TunePage": "tilekit.evaluation.merge_fitting",
    "diou": "tilekit.boxes.overlap",
    "EvaluationRules": "tilekit.evaluation.rules",
    "Polygons": "tilekit.boxes.shapes.polygons",
    "OrientedBoxes": "tilekit.boxes.shapes.oriented",
    "Masks": "tilekit.boxes.shapes.masks",
    "Keypoints": "tilekit.boxes.shapes.keypoints",
    "Annotations": "tilekit.boxes.annotations",
    "ArchiveSummary": "tilekit.archive.summary",
    "CallableDetector": "tilekit.detectors.callables",
    "Carried": "tilekit.boxes.remap",
    "CheckReport": "tilekit.labels.check_report",
    "Comparison": "tilekit.evaluation.comparison",
    "DatasetSummary": "tilekit.datasets.summary",
    "DatasetJob": "tilekit.archive.dataset",
    "DetectJob": "tilekit.archive.detecting",
    "Detections": "tilekit.boxes.detections",
    "Detector": "tilekit.detectors.protocol",
    "EncodedTile": "tilekit.tiles.writing",
    "Evaluation": "tilekit.evaluation.result",
    "Fused": "tilekit.boxes.fusion",
    "LabelSet": "tilekit.labels.label_set",
    "LabelsDetector": "tilekit.aws.labels_detector",
    "Matches": "tilekit.evaluation.matching",
    "MergePolicy": "tilekit.boxes.merging",
    "MergedLabels": "tilekit.boxes.merging",
    "Model": "tilekit.aws.model",
    "OnnxDetector": "tilekit.detectors.onnx",
    "PageDetections": "tilekit.labels.predictions",
    "PageKey": "tilekit.pages",
    "Plan": "tilekit.datasets.plan",
    "PredictionSet": "tilekit.labels.predictions",
    "PredictionWriter": "tilekit.labels.predictions",
    "RekognitionDetector": "tilekit.aws.detector",
    "RekognitionProject": "tilekit.aws.project",
    "Report": "tilekit.report.building",
    "Scales": "tilekit.scales",
    "Split": "tilekit.datasets.splitting",
    "StreamingMerge": "tilekit.boxes.merging",
    "TextDetector": "tilekit.aws.text",
    "Tile": "tilekit.tiles.tile",
    "TileGrid": "tilekit.grid",
    "TileJob": "tilekit.archive.jobs",
    "TileSet": "tilekit.tiles.writing",
    "TilekitError": "tilekit.errors",
    "Tiling": "tilekit.grid",
    "Window": "tilekit.grid",
    "apply_thresholds": "tilekit.labels.thresholds",
    "archive_status": "tilekit.archive.inspecting",
    "check_manifest": "tilekit.labels.checking",
    "coco_metrics": "tilekit.evaluation.coco_metrics",
    "compare": "tilekit.evaluation.comparison",
    "contact_sheet": "tilekit.draw",
    "detect_scans": "tilekit.detection.batch",
    "detect_tiles": "tilekit.detection.detecting",
    "detect_whole": "tilekit.detection.detecting",
    "encode_tiles": "tilekit.tiles.writing",
    "keep_plan": "tilekit.tiles.keeping",
    "KeepPlan": "tilekit.tiles.keeping",
    "evaluate": "tilekit.evaluation.evaluating",
    "fit_thresholds": "tilekit.evaluation.thresholds",
    "fix_manifest": "tilekit.labels.fixing",
    "giou": "tilekit.boxes.overlap",
    "ios": "tilekit.boxes.overlap",
    "iou": "tilekit.boxes.overlap",
    "join_tiles": "tilekit.tiles.joining",
    "label_stats": "tilekit.labels.stats",
    "labeling_job": "tilekit.labels.jobs",
    "match": "tilekit.evaluation.matching",
    "merge": "tilekit.boxes.merging",
    "merge_labels": "tilekit.labels.merging",
    "merge_with_labels": "tilekit.boxes.merging",
    "merge_ledgers": "tilekit.archive.inspecting",
    "nmm": "tilekit.boxes.fusion",
    "nms": "tilekit.boxes.suppression",
    "open_scan": "tilekit.scans.opening",
    "pairs": "tilekit.boxes.overlap",
    "process_archive": "tilekit.archive.processing",
    "read_evaluation": "tilekit.evaluation.result",
    "read_index": "tilekit.tiles.index",
    "read_labels": "tilekit.labels.reading",
    "read_predictions": "tilekit.labels.predictions",
    "read_thresholds": "tilekit.labels.thresholds",
    "read_tiles": "tilekit.tiles.reading",
    "recommend_tiling": "tilekit.datasets.planning",
    "remap_to_scan": "tilekit.boxes.remap",
    "remap_to_tiles": "tilekit.boxes.remap",
    "resolve_scans": "tilekit.labels.scans",
    "retry_archive": "tilekit.archive.retrying",
    "scan_info": "tilekit.scans.opening",
    "scan_pages": "tilekit.scans.opening",
    "service_tables": "tilekit.evaluation.service_tables",
    "soft_nms": "tilekit.boxes.fusion",
    "split_pages": "tilekit.datasets.splitting",
    "tile_dataset": "tilekit.datasets.building",
    "tile_scan": "tilekit.tiles.writing",
    "verify_archive": "tilekit.archive.inspecting",
    "wbf": "tilekit.boxes.fusion",
    "write_labels": "tilekit.labels.reading",
    "write_predictions": "tilekit.labels.predictions",
    "write_report": "tilekit.report.building",
    "write_thresholds": "tilekit.labels.thresholds",
}

__all__ = sorted([*_HOME, "__version__"])

if TYPE_CHECKING:
    from tilekit.archive.dataset import DatasetJob as DatasetJob
    from tilekit.archive.detecting import DetectJob as DetectJob
    from tilekit.archive.inspecting import archive_status as archive_status
    from tilekit.archive.inspecting import merge_ledgers as merge_ledgers
    from tilekit.archive.inspecting import verify_archive as verify_archive
    from tilekit.archive.jobs import TileJob as TileJob
    from tilekit.archive.processing import process_archive as process_archive
    from tilekit.archive.retrying import retry_archive as retry_archive
    from tilekit.archive.summary import ArchiveSummary as ArchiveSummary
    from tilekit.aws.detector import RekognitionDetector as RekognitionDetector
    from tilekit.aws.labels_detector import LabelsDetector as LabelsDetector
    from tilekit.aws.model import Model as Model
    from tilekit.aws.project import RekognitionProject as RekognitionProject
    from tilekit.aws.text import TextDetector as TextDetector
    from tilekit.boxes.annotations import Annotations as Annotations
    from tilekit.boxes.detections import Detections as Detections
    from tilekit.boxes.fusion import Fused as Fused
    from tilekit.boxes.fusion import nmm as nmm
    from tilekit.boxes.fusion import soft_nms as soft_nms
    from tilekit.boxes.fusion import wbf as wbf
    from tilekit.boxes.merging import MergedLabels as MergedLabels
    from tilekit.boxes.merging import MergePolicy as MergePolicy
    from tilekit.boxes.merging import StreamingMerge as StreamingMerge
    from tilekit.boxes.merging import merge as merge
    from tilekit.boxes.merging import merge_with_labels as merge_with_labels
    from tilekit.boxes.overlap import diou as diou
    from tilekit.boxes.overlap import giou as giou
    from tilekit.boxes.overlap import ios as ios
    from tilekit.boxes.overlap import iou as iou
    from tilekit.boxes.overlap import pairs as pairs
    from tilekit.boxes.remap import Carried as Carried
    from tilekit.boxes.remap import remap_to_scan as remap_to_scan
    from tilekit.boxes.remap import remap_to_tiles as remap_to_tiles
    from tilekit.boxes.shapes.keypoints import Keypoints as Keypoints
    from tilekit.boxes.shapes.masks import Masks as Masks
    from tilekit.boxes.shapes.oriented import OrientedBoxes as OrientedBoxes
    from tilekit.boxes.shapes.polygons import Polygons as Polygons
    from tilekit.boxes.suppression import nms as nms
    from tilekit.datasets.building import tile_dataset as tile_dataset
    from tilekit.datasets.plan import Plan as Plan
    from tilekit.datasets.planning import recommend_tiling as recommend_tiling
    from tilekit.datasets.splitting import Split as Split
    from tilekit.datasets.splitting import split_pages as split_pages
    from tilekit.datasets.summary import DatasetSummary as DatasetSummary
    from tilekit.detection.batch import detect_scans as detect_scans
    from tilekit.detection.detecting import detect_tiles as detect_tiles
    from tilekit.detection.detecting import detect_whole as detect_whole
    from tilekit.detectors.callables import CallableDetector as CallableDetector
    from tilekit.detectors.onnx import OnnxDetector as OnnxDetector
    from tilekit.detectors.protocol import Detector as Detector
    from tilekit.draw import contact_sheet as contact_sheet
    from tilekit.errors import TilekitError as TilekitError
    from tilekit.evaluation.coco_metrics import coco_metrics as coco_metrics
    from tilekit.evaluation.comparison import Comparison as Comparison
    from tilekit.evaluation.comparison import compare as compare
    from tilekit.evaluation.evaluating import evaluate as evaluate
    from tilekit.evaluation.matching import Matches as Matches
    from tilekit.evaluation.matching import match as match
    from tilekit.evaluation.merge_fitting import TunePage as TunePage
    from tilekit.evaluation.merge_fitting import fit_merge as fit_merge
    from tilekit.evaluation.merge_fitting import measure_jitter as measure_jitter
    from tilekit.evaluation.result import Evaluation as Evaluation
    from tilekit.evaluation.result import read_evaluation as read_evaluation
    from tilekit.evaluation.rules import EvaluationRules as EvaluationRules
    from tilekit.evaluation.service_tables import service_tables as service_tables
    from tilekit.evaluation.thresholds import fit_thresholds as fit_thresholds
    from tilekit.grid import TileGrid as TileGrid
    from tilekit.grid import Tiling as Tiling
    from tilekit.grid import Window as Window
    from tilekit.labels.check_report import CheckReport as CheckReport
    from tilekit.labels.checking import check_manifest as check_manifest
    from tilekit.labels.fixing import fix_manifest as fix_manifest
    from tilekit.labels.jobs import labeling_job as labeling_job
    from tilekit.labels.label_set import LabelSet as LabelSet
    from tilekit.labels.merging import merge_labels as merge_labels
    from tilekit.labels.predictions import PageDetections as PageDetections
    from tilekit.labels.predictions import PredictionSet as PredictionSet
    from tilekit.labels.predictions import PredictionWriter as PredictionWriter
    from tilekit.labels.predictions import read_predictions as read_predictions
    from tilekit.labels.predictions import write_predictions as write_predictions
    from tilekit.labels.reading import read_labels as read_labels
    from tilekit.labels.reading import write_labels as write_labels
    from tilekit.labels.scans import resolve_scans as resolve_scans
    from tilekit.labels.stats import label_stats as label_stats
    from tilekit.labels.thresholds import apply_thresholds as apply_thresholds
    from tilekit.labels.thresholds import read_thresholds as read_thresholds
    from tilekit.labels.thresholds import write_thresholds as write_thresholds
    from tilekit.pages import PageKey as PageKey
    from tilekit.report.building import Report as Report
    from tilekit.report.building import write_report as write_report
    from tilekit.scales import Scales as Scales
    from tilekit.scans.opening import open_scan as open_scan
    from tilekit.scans.opening import scan_info as scan_info
    from tilekit.scans.opening import scan_pages as scan_pages
    from tilekit.tiles.index import read_index as read_index
    from tilekit.tiles.joining import join_tiles as join_tiles
    from tilekit.tiles.keeping import KeepPlan as KeepPlan
    from tilekit.tiles.keeping import keep_plan as keep_plan
    from tilekit.tiles.reading import read_tiles as read_tiles
    from tilekit.tiles.tile import Tile as Tile
    from tilekit.tiles.writing import EncodedTile as EncodedTile
    from tilekit.tiles.writing import TileSet as TileSet
    from tilekit.tiles.writing import encode_tiles as encode_tiles
    from tilekit.tiles.writing import tile_scan as tile_scan


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'tilekit' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
