"""How fast scans are tiled here, by whom, with which settings, and what bounds it."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tilekit.bench.inputs import Input
from tilekit.bench.limits import bound_of
from tilekit.bench.machine import require_room
from tilekit.bench.pairing import Cost, Ratio, Rounds, interleave
from tilekit.bench.peers import Tiler, is_installed
from tilekit.bench.processes import PeerFailed, run_task
from tilekit.errors import TilekitError
from tilekit.grid import Tiling

Say = Callable[[str], object]
_CLOSE_DB = 1.0  # tiles may be this much farther from the scan than the same settings give


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to tile: px, file format, encoder settings, threads."""

    tile: int = 1024
    overlap: int = 128
    format: str = "jpeg"
    quality: int = 90
    sub: str = "444"
    workers: int = 0

    def __str__(self) -> str:
        return f"{self.tile}/{self.overlap} {self.format}, {self.workers or cores()} workers"


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


TILEKIT = Tiler("tilekit", "tilekit.bench.tilers:tilekit")


def task(who: Tiler, scan: Input, out: str, setting: Setting) -> dict[str, Any]:
    """What `run_task` runs for a tiler."""
    return {
        "do": who.work,
        "path": scan.path,
        "out": out,
        **asdict(replace(setting, workers=setting.workers or cores())),
    }


@contextlib.contextmanager
def scratch(folder: str | os.PathLike[str] | None = None) -> Iterator[Callable[[], str]]:
    """Gives names of fresh folders; all are removed at the end."""
    with tempfile.TemporaryDirectory(prefix="tilekit-bench-", dir=folder) as top:
        names = iter(range(10**9))
        yield lambda: str(Path(top, str(next(names))))


def run_once(who: Tiler, scan: Input, setting: Setting, fresh: Callable[[], str]) -> Cost:
    """Tile into an empty folder in a fresh process, then remove it, out of the time."""
    out = fresh()
    try:
        return run_task(task(who, scan, out, setting))
    finally:
        shutil.rmtree(out, ignore_errors=True)


def quality_of(who: Tiler, scan: Input, setting: Setting, fresh: Callable[[], str]) -> dict[str, Any]:
    """One run whose tiles are compared with the scan: how many, bytes, and what `compare` says."""
    out = fresh()
    encoder = {"format": setting.format, "quality": setting.quality, "sub": setting.sub}
    try:
        cost = run_task(task(who, scan, out, setting))
        check = {"do": "tilekit.bench.tiling:compare", "path": scan.path, "samples": cost.answer["samples"]}
        told = run_task(check | encoder)
    finally:
        shutil.rmtree(out, ignore_errors=True)
    return {"tiles": cost.answer["tiles"], "bytes": cost.answer["bytes"], **told.answer}


def compare(
    path: str, samples: Sequence[Sequence[Any]], format: str, quality: int, sub: str
) -> Callable[[], dict[str, Any]]:
    """Tiles against the same windows of the scan: least `psnr` in dB (None: equal), and how many dB at
    most they are `behind` the same windows encoded with the same settings by libjpeg-turbo.
    """
    from tilekit.scans.encoding import decode_image, encode_image
    from tilekit.scans.opening import open_scan

    options: Any = {"format": format, "quality": quality, "subsampling": sub}

    def work() -> dict[str, Any]:
        worst, behind = math.inf, 0.0
        with open_scan(path, max_pixels=2**62) as scan:
            for file, x0, y0 in samples:
                tile = decode_image(Path(file).read_bytes())
                whole = scan.read(x0, y0, x0 + tile.shape[1], y0 + tile.shape[0])
                found = _psnr(tile, whole)
                if found < math.inf:
                    behind = max(
                        behind, _psnr(decode_image(encode_image(whole, **options).data), whole) - found
                    )
                worst = min(worst, found)
        exact = math.isinf(worst)
        return {"psnr": None if exact else round(worst, 2), "behind": min(999.0, round(behind, 2))}

    return work


