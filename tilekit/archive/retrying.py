"""Trying failed pages again: the run is remembered beside its ledger."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tilekit.archive.detecting import DetectJob
from tilekit.archive.jobs import TileJob
from tilekit.archive.running import Inputs, process_archive, state_folder
from tilekit.archive.summary import ArchiveSummary
from tilekit.archive.working import Job
from tilekit.boxes.merging import MergePolicy
from tilekit.errors import StorageError, StorageNotFound
from tilekit.grid import Tiling
from tilekit.storage.local import storage_errors, write_text

_FILE = "run.json"


def remember_run(
    out: str | os.PathLike[str], inputs: Inputs, job: Job, state: str | Path | None = None
) -> None:
    """Keep inputs and recipe beside the ledger, so that `retry_archive` needs only the output."""
    many = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    value = {"inputs": [os.fspath(item) for item in many], "folder": os.getcwd(), "recipe": job.recipe()}
    write_text(state_folder(out, state) / _FILE, json.dumps(value, ensure_ascii=False) + "\n")


def retry_archive(
    out: str | os.PathLike[str],
    *,
    workers: int | None = None,
    staging: int | None = None,
    state: str | Path | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> ArchiveSummary:
    """Run what was last run into `out` once more, failed pages included.

    Relative inputs count from the folder that run was started in.
    Raises StorageNotFound where nothing was run into `out`.
    """
    path = state_folder(out, state) / _FILE
    if not path.exists():
        raise StorageNotFound(f"{path}: no archive was run into {os.fspath(out)} from the command line")
    with storage_errors(path):
        text = path.read_text(encoding="utf-8")
    try:
        value = json.loads(text)
        job = job_from_recipe(value["recipe"])
        inputs = [item if "://" in item else os.path.join(value["folder"], item) for item in value["inputs"]]
    except (ValueError, KeyError, TypeError) as exc:
        raise StorageError(f"{path}: is damaged; run the archive again with its full command") from exc
    return process_archive(
        inputs,
        out,
        job,
        workers=workers,
        retry_failed=True,
        staging=staging,
        state=state,
        on_event=on_event,
    )


def job_from_recipe(text: str) -> TileJob | DetectJob:
    """The job whose `recipe()` this is; raises ValueError, KeyError or TypeError where it is not one."""
    values: dict[str, Any] = json.loads(text)
    kind = values.pop("job")
    values["tiling"] = Tiling.from_json(values["tiling"])
    if kind == "tile":
        return TileJob(**values)
    if kind == "detect":
        values["policy"] = MergePolicy(**values["policy"])
        values["names"], values["decoy"] = tuple(values["names"]), tuple(values["decoy"])
        return DetectJob(**values)
    raise ValueError(f"no job is called {kind!r}")
