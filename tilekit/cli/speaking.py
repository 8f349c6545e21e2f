"""What the library says of its parameters, said of the command's options: `quality=0` becomes `--quality 0`.

The one mapping between the two. A parameter and its option have the same name except for those in `_OTHER_NAMES`;
what a command has no option for stays in the library's words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import click

from tilekit.errors import InvalidArgument, TilekitError

_OTHER_NAMES = {
    "region_name": "--region", "endpoint_url": "--endpoint", "tile_size": "--tile", "whole_side": "--whole",
    "inputs": "INPUTS", "source": "SCAN", "path": "FILE", "truth": "TRUTH", "predictions": "PREDICTIONS",
}  # fmt: skip
_READING = {
    "--lenient",
    "--clip",
    "--duplicates",
    "--units",
    "--crowd",
    "--no-file",
    "--attribute",
    "--scans",
}
_PARAMETER = re.compile(r"\b([a-z_]+)=(?!=)(\"[^\"]*\"|'[^']*'|True\b|False\b|None\b|)")
_SAID_TWICE = re.compile(
    r"(?:[\w.]+\([^()]*\)|\b[a-z_]+=(?:\"[^\"]*\"|'[^']*'|\([^()]*\)|\w*)) \(((--[a-z-]+|`)[^()]*)\)"
)
"""`units='share' (--units share)`, as the library says what has another form on the command line."""
_TILING = re.compile(r"Tiling\(tile=\((\d+), (\d+)\)\)|Tiling\((?:tile=)?(\d+)(?:, (?:overlap=)?(\d+))?\)")


def speak_in_options(command: click.Command) -> None:
    """Let errors of the library that leave this command, or those in its group, name its options."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            speak_in_options(inner)
        return
    names = options_of(command)
    call: Callable[[click.Context], Any] = command.invoke
    parse: Callable[[click.Context, list[str]], list[str]] = command.parse_args

    def parse_args(ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return parse(ctx, args)
        except click.MissingParameter as exc:
            exc.param = _missing(command, ctx, given, exc.param)
            raise

    def invoke(ctx: click.Context) -> Any:
        try:
            return call(ctx)
        except TilekitError as exc:
            exc.args = (in_options(str(exc), names), *exc.args[1:])
            raise
        except UnicodeEncodeError as exc:
            near = repr(exc.object[max(0, exc.start - 60) : exc.end + 20])
            raise InvalidArgument(
                f"{near} is a name that is not UTF-8, which this cannot write; rename it"
            ) from exc

    command.parse_args = parse_args  # type: ignore[method-assign]
    command.invoke = invoke  # type: ignore[method-assign]


def _missing(
    command: click.Command, ctx: click.Context, args: list[str], param: click.Parameter | None
) -> click.Parameter | None:
    """Of `tile page.jpg` OUT is missing, though click gives the only word to what is asked for last."""
    words = [one for one in command.params if isinstance(one, click.Argument)]
    last = words[-1] if words else None
    if param is None or last is None or param is last or param.nargs != -1 or param not in words:
        return param
    values, _, _ = command.make_parser(ctx).parse_args(args=args)
    return last if values.get(str(last.name)) else param


def options_of(command: click.Command) -> dict[str, tuple[str, bool]]:
    """Parameter -> (the option's longest name, whether it is a flag), as this command has them."""
    names = {name: (option, False) for name, option in _OTHER_NAMES.items()}
    every = {option for part in command.params for option in part.opts}
    names = {name: found for name, found in names.items() if found[0] in every or found[0].isupper()}
    for part in command.params:
        if isinstance(part, click.Option):
            longest = max(
                (name for name in part.opts if name.startswith("--")), key=len, default=part.opts[0]
            )
            for name in (part.name, longest.lstrip("-").replace("-", "_")):
                names[str(name)] = (longest, bool(part.is_flag))
    return names


def in_options(message: str, names: Mapping[str, tuple[str, bool]]) -> str:
    """The message with parameters that are options of the command named as such."""
    known = {option for option, _ in names.values()}
    message = _SAID_TWICE.sub(lambda match: _elsewhere(match[1], match[2], known), message)
    if "tile" in names:
        message = _TILING.sub(_tiling, message)
    return _PARAMETER.sub(lambda match: _option(match, names), message)


def in_our_options(message: str) -> str:
    """The message in the options of the command that runs."""
    context = click.get_current_context(silent=True)
    return message if context is None else in_options(message, options_of(context.command))


def _elsewhere(words: str, option: str, known: set[str]) -> str:
    """What the command line calls a parameter; of how labels are read, where the command cannot be told, by which can."""
    return words if option in known or option not in _READING else f"`tilekit labels convert` with {words}"


def _option(match: re.Match[str], names: Mapping[str, tuple[str, bool]]) -> str:
    name, value = match.groups()
    if name not in names:
        return match.group()
    option, flag = names[name]
    if value == "True" and flag:
        return option
    if not value and match.end() == len(match.string):
        return option
    quoted = value[1:-1] if value[:1] in "\"'" and " " not in value and value[1:-1] else value
    space = "" if not value and match.string[match.end()] in " ,.;:)" else " "
    return f"{option}{space}{quoted}"


def _tiling(match: re.Match[str]) -> str:
    width, height, tile, overlap = match.groups()
    return f"--tile {max(int(width), int(height)) if width else tile}" + (
        f" --overlap {overlap}" if overlap else ""
    )
