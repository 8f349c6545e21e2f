"""tilekit doctor: what is installed, what can be read, and what this machine and account have."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from importlib.util import find_spec
from typing import Any

import click

from tilekit.cli.output import json_option, print_json, print_table

# extra -> the modules it brings, as pyproject.toml lists their packages
EXTRAS: dict[str, tuple[str, ...]] = {
    "pdf": ("pypdfium2",),
    "slides": ("openslide",),
    "jp2": ("glymur",),
    "heif": ("pillow_heif",),
    "zstd": ("zstandard",),
    "tiff": ("tifffile",),
    "dask": ("distributed",),
    "report": ("matplotlib", "jinja2"),
    "local": ("torch", "onnx", "moto", "werkzeug"),
    "onnx": ("onnxruntime",),
    "coco": ("pycocotools",),
    "maps": ("pyogrio", "pyproj"),
}
_CORE = ("numpy", "pyvips", "numba", "boto3", "imagecodecs", "isal", "click", "rich", "msgspec", "pillow")


@click.command("doctor")
@click.option("--region", help="Region to check instead of the configured one.")
@json_option
@click.argument("data", required=False)
def doctor(region: str | None, as_json: bool, data: str | None) -> None:
    """Say what is installed, which formats can be read, and what this machine and account have. Asks no network.

    With DATA, a scan or a folder, say which tilekit.toml a command on it takes its defaults from; else, which one a
    command in this folder takes them from. A wrong table or option in that file is an error.
    """
    from tilekit.aws.account import configured
    from tilekit.scans.readable import readable

    found: dict[str, dict[str, Any]] = {
        "versions": _versions(),
        "extras": {extra: _extra(extra, modules) for extra, modules in EXTRAS.items()},
        "formats": readable(),
        "machine": _machine(),
        "aws": configured(region),
        "settings": _settings(data),
    }
    if as_json:
        print_json(found)
        return
    print_table(["what", "found"], [[name, value or "missing"] for name, value in found["versions"].items()])
    print_table(["extra", "state"], [[extra, state["words"]] for extra, state in found["extras"].items()])
    print_table(
        ["formats", "read"], [[name, "yes" if read else "no"] for name, read in found["formats"].items()]
    )
    print_table(
        ["machine", ""], [[name.replace("_", " "), value] for name, value in found["machine"].items()]
    )
    print_table(
        ["Amazon Web Services", ""], [[name, value or "none"] for name, value in found["aws"].items()]
    )
    print_table(
        ["settings", found["settings"]["file"] or "no tilekit.toml"],
        [
            [name, " ".join(f"--{key} {value}" for key, value in table.items())]
            for name, table in found["settings"]["commands"].items()
        ],
    )


def _settings(data: str | None) -> dict[str, Any]:
    from tilekit.cli import all_commands
    from tilekit.cli.settings import NAME, check_tables, find_settings

    found = find_settings(data, click.get_current_context().find_root().meta.get(NAME))
    if found is None:
        return {"file": None, "commands": {}}
    commands = dict(all_commands())
    check_tables(found, commands)
    tables = {}
    for name in commands:
        table: Any = found.tables
        for part in name.split():
            table = table.get(part, {})
        if table:
            tables[name] = dict(table)
    return {"file": str(found.path), "commands": tables}


def _versions() -> dict[str, str | None]:
    import tilekit

    found: dict[str, str | None] = {"tilekit": tilekit.__version__, "python": platform.python_version()}
    for name in _CORE:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _extra(extra: str, modules: tuple[str, ...]) -> dict[str, Any]:
    from tilekit.errors import DISTRIBUTION

    missing = [name for name in modules if find_spec(name) is None]
    hint = f"lacks {', '.join(missing)}: pip install '{DISTRIBUTION}[{extra}]'"
    return {"complete": not missing, "missing": missing, "words": hint if missing else "complete"}


def _machine() -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": cores,
        "disk_free_here_gb": round(shutil.disk_usage(".").free / 1e9, 1),
        "temporary_folder": os.environ.get("TMPDIR", "the system's"),
    }
