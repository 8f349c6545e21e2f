"""Write docs/reference.md from the package: `python docs/make_reference.py`. A test holds them equal."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

import click

import tilekit
from tilekit.cli import cli
from tilekit.cli.settings import config_option
from tilekit.cli.voice import COMMON, common_options

PAGE = Path(__file__).with_name("reference.md")
GROUPS = {
    "Scans": ("scans",),
    "Tiles and their geometry": ("grid", "scales", "pages", "tiles"),
    "Boxes": ("boxes",),
    "Labels and predictions": ("labels",),
    "Datasets and plans": ("datasets",),
    "Amazon Rekognition": ("aws",),
    "Detection": ("detectors", "detection"),
    "Evaluation": ("evaluation",),
    "Pictures and reports": ("draw", "report"),
    "Archives": ("archive",),
    "Errors": ("errors",),
}
MODULE_NAMES = {"grid": ("Window",), "draw": ("contact_sheet",)}  # of rooms that are one file
FILES = {
    "tiles.jsonl and tiling.json": "tilekit.tiles.index",
    "detections.jsonl": "tilekit.labels.prediction_lines",
}
_SIMPLE = (bool, int, float, str, type(None))


def reference() -> str:
    """The whole page."""
    parts = [
        "# Reference",
        "Made from the package by `docs/make_reference.py`. Every name is `tilekit.<name>`, those with a room "
        "before them `tilekit.<room>.<name>`; `help(tilekit.<name>)` says more: shapes, units, errors, memory.",
        *_names(),
        "## Command line",
        "Every command ends with 0 (done), 1 (failed) or 2 (wrong usage); `--json` prints JSON for machines, whose fields "
        "are in [JSON](json.md). Before or after its name every command also takes:",
        "\n".join(_option(one) for one in (*common_options(), config_option())),
        *_commands(),
        "## Files",
        *_files(),
    ]
    return "\n\n".join(parts) + "\n"


def _names() -> Iterator[str]:
    left = set(public_names())
    for title, rooms in GROUPS.items():
        rows = sorted((name for name in left if home_of(name) in rooms), key=lambda name: ("." in name, name))
        left -= set(rows)
        yield f"## {title}"
        yield "\n".join(f"- `{_call(name)}`\n  {first_paragraph(value_of(name))}" for name in rows)
    if left:
        raise SystemExit(f"no group for {', '.join(sorted(left))}: add their rooms to GROUPS")


def public_names() -> list[str]:
    """Names as written after `tilekit.`: those at the top, and those that only a room gives, with the room."""
    top = [name for name in tilekit.__all__ if not inspect.ismodule(getattr(tilekit, name))]
    known = {id(getattr(tilekit, name)) for name in top}
    rooms = [room for rooms in GROUPS.values() for room in rooms]
    below = {room: import_module(f"tilekit.{room}") for room in rooms}
    more = [
        f"{room}.{name}"
        for room, module in below.items()
        for name in (module.__all__ if hasattr(module, "__path__") else MODULE_NAMES.get(room, ()))
        if id(getattr(module, name)) not in known
    ]
    return top + more


def value_of(name: str) -> Any:
    """What a name after `tilekit.` stands for."""
    return attrgetter(name)(tilekit)


def home_of(name: str) -> str:
    """The room of a public name."""
    room, dot, _ = name.partition(".")
    return room if dot else value_of(name).__module__.split(".")[1]


def _call(name: str) -> str:
    """The name with its parameters and plain defaults; types are left to `help`."""
    value = value_of(name)
    if name == "Detector" or (inspect.isclass(value) and issubclass(value, Exception)):
        return name
    shown, star = [], False
    for one in inspect.signature(value).parameters.values():
        if one.kind is one.KEYWORD_ONLY and not star:
            shown.append("*")
            star = True
        star = star or one.kind is one.VAR_POSITIONAL
        prefix = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        shown.append(prefix + one.name + _default(one))
    return f"{name}({', '.join(shown)})"


def _default(one: inspect.Parameter) -> str:
    if one.default is one.empty:
        return ""
    plain = isinstance(one.default, _SIMPLE) or one.default == ()
    return f"={one.default!r}" if plain else "=..."


def first_paragraph(value: Any) -> str:
    """The docstring's first paragraph on one line."""
    return re.sub(r"\s+", " ", (inspect.getdoc(value) or "").split("\n\n")[0])


def _commands(command: click.Command = cli, name: str = "tilekit") -> Iterator[str]:
    context = click.Context(command, info_name=name)
    if isinstance(command, click.Group):
        if name != "tilekit":
            yield f"### {name}\n\n{_help(command)}"
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            if found is not None:
                yield from _commands(found, f"{name} {sub}")
        return
    words = [word for one in command.params if isinstance(one, click.Argument) for word in [_argument(one)]]
    lines = [f"### {name}", f"`{' '.join([name, '[OPTIONS]', *words])}`", _help(command)]
    options = [
        one for one in command.params if isinstance(one, click.Option) and one.name not in (*COMMON, "config")
    ]
    if options:
        lines.append("\n".join(_option(one) for one in options))
    yield "\n\n".join(lines)


def _help(command: click.Command) -> str:
    return inspect.cleandoc((command.help or "").replace("\b", "")).strip()


def _argument(one: click.Argument) -> str:
    word = one.metavar or (one.name or "").upper()
    word += "..." if one.nargs == -1 and not word.endswith("...") else ""
    return word if one.required or word.startswith("[") else f"[{word}]"


def _option(one: click.Option) -> str:
    takes = ""
    if not one.is_flag:
        kind = one.type
        known = "|".join(map(str, kind.choices)) if isinstance(kind, click.Choice) else kind.name.upper()
        takes = f" {one.metavar or known}"
    text = re.sub(r"\s+", " ", one.help or "")
    if one.show_default and not one.is_flag and one.default is not None:
        text += f" Default: `{one.default}`."
    return f"- `{', '.join([*one.opts, *one.secondary_opts])}{takes}`{' (required)' if one.required else ''}: {text}"


def _files() -> Iterator[str]:
    for title, module in FILES.items():
        text = inspect.cleandoc(import_module(module).__doc__ or "").strip()
        yield f"### {title}"
        yield text if "| --- |" in text else f"```text\n{text}\n```"


if __name__ == "__main__":
    from make_drawing import main as draw

    PAGE.write_text(reference(), encoding="utf-8")
    draw()
