"""Who keeps a running model: somebody who will stop it, and gives signs of life in the bucket.

A keeper is a worker that uses the model (`leases/`), or the process that holds its deadline (`keepers/`), each
touched once a minute, or a schedule in the cloud. One whose machine went down cannot say so: its touch grows old.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilekit.aws.leases import LEASE_SECONDS, LeaseBook, Started
from tilekit.rekognition.pricing import PRICES, Prices
from tilekit.storage.place import S3Place

if TYPE_CHECKING:
    from tilekit.aws.model import Model


@dataclass(frozen=True)
class Unkept:
    """A model that runs and that nobody will stop: since when (epoch seconds, the bucket's time), and its cost so far."""

    model: Model
    since: float
    dollars: float


def unkept(model: Model, prices: Prices = PRICES) -> Unkept | None:
    """Whether tilekit started the model, it runs, and whoever was to stop it is gone.

    None where somebody keeps it, where it was deployed without a deadline on purpose, and where tilekit did not
    start it.
    """
    if not model.output.bucket or model.description["Status"] not in {"STARTING", "RUNNING"}:
        return None
    book = LeaseBook(model.store, model.folder)
    started = book.started()
    if started is None:
        return None
    now = S3Place(model.folder, model.store).now()
    seen = last_sign(book, started)
    if not is_unkept(started, seen, now):
        return None
    return Unkept(model, seen, prices.running(max(0.0, now - started.at), started.units))


def is_unkept(started: Started, seen: float, now: float) -> bool:
    """Whether nobody will stop what was started so, and was last kept at `seen`."""
    if started.kind == "deploy" and started.until is None and started.idle is None:
        return False
    if started.until is not None and now > started.until + LEASE_SECONDS:
        return True  # also where somebody says he keeps it
    if started.guard and started.until is not None:
        return False
    return now - seen > LEASE_SECONDS


def last_sign(book: LeaseBook, started: Started, *, but: str = "") -> float:
    """When somebody, other than the lease `but`, last gave a sign of life: the start, a worker, a keeper."""
    signs = [started.at]
    for room in ("leases", "keepers"):
        found = book.store.list(book.place / f"{room}/")
        signs += [item.modified.timestamp() for item in found if item.location.key.rpartition("/")[2] != but]
    return max(signs)
