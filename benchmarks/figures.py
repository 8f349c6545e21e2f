"""The rounds of all passes as figures: median and spread of each target, and means over several of them."""

from __future__ import annotations

import math
import statistics
from typing import Any

from benchmarks.targets.targets import KINDS, PAPERS, TARGETS
from tilekit.bench.pairing import spread


def joined(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line a target, in the order of the targets, from what the passes wrote."""
    merged: dict[str, dict[str, Any]] = {}
    for one in found:
        line = merged.setdefault(one["target"], {"samples": [], "note": "", "exact": False, "details": {}})
        line["samples"] += one["samples"]
        line["note"] = one["note"] or line["note"]
        line["exact"] = one["exact"]
        line["details"] |= one["details"]
    for paper in PAPERS:
        parts = [merged.get(f"tiling.dzsave.{kind}.{paper}", {}).get("samples", []) for kind in KINDS]
        if any(parts):
            merged[f"tiling.dzsave.mean.{paper}"] = mean_line(parts)
    return [figure(key, merged[key]) for key in TARGETS if key in merged]


def mean_line(parts: list[list[float]]) -> dict[str, Any]:
    """The geometric mean over kinds, round by round; nothing where a kind has none."""
    timed = sum(map(bool, parts))
    means = [math.exp(statistics.fmean(map(math.log, turn))) for turn in zip(*parts, strict=False)]
    note = "" if timed == len(parts) else f"{timed} of {len(parts)} were timed"
    return {"samples": means, "note": note, "exact": False, "details": {}}


def figure(key: str, line: dict[str, Any]) -> dict[str, Any]:
    """The line of a result file: value, low, high, rounds, what it is made of; `better` says which way."""
    samples = line["samples"]
    shown: dict[str, Any] = {"target": key, "value": None, "low": None, "high": None, "rounds": len(samples)}
    if samples and line["exact"]:
        shown |= {"value": statistics.median(samples), "low": min(samples), "high": max(samples)}
    elif samples:
        ratio = spread(samples)
        shown |= {"value": ratio.median, "low": ratio.low, "high": ratio.high}
    better = {"better": "more" if TARGETS[key].sense == ">=" else "less"}
    return shown | better | {"samples": samples, "note": line["note"], "details": line["details"]}
