"""process_archive: admit by bytes, run on any executor, record every end, resume exactly."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import chain
from typing import Any

from tilekit.archive.admitting import Admission, Waiting, usable_memory
from tilekit.archive.checking import check_run
from tilekit.archive.executors import (
    CannotStart,
    ForeignPool,
    LocalPool,
    Pool,
    check_not_importing,
    is_broken,
    is_lost_worker,
)
from tilekit.archive.faults import Watchman, place_fault
from tilekit.archive.locking import run_lock
from tilekit.archive.options import ArchiveOptions
from tilekit.archive.prefetching import AHEAD, Prefetch
from tilekit.archive.sources import (
    NAMING,
    LeftAside,
    ScanFile,
    Shard,
    found_sources,
    identified,
    identified_now,
)
from tilekit.archive.state import Event, event_log, ledger_files, ledger_path, state_of
from tilekit.archive.summary import ArchiveSummary
from tilekit.archive.truth import drop_stale, stale_records, told
from tilekit.archive.working import Job, Outcome, Task, WholeJob, run_task
from tilekit.errors import TilekitError
from tilekit.ledger import Ledger, Record
from tilekit.pages import PageKey
from tilekit.scans import versions
from tilekit.storage.identity import size_of
from tilekit.storage.place import FolderPlace
from tilekit.storage.s3 import is_s3

_PAGES = 500  # of one file, looked up together
_AT_ONCE = 8  # pages whose remains are removed side by side

Inputs = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def process_archive(
    inputs: Inputs,
    out: str | os.PathLike[str],
    job: Job | WholeJob,
    executor: Executor | None = None,
    *,
    workers: int | None = None,
    shard: Shard | str | None = None,
    on_event: Callable[[Event], None] | None = None,
    options: ArchiveOptions | None = None,
) -> ArchiveSummary:
    """Run `job` over every page of `inputs`, once, whatever interrupts it.

    `inputs`: files, folders, globs, list files, manifests, S3 prefixes (see `iter_sources`), streamed.
    With a DatasetJob the input is one label file (see there); it keeps its own record of what is done.
    `out`: a folder or s3:// prefix. `executor`: any concurrent.futures.Executor; without one,
    `workers` processes on this machine (default one a core), where a killed worker costs one retry
    of its scan. `shard`: "i/n" or a Shard, this run's part. `on_event`: called in this process for each
    page that ended, with notes of what a model waits for. `options`: limits, what is tried again, where the records are, other machines: see ArchiveOptions.

    Every page that ends gets one ledger record after its outputs are whole. A rerun skips pages
    whose input and recipe are unchanged, redoes the others, and drops, by name, those whose scan or page is gone.
    A fault of the place (full disk, lost mount, ended login) ends the run (`stopped`) and is recorded nowhere.
    Memory of this process: 2 x workers tasks and one ledger page of 1,000 records, whatever the size of the archive.
    Raises LedgerError where another run holds the output, InvalidArgument, StorageNotFound.
    """
    inputs = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    given = options or ArchiveOptions()
    check_not_importing()
    check_run(inputs, out, job, workers=workers, shard=shard, options=given)
    part = Shard.parse(shard) if isinstance(shard, str) else shard
    if isinstance(job, WholeJob):
        return _whole(inputs[0], out, job, executor, workers, given, on_event)
    where = state_of(out, given.state)
    crew = Crew(inputs, os.fspath(out), job, executor, workers, given, on_event)
    if given.join or not isinstance(where, FolderPlace):
        from tilekit.archive.joining import run_joined

        if isinstance(where, FolderPlace) and ledger_files(where):
            from tilekit.archive.merging import adopt_joined

            adopt_joined(where, given.parts, given.lease)
        return run_joined(crew, where, part)
    with contextlib.ExitStack() as stack:
        stack.enter_context(run_lock(where.folder, part))
        ledger = stack.enter_context(_ledger(where, part, given))
        log = stack.enter_context(event_log(where.folder, part, on_event))
        run = stack.enter_context(crew.at_work(log))
        summary = run.go(ledger, None if part is None else part.holds)
        if part is None and not summary.stopped:
            job.finish(os.fspath(out), ledger.records("done"))
        return summary


def _ledger(where: FolderPlace, part: Shard | None, options: ArchiveOptions) -> Ledger:
    """The ledger of a run here, with what runs of other kinds have recorded; the run's lock is held."""
    path = ledger_path(where.folder, part)
    others = [file for file in ledger_files(where) if file != path]
    if not others and not (where.folder / "records").is_dir():
        return Ledger(path)
    from tilekit.archive.merging import adopt, adopt_shard

    if part is None:
        adopt(where, options.lease)
        return Ledger(path)
    ledger = Ledger(path)
    adopt_shard(where, part, ledger)
    return ledger


