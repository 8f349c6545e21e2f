"""DetectJob: a model over every page of an archive, all workers on one running model."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from tilekit.archive.jobs import PROCESS, discard_page, page_place, recipe_text
from tilekit.archive.working import Task
from tilekit.boxes.merging import MergePolicy
from tilekit.detection.detecting import detect_tiles
from tilekit.detection.options import DetectionOptions
from tilekit.detectors.naming import ModelRef
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
_SHAPES_NOTHING = ("units", "force", "untrusted", "deadline", "guard_role")


@dataclass(frozen=True)
class DetectJob:
    """Detect on every page: one line a page, joined as `detections.jsonl` when a whole run ends.

    `model`: a ModelRef, or its name: a Custom Labels model (started for the run with `units`, and stopped after
    it if the run started it; all workers share it), `text`, `labels`, an ONNX file, or `module:attribute` of a
    detector or callable that workers can import. `decoy`: labels dropped after merging. `thresholds`: least score, one number or label -> number, applied after
    merging. A page on which a tile failed is set aside, never passed off as complete. `deadline`: seconds after which
    a Custom Labels model is stopped in any case, which ends the run; `guard_role`: a role by which EventBridge
    Scheduler stops it then, even if this machine is gone. `untrusted`: as of `open_scan`.
    """

    tiling: Tiling | Scales
    model: ModelRef | str
    decoy: tuple[str, ...] = ()
    thresholds: Thresholds | None = field(default=None, hash=False)
    policy: MergePolicy = field(default_factory=MergePolicy)
    dpi: float | None = None
    units: int = 1
    force: bool = False
    deadline: float | None = None
    guard_role: str | None = None
    untrusted: bool = False

    def __post_init__(self) -> None:
        if self.thresholds is not None:
            object.__setattr__(self, "thresholds", check_thresholds(self.thresholds))
        object.__setattr__(self, "model", self.ref)
        if self.deadline is not None and not self.deadline > 0:
            raise InvalidArgument(f"deadline={self.deadline!r} must be above 0 seconds")
        if self.deadline is None and self.guard_role is not None:
            raise InvalidArgument("guard_role: needs deadline=, at which the schedule stops the model")
        if self.deadline is not None and not self.is_cloud:
            raise InvalidArgument(
                f"deadline: {self.ref.name} is no Custom Labels model, so nothing of it is left running"
            )

    @property
    def ref(self) -> ModelRef:
        """The model as a reference."""
        return self.model if isinstance(self.model, ModelRef) else ModelRef(self.model)

    @property
    def is_cloud(self) -> bool:
        """Whether the model is a Custom Labels model, which costs by the hour."""
        return self.ref.kind == "model"

    def recipe(self) -> str:
        """Everything that shapes the detections."""
        unset = ("thresholds",) if self.thresholds is None else ()
        return recipe_text("detect", self, leave_out=(*_SHAPES_NOTHING, *unset))

    def cost(self, scan: Scan) -> int:
        """What streaming takes, and the tiles that wait for the detector."""
        return PROCESS + max(scan.cost(grid) for grid in self._grids(scan)) + _LOOK_AHEAD

    def _on(self, scan: Scan) -> Scales:
        """The scales that suit a page."""
        scales = as_scales(self.tiling)
        return scales.part(scales.on(scan.width, scan.height, dpi=scan.dpi))

    def _grids(self, scan: Scan) -> list[TileGrid]:
        return [one.grid(scan.width, scan.height, dpi=scan.dpi) for one in self._on(scan)]

    @contextlib.contextmanager
    def session(self, note: Callable[[str], None]) -> Iterator[None]:
        """Keep a cloud model running for the run; what was started is stopped, whatever happens."""
        if not self.is_cloud:
            yield
            return
        from tilekit.aws.naming import running

        with running(
            self.ref,
            note=note,
            units=self.units,
            tiling=self.tiling,
            force=self.force,
            deadline=self.deadline,
            guard_role=self.guard_role,
        ):
            yield

    def run(self, task: Task, scan: Scan, out: str) -> dict[str, Any]:
        """Detect on the page and write its line."""
        detector = _detector(self.ref)
        found = detect_tiles(
            scan,
            detector,
            self._on(scan),
            self.policy,
            thresholds=self.thresholds,
            options=DetectionOptions(
                decoy=self.decoy, look_ahead=_LOOK_AHEAD, force=self.force, model=self.ref.name
            ),
        )
        if not found.complete:
            reason = found.failed[0].reason if found.failed else "a tile failed"
            raise DetectorError(f"{scan.key}: {len(found.failed)} tiles failed, the first with: {reason}")
        name = f"{page_place(task)}.jsonl"
        text = json.dumps(found.to_json(), ensure_ascii=False) + "\n"
        data = text.encode("utf-8", "backslashreplace")
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
def _detector(model: ModelRef) -> Any:
    """The detector of this worker process: made at its first page, used for all."""
    from tilekit.aws.naming import detector_of

    return detector_of(model)
