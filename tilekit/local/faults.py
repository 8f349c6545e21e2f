"""Faults on demand: a file or a list of rules that make calls fail as the service's calls do.

A rule has a place, a time and a fault. The place, `operation`: a name of the service ("DetectCustomLabels"), "*" for
each of them, "S3.GET", "S3.PUT" and so on for the bucket beside it, or work in the background: "Training",
"Starting", "Copying", "Dataset" and "Update" (of a dataset). The time: `every` n-th call, calls after the first
`after`, at most `times` times, or with `probability` (drawn from `seed`). The fault: `error` (a code) with `status`
and `message`, `delay` seconds, or `drop` the connection without an answer. A call that fails is not done, unless
`late`: it is done, and its answer is lost, or half of it where the rule also drops.
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from tilekit.errors import InvalidArgument, StorageError
from tilekit.rekognition.codes import CODES

WORK = ("Training", "Starting", "Copying", "Dataset", "Update")
"""What goes on in the background, and can fail there."""
_DEFAULT_STATUS = {
    "InternalServerError": 500,
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "SlowDown": 503,
}


@dataclass(frozen=True, slots=True)
class FaultRule:
    """Where and when a call fails, and how."""

    operation: str = "*"
    error: str | None = None
    status: int | None = None
    message: str | None = None
    delay: float = 0.0
    drop: bool = False
    late: bool = False
    every: int = 1
    after: int = 0
    times: int | None = None
    probability: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InvalidArgument(f"every={self.every}: a fault rule fires each n-th call, n >= 1")
        if not 0 <= self.probability <= 1:
            raise InvalidArgument(f"probability={self.probability}: must lie in 0..1")
        if not self.fails and self.delay <= 0:
            raise InvalidArgument(f"fault rule for {self.operation!r}: give it an error, a delay or drop")
        if self.late and not self.fails:
            raise InvalidArgument(f"fault rule for {self.operation!r}: late needs an error or drop")
        _check_place(self.operation)

    @property
    def fails(self) -> bool:
        """Whether it does more than delay."""
        return self.error is not None or self.drop

    @property
    def http_status(self) -> int:
        """The HTTP status of the error."""
        return self.status or _DEFAULT_STATUS.get(self.error or "", 400)

    @property
    def reason(self) -> str:
        """The status message of work that fails: its own, or the one documented for its code."""
        known = CODES.get(self.error or "")
        return self.message or (known.message if known else "A fault on demand.")


def _check_place(operation: str) -> None:
    from tilekit.local.protocol import operation_names

    methods = {f"S3.{method}" for method in ("GET", "PUT", "POST", "DELETE", "HEAD", "*")}
    if operation != "*" and operation not in methods and operation not in WORK:
        if operation in operation_names():
            return
        raise InvalidArgument(
            f"fault rule for {operation!r}: no operation of the service, S3.GET, S3.PUT, ..., or one of "
            f"{', '.join(WORK)}"
        )


class FaultPlan:
    """Counts calls and says which fault a call meets. Safe from any number of threads."""

    def __init__(self, rules: Iterable[FaultRule] = ()) -> None:
        self._rules = tuple(rules)
        self._lock = threading.Lock()
        self._calls = [0] * len(self._rules)
        self._fired = [0] * len(self._rules)
        self._draws = [random.Random(rule.seed) for rule in self._rules]

    def next_fault(self, operation: str) -> FaultRule | None:
        """The first rule that this call of `operation` meets, or None."""
        if not self._rules:
            return None
        names = {operation, "S3.*" if operation.startswith("S3.") else "" if operation in WORK else "*"}
        with self._lock:
            for place, rule in enumerate(self._rules):
                if rule.operation in names and self._fires(place, rule):
                    return rule
        return None

    def _fires(self, place: int, rule: FaultRule) -> bool:
        self._calls[place] += 1
        turn = self._calls[place] - rule.after
        if turn < 1 or turn % rule.every:
            return False
        if rule.times is not None and self._fired[place] >= rule.times:
            return False
        if rule.probability < 1 and self._draws[place].random() >= rule.probability:
            return False
        self._fired[place] += 1
        return True


def read_faults(source: str | os.PathLike[str] | Iterable[Mapping[str, Any] | FaultRule] | None) -> FaultPlan:
    """A plan from a JSON file (a list of rules), from rules as mappings, or none.

    Raises StorageError for an unreadable file, InvalidArgument for an unknown field.
    """
    if source is None:
        return FaultPlan()
    if isinstance(source, (str, os.PathLike)):
        try:
            with open(source, encoding="utf-8") as file:
                rules = json.load(file)
        except OSError as exc:
            raise StorageError(f"{source}: the faults file cannot be read: {exc.strerror or exc}") from exc
        except ValueError as exc:
            raise InvalidArgument(f"{source}: the faults file is not JSON: {exc}") from exc
        if not isinstance(rules, list):
            raise InvalidArgument(f"{source}: the faults file must hold a list of rules")
    else:
        rules = list(source)
    return FaultPlan(_rule(rule, place) for place, rule in enumerate(rules))


def _rule(rule: Mapping[str, Any] | FaultRule, place: int) -> FaultRule:
    if isinstance(rule, FaultRule):
        return rule
    if not isinstance(rule, Mapping):
        raise InvalidArgument(f"fault rule {place}: must be an object, got {rule!r}")
    known = {field.name for field in fields(FaultRule)}
    unknown = sorted(set(rule) - known)
    if unknown:
        raise InvalidArgument(
            f"fault rule {place}: unknown field {unknown[0]!r}; known are {', '.join(sorted(known))}"
        )
    try:
        return FaultRule(**rule)
    except TypeError as exc:
        raise InvalidArgument(f"fault rule {place}: a field has a value of the wrong kind: {exc}") from exc
