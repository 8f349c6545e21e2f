"""Control calls: paced, retried in one layer, errors in our words."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from tilekit.aws.errors import error_code, is_answer, is_passing, is_throttle, service_error
from tilekit.aws.trying import Trouble, pause
from tilekit.aws.waiting import Note, silent
from tilekit.rekognition.limits import LIMITS
from tilekit.rekognition.pricing import duration
from tilekit.storage.s3 import Access

_WORD = re.compile(r"(?<!^)(?=[A-Z])")
PATIENCE = 300.0
FIRST_PATIENCE = 15.0


class Service:
    """The control side of Rekognition: `call("DescribeProjects", ...)`. Thread-safe.

    botocore's retries are off. Calls are spaced to `rate` a second (the account's quota is 5 for each
    operation); throttles, 5xx, timeouts and lost connections are tried again with growing pauses for
    `patience` seconds from the first failure on; everything else is raised at once as our error.
    Until the service has answered once, calls that get no answer end after `first_patience` seconds: most
    likely the endpoint is wrong. `note` hears what a call waits for where that takes more than 5 s.
    """

    def __init__(
        self,
        access: Access | None = None,
        *,
        rate: float = LIMITS.control_tps,
        patience: float = PATIENCE,
        first_patience: float = FIRST_PATIENCE,
        note: Note = silent,
        name: str = "rekognition",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.access = access or Access()
        self.patience = patience
        self.first_patience = first_patience
        self.note = note
        self.answered = False
        self._gap = 1.0 / rate
        self._name = name
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = 0.0
        self._client: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Without client and lock, which another process makes anew, and without the note."""
        return {key: value for key, value in self.__dict__.items() if key not in ("_client", "_lock", "note")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, note=silent, _client=None, _lock=threading.Lock(), _next=0.0)

    @property
    def client(self) -> Any:
        """The boto3 client, made at the first call."""
        with self._lock:
            if self._client is None:
                self._client = control_client(self.access, self._name)
            return self._client

    @property
    def region(self) -> str:
        """The region in use."""
        return str(self.client.meta.region_name)

    def call(
        self,
        operation: str,
        subject: str = "",
        *,
        expect: tuple[str, ...] = (),
        patience: float | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Call an operation; `subject` names in errors what it was about.

        An error whose code is in `expect` gives `{"expected": code}` instead of an exception, for
        callers that know what to do about it. None arguments are left out.
        """
        import botocore.exceptions

        function = getattr(self.client, _WORD.sub("_", operation).lower())
        given = {key: value for key, value in arguments.items() if value is not None}
        limit = self.patience if patience is None else patience
        trouble = Trouble()
        began = time.monotonic()
        attempt = 0
        while True:
            self._take_turn()
            try:
                answer: dict[str, Any] = function(**given)
            except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as exc:
                if error_code(exc) in expect:
                    return {"expected": error_code(exc)}
                self.answered = self.answered or is_answer(exc)
                until = trouble.since() + limit
                if not self.answered:
                    until = min(until, began + self.first_patience)
                left = until - time.monotonic()
                if not (is_throttle(exc) or is_passing(exc)) or left <= 0:
                    raise service_error(exc, operation, subject) from exc
                if self.answered and trouble.worth_saying():
                    reason = f"{subject}: {operation}: {exc}".removeprefix(": ").rstrip(".")
                    self.note(f"{reason}; trying again for up to {duration(left)}")
                attempt += 1
                self._sleep(min(left, pause(attempt)))
            else:
                self.answered = True
                return answer

    def pages(self, operation: str, key: str, subject: str = "", **arguments: Any) -> Iterator[Any]:
        """All items of a paginated operation, page after page."""
        token: str | None = None
        while True:
            answer = self.call(operation, subject, NextToken=token, **arguments)
            yield from answer.get(key, ())
            token = answer.get("NextToken")
            if not token:
                return

    def _take_turn(self) -> None:
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            self._sleep(turn - now)


def control_client(access: Access, name: str = "rekognition") -> Any:
    """A client for control calls: no retries of its own, short timeouts."""
    return access.client(
        name,
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=10,
        read_timeout=60,
        tcp_keepalive=True,
    )


def detect_client(access: Access, workers: int) -> Any:
    """A client for detection from `workers` threads: a socket for each, no retries of its own."""
    return access.client(
        "rekognition",
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=max(1, workers),
        connect_timeout=5,
        read_timeout=30,
        tcp_keepalive=True,
    )
