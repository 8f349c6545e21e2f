"""detect_tiles and detect_whole: a detector over a scan, boxes on the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tilekit.boxes.merging import MergePolicy
from tilekit.detection.combining import drop_decoys, unite_passes
from tilekit.detection.running import run_pass
from tilekit.detectors.callables import as_detector
from tilekit.detectors.protocol import Detector
from tilekit.errors import InvalidArgument, RecipeMismatch
from tilekit.grid import Tiling
from tilekit.labels.predictions import FailedTile, PageDetections
from tilekit.labels.thresholds import Thresholds, apply_thresholds, check_thresholds
from tilekit.scans.scan import Scan, check_open
from tilekit.tiles.reading import read_tiles

AnyDetector = Detector | Callable[..., Any]
Progress = Callable[[int, int], None]

AHEAD_TILES = 8  # tiles waiting beside two batches a worker: they last while the next band is decoded
READ_TILES = 4  # tiles that read_tiles may hold finished
WHOLE_SIDE = 4096  # the largest side the service takes in one call; see rekognition.limits


def detect_tiles(
    scan: Scan,
    detector: AnyDetector | Sequence[AnyDetector],
    tiling: Tiling | Sequence[Tiling],
    policy: MergePolicy | None = None,
    *,
    progress: Progress | None = None,
    also_whole: AnyDetector | None = None,
    whole_side: int = WHOLE_SIDE,
    thresholds: Thresholds | None = None,
    decoy: Sequence[str] = (),
    workers: int | None = None,
    retries: int = 1,
    look_ahead: int | None = None,
    force: bool = False,
    model: str = "",
) -> PageDetections:
    """Run a detector over a scan's tiles; merged boxes on the page, in base pixels and grid order.

    `detector`: a Detector or any callable pixels -> detections (see CallableDetector); with several
    tilings, one detector for each. `also_whole`: a second detector, trained for it, that sees the whole
    page shrunk to `whole_side` px, for objects larger than a tile. `policy`: how tiles are merged.
    `thresholds`: least score, one number or label -> number, applied after merging. `decoy`: labels that
    take part in merging and are dropped then; a detector's own `decoys` are added.
    `workers`: concurrent calls, never more than the detector says is safe (the default).
    `retries`: how often a failed tile is asked for again; then it is listed in `failed` and the page is
    not `complete`. `force`: use tiles of another size or scale than the detector's `tiling`.
    `progress(done, total)` counts tiles. `model` is written into the result.

    Decoding, detecting and merging overlap; results do not depend on the number of workers.
    Memory: `read_tiles`' own, plus `look_ahead` bytes of tiles (at least one batch; default 12 tiles and
    two batches a worker), plus the detections. Raises RecipeMismatch, ScanError, DetectorError where no tile succeeds, and at once what
    asking again cannot mend: ServiceDenied, QuotaExceeded, ModelNotReady, MissingExtra.
    """
    chosen = MergePolicy() if policy is None else policy
    limits = None if thresholds is None else check_thresholds(thresholds)
    passes = [(as_detector(one), recipe) for one, recipe in _pairs(detector, tiling)]
    for one, recipe in passes:
        check_recipe(one, recipe, force=force)
    if also_whole is not None:
        passes.append((as_detector(also_whole), whole_page(scan, whole_side)))
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise InvalidArgument(f"retries={retries!r} must be a whole number of at least 0")
    check_open(scan)
    grids = [scan.grid(recipe) for _, recipe in passes]
    total, before = sum(map(len, grids)), 0
    found, failed = [], list[FailedTile]()
    for (one, recipe), grid in zip(passes, grids, strict=True):

        def tell(done: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, total)

        threads = _workers(workers, one)
        tile_bytes = grid.columns.tile * grid.lines.tile * scan.bands
        ahead = (AHEAD_TILES + 2 * threads * max(1, one.batch)) * tile_bytes
        boxes, missing = run_pass(
            read_tiles(scan, recipe, budget=look_ahead or READ_TILES * tile_bytes),
            one,
            grid,
            chosen,
            workers=threads,
            retries=retries,
            budget=look_ahead or ahead,
            done=tell,
        )
        found.append(boxes)
        failed += missing
        before += len(grid)
    united = unite_passes(found, chosen)
    decoys = [*decoy, *(name for one, _ in passes for name in getattr(one, "decoys", ()))]
    united = drop_decoys(united, decoys, chosen.threshold)
    if limits is not None:
        united = apply_thresholds(united, limits)
    return PageDetections(
        scan.key,
        scan.width,
        scan.height,
        united,
        tuple(recipe for _, recipe in passes),
        tuple(failed),
        complete=not failed,
        model=model,
    )


def detect_whole(
    scan: Scan,
    detector: AnyDetector,
    *,
    whole_side: int = WHOLE_SIDE,
    policy: MergePolicy | None = None,
    thresholds: Thresholds | None = None,
    decoy: Sequence[str] = (),
    retries: int = 1,
    progress: Progress | None = None,
    model: str = "",
) -> PageDetections:
    """The baseline: the whole page as one image, shrunk to `whole_side` px where it is larger.

    Everything else as in `detect_tiles`, so that both can be compared. Memory: the shrunk page.
    """
    check_open(scan)
    return detect_tiles(
        scan,
        detector,
        whole_page(scan, whole_side),
        policy,
        thresholds=thresholds,
        decoy=decoy,
        retries=retries,
        progress=progress,
        force=True,
        model=model,
    )


def whole_page(scan: Scan | PageDetections, side: int = WHOLE_SIDE) -> Tiling:
    """The recipe of one tile that is the whole page, shrunk to at most `side` px."""
    if isinstance(side, bool) or not isinstance(side, int) or side < 1:
        raise InvalidArgument(f"whole_side={side!r} must be a whole number of at least 1 px")
    return Tiling.parts(1, scale=min(1.0, side / max(scan.width, scan.height)))


def check_recipe(detector: Any, tiling: Tiling, *, force: bool = False) -> None:
    """Refuse tiles of another size or scale than a detector's `tiling`; overlap and edge are free.

    Raises RecipeMismatch unless `force`. A detector without `tiling` takes any.
    """
    trained = getattr(detector, "tiling", None)
    if force or not isinstance(trained, Tiling) or _look(trained) == _look(tiling):
        return
    raise RecipeMismatch(
        f"the model was trained on {_words(trained)}, but these are {_words(tiling)}; objects would look "
        "larger or smaller than it knows. Use the same tiling, or force=True"
    )


def _look(tiling: Tiling) -> tuple[Any, ...]:
    size = tiling.tile_size if tiling.division is None else None
    return size, tiling.division, tiling.scale, tiling.dpi


def _words(tiling: Tiling) -> str:
    at = f" at {tiling.dpi:g} dpi" if tiling.dpi is not None else f" at scale {tiling.scale:g}"
    if tiling.division is not None:
        return f"pages in {tiling.division} part(s){at}"
    return "tiles of {} x {} px{}".format(*tiling.tile_size, at)


def _pairs(
    detector: AnyDetector | Sequence[AnyDetector], tiling: Tiling | Sequence[Tiling]
) -> list[tuple[AnyDetector, Tiling]]:
    detectors: list[Any] = list(detector) if isinstance(detector, (list, tuple)) else [detector]
    tilings: list[Any] = list(tiling) if isinstance(tiling, (list, tuple)) else [tiling]
    for one in tilings:
        if not isinstance(one, Tiling):
            raise InvalidArgument(f"tiling={one!r} must be a Tiling, such as Tiling(1024, 128)")
    if not tilings or len(detectors) != len(tilings):
        raise InvalidArgument(
            f"{len(detectors)} detector(s) for {len(tilings)} tiling(s); give one detector for each tiling"
        )
    return list(zip(detectors, tilings, strict=True))


def _workers(asked: int | None, detector: Detector) -> int:
    safe = max(1, detector.workers)
    if asked is None:
        return safe
    if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
        raise InvalidArgument(f"workers={asked!r} must be a whole number of at least 1")
    return min(asked, safe)
