"""Jobs for tests: they live in a module so that worker processes can import them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilekit.archive.working import Task
from tilekit.errors import ScanCorrupt
from tilekit.ledger import Record
from tilekit.scans.scan import Scan
from tilekit.storage.local import write_text


@dataclass(frozen=True)
class NoteJob:
    """Writes one small file a page; misbehaves where the file's name says so."""

    text: str = "note"
    seconds: float = 0.0
    bytes_each: int = 1000
    dpi: float | None = None

    def recipe(self) -> str:
        return self.text

    def cost(self, scan: Scan) -> int:
        return 10**12 if "huge" in scan.key.source else self.bytes_each

    def session(self, note: Callable[[str], None]) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def run(self, task: Task, scan: Scan, out: str) -> dict[str, Any]:
        path = task.source.uri
        name = Path(path).name
        if "kill" in name:
            marker = Path(out, f"{task.source.relative}.tried")
            if "always" in name or not marker.exists():
                write_text(marker, "1")
                os.kill(os.getpid(), signal.SIGKILL)
        if "corrupt" in name:
            raise ScanCorrupt(f"{path}: is damaged")
        if "bug" in name:
            raise ZeroDivisionError("oops")
        if "changes" in name:
            Path(path).write_bytes(Path(path).read_bytes() + b"more")
        time.sleep(self.seconds)
        target = f"{task.key.replace('#', '.')}.note"
        write_text(Path(out, target), f"{self.text} {task.key}")
        return {"tiles": 1, "pixels": 10, "outputs": [[target, Path(out, target).stat().st_size]]}

    def finish(self, out: str, records: Iterator[Record]) -> None:
        write_text(Path(out, "joined.txt"), "".join(f"{record.key}\n" for record in records))

    def discard(self, task: Task, out: str) -> None:
        Path(out, f"{task.key.replace('#', '.')}.note").unlink(missing_ok=True)
