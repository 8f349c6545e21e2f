"""Trying failed pages again: the run is remembered beside its ledger."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tilekit.archive.detecting import DetectJob
from tilekit.archive.jobs import TileJob
from tilekit.archive.options import ArchiveOptions
from tilekit.archive.processing import Inputs, process_archive
from tilekit.archive.state import state_of
from tilekit.archive.summary import ArchiveSummary
from tilekit.archive.working import Job
from tilekit.boxes.merging import MergePolicy
from tilekit.detectors.naming import ModelRef
from tilekit.errors import InvalidArgument, StorageError, StorageNotFound
from tilekit.scales import tiling_from_json

_FILE = "run.json"


def remember_run(
    out: str | os.PathLike[str], inputs: Inputs, job: Job, state: str | Path | None = None
) -> None:
    """Keep inputs and recipe beside the ledger, so that `retry_archive` needs only the output."""
    many = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    value = {"inputs": [os.fspath(item) for item in many], "folder": os.getcwd(), "recipe": job.recipe()}
    state_of(out, state).put(
        _FILE, (json.dumps(value, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
    )


def retry_archive(
    out: str | os.PathLike[str],
    *,
    workers: int | None = None,
    options: ArchiveOptions | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    deadline: float | None = None,
    guard_role: str | None = None,
    force: bool = False,
) -> ArchiveSummary:
    """Run what was last run into `out` once more, failed pages included.

    Relative inputs count from the folder that run was started in. `deadline`, `guard_role`, `force`: see DetectJob.
    Raises StorageNotFound where nothing was run into `out`.
    """
    where = state_of(out, options.state if options is not None else None)
    path = f"{where}/{_FILE}"
    try:
        text = where.read(_FILE)
    except StorageNotFound as exc:
        raise StorageNotFound(
            f"{path}: no archive was run into {os.fspath(out)} from the command line"
        ) from exc
    try:
        value = json.loads(text)
        job = job_from_recipe(value["recipe"])
        inputs = [item if "://" in item else os.path.join(value["folder"], item) for item in value["inputs"]]
    except (ValueError, KeyError, TypeError) as exc:
        raise StorageError(f"{path}: is damaged; run the archive again with its full command") from exc
    if isinstance(job, DetectJob):
        job = replace(job, deadline=deadline, guard_role=guard_role, force=force)
    elif deadline is not None or guard_role is not None or force:
        raise InvalidArgument("deadline, guard_role, force: what was run here uses no model")
    return process_archive(
        inputs,
        out,
        job,
        workers=workers,
        on_event=on_event,
        options=replace(options or ArchiveOptions(), retry_failed=True),
    )


def job_from_recipe(text: str) -> TileJob | DetectJob:
    """The job whose `recipe()` this is; raises ValueError, KeyError or TypeError where it is not one."""
    values: dict[str, Any] = json.loads(text)
    kind = values.pop("job")
    values["tiling"] = tiling_from_json(values["tiling"])
    if kind == "tile":
        return TileJob(**values)
    if kind == "detect":
        values["policy"] = MergePolicy.from_json(values["policy"])
        values["model"], values["decoy"] = ModelRef(**values["model"]), tuple(values["decoy"])
        return DetectJob(**values)
    raise ValueError(f"no job is called {kind!r}")
