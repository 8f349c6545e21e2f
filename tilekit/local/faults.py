"""Faults on demand: a file or a list of rules that make calls fail as the service's calls do.

A rule: `operation` (a name, or "*"), then when: `every` n-th call, calls after the first `after`,
at most `times` times, or with `probability` (drawn from `seed`); and what: `error` (a code) with
`status` and `message`, `delay` seconds before answering, or `drop` the connection without an answer.
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

_DEFAULT_STATUS = {"InternalServerError": 500, "ServiceUnavailable": 503}


@dataclass(frozen=True, slots=True)
class FaultRule:
    """When a call fails, and how."""

    operation: str = "*"
    error: str | None = None
    status: int | None = None
    message: str | None = None
    delay: float = 0.0
    drop: bool = False
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
        if self.error is None and not self.drop and self.delay <= 0:
            raise InvalidArgument(f"fault rule for {self.operation!r}: give it an error, a delay or drop")

    @property
    def http_status(self) -> int:
        """The HTTP status of the error."""
        return self.status or _DEFAULT_STATUS.get(self.error or "", 400)


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
        with self._lock:
            for place, rule in enumerate(self._rules):
                if rule.operation in ("*", operation) and self._fires(place, rule):
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
    return FaultRule(**rule)