def _psnr(one: Any, other: Any) -> float:
    import numpy as np

    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def differs(ours: dict[str, Any], theirs: dict[str, Any], format: str, slack: int = 0) -> str:
    """Why a peer's output is not the same job, or an empty string.

    `slack`: how many tiles more or fewer its own rule for the edges may give.
    """
    if abs(theirs["tiles"] - ours["tiles"]) > slack:
        return f"wrote {theirs['tiles']} tiles, tilekit {ours['tiles']}"
    if format != "jpeg" and theirs["psnr"] is not None:
        return f"tiles differ from the scan ({theirs['psnr']} dB)"
    if theirs["behind"] > _CLOSE_DB:
        return f"tiles are {theirs['behind']} dB worse than its settings allow"
    return ""


@dataclass(frozen=True)
class Duel:
    """tilekit and its peers on one scan with one setting: paired costs, checks, and who was left out."""

    scan: Input
    setting: Setting
    rounds: Rounds
    checks: dict[str, dict[str, Any]]
    left_out: dict[str, str]

    def ratio(self, peer: str) -> Ratio | None:
        """How many times longer the peer takes; None where it was not timed or did another job."""
        if peer in self.left_out or not self.rounds.ok(peer) or not self.rounds.ok("tilekit"):
            return None
        return self.rounds.ratio(peer, "tilekit")

    def to_json(self) -> list[dict[str, Any]]:
        """One row a candidate; `how` is the setting."""
        rows, what = [], self.setting
        how = f"{what.tile}/{what.overlap} {what.format}"
        how += f" Q{what.quality} {what.sub}" if what.format == "jpeg" else ""
        for name in ("tilekit", *(peer for peer in self.checks if peer != "tilekit")):
            if not self.rounds.ok(name):
                continue
            ratio = self.ratio(name) if name != "tilekit" else None
            rows.append(
                {
                    "scan": self.scan.name,
                    "who": name,
                    "how": how,
                    "seconds": round(self.rounds.seconds(name), 4),
                    "cpu": round(self.rounds.cpu(name), 4),
                    "peak_mb": self.rounds.peak_mb(name),
                    **self.checks[name],
                    "slower": None if ratio is None else round(ratio.median, 3),
                    "low": None if ratio is None else round(ratio.low, 3),
                    "high": None if ratio is None else round(ratio.high, 3),
                    "note": self.left_out.get(name, ""),
                }
            )
        rows += [
            {"scan": self.scan.name, "who": name, "how": how, "note": reason}
            for name, reason in self.left_out.items()
            if not self.rounds.ok(name)
        ]
        return rows


def duel(
    scan: Input,
    setting: Setting,
    peers: Mapping[str, Tiler],
    fresh: Callable[[], str],
    *,
    rounds: int = 5,
    known: dict[str, Any] | None = None,
    say: Say = lambda _: None,
) -> Duel:
    """Check every candidate's output once, then time those that did the job, interleaved.

    tilekit failing raises; a peer that is missing, fails or gives other output is left out with the reason.
    `known` keeps the checks from one call to the next, by scan, setting and who.
    """
    left_out = {name: "not installed" for name, peer in peers.items() if not is_installed(peer.needs)}
    tilers = {"tilekit": TILEKIT} | {name: peer for name, peer in peers.items() if name not in left_out}
    grid = Tiling(setting.tile, setting.overlap).grid(scan.width, scan.height)
    slack = grid.rows + grid.cols + 1
    memory = {} if known is None else known
    place = f"{scan.hash} {setting} {setting.quality} {setting.sub}"
    checks: dict[str, dict[str, Any]] = {}
    for name, tiler in tilers.items():
        told = memory.get(f"{place} {name}")
        if told is None:
            say(f"{scan.name}: check {name}")
            try:
                told = quality_of(tiler, scan, setting, fresh)
            except PeerFailed as exc:
                if name == "tilekit":
                    raise
                told = {"failed": str(exc)}
            memory[f"{place} {name}"] = told
        reason = told.get("failed", "")
        if not reason:
            checks[name] = told
            reason = differs(checks["tilekit"], told, setting.format, slack) if name != "tilekit" else ""
        left_out |= {name: reason} if reason else {}
    say(f"{scan.name}: time {', '.join(name for name in checks if name not in left_out)}")
    works = {
        name: partial(run_once, tilers[name], scan, setting, fresh) for name in checks if name not in left_out
    }
    timed = interleave(works, rounds=rounds, warm=False)
    return Duel(scan, setting, timed, checks, left_out | timed.failed)


