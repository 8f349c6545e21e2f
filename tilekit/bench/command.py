"""What the three commands measure, as documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tilekit.bench import boxes as box_bench
from tilekit.bench.document import new_document
from tilekit.bench.inputs import Input, cache_folder, given_scan, made_scan, side_of
from tilekit.bench.machine import energy_joules, require_room
from tilekit.bench.pairing import Rounds
from tilekit.bench.peers import NO_PEERS, Peers, Tiler
from tilekit.bench.tiling import (
    Duel,
    Setting,
    around,
    check_room,
    cores,
    duel,
    limit_of,
    scratch,
    sweep,
)
from tilekit.errors import InvalidArgument, TilekitError
from tilekit.grid import Tiling

Say = Callable[[str], object]
_BOX_BYTES = 400  # a box with its score, its copies for peers and their scratch
_ALONE = (
    "no peers: tilekit is timed alone. Adapters are in benchmarks/peers of the source, not in the package; "
    "--peers MODULE names a module with some"
)


@dataclass(frozen=True, slots=True)
class TilingPlan:
    """What `tilekit bench` was asked for; an empty tuple or None is the default."""

    scans: tuple[str, ...] = ()
    tiles: tuple[int, ...] = ()
    overlaps: tuple[int, ...] = ()
    formats: tuple[str, ...] = ()
    workers: tuple[int, ...] = ()
    quality: int = 90
    size: float | None = None
    rounds: int | None = None
    peers: Peers = NO_PEERS
    alone: bool = False
    quick: bool = False
    cache: str | None = None


@dataclass(frozen=True, slots=True)
class DetectPlan:
    """What `tilekit bench detect` was asked for."""

    scan: str | None = None
    tile: int = 1024
    overlap: int = 128
    workers: tuple[int, ...] = ()
    size: float | None = None
    nap: float = 0.02
    quick: bool = False
    cache: str | None = None


def bench_tiling(
    plan: TilingPlan, *, say: Say = lambda _: None, progress: Callable[[int, int], object] | None = None
) -> dict[str, Any]:
    """Settings, peers and limits on every scan. One that cannot be read is named in `failed`.

    Raises InvalidArgument for settings that make no sense, before anything is made or timed.
    """
    require_settings(plan)
    document = new_document("tiling", plan.peers.packages, quick=plan.quick, quality=plan.quality)
    document |= {"settings": [], "peers": [], "limits": [], "best": [], "failed": []}
    document["notes"] += [] if plan.peers or plan.alone else [_ALONE]
    energy = energy_joules()
    with scratch(_scratch_place(plan.cache)) as fresh:
        for scan in _scans(plan, document):
            try:
                _bench_scan(plan, scan, document, fresh, say, progress)
            except TilekitError as exc:
                document["failed"].append({"scan": scan.name, "reason": str(exc)})
                document["notes"].append(f"failed: {scan.name}: {exc}")
    after = energy_joules()
    if energy is not None and after is not None and after > energy:
        document["energy_joules"] = round(after - energy, 1)
    return document


def require_settings(plan: TilingPlan) -> None:
    """Raises InvalidArgument naming a tile, overlap or number of workers that cannot be."""
    for count in plan.workers:
        if count < 1:
            raise InvalidArgument(f"workers={count!r} must be at least 1")
    overlap = (plan.overlaps or (128,))[0]
    tiles = plan.tiles or (1024,)
    for tile in tiles:
        Tiling(tile, overlap if tile == tiles[0] else 0)
    for other in plan.overlaps:
        Tiling(tiles[0], other)


def _scans(plan: TilingPlan, document: dict[str, Any]) -> list[Input]:
    found = []
    if not plan.scans:
        side = side_of(plan.size or (16 if plan.quick else 100))
        kinds = ("jpeg",) if plan.quick else ("jpeg", "tiled-jpeg")
        cache = None if plan.cache is None else Path(plan.cache)
        found = [made_scan(kind, side, side, cache=cache) for kind in kinds]
    for path in plan.scans:
        try:
            found.append(given_scan(path))
        except (TilekitError, OSError) as exc:
            document["failed"].append({"scan": path, "reason": str(exc)})
            document["notes"].append(f"failed: {exc}")
    document["inputs"] = [scan.to_json() for scan in found]
    return found


def _scratch_place(cache: str | None) -> str:
    folder = cache_folder(cache)
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _bench_scan(
    plan: TilingPlan,
    scan: Input,
    document: dict[str, Any],
    fresh: Callable[[], str],
    say: Say,
    progress: Callable[[int, int], object] | None,
) -> None:
    check_room(scan, cache_folder(plan.cache))
    rounds = plan.rounds or (2 if plan.quick else 5)
    base = Setting(
        (plan.tiles or (1024,))[0],
        (plan.overlaps or (128,))[0],
        (plan.formats or ("jpeg",))[0],
        plan.quality,
        "444",
        (plan.workers or (cores(),))[0],
    )
    settings = around(
        base,
        tiles=plan.tiles or (() if plan.quick else (512, 2048)),
        overlaps=plan.overlaps or (() if plan.quick else (0, 256)),
        formats=plan.formats or ("png",),
        workers=plan.workers or tuple({1, cores()}),
    )
    say(f"{scan.name}: tilekit with {len(settings)} settings, {rounds} rounds")
    rows = sweep(scan, settings, fresh, rounds=rounds, progress=progress)
    document["settings"] += rows
    best = rows[0]
    document["best"].append(best)
    ours = next(row["seconds"] for row in rows if all(row[k] == getattr(base, k) for k in ("tile", "overlap", "format", "workers")))  # fmt: skip
    for fight in _duels(plan.peers, scan, base, fresh, rounds, say):
        document["peers"] += fight.to_json()
    limit = limit_of(scan, base, fresh, ours, rounds=min(rounds, 3))
    document["limits"].append(limit)
    document["notes"].append(
        f"{scan.name}: fastest with {best['tile']} px tiles, {best['overlap']} px overlap, {best['format']}, "
        f"{best['workers']} workers: {best['mpx_s']} Mpx/s; at {base} tilekit reaches "
        f"{100 * limit['share']:.0f} % of the limit, bound by {limit['bound']}"
    )


def _duels(
    peers: Peers, scan: Input, base: Setting, fresh: Callable[[], str], rounds: int, say: Say
) -> Iterator[Duel]:
    """Peers that take any setting at once; those with settings of their own by the settings they share."""
    groups: dict[Setting, dict[str, Tiler]] = {}
    for name, peer in peers.tilers.items():
        setting = base if peer.overlaps else replace(base, overlap=0)
        if peer.plain:
            if base.format != "jpeg":
                continue
            setting = replace(setting, quality=75, sub="420")
        groups.setdefault(setting, {})[name] = peer
    for setting, group in groups.items():
        yield duel(scan, setting, group, fresh, rounds=rounds, say=say)


def bench_boxes(
    sizes: Sequence[int] = (),
    peers: Peers = NO_PEERS,
    *,
    rounds: int | None = None,
    quick: bool = False,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """nms in three distributions, fusion, carrying and merging. Raises InvalidArgument for lack of memory."""
    document = new_document("boxes", peers.packages, quick=quick)
    chosen = tuple(sizes) or ((10, 1000, 10_000) if quick else (10, 1000, 100_000, 1_000_000))
    require_room(f"{max(chosen):,} boxes", Path.cwd(), 0, _BOX_BYTES * max(chosen))
    turns = rounds or (2 if quick else 5)
    document["notes"] += [] if peers else [_ALONE]
    rows: list[dict[str, Any]] = []
    for count in chosen:
        side = 100.0 * count**0.5
        cases = [box_bench.spread(count, side)]
        if count >= 1000:
            cases.append(box_bench.tile_merge(count, side))
            cases.append(box_bench.spread(count, 19.0 * count**0.5, name="cluster"))
        for case in cases:
            say(case.name)
            rows += box_bench.suppress_duel(case, peers.suppressors, rounds=turns).to_json()
    say("fusion, carrying, merging")
    fused = 1000 if quick else 10_000
    for who, fuser in peers.fusers.items():
        for name, timed in box_bench.fusion_duel(fuser, fused, rounds=turns).items():
            rows += _pair_rows(f"{name} {fused:,}", timed, who)
    large = 10_000 if quick else 1_000_000
    merged, timed = box_bench.merge_duel(large, rounds=turns)
    outputs, carrying = box_bench.carry_rate(large, rounds=turns)
    carried = {
        "outputs": outputs,
        "rate": outputs / carrying.seconds("carry"),
        "memory_rate": outputs / carrying.seconds("memory"),
    }
    share = timed.ratio("merge", "nms")
    document["peers"] = rows
    document["carry"] = carried
    document["merge"] = {
        "detections": merged,
        "times_nms": share.median,
        "low": share.low,
        "high": share.high,
    }
    document["notes"] += [
        f"carry: {carried['rate'] / 1e6:.1f} million outputs/s; copying as many bytes: {carried['memory_rate'] / 1e6:.0f}",
        f"merge of {merged:,} detections takes {share.median:.2f} times one nms of them",
    ]
    return document


def _pair_rows(case: str, timed: Rounds, who: str) -> list[dict[str, Any]]:
    duel_of = box_bench.BoxDuel(box_bench.Case(case, *_NOTHING), timed, timed.failed)
    return [row | {"who": who} if row["who"] == "peer" else row for row in duel_of.to_json()]


_NOTHING = (box_bench.spread(0, 1.0).boxes, box_bench.spread(0, 1.0).scores)


def bench_detect(plan: DetectPlan, detector: Any = None, title: str = "") -> dict[str, Any]:
    """Detection of one scan with several workers; without `detector`, one that waits `nap` seconds a tile."""
    from tilekit.bench.detecting import detect_rows, waiting_detector

    if plan.nap < 0:
        raise InvalidArgument(f"nap={plan.nap * 1e3!r} must be 0 ms or more")
    if plan.scan is None:
        side = side_of(plan.size or (9 if plan.quick else 36))
        scan = made_scan("jpeg", side, side, cache=None if plan.cache is None else Path(plan.cache))
    else:
        scan = given_scan(plan.scan)
    workers = plan.workers or ((1, 4) if plan.quick else (1, 2, 4, 8))
    tool = waiting_detector(plan.nap, max(workers)) if detector is None else detector
    document = new_document("detect", model=title or f"waits {plan.nap * 1e3:g} ms", quick=plan.quick)
    document["inputs"] = [scan.to_json()]
    rows = detect_rows(scan, tool, Tiling(plan.tile, plan.overlap), workers, force=detector is not None)
    if not rows:
        raise InvalidArgument(f"workers={list(workers)} are more than the detector allows ({tool.workers})")
    best = max(rows, key=lambda row: float(row["tiles_s"]))
    document["detect"] = rows
    document["notes"].append(
        f"{scan.name}: {best['tiles_s']} tiles/s with {best['workers']} workers, bound by {best['bound']}"
    )
    return document