@dataclass(frozen=True)
class Crew:
    """Who does what, before anything is started for it."""

    inputs: Sequence[str | os.PathLike[str]]
    out: str
    job: Job
    executor: Executor | None
    workers: int | None
    options: ArchiveOptions
    on_event: Callable[[Event], None] | None

    @contextlib.contextmanager
    def at_work(self, log: Callable[[Event], None]) -> Iterator[Run]:
        """Workers, a running model, downloads: up for the block."""
        with contextlib.ExitStack() as stack:
            pool = stack.enter_context(pool_of(self.executor, self.workers))
            stack.enter_context(self.job.session(lambda text: log({"event": "note", "text": text})))
            staging = self.executor is None and _any_s3(self.inputs)
            prefetch = stack.enter_context(Prefetch(self.options.staging)) if staging else None
            yield Run(pool, self, log, prefetch)


def pool_of(executor: Executor | None, workers: int | None) -> Pool:
    """Processes here, or the caller's executor."""
    return LocalPool(workers) if executor is None else ForeignPool(executor, workers)


def _whole(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    job: WholeJob,
    executor: Executor | None,
    workers: int | None,
    options: ArchiveOptions,
    on_event: Callable[[Event], None] | None,
) -> ArchiveSummary:
    with contextlib.ExitStack() as stack:
        where = state_of(out, options.state)
        if isinstance(where, FolderPlace):
            stack.enter_context(run_lock(where.folder, None))
        pool = stack.enter_context(pool_of(executor, workers))
        return job.build(source, out, pool, options, on_event)


def _any_s3(inputs: Sequence[str | os.PathLike[str]]) -> bool:
    """Whether sources may be on S3; lists and manifests may name some."""
    return any(is_s3(item) or os.fspath(item).lower().endswith(NAMING) for item in inputs)


def recipe_digest(recipe: str) -> str:
    """A job's settings in short, with our versions of what makes pixels."""
    return hashlib.blake2b(f"{recipe}|{versions.pixel_versions()}".encode(), digest_size=12).hexdigest()


class _PlaceFault(Exception):
    """The run is to end; what is in flight is recorded nowhere."""


