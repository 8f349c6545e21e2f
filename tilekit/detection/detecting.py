"""detect_tiles and detect_whole: a detector over a scan, boxes on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tilekit.boxes.detections import Detections
from tilekit.boxes.merging import MergePolicy
from tilekit.detection.combining import drop_decoys, unite_scales
from tilekit.detection.options import DetectionOptions
from tilekit.detection.passes import Pass, run_passes
from tilekit.detectors.callables import as_detector
from tilekit.detectors.naming import AnyDetector, named
from tilekit.detectors.protocol import Detector
from tilekit.errors import InvalidArgument, RecipeMismatch, checked_kind
from tilekit.grid import Tiling
from tilekit.labels.predictions import FailedTile, PageDetections
from tilekit.labels.thresholds import Thresholds, apply_thresholds, check_thresholds
from tilekit.rekognition.training_note import least_trained
from tilekit.scales import AnyTiling, Scales, as_scales
from tilekit.scans.scan import Scan, check_open
from tilekit.tiles.reading import read_tiles
from tilekit.tiles.sending import tiles_to_send
from tilekit.tiles.tile import Tile

Progress = Callable[[int, int], None]

AHEAD_TILES = 8  # tiles waiting beside two batches a worker: they last while the next band is decoded
READ_TILES = 4  # tiles that read_tiles may hold finished
_OPTIONS = DetectionOptions()
WHOLE_SIDE = 4096  # the largest side the service takes in one call; see rekognition.limits


def detect_tiles(
    scan: Scan,
    detector: AnyDetector | Sequence[AnyDetector],
    tiling: AnyTiling,
    policy: MergePolicy | None = None,
    *,
    thresholds: Thresholds | None = None,
    workers: int | None = None,
    options: DetectionOptions = _OPTIONS,
    progress: Progress | None = None,
) -> PageDetections:
    """Run a detector over a scan's tiles, at one scale or several; merged boxes on the page, in base pixels.

    `detector`: a Detector, any callable pixels -> detections (see CallableDetector), or a ModelRef. Given several
    scales it serves them all, or is a sequence of one for each. `policy`: how tiles are merged; what
    several scales found is united by `unite_scales`, and `scale` of the result says which found a box. What was taught
    on each (`Scales.taught`, else as the detectors' `tiling` says) weighs their finds.
    A scale that repeats a finer one on this page is left out.
    `thresholds`: least score, one number or label -> number, applied after merging.
    `workers`: concurrent calls, never more than the detector says is safe (the default).
    `options`: see DetectionOptions. `progress(done, total)` counts tiles. The result says how the model's training
    ended where the detector has it as `training` (a TrainingNote).

    A detector that has `takes_jpeg` gets those of `tiles_to_send`. Decoding, detecting and merging overlap; results
    do not depend on the number of workers, and are in grid order, scale by scale. Memory: `read_tiles`' own, plus
    the options' `look_ahead` bytes of tiles, and detections. Raises RecipeMismatch, ScanError,
    DetectorError where no tile succeeds, and at once what asking again cannot mend: ServiceDenied,
    ServiceLost, QuotaExceeded, ModelNotReady, MissingExtra.
    """
    options = checked_kind(options, DetectionOptions)
    chosen = MergePolicy() if policy is None else policy
    limits = None if thresholds is None else check_thresholds(thresholds)
    scales = as_scales(tiling)
    detectors = _one_each(detector, scales)
    check_scales(detectors, scales, force=options.force)
    scales = knowing(scales, detectors)
    check_open(scan)
    grids = scales.grids(scan.width, scan.height, dpi=scan.dpi)
    places = scales.on(scan.width, scan.height, dpi=scan.dpi)
    passes = {place: Pass(detectors[place], grids[place]) for place in places}
    total = sum(len(one.grid) for one in passes.values())
    threads = max(_workers(workers, one.detector) for one in passes.values())
    tile_bytes = max(one.grid.columns.tile * one.grid.lines.tile for one in passes.values()) * scan.bands
    batch = max(one.detector.batch for one in passes.values())
    found, failed = run_passes(
        _reader(passes)(scan, scales, budget=options.look_ahead or READ_TILES * tile_bytes),
        passes,
        chosen,
        workers=threads,
        retries=options.retries,
        budget=options.look_ahead or (AHEAD_TILES + 2 * threads * max(1, batch)) * tile_bytes,
        done=lambda done: None if progress is None else _tell(progress, done, total),
    )
    cut_at = {place: one.grid for place, one in passes.items()}
    united = unite_scales(found, cut_at, chosen, taught=scales.taught)
    united = drop_decoys(united, _decoys(options, passes), chosen.threshold)
    if limits is not None:
        united = apply_thresholds(united, limits)
    return _page(scan, scales, passes, united, failed, options.model)


def _decoys(options: DetectionOptions, passes: dict[int, Pass]) -> list[str]:
    """Labels to be dropped: those asked for, and those that detectors know to be such."""
    known = (name for one in passes.values() for name in getattr(one.detector, "decoys", ()))
    return [*options.decoy, *known]


def _page(
    scan: Scan,
    scales: Scales,
    passes: dict[int, Pass],
    united: Detections,
    failed: Sequence[FailedTile],
    model: str,
) -> PageDetections:
    """What was found, with everything a page's line says; scales are counted among those that were cut."""
    places = tuple(passes)
    shown_by = united.tile_index if len(places) > 1 else None
    return PageDetections(
        scan.key,
        scan.width,
        scan.height,
        united,
        tuple(scales[place] for place in places),
        tuple(
            replace(tile, scale=places.index(tile.scale))
            for tile in sorted(failed, key=lambda tile: (tile.scale, tile.index))
        ),
        complete=not failed,
        model=model,
        scale=None if shown_by is None else np.searchsorted(places, shown_by),
        training=least_trained(getattr(one.detector, "training", None) for one in passes.values()),
    )


def _reader(passes: dict[int, Pass]) -> Callable[..., Iterator[Tile]]:
    """How tiles are read for detectors: as files where all of them take such."""
    as_files = all(getattr(one.detector, "takes_jpeg", False) for one in passes.values())
    return tiles_to_send if as_files else read_tiles


def _tell(progress: Progress, done: int, total: int) -> None:
    progress(done, total)


def detect_whole(
    scan: Scan,
    detector: AnyDetector,
    *,
    whole_side: int = WHOLE_SIDE,
    policy: MergePolicy | None = None,
    thresholds: Thresholds | None = None,
    options: DetectionOptions = _OPTIONS,
    progress: Progress | None = None,
) -> PageDetections:
    """The baseline: the whole page as one image, shrunk to `whole_side` px where it is larger.

    Everything else as in `detect_tiles`, so that both can be compared. Memory: the shrunk page.
    """
    check_open(scan)
    options = replace(checked_kind(options, DetectionOptions), force=True)
    whole = whole_page(whole_side)
    return detect_tiles(
        scan, detector, whole, policy, thresholds=thresholds, options=options, progress=progress
    )


def whole_page(side: int = WHOLE_SIDE) -> Tiling:
    """The recipe of one tile that is the whole page, shrunk to at most `side` px."""
    if isinstance(side, bool) or not isinstance(side, int) or side < 1:
        raise InvalidArgument(f"whole_side={side!r} must be a whole number of at least 1 px")
    return Tiling.whole(side)


def check_scales(detectors: Sequence[Any], scales: Scales, *, force: bool = False) -> None:
    """Refuse tiles of another size or scale than a detector was trained on; overlap and edge are free.

    A detector's `tiling` is a Tiling or Scales; one without takes any. Raises RecipeMismatch unless `force`.
    """
    for detector, tiling in zip(detectors, scales, strict=True):
        trained = getattr(detector, "tiling", None)
        if force or not isinstance(trained, (Tiling, Scales)):
            continue
        known = as_scales(trained)
        if tiling.look not in [one.look for one in known]:
            extra = (
                f"; it is given {len(scales)} scales, and knows {len(known)}"
                if len(scales) != len(known)
                else ""
            )
            raise RecipeMismatch(
                f"the model was trained on {_words(known)}, but these are {_words(Scales(tiling))}{extra}; objects "
                "would look larger or smaller than it knows. Use the same tiling, or force=True (--force)"
            )


def knowing(scales: Scales, detectors: Any) -> Scales:
    """The scales with what their detectors, one or several, were taught on each, unless the scales say it."""
    many = detectors if isinstance(detectors, (list, tuple)) else [detectors]
    return scales.knowing(*(getattr(one, "tiling", None) for one in many))


def _words(scales: Scales) -> str:
    return " and ".join(map(_word, scales))


def _word(tiling: Tiling) -> str:
    at = f" at {tiling.dpi:g} dpi" if tiling.dpi is not None else f" at scale {tiling.scale:g}"
    if tiling.fit is not None:
        return f"whole pages of at most {tiling.fit} px"
    if tiling.division is not None:
        return f"pages in {tiling.division} part(s){at}"
    return "tiles of {} x {} px{}".format(*tiling.tile_size, at)


def _one_each(detector: AnyDetector | Sequence[AnyDetector], scales: Scales) -> list[Detector]:
    if not isinstance(detector, (list, tuple)):
        return [as_detector(named(detector))] * len(scales)
    if len(detector) != len(scales):
        raise InvalidArgument(
            f"{len(detector)} detector(s) for {len(scales)} scale(s); give one for all, or one detector for each scale"
        )
    return [as_detector(named(one)) for one in detector]


def _workers(asked: int | None, detector: Detector) -> int:
    safe = max(1, detector.workers)
    if asked is None:
        return safe
    if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
        raise InvalidArgument(f"workers={asked!r} must be a whole number of at least 1")
    return min(asked, safe)
