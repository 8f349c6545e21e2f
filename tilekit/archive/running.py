"""process_archive: admit by bytes, run on any executor, record every end, resume exactly."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilekit.archive.checking import check_run
from tilekit.archive.executors import ForeignPool, LocalPool, Pool, is_broken, is_lost_worker
from tilekit.archive.locking import run_lock
from tilekit.archive.prefetching import AHEAD, Prefetch
from tilekit.archive.sources import NAMING, Shard, Source, iter_sources
from tilekit.archive.summary import ArchiveSummary
from tilekit.archive.working import Job, Outcome, Task, WholeJob, run_task
from tilekit.errors import InvalidArgument, TilekitError
from tilekit.ledger import Ledger, Record
from tilekit.pages import PageKey
from tilekit.storage.s3 import is_s3

Inputs = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Event = dict[str, Any]
_SHOWN_FAILURES = 100
STATE_FOLDER = ".tilekit"


def process_archive(
    inputs: Inputs,
    out: str | os.PathLike[str],
    job: Job | WholeJob,
    executor: Executor | None = None,
    *,
    workers: int | None = None,
    shard: Shard | str | None = None,
    max_failures: int | None = None,
    retry_failed: bool = False,
    memory: int | None = None,
    staging: int | None = None,
    state: str | os.PathLike[str] | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> ArchiveSummary:
    """Run `job` over every page of `inputs`, once, whatever interrupts it.

    `inputs`: files, folders, globs, list files, manifests, S3 prefixes (see `iter_sources`), streamed.
    With a DatasetJob the input is one label file (see there); it keeps its own record of what is done.
    `out`: a folder or s3:// prefix. `executor`: any concurrent.futures.Executor; without one,
    `workers` processes on this machine (default one a core), where a killed worker costs one retry
    of its scan. `shard`: "i/n" or a Shard, this run's part. `max_failures`: stop when more pages than
    this have failed. `retry_failed`: try pages again that failed before and have not changed.
    `memory`: bytes all running pages may take (default half of the machine's); a page that needs
    more than its share waits, or runs alone. `staging`: bytes of scans on S3 that may lie on this disk,
    downloaded ahead of the workers here (default 8 GB, at most a quarter of what is free); workers
    of another `executor` stage what they read themselves, one scan each. `state`: folder of ledger, locks and log (default
    `out/.tilekit`; must be given where `out` is on S3). `on_event`: called in this process for each
    page that ended.

    Every page that ends gets one ledger record after its outputs are whole. A rerun skips pages
    whose input and recipe are unchanged, and redoes the others. Memory of this process: 2 x workers
    tasks and one ledger page of 1,000 records, whatever the size of the archive.
    Raises LedgerError where another run holds the output, InvalidArgument, StorageNotFound.
    """
    inputs = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    check_run(
        inputs,
        job,
        workers=workers,
        shard=shard,
        max_failures=max_failures,
        memory=memory,
        staging=staging,
    )
    part = Shard.parse(shard) if isinstance(shard, str) else shard
    if isinstance(job, WholeJob):
        return _whole(inputs[0], out, job, executor, workers, state)
    where = state_folder(out, state)
    with contextlib.ExitStack() as stack:
        stack.enter_context(run_lock(where, part))
        ledger = stack.enter_context(Ledger(ledger_path(where, part)))
        log = stack.enter_context(_log(where, part, on_event))
        own: Pool = LocalPool(workers) if executor is None else ForeignPool(executor, workers)
        pool = stack.enter_context(own)
        stack.enter_context(job.session())
        prefetch = stack.enter_context(Prefetch(staging)) if executor is None and _any_s3(inputs) else None
        run = _Run(pool, ledger, job, os.fspath(out), memory or usable_memory(), log, prefetch)
        run.discard_unfinished()
        summary = run.go(iter_sources(inputs), part, retry_failed, max_failures)
        if part is None:
            job.finish(os.fspath(out), ledger.records("done"))
        return summary


def _whole(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    job: WholeJob,
    executor: Executor | None,
    workers: int | None,
    state: str | os.PathLike[str] | None,
) -> ArchiveSummary:
    own: Pool = LocalPool(workers) if executor is None else ForeignPool(executor, workers)
    with contextlib.ExitStack() as stack:
        if not is_s3(out) or state is not None:
            stack.enter_context(run_lock(state_folder(out, state), None))
        pool = stack.enter_context(own)
        return job.build(source, out, pool)


def _any_s3(inputs: Inputs) -> bool:
    """Whether sources may be on S3; lists and manifests may name some."""
    many = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    return any(is_s3(item) or os.fspath(item).lower().endswith(NAMING) for item in many)


def state_folder(out: str | os.PathLike[str], state: str | os.PathLike[str] | None) -> Path:
    """Where ledger, locks and log of an output live."""
    if state is not None:
        return Path(state)
    if os.fspath(out).startswith("s3://"):
        raise InvalidArgument(f"out={os.fspath(out)!r} is on S3; give state= a local folder for the ledger")
    return Path(out) / STATE_FOLDER


def ledger_path(state: Path, shard: Shard | None) -> Path:
    """The ledger of a whole run, or of one shard."""
    return state / ("ledger.sqlite" if shard is None else f"ledger-{shard}.sqlite")


def fingerprint(source: Source, recipe: str) -> str:
    """Input identity and recipe in one string: what must be unchanged for a page to be skipped."""
    return f"{source.identity}|{hashlib.blake2b(recipe.encode(), digest_size=12).hexdigest()}"


def usable_memory() -> int:
    """Half of the memory this machine (or its control group) has, in bytes."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total // 2


@dataclass
class _Waiting:
    task: Task
    cost: int | None = None  # None: unknown yet, admitted at the nominal share
    attempts: int = 0


class _Run:
    """One run: everything that is in flight, and the counts."""

    def __init__(
        self,
        pool: Pool,
        ledger: Ledger,
        job: Job,
        out: str,
        memory: int,
        log: Callable[[Event], None],
        prefetch: Prefetch | None = None,
    ) -> None:
        self._pool, self._ledger, self._job, self._out, self._log = pool, ledger, job, out, log
        self._prefetch = prefetch
        self._ahead = 2 * pool.size + (AHEAD if prefetch is not None else 0)
        self._memory = memory
        self._share = max(1, memory // pool.size)
        self._recipe = job.recipe()
        self._token = f"{time.time_ns():x}-{os.getpid():x}"
        self._flying: dict[Future[Any], _Waiting] = {}
        self._large: deque[_Waiting] = deque()
        self._again: deque[_Waiting] = deque()
        self._more: deque[Iterator[Task]] = deque()
        self._tally = ArchiveSummary()

    def discard_unfinished(self) -> None:
        """Remove what tasks left that a killed run had begun."""
        begun = list(self._ledger.records("started"))
        for record in begun:
            key = PageKey.parse(record.key)
            source = Source(record.info.get("uri", key.source), key.source, "")
            self._job.discard(Task(source, key.page), self._out)
        self._ledger.remove(record.key for record in begun)

    def go(
        self, sources: Iterable[Source], shard: Shard | None, retry_failed: bool, max_failures: int | None
    ) -> ArchiveSummary:
        """Until nothing is left, or too much has failed."""
        started = time.perf_counter()
        fresh = self._undone((s for s in sources if shard is None or shard.holds(s)), retry_failed)
        try:
            while True:
                self._fill(fresh)
                if not self._flying:
                    break
                for future in wait(self._flying, return_when=FIRST_COMPLETED).done:
                    self._land(future)
                if max_failures is not None and self._tally.failed > max_failures:
                    self._tally.stopped = f"more than {max_failures} pages failed"
                    break
        finally:
            for future in self._flying:
                future.cancel()
        self._tally.seconds = time.perf_counter() - started
        return self._tally

    def _undone(self, sources: Iterable[Source], retry_failed: bool) -> Iterator[Task]:
        for source in sources:
            mark = fingerprint(source, self._recipe)
            record = self._ledger.get(source.relative)
            if record is not None and record.info.get("run") == self._token:
                if record.info.get("uri") != source.uri:
                    self._collide(source, record)
                continue  # the same source, named by two inputs
            if record is None or record.fingerprint != mark:
                yield Task(source)
                continue
            if self._is_settled(record, retry_failed):
                yield from self._rest(source, int(record.info.get("pages", 1)), retry_failed)
            else:
                yield Task(source)

    def _collide(self, source: Source, record: Record) -> None:
        key = source.uri
        reason = (
            f"{source.uri}: has the same relative path as {record.info.get('uri')}; archive them separately"
        )
        self._fail(Task(source), key, reason, 0.0)

    def _is_settled(self, record: Record, retry_failed: bool) -> bool:
        if record.state == "done":
            self._tally.skipped += 1
            return True
        if record.state == "failed" and not retry_failed:
            self._tally.set_aside += 1
            self._show(record.key, str(record.info.get("reason", "")))
            return True
        return False

    def _rest(self, source: Source, pages: int, retry_failed: bool) -> Iterator[Task]:
        mark = fingerprint(source, self._recipe)
        for page in range(1, pages):
            task = Task(source, page)
            record = self._ledger.get(task.key)
            if record is None or record.fingerprint != mark or not self._is_settled(record, retry_failed):
                yield task

    def _fill(self, fresh: Iterator[Task]) -> None:
        while len(self._flying) < self._ahead:
            waiting = self._next(fresh)
            if waiting is None:
                return
            begun = {"uri": waiting.task.source.uri, "run": self._token}
            self._ledger.put(self._record(waiting.task, "started", begun))
            allowance = self._share if waiting.cost is None else None
            self._flying[self._submit(waiting, allowance)] = waiting

    def _submit(self, waiting: _Waiting, allowance: int | None) -> Future[Any]:
        task, given = waiting.task, (self._job, waiting.task, self._out, allowance)
        if self._prefetch is None or not is_s3(task.source.uri):
            return self._pool.submit(run_task, *given)
        return self._prefetch.submit(task.source, lambda near: self._pool.submit(run_task, *given, near))

    def _next(self, fresh: Iterator[Task]) -> _Waiting | None:
        """The next task that may start now: lost ones first, then large ones, then new ones.

        While a large one waits no new one starts, so that small scans cannot starve it.
        """
        queue = self._again or self._large
        if queue:
            return queue.popleft() if self._fits(queue[0].cost) else None
        if not self._fits(None):
            return None
        while self._more:
            task = next(self._more[0], None)
            if task is not None:
                return _Waiting(task)
            self._more.popleft()
        task = next(fresh, None)
        return None if task is None else _Waiting(task)

    def _fits(self, cost: int | None) -> bool:
        """Whether one more task of this cost (None: a share) keeps what can run at once within memory."""
        others = list(self._flying.values())
        if not others:
            return True
        large = sum(w.cost for w in others if w.cost is not None)
        small = sum(1 for w in others if w.cost is None)
        if cost is None:
            return large + min(small + 1, self._pool.size) * self._share <= self._memory
        return large + cost + min(small, self._pool.size - 1) * self._share <= self._memory

    def _land(self, future: Future[Any]) -> None:
        waiting = self._flying.pop(future)
        error = future.exception()
        if error is None:
            self._settle(waiting, future.result())
        elif is_broken(error):
            raise TilekitError(
                "the executor lost a worker and can go on no more; what is done is recorded, run again. "
                "The default pool, without executor=, survives killed workers"
            ) from error
        elif is_lost_worker(error):
            self._lost(waiting)
        else:
            known = isinstance(error, TilekitError)
            reason = str(error) if known else f"{type(error).__name__}: {error}"
            self._fail(waiting.task, waiting.task.key, reason, 0.0)

    def _lost(self, waiting: _Waiting) -> None:
        self._job.discard(waiting.task, self._out)
        if waiting.attempts == 0:
            self._tally.retried += 1
            self._again.append(_Waiting(waiting.task, waiting.cost, 1))
            return
        reason = (
            f"{waiting.task.source.uri}: its worker died twice (killed for memory, or a crash in a decoder)"
        )
        self._fail(waiting.task, waiting.task.key, reason, 0.0)

    def _settle(self, waiting: _Waiting, outcome: Outcome) -> None:
        task = waiting.task
        if outcome.kind == "too_big":
            self._large.append(_Waiting(task, outcome.cost, waiting.attempts))
            return
        if outcome.kind == "failed":
            self._fail(task, task.key, outcome.reason, outcome.seconds, outcome.pages, outcome.worker)
        else:
            info = outcome.info
            self._tally.done += 1
            self._tally.tiles += int(info.get("tiles", 0))
            self._tally.pixels += int(info.get("pixels", 0))
            kept = {"uri": task.source.uri, "run": self._token, "pages": outcome.pages}
            kept |= {"seconds": round(outcome.seconds, 4), **info}
            self._ledger.put(self._record(task, "done", kept))
            self._log(
                {
                    "event": "done",
                    "source": task.source.uri,
                    "page": task.page,
                    "seconds": round(outcome.seconds, 4),
                    "worker": outcome.worker,
                    **{name: info[name] for name in ("tiles", "pixels", "objects") if name in info},
                }
            )
        if task.page == 0 and outcome.pages > 1:
            self._more.append(self._rest(task.source, outcome.pages, True))

    def _fail(
        self, task: Task, key: str, reason: str, seconds: float, pages: int = 1, worker: str = ""
    ) -> None:
        self._tally.failed += 1
        self._show(key, reason)
        info = {"uri": task.source.uri, "run": self._token, "pages": pages, "reason": reason}
        record = Record(
            key, fingerprint(task.source, self._recipe), "failed", info | {"seconds": round(seconds, 4)}
        )
        self._ledger.put(record)
        self._log(
            {
                "event": "failed",
                "source": task.source.uri,
                "page": task.page,
                "reason": reason,
                "seconds": round(seconds, 4),
                "worker": worker,
            }
        )

    def _show(self, key: str, reason: str) -> None:
        if len(self._tally.failures) < _SHOWN_FAILURES:
            self._tally.failures[key] = reason

    def _record(self, task: Task, state: Any, info: dict[str, Any]) -> Record:
        return Record(task.key, fingerprint(task.source, self._recipe), state, info)


@contextlib.contextmanager
def _log(
    state: Path, shard: Shard | None, on_event: Callable[[Event], None] | None
) -> Iterator[Callable[[Event], None]]:
    name = "log.jsonl" if shard is None else f"log-{shard}.jsonl"
    with (state / name).open("a", encoding="utf-8") as file:

        def log(event: Event) -> None:
            stamped = {"time": round(time.time(), 3), **event}
            file.write(json.dumps(stamped, ensure_ascii=False) + "\n")
            file.flush()
            if on_event is not None:
                on_event(stamped)

        yield log