def limit_of(
    scan: Input, setting: Setting, fresh: Callable[[], str], ours: float | None = None, rounds: int = 3
) -> dict[str, Any]:
    """The least time by `(fastest decode + encode) / workers`, our share of it, and what bounds.

    `decode`, `encode`, `write`: seconds each takes alone, one thread.
    """
    workers = setting.workers or cores()
    ways = {how: partial(_decode, scan, how) for how in ("libvips", "simplejpeg", "tilekit")}
    decoded = interleave(ways, rounds=rounds, warm=False)
    timed = [name for name in ways if decoded.ok(name)]
    if not timed:
        raise PeerFailed(f"{scan.path}: nothing could decode it: {decoded.failed}")
    best = min(timed, key=decoded.seconds)
    out = fresh()
    plain = {key: value for key, value in asdict(setting).items() if key != "workers"}
    alone = run_task({"do": "tilekit.bench.limits:encode_alone", "path": scan.path, "out": out, **plain})
    shutil.rmtree(out, ignore_errors=True)
    decode, encode, write = decoded.seconds(best), alone.answer["encode"], alone.answer["write"]
    least = (decode + encode) / workers
    return {
        "scan": scan.name,
        "decode": round(decode, 4),
        "by": best,
        "encode": round(encode, 4),
        "write": round(write, 4),
        "limit": round(least, 4),
        "share": None if ours is None else round(least / ours, 3),
        "bound": bound_of(decode, encode, write, workers, serial=scan_is_serial(scan)),
    }


def _decode(scan: Input, how: str) -> Cost:
    return run_task({"do": "tilekit.bench.limits:decode_alone", "path": scan.path, "how": how})


def scan_is_serial(scan: Input) -> bool:
    """Whether the file has to be decoded top to bottom, by one thread."""
    from tilekit.scans.opening import scan_info

    return scan_info(scan.path).access == "scanline"


def sweep(
    scan: Input,
    settings: Sequence[Setting],
    fresh: Callable[[], str],
    *,
    rounds: int = 3,
    budget: float | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[dict[str, Any]]:
    """tilekit alone over settings, interleaved; one row each, quickest first."""
    works = {str(setting): partial(run_once, TILEKIT, scan, setting, fresh) for setting in settings}
    timed = interleave(works, rounds=rounds, budget=budget, warm=False, progress=progress)
    rows = []
    for setting in settings:
        name = str(setting)
        if not timed.ok(name):
            raise TilekitError(f"{scan.path}: tiling by {name} failed: {timed.failed[name]}")
        seconds, answer = timed.seconds(name), timed.costs[name][0].answer
        rows.append(
            {
                "scan": scan.name,
                **asdict(replace(setting, workers=setting.workers or cores())),
                "seconds": round(seconds, 4),
                "cpu": round(timed.cpu(name), 4),
                "peak_mb": timed.peak_mb(name),
                "tiles": answer["tiles"],
                "bytes": answer["bytes"],
                "mpx_s": round(scan.mpx / seconds, 1),
                "tiles_s": round(answer["tiles"] / seconds, 1),
            }
        )
    return sorted(rows, key=lambda row: -float(str(row["mpx_s"])))


def around(base: Setting, *, tiles: Sequence[int], overlaps: Sequence[int], formats: Sequence[str],
           workers: Sequence[int]) -> list[Setting]:  # fmt: skip
    """The base and every setting that changes one thing of it."""
    found = [base]
    found += [replace(base, tile=tile) for tile in tiles if base.overlap < tile]
    found += [replace(base, overlap=overlap) for overlap in overlaps if overlap < base.tile]
    found += [replace(base, format=format) for format in formats]
    found += [replace(base, workers=count) for count in workers]
    return list(dict.fromkeys(replace(item, workers=item.workers or cores()) for item in found))


def check_room(scan: Input, folder: Path) -> None:
    """Say before the start that the tiles of a scan, or its rows, do not fit."""
    require_room(
        f"tiling {scan.name}",
        folder,
        2 * max(scan.bytes, int(scan.mpx * 1e6)),
        150_000_000 + min(scan.width * 3 * 3000, int(scan.mpx * 3e6)),
    )