class Run:
    """One run: everything that is in flight, and the counts."""

    def __init__(
        self, pool: Pool, crew: Crew, log: Callable[[Event], None], prefetch: Prefetch | None = None
    ) -> None:
        self._pool, self._crew, self._log, self._prefetch = pool, crew, log, prefetch
        self._job, self._out, self._options = crew.job, crew.out, crew.options
        self._ahead = 2 * pool.size + (AHEAD if prefetch is not None else 0)
        self._recipe = recipe_digest(crew.job.recipe())
        self._token = f"{time.time_ns():x}-{os.getpid():x}"
        self._watchman = Watchman(crew.inputs, crew.out)
        self._flying: dict[Future[Any], Waiting] = {}
        self._ended: list[tuple[Record | None, Event]] = []  # for the next transaction

    def go(
        self, ledger: Ledger, holds: Callable[[ScanFile], bool] | None = None, *, clean: bool = False
    ) -> ArchiveSummary:
        """The sources that `holds` says are ours, until nothing is left, or the place is at fault, or too much failed.

        `clean`: pages not done may have been left half-written by somebody who died without a record of them.
        """
        started = time.perf_counter()
        self._ledger, self._clean = ledger, clean
        self._queue = Admission(self._options.memory or usable_memory(), self._pool.size)
        self._tally = ArchiveSummary()
        self._unreadable: list[str] = []
        try:
            try:
                self._discard_unfinished()
                self._work(holds)
            finally:
                self._write()
            if not self._tally.stopped:
                self._drop()
        except _PlaceFault as exc:
            self._tally.stopped = str(exc)
        except TilekitError as exc:
            if not (reason := place_fault(exc, writing=False)):
                raise
            self._tally.stopped = reason
        finally:
            for future in self._flying:
                future.cancel()
            self._flying = {}
        self._tally.seconds = time.perf_counter() - started
        return self._tally

    def _work(self, holds: Callable[[ScanFile], bool] | None) -> None:
        aside = LeftAside(self._out)
        self._tally.left_aside = aside
        found = found_sources(self._crew.inputs, aside)
        batches = identified(found if holds is None else filter(holds, found), self._options.identity)
        fresh = chain.from_iterable(map(self._undone, self._written_before(batches)))
        most = self._options.max_failures
        while True:
            self._fill(fresh)
            if not self._flying:
                return
            ended = wait(self._flying, return_when=FIRST_COMPLETED).done
            for future in [one for one in self._flying if one in ended]:  # of several in the order they began
                self._land(future)
            if most is not None and self._tally.failed > most:
                self._tally.stopped = f"more than {most} pages failed"
                return

    def _written_before(self, batches: Iterator[list[ScanFile]]) -> Iterator[list[ScanFile]]:
        """The same; what has ended is written before any is waited for, and before records are looked up."""
        while True:
            self._write()
            if (batch := next(batches, None)) is None:
                return
            yield batch

    def _write(self, *begun: Waiting) -> None:
        """Record what has ended and what is to be begun, in one transaction: each costs as much as 20 records."""
        ended, self._ended = self._ended, []
        records = [record for record, _ in ended if record is not None]
        records += (self._record(waiting.task, "started", self._begun(waiting.task)) for waiting in begun)
        if records:
            self._ledger.put(*records)
        for _, event in ended:
            self._log(event)

    def _discard_unfinished(self) -> None:
        """Remove what tasks left that a killed run had begun."""
        begun = list(self._ledger.records("started"))
        with ThreadPoolExecutor(_AT_ONCE, "tilekit-discard") as threads:
            list(threads.map(lambda record: self._job.discard(_task_of(record), self._out), begun))
        self._ledger.remove(record.key for record in begun)

    def _drop(self) -> None:
        dropped, stopped = drop_stale(
            self._ledger,
            self._job,
            self._out,
            lambda: stale_records(self._ledger, self._crew.inputs, self._unreadable),
            force=self._options.drop,
        )
        self._tally.drop(dropped)
        self._tally.stopped = stopped
        for event in told(dropped):
            self._log(event)

    def _undone(self, sources: list[ScanFile]) -> Iterator[Task]:
        known = self._ledger.look([source.relative for source in sources], "pages")
        self._ledger.mark(*(source.relative for source in sources if not source.problem))
        here: dict[str, str] = {}
        begin: list[Task] = []
        rest: list[tuple[ScanFile, int]] = []
        for source in sources:
            if source.problem:
                self._unreadable.append(source.uri)
                self._fail(Task(source), f"{source.relative}/", source.problem, record=False)
                continue
            record = known.get(source.relative)
            if source.relative in here or (record is not None and record.seen):
                self._again(source, here.get(source.relative))
                continue
            here[source.relative] = source.uri
            if (
                record is not None
                and record.fingerprint == self._mark(source)
                and self._is_settled(source.relative, record.state)
            ):
                if (pages := int(record.values[0] or 1)) > 1:
                    rest.append((source, pages))
                continue
            begin.append(Task(source))
        # the largest of a batch first, so that at the end no worker sits over one while the others have nothing to do
        begin.sort(key=lambda task: size_of(task.source.identity), reverse=True)
        yield from self._announced(begin)
        for source, pages in rest:
            yield from self._rest(source, pages)

    def _announced(self, tasks: list[Task]) -> Iterator[Task]:
        """The same, once it is known elsewhere that they are to be begun; page 0 with the identity of then."""
        self._ledger.announce(*(self._record(task, "started", self._begun(task)) for task in tasks))
        for task in tasks:
            # it may be a while since it was looked at
            yield task if task.page else Task(identified_now(task.source, self._options.identity))

    def _begun(self, task: Task) -> dict[str, Any]:
        return {"uri": task.source.uri, "run": self._token}

    def _mark(self, source: ScanFile) -> str:
        """Input identity and recipe in one string: what must be unchanged for a page to be skipped."""
        return f"{source.identity}|{self._recipe}"

    def _again(self, source: ScanFile, before: str | None) -> None:
        """Two inputs name it, which is fine; or another source has its relative path."""
        if before is None and (record := self._ledger.get(source.relative)) is not None:
            before = str(record.info.get("uri", source.uri))
        if before in (None, source.uri):
            return
        reason = f"{source.uri}: has the same relative path as {before}; archive them separately"
        self._fail(Task(source), source.uri, reason, record=False)

    def _is_settled(self, key: str, state: str) -> bool:
        if state == "done":
            self._tally.skipped += 1
            return True
        if state == "failed" and not self._options.retry_failed:
            record = self._ledger.get(key)
            self._tally.set_aside += 1
            self._tally.fail(key, "" if record is None else str(record.info.get("reason", "")))
            return True
        return False

    def _rest(self, source: ScanFile, pages: int) -> Iterator[Task]:
        for first in range(1, pages, _PAGES):
            tasks = [Task(source, page) for page in range(first, min(first + _PAGES, pages))]
            known = self._ledger.look([task.key for task in tasks])
            self._ledger.mark(*(task.key for task in tasks))
            begin: list[Task] = []
            for task in tasks:
                record = known.get(task.key)
                settled = record is not None and record.fingerprint == self._mark(source)
                if not (settled and record and self._is_settled(task.key, record.state)):
                    begin.append(task)
            yield from self._announced(begin)

    def _fill(self, fresh: Iterator[Task]) -> None:
        ready: list[Waiting] = []
        while len(self._flying) + len(ready) < self._ahead:
            waiting = self._queue.next(fresh, [*self._flying.values(), *ready])
            if waiting is None:
                break
            ready.append(waiting)
        self._write(*ready)
        for waiting in ready:
            allowance = self._queue.share if waiting.cost is None else None
            self._flying[self._submit(waiting, allowance)] = waiting

    def _submit(self, waiting: Waiting, allowance: int | None) -> Future[Any]:
        task = waiting.task
        work = _Work(self._job, task, self._out, allowance, self._clean)
        if self._prefetch is None or not is_s3(task.source.uri):
            return self._pool.submit(work)
        return self._prefetch.submit(task.source, lambda near: self._pool.submit(work, near))

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
        elif isinstance(error, CannotStart):
            raise error
        elif is_lost_worker(error):
            self._lost(waiting)
        elif reason := place_fault(error, writing=False):
            raise _PlaceFault(reason)
        else:
            known = isinstance(error, TilekitError)
            self._fail(
                waiting.task, waiting.task.key, str(error) if known else f"{type(error).__name__}: {error}"
            )

    def _lost(self, waiting: Waiting) -> None:
        self._job.discard(waiting.task, self._out)
        if waiting.attempts == 0:
            self._tally.retried += 1
            self._queue.again.append(Waiting(waiting.task, waiting.cost, 1))
            return
        reason = (
            f"{waiting.task.source.uri}: its worker died twice (killed for memory, or a crash in a decoder)"
        )
        self._fail(waiting.task, waiting.task.key, reason)

    def _settle(self, waiting: Waiting, outcome: Outcome) -> None:
        task = waiting.task
        if outcome.kind == "place":
            raise _PlaceFault(outcome.reason)
        if outcome.kind == "too_big":
            self._queue.large.append(Waiting(task, outcome.cost, waiting.attempts))
            return
        if outcome.kind == "failed":
            self._fail(task, task.key, outcome.reason, outcome)
        else:
            self._done(task, outcome)
        if task.page == 0 and outcome.pages > 1:
            self._queue.more.append(self._rest(task.source, outcome.pages))

    def _done(self, task: Task, outcome: Outcome) -> None:
        info, seconds = outcome.info, round(outcome.seconds, 4)
        self._tally.done += 1
        self._tally.tiles += int(info.get("tiles", 0))
        self._tally.pixels += int(info.get("pixels", 0))
        kept = {"uri": task.source.uri, "run": self._token, "pages": outcome.pages}
        kept |= {"seconds": seconds, **info}
        told = {name: info[name] for name in ("tiles", "pixels", "objects") if name in info}
        self._end(
            self._record(task, "done", kept), "done", task, seconds=seconds, worker=outcome.worker, **told
        )

    def _fail(
        self, task: Task, key: str, reason: str, outcome: Outcome | None = None, *, record: bool = True
    ) -> None:
        if fault := self._watchman.fault():
            raise _PlaceFault(fault)
        self._tally.failed += 1
        self._tally.fail(key, reason)
        seconds = round(outcome.seconds, 4) if outcome is not None else 0.0
        kept = None
        if record:
            self._job.discard(task, self._out)  # what an earlier run made of a file that was good then
            info = {"uri": task.source.uri, "run": self._token, "reason": reason, "seconds": seconds}
            info["pages"] = outcome.pages if outcome is not None else 1
            kept = Record(key, self._mark(task.source), "failed", info)
        worker = outcome.worker if outcome is not None else ""
        self._end(kept, "failed", task, reason=reason, seconds=seconds, worker=worker)

    def _end(self, record: Record | None, event: str, task: Task, **values: Any) -> None:
        """A page ended: recorded and told with others that ended by now."""
        told = {"event": event, "source": task.source.uri, "page": task.page, **values}
        self._ended.append((record, told))

    def _record(self, task: Task, state: Any, info: dict[str, Any]) -> Record:
        return Record(task.key, self._mark(task.source), state, info)


def _task_of(record: Record) -> Task:
    """What a record is of."""
    key = PageKey.parse(record.key)
    return Task(ScanFile(record.info.get("uri", key.source), key.source, ""), key.page)


@dataclass(frozen=True)
class _Work:
    """A task as it travels to a worker; called there, with a local copy of the source where there is one."""

    job: Job
    task: Task
    out: str
    allowance: int | None
    clean: bool

    def __call__(self, near: str | None = None) -> Outcome:
        return run_task(self.job, self.task, self.out, self.allowance, near, clean=self.clean)
