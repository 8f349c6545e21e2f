"""The JSON a run leaves: what was measured, on what machine, from which bytes; and comparing two of them."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tilekit.bench.machine import machine, versions
from tilekit.errors import InvalidArgument, StorageError, StorageNotFound

SCHEMA = 1
_SAME = 0.1  # figures of one round without a spread: changes below this share are noise


def new_document(what: str, packages: Sequence[str] = (), **settings: Any) -> dict[str, Any]:
    """A document of kind `what` ("tiling", "boxes", "detect", "suites") without figures yet.

    `packages`: distributions of peers, whose versions it names.
    """
    return {
        "schema": SCHEMA,
        "what": what,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "versions": versions(packages),
        "run": settings,
        "inputs": [],
        "notes": [],
    }


def read_document(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a run. Raises StorageNotFound, InvalidArgument where it is not one of ours."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise StorageNotFound(f"{path}: no such run to compare with") from exc
    except OSError as exc:
        raise StorageError(f"{path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise InvalidArgument(f"{path}: is not JSON; give the output of `tilekit bench --json`") from exc
    if not isinstance(found, dict) or found.get("schema") != SCHEMA or "what" not in found:
        raise InvalidArgument(f"{path}: is not a run of tilekit bench (schema {SCHEMA})")
    return found


def compare_documents(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Figures that both runs have: new over old; a ratio whose spreads overlap is called the same.

    Raises InvalidArgument where the runs measured different things.
    """
    if old["what"] != new["what"]:
        raise InvalidArgument(f"compare: the old run is of {old['what']}, this one of {new['what']}")
    hashes = {item["name"]: item["hash"] for item in old["inputs"]}
    changed = {i["name"] for i in new["inputs"] if hashes.get(i["name"], i["hash"]) != i["hash"]}
    before, rows = dict(_figures(old)), []
    for what, now in _figures(new):
        if what not in before or any(what.startswith(name) for name in changed):
            continue
        then = before[what]
        times = now[0] / then[0] if then[0] else 1.0 if not now[0] else math.inf
        overlap = now[1] <= then[2] and then[1] <= now[2]
        stated = now[1] < now[2] or then[1] < then[2]  # a figure without a spread may differ by _SAME
        same = overlap or (not stated and abs(times - 1) < _SAME)
        verdict = "same" if same else ("better" if (times > 1) == (now[3] > 0) else "worse")
        rows.append(
            {
                "what": what,
                "old": round(then[0], 4),
                "new": round(now[0], 4),
                "times": round(times, 3),
                "verdict": verdict,
            }
        )
    return rows


def _figures(run: dict[str, Any]) -> Iterator[tuple[str, tuple[float, float, float, int]]]:
    """Name -> (value, low, high, +1 where more is better)."""
    for row in run.get("settings", []):
        name = (
            f"{row['scan']} {row['tile']}/{row['overlap']} {row['format']}, {row['workers']} workers: Mpx/s"
        )
        yield name, (row["mpx_s"], row["mpx_s"], row["mpx_s"], 1)
    for row in run.get("peers", []):
        if row.get("slower") is not None:
            name = f"{row.get('scan') or row.get('case')}: times faster than {row['who']}"
            yield name, (row["slower"], row["low"], row["high"], 1)
    for row in run.get("detect", []):
        name = f"{row['scan']} {row['workers']} workers: tiles/s"
        yield name, (row["tiles_s"], row["tiles_s"], row["tiles_s"], 1)
    for row in run.get("limits", []):
        if row["share"] is not None:
            yield f"{row['scan']}: share of the limit", (row["share"], row["share"], row["share"], 1)
    for row in run.get("lines", []):
        if row["value"] is not None:
            yield (
                row["target"],
                (row["value"], row["low"], row["high"], -1 if row.get("better") == "less" else 1),
            )
