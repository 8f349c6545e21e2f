"""DetectJob: a model over every page of an archive, all workers on one running model."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from tilekit.archive.jobs import PROCESS, discard_page, page_place, recipe_text
from tilekit.archive.working import Task
from tilekit.boxes.merging import MergePolicy
from tilekit.detection.detecting import detect_tiles
from tilekit.errors import DetectorError, InvalidArgument
from tilekit.grid import TileGrid, Tiling
from tilekit.labels.thresholds import Thresholds, check_thresholds
from tilekit.ledger import Record
from tilekit.scales import Scales, as_scales
from tilekit.scans.scan import Scan
from tilekit.storage.local import atomic_file
from tilekit.storage.place import place_of
from tilekit.storage.s3 import is_s3

_LOOK_AHEAD = 64 * 1024 * 1024
DETECTIONS_FILE = "detections.jsonl"


@dataclass(frozen=True)
class DetectJob:
    """Detect on every page: one line a page, joined as `detections.jsonl` when a whole run ends.

    `model`: a Custom Labels model's ARN (started for the run with `units`, and stopped after it if
    the run started it; all workers share it), an ONNX file, or `module:attribute` of a detector or
    callable that workers can import. `names`: labels, where the model does not say. `decoy`: labels
    dropped after merging. `thresholds`: least score, one number or label -> number, applied after
    merging. A page on which a tile failed is set aside, never passed off as complete.
    """

    tiling: Tiling | Scales
    model: str
    names: tuple[str, ...] = ()
    decoy: tuple[str, ...] = ()
    thresholds: Thresholds | None = field(default=None, hash=False)
    policy: MergePolicy = field(default_factory=MergePolicy)
    dpi: float | None = None
    units: int = 1
    force: bool = False

    def __post_init__(self) -> None:
        if self.thresholds is not None:
            object.__setattr__(self, "thresholds", check_thresholds(self.thresholds))
        if not (self.is_cloud or self.is_onnx or ":" in self.model):
            raise InvalidArgument(
                f"model={self.model!r} must be a model's ARN, an .onnx file or module:attribute"
            )

    @property
    def is_cloud(self) -> bool:
        """Whether the model is a Custom Labels model."""
        return self.model.startswith("arn:")

    @property
    def is_onnx(self) -> bool:
        """Whether the model is an ONNX file."""
        return self.model.lower().endswith(".onnx")

    def recipe(self) -> str:
        """Everything that shapes the detections."""
        unset = ("thresholds",) if self.thresholds is None else ()
        return recipe_text("detect", self, leave_out=("units", "force", *unset))

    def cost(self, scan: Scan) -> int:
        """What streaming takes, and the tiles that wait for the detector."""
        return PROCESS + max(scan.cost(grid) for grid in self._grids(scan)) + _LOOK_AHEAD

    def _on(self, scan: Scan) -> Scales:
        """The scales that suit a page."""
        scales = as_scales(self.tiling)
        return Scales(scales[place] for place in scales.on(scan.width, scan.height, dpi=scan.dpi))

    def _grids(self, scan: Scan) -> list[TileGrid]:
        return [one.grid(scan.width, scan.height, dpi=scan.dpi) for one in self._on(scan)]

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Keep a cloud model running for the run; what was started is stopped, whatever happens."""
        if not self.is_cloud:
            yield
            return
        from tilekit.aws.model import Model

        with Model.find(self.model).running(self.units, tiling=self.tiling, force=self.force):
            yield

    def run(self, task: Task, scan: Scan, out: str) -> dict[str, Any]:
        """Detect on the page and write its line."""
        detector = _detector(self.model, self.names)
        found = detect_tiles(
            scan,
            detector,
            self._on(scan),
            self.policy,
            decoy=self.decoy,
            thresholds=self.thresholds,
            look_ahead=_LOOK_AHEAD,
            force=self.force,
            model=self.model,
        )
        if not found.complete:
            reason = found.failed[0].reason if found.failed else "a tile failed"
            raise DetectorError(f"{scan.key}: {len(found.failed)} tiles failed, the first with: {reason}")
        name = f"{page_place(task)}.jsonl"
        text = json.dumps(found.to_json(), ensure_ascii=False) + "\n"
        data = text.encode("utf-8")
        place_of(out).put(name, data)
        return {
            "tiles": sum(map(len, self._grids(scan))),
            "pixels": scan.width * scan.height,
            "objects": len(found),
            "outputs": [[name, len(data), zlib.crc32(data)]],
        }

    def discard(self, task: Task, out: str) -> None:
        """Remove the page's line."""
        discard_page(task, out)

    def finish(self, out: str, records: Iterator[Record]) -> None:
        """Join the lines of all pages that are done, in the ledger's order; on S3 they stay apart."""
        if is_s3(out):
            return
        with atomic_file(Path(out, DETECTIONS_FILE)) as file:
            for record in records:
                for name, *_ in record.info.get("outputs", []):
                    file.write(Path(out, name).read_bytes())


@lru_cache(maxsize=1)
def _detector(model: str, names: tuple[str, ...]) -> Any:
    """The detector of this worker process: made at its first page, used for all."""
    if model.startswith("arn:"):
        from tilekit.aws.model import Model

        return Model.find(model).detector()
    if model.lower().endswith(".onnx"):
        from tilekit.detectors.onnx import OnnxDetector

        return OnnxDetector(model, names=names or None)
    from tilekit.detectors.callables import import_detector

    return import_detector(model, names)
