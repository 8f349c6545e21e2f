"""What `detect_tiles` and `detect_scans` may be told beyond scan, detector and tiling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tilekit.boxes.merging import MergePolicy
from tilekit.errors import InvalidArgument
from tilekit.labels.predictions import PageDetections
from tilekit.labels.thresholds import Thresholds, check_thresholds
from tilekit.scans.scan import Scan


@dataclass(frozen=True, kw_only=True)
class DetectionOptions:
    """How a detector is run over tiles.

    `decoy`: labels that take part in merging and are dropped then; a detector's own `decoys` are added.
    `retries`: how often a failed tile is asked for again; then it is listed in `failed` and the page is
    not `complete`. `look_ahead`: bytes of tiles read ahead (at least one batch; default 12 tiles and two batches a
    worker). `force`: use tiles of another size or scale than the detector's `tiling`. `model` is written into the
    result.
    """

    decoy: Sequence[str] = ()
    retries: int = 1
    look_ahead: int | None = None
    force: bool = False
    model: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.retries, bool) or not isinstance(self.retries, int) or self.retries < 0:
            raise InvalidArgument(f"retries={self.retries!r} must be a whole number of at least 0")


@dataclass(frozen=True, kw_only=True)
class ScansOptions(DetectionOptions):
    """How many scans are gone through, and each as DetectionOptions say.

    `policy`, `workers`: as of `detect_tiles`; `dpi`, `untrusted`: as of `open_scan`. `on_page(result, scan)` sees
    each page while its scan is open.
    """

    policy: MergePolicy | None = None
    workers: int | None = None
    dpi: float | Literal["native"] | None = None
    untrusted: bool = False
    on_page: Callable[[PageDetections, Scan], None] | None = None

    def shaping(self, thresholds: Thresholds | None = None) -> dict[str, Any]:
        """What shapes the boxes beside tiles and model, as JSON values; defaults left out.

        It is kept with each page, so that a run which goes on is refused where it has changed.
        """
        found: dict[str, Any] = {}
        if thresholds is not None:
            found["thresholds"] = check_thresholds(thresholds)
        if self.decoy:
            found["decoy"] = sorted(set(self.decoy))
        if self.policy is not None and self.policy != MergePolicy():
            found["policy"] = self.policy.to_json()
        if self.dpi is not None:
            found["dpi"] = self.dpi
        return found

    def of_a_page(self) -> DetectionOptions:
        """What `detect_tiles` is told of each page."""
        return DetectionOptions(
            decoy=self.decoy,
            retries=self.retries,
            look_ahead=self.look_ahead,
            force=self.force,
            model=self.model,
        )
