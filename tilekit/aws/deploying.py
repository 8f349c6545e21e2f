"""Deploying: a model that stays running until a deadline, an idle time, or somebody's stop."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tilekit.aws.deadlines import Watch, Watcher
from tilekit.aws.guard import CloudGuard
from tilekit.aws.leases import LeaseBook, Started
from tilekit.aws.model import Model
from tilekit.errors import InvalidArgument
from tilekit.rekognition.pricing import PRICES, TPS_PER_UNIT, Prices


@dataclass(frozen=True)
class Deployment:
    """A model left running: whether it was started here, its deadline, and what watches it."""

    model: Model
    started: bool
    units: int
    until: float | None = None
    idle: float | None = None
    watcher: int | None = None
    guard: str | None = None


def deploy(
    model: Model,
    units: int = 1,
    max_units: int | None = None,
    *,
    seconds: float | None = None,
    idle: float | None = None,
    guard: bool = False,
    guard_role: str | None = None,
) -> Deployment:
    """Start a model and leave it running; returns when it runs.

    `seconds`: stop it after that time; `idle`: stop it when no worker of tilekit used it for that many seconds.
    Both are kept by a process on this machine that outlives the caller. `guard`: also by an entry of EventBridge
    Scheduler at the deadline, which needs `seconds` and `guard_role`. Everything that stops it stands before it
    starts. The deadline begins with the call.

    Raises InvalidArgument, QuotaExceeded, ServiceDenied, ModelNotReady.
    """
    # Long because the order is the point: everything that stops the model stands before it starts.
    for name, value in (("seconds", seconds), ("idle", idle)):
        if value is not None and value <= 0:
            raise InvalidArgument(f"{name}={value!r} must be above 0")
    if guard and seconds is None:
        raise InvalidArgument("guard: needs a deadline (--for), at which the schedule stops the model")
    access = model.store.access
    if access.session is not None and (seconds is not None or idle is not None):
        raise InvalidArgument(
            "session: a deadline is kept by another process, which cannot use a session made here; "
            "use a profile, or the environment"
        )
    until = None if seconds is None else time.time() + seconds
    book = LeaseBook(model.store, model.folder)
    cloud = CloudGuard(access, model.arn, guard_role) if guard else None
    if cloud is not None and until is not None:
        cloud.arm(until)
    book.write_started(Started("deploy", max_units or units, until=until, idle=idle, guard=guard))
    watcher: Watcher | None = None
    try:
        if until is not None or idle is not None:
            watcher = Watcher(
                Watch(
                    model.arn,
                    model.project_arn,
                    str(model.folder),
                    access.region,
                    access.profile,
                    access.endpoint_url,
                    until=until,
                    idle=idle,
                    grace=3600.0,
                )
            )
        began = model.start(units, max_units)
    except BaseException:
        if watcher is not None:
            watcher.dismiss()
        model.stop()
        raise
    if watcher is not None:
        watcher.release()
    return Deployment(
        model,
        began,
        max_units or units,
        until,
        idle,
        watcher.pid if watcher is not None else None,
        cloud.name if cloud is not None else None,
    )


@dataclass(frozen=True)
class DetectionPlan:
    """What detecting on tiles would take: `calls` of DetectCustomLabels, `bytes` sent, `seconds`, US$ `cost`."""

    calls: int
    bytes: int
    seconds: float
    cost: float


def plan_detection(
    tiles: int,
    *,
    bytes_per_tile: int = 300_000,
    units: int = 1,
    tps_per_unit: float = TPS_PER_UNIT,
    prices: Prices = PRICES,
) -> DetectionPlan:
    """A dry run: the calls, bytes, time and cost of `tiles` tiles; calls nothing.

    `tps_per_unit`: tiles a second one unit takes, which AWS does not promise; 5 is a guess to plan with. The time
    to start, 5 to 30 minutes, is not counted; whether it is billed is not documented.
    """
    if tiles < 0 or bytes_per_tile < 0:
        raise InvalidArgument(f"tiles={tiles!r} and bytes_per_tile={bytes_per_tile!r} must not be negative")
    cost = prices.detection(tiles, units, tps_per_unit)
    return DetectionPlan(tiles, tiles * bytes_per_tile, tiles / (units * tps_per_unit), cost)


@dataclass(frozen=True)
class RunningCost:
    """Since when a model runs because of tilekit (the bucket's time), and about what it cost so far."""

    started: Started
    seconds: float
    dollars: float


def running_cost(model: Model, prices: Prices = PRICES) -> RunningCost | None:
    """The cost so far of a running model; None where tilekit did not start it, since AWS does not say when."""
    if not model.output.bucket:
        return None
    started = LeaseBook(model.store, model.folder).started()
    if started is None:
        return None
    seconds = max(0.0, time.time() - started.at)
    return RunningCost(started, seconds, prices.running(seconds, started.units))
