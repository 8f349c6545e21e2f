"""What a person or a machine is told of an archive's run: its progress, and how it ended."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilekit.cli.hints import next_again, next_command, passed
from tilekit.cli.output import complain, print_json_line, say

if TYPE_CHECKING:
    from tilekit.archive.summary import ArchiveSummary

_SHOWN_ENDINGS = 6


class Watch:
    """Progress for people (a bar on a terminal) or events for machines (JSON lines)."""

    def __init__(self, as_json: bool, inputs: tuple[str, ...] | None, out: str) -> None:
        self._as_json, self._out = as_json, out
        self._inputs = inputs
        self._bar: Any = None
        self._task: Any = None
        self._started = time.monotonic()
        self._pages = self._tiles = self._pixels = self._failed = 0

    def __enter__(self) -> Watch:
        if not self._as_json and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.description}"),
                TextColumn("left"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("starting", total=None)
            if self._inputs is not None:
                threading.Thread(target=self._count, args=(self._inputs,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def event(self, event: dict[str, Any]) -> None:
        """Take one event of the run."""
        if self._as_json:
            print_json_line(event)
        if event["event"] == "note":
            if not self._as_json:
                say(event["text"])
            return
        if event["event"] == "dropped":
            if not self._as_json:
                complain(f"dropped: {event['reason']}")
            return
        if event["event"] == "failed":
            self._failed += 1
            if not self._as_json:
                complain(f"failed: {event['reason']}")
        self._pages += 1
        self._tiles += int(event.get("tiles", 0))
        self._pixels += int(event.get("pixels", 0))
        if self._bar is not None:
            seconds = max(1e-9, time.monotonic() - self._started)
            text = (
                f"{self._pages / seconds:.1f} pages/s  {self._tiles / seconds:.0f} tiles/s  "
                f"{self._pixels / 1e6 / seconds:.0f} Mpx/s  {self._failed} failed"
            )
            self._bar.update(self._task, advance=1, description=text)

    def _count(self, inputs: tuple[str, ...]) -> None:
        """Count the sources beside the run, so that the bar knows the end."""
        from tilekit.archive.sources import iter_sources
        from tilekit.errors import TilekitError

        try:
            total = sum(1 for _ in iter_sources(list(inputs), "stat", self._out))
        except TilekitError:
            return
        self._bar.update(self._task, total=total)


def tell(summary: ArchiveSummary, out: str, state: Path | None, as_json: bool) -> None:
    """Say how a run ended, and what comes next; exits with 1 where pages failed."""
    if as_json:
        print_json_line({"event": "summary", **summary.to_json()})
    else:
        seconds = max(1e-9, summary.seconds)
        rate = f"{summary.tiles / seconds:.0f} tiles/s, {summary.pixels / 1e6 / seconds:.0f} Mpx/s"
        say(
            f"{summary.done} pages done, {summary.skipped} were done before, {summary.failed} failed, "
            f"{summary.set_aside} set aside earlier; {summary.tiles} tiles in {summary.seconds:.1f} s ({rate})"
        )
        if summary.dropped:
            say(f"{summary.dropped} pages dropped, whose scan or page is gone")
        say_left_aside(summary.left_aside)
        if summary.stopped:
            complain(f"stopped: {summary.stopped}")
            say("mend that first; what is done is recorded")
            next_again()
            raise click.exceptions.Exit(1)
        next_command("archive", "status" if summary.ok else "retry", out, *passed(state=state))
    if not summary.ok:
        raise click.exceptions.Exit(1)


def say_left_aside(found: dict[str, int]) -> None:
    """How many files below the inputs were not taken for scans, by their ending."""
    if not found:
        return
    shown = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    endings = ", ".join(f"{count} {ending}" for ending, count in shown[:_SHOWN_ENDINGS])
    more = sum(count for _, count in shown[_SHOWN_ENDINGS:])
    count = sum(found.values())
    say(
        f"{count} {'file' if count == 1 else 'files'} left aside, not ending as scans do: {endings}"
        + (f", {more} more" if more else "")
        + "; give such a file itself, or a glob, to have it taken"
        + (" (.svg also needs --untrusted)" if ".svg" in found else "")
    )
