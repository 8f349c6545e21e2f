"""Box functions beside peers that are installed: same boxes, answers compared first."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.bench.pairing import Ratio, Rounds, interleave
from tilekit.bench.peers import Fuser, Suppressor, Way, is_installed

Boxes = NDArray[np.float64]
_MANY = 100_000  # boxes from which the call that checks an answer is no call of microseconds


@dataclass(frozen=True, slots=True)
class Case:
    """Boxes (n, 4) xyxy with scores (n,), as `measured` distributions have them."""

    name: str
    boxes: Boxes
    scores: NDArray[np.float64]


def spread(count: int, extent: float, seed: int = 0, name: str = "spread") -> Case:
    """Boxes of 12 to 60 px anywhere in `extent` px."""
    rng = np.random.default_rng(seed)
    corner = rng.random((count, 2)) * extent
    boxes = np.concatenate([corner, corner + rng.uniform(12, 60, (count, 2))], axis=1)
    return Case(f"{name} {count:,}", boxes, rng.random(count))


def tile_merge(count: int, extent: float, seed: int = 0) -> Case:
    """Every object seen twice, 1.5 px off."""
    once = spread(count // 2, extent, seed).boxes
    rng = np.random.default_rng(seed + 1)
    twice = np.concatenate([once, once]) + rng.uniform(-1.5, 1.5, (2 * len(once), 4))
    return Case(f"tile-merge {count:,}", twice, rng.random(len(twice)))


def surprises(count: int) -> dict[str, tuple[Case, NDArray[np.int64] | None]]:
    """Inputs that break grids: each of `count` boxes, with class ids where they matter."""
    plain = spread(count, 100.0 * count**0.5)
    rng = np.random.default_rng(5)
    whole = plain.boxes.copy()
    whole[count // 2] = 0, 0, 100.0 * count**0.5, 100.0 * count**0.5
    line = np.zeros((count, 4))
    line[:, 0] = np.arange(count) * 10.0
    line[:, 2], line[:, 3] = line[:, 0] + 30, 30
    sizes = 10.0 ** rng.uniform(0, 6, (count, 1))
    corner = rng.random((count, 2)) * 1e7
    decades = np.concatenate([corner, corner + sizes], axis=1)
    same = np.tile(np.array([[10.0, 10, 50, 50]]), (count, 1))
    return {
        "one page-sized box": (Case("page-sized", whole, plain.scores), None),
        "identical": (Case("identical", same, plain.scores), None),
        "in a line": (Case("line", line, plain.scores), None),
        "six decades of size": (Case("decades", decades, plain.scores), None),
        "10,000 labels": (plain, rng.integers(0, 10_000, count)),
    }


def _tilekit() -> Way:
    from tilekit.boxes.suppression import nms

    return lambda boxes, scores: nms(boxes, scores)


@dataclass(frozen=True)
class BoxDuel:
    """nms of one case by tilekit and its peers; who was left out and why."""

    case: Case
    rounds: Rounds
    left_out: dict[str, str]

    def fastest(self) -> str | None:
        """The quickest peer that gave the same answer."""
        return self.rounds.best_peer([name for name in self.rounds.costs if name != "tilekit"])

    def ratio(self, peer: str | None = None) -> Ratio | None:
        """How many times longer the peer (the fastest by default) takes."""
        name = peer or self.fastest()
        return None if name is None else self.rounds.ratio(name, "tilekit")

    def to_json(self) -> list[dict[str, Any]]:
        """One row a candidate."""
        rows: list[dict[str, Any]] = []
        for name in self.rounds.costs:
            ratio = self.rounds.ratio(name, "tilekit") if name != "tilekit" else None
            rows.append(
                {
                    "case": self.case.name,
                    "who": name,
                    "seconds": self.rounds.seconds(name),
                    "slower": None if ratio is None else round(ratio.median, 3),
                    "low": None if ratio is None else round(ratio.low, 3),
                    "high": None if ratio is None else round(ratio.high, 3),
                    "note": "",
                }
            )
        return rows + [
            {"case": self.case.name, "who": name, "note": reason} for name, reason in self.left_out.items()
        ]


def suppress_duel(
    case: Case,
    peers: Mapping[str, Suppressor],
    *,
    rounds: int = 5,
    budget: float | None = None,
    least: int = 2,
) -> BoxDuel:
    """Compare the kept boxes, then time all that keep the same, interleaved."""
    left_out: dict[str, str] = {}
    own = _tilekit()
    ours = np.sort(own(case.boxes, case.scores))
    works: dict[str, Callable[[], Any]] = {"tilekit": _call(own, case)}
    seconds: dict[str, float] = {}
    for name, peer in peers.items():
        if not is_installed(peer.needs):
            left_out[name] = "not installed"
            continue
        if len(case.boxes) > peer.most:
            left_out[name] = f"not tried: more than {peer.most:,} boxes"
            continue
        try:
            way = peer.load()
            start = time.perf_counter()
            theirs = np.sort(np.asarray(way(case.boxes, case.scores)).astype(np.int64))
            spent = time.perf_counter() - start
        except Exception as exc:  # noqa: BLE001 - a peer may fail in any way; it is reported as that
            left_out[name] = f"{type(exc).__name__}: {exc}"[:200]
            continue
        if not np.array_equal(ours, theirs):
            left_out[name] = f"keeps {len(theirs):,} boxes, tilekit {len(ours):,}: another answer"
            continue
        works[name] = _call(way, case)
        if len(case.boxes) >= _MANY:
            seconds[name] = spent
    timed = interleave(works, rounds=rounds, budget=budget, least=least, repeat=True, known=seconds)
    return BoxDuel(case, timed, left_out | timed.failed)


def _call(way: Way, case: Case) -> Callable[[], Any]:
    boxes, scores = case.boxes, case.scores
    return lambda: way(boxes, scores)


def fusion_duel(
    fuser: Fuser, count: int = 10_000, *, rounds: int = 3, budget: float | None = None, least: int = 2
) -> dict[str, Rounds]:
    """soft_nms and wbf beside a peer on `count` spread boxes; empty where it is not installed."""
    if not is_installed(fuser.needs):
        return {}
    from tilekit.boxes.fusion import soft_nms, wbf

    case = spread(count, 10_000.0 * (count / 10_000) ** 0.5)
    boxes, scores = (case.boxes / case.boxes.max()).clip(0, 1), case.scores
    works = {
        "soft_nms": {"tilekit": lambda: soft_nms(boxes, scores), "peer": fuser.soft_nms(boxes, scores)},
        "wbf": {"tilekit": lambda: wbf(boxes, scores), "peer": fuser.wbf(boxes, scores)},
    }
    return {
        name: interleave(pair, rounds=rounds, budget=budget, least=least, repeat=True)
        for name, pair in works.items()
    }


def carry_rate(count: int = 10**6, *, rounds: int = 3) -> tuple[int, Rounds]:
    """The number of outputs of remap_to_tiles, its cost on one core, and that of copying the same bytes."""
    from tilekit.boxes.remap import remap_to_tiles
    from tilekit.grid import Tiling

    extent = 100_000
    case = spread(count, extent - 60.0)
    grid = Tiling(1024, 512).grid(extent, extent)
    outputs = len(remap_to_tiles(case.boxes, grid, 0.0))
    fresh = np.ones(outputs * 57, np.uint8)
    works: dict[str, Callable[[], Any]] = {
        "carry": lambda: len(remap_to_tiles(case.boxes, grid, 0.0)),
        "memory": fresh.copy,
    }
    return outputs, interleave(works, rounds=rounds)


def merge_duel(count: int = 10**6, *, rounds: int = 3) -> tuple[int, Rounds]:
    """merge of about `count` detections beside one nms of the same; the number that was merged."""
    from tilekit.boxes.detections import Detections
    from tilekit.boxes.merging import merge
    from tilekit.boxes.remap import remap_to_tiles
    from tilekit.boxes.suppression import nms
    from tilekit.grid import Tiling

    extent = max(2048, round(100_000 * (count / 10**6) ** 0.5))
    case = spread(count * 3 // 4, extent - 60.0)
    grid = Tiling(1024, 128).grid(extent, extent)
    carried = remap_to_tiles(case.boxes, grid, 0.1)
    scores = np.random.default_rng(3).uniform(0.05, 1, len(carried))
    found = Detections(carried.boxes, scores, None, ("a",), carried.tile_index)
    flat = np.ascontiguousarray(case.boxes[carried.source_index])
    works = {"merge": lambda: merge(found, grid), "nms": lambda: nms(flat, scores)}
    return len(found), interleave(works, rounds=rounds)
