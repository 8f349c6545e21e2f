"""`tilekit.toml`: defaults of options by command, kept beside the data they are for.

```toml
[tile]
tile = 1024
overlap = 128
[labels.convert]
clip = true
```

What is typed wins. One file is used, never two put together: the one `--config` names, else the one in the folder of
the command's first argument, else the one in the working folder.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from tilekit.cli.output import say
from tilekit.cli.voice import COMMON
from tilekit.errors import InvalidArgument
from tilekit.storage.local import storage_errors

NAME = "tilekit.toml"
# A file that came with somebody's data must not choose what is run or whom it is sent to.
_OWN = {"model", "endpoint-url", "profile", "untrusted", "decoys"}
_ASKED = {"yes", "config", "help", "version", "log-file", "quiet", "verbose", "json"}


@dataclass(frozen=True)
class Settings:
    """A settings file as read; `own` where the person named it or works in its folder."""

    path: Path
    tables: Mapping[str, Any]
    own: bool


def config_option() -> click.Option:
    """`--config FILE`, for the group and each of its commands."""
    return click.Option(
        ["--config"],
        metavar="FILE|none",
        expose_value=False,
        is_eager=True,
        callback=lambda ctx, _, value: ctx.find_root().meta.update({NAME: value}) if value else None,
        help=f"Take defaults from FILE, or from none, instead of the {NAME} beside the data.",
    )


def use_settings(command: click.Command, name: str) -> None:
    """Let the command, or those in its group, take defaults from the settings file; `name` as typed: `labels convert`."""
    if isinstance(command, click.Group):
        for inner_name, inner in command.commands.items():
            use_settings(inner, f"{name} {inner_name}")
        return
    parse: Callable[[click.Context, list[str]], list[str]] = command.parse_args

    def parse_args(ctx: click.Context, args: list[str]) -> list[str]:
        given, config = _first_argument(command, ctx, args)
        settings = find_settings(given, config or ctx.find_root().meta.get(NAME))
        defaults = command_defaults(settings, command, name) if settings else {}
        ctx.default_map = {**(ctx.default_map or {}), **defaults}
        try:
            left = parse(ctx, args)
        except click.BadParameter as exc:
            if settings and exc.param and exc.param.name in defaults:
                source = ctx.get_parameter_source(str(exc.param.name))
                if source is ParameterSource.DEFAULT_MAP:
                    told = f"{exc.message} ({settings.path}, [{name.replace(' ', '.')}])"
                    raise click.BadParameter(told, ctx, exc.param) from exc
            raise
        used = [one for one in defaults if ctx.get_parameter_source(one) is ParameterSource.DEFAULT_MAP]
        if settings and used:
            shown = " ".join(
                _typed(one, ctx.default_map[one.name]) for one in _options(command) if one.name in used
            )
            say(f"from {settings.path}: {shown}")
        return left

    command.parse_args = parse_args  # type: ignore[method-assign]


def find_settings(given: str | None, config: str | None = None) -> Settings | None:
    """The settings file for a command whose first argument is `given`; None where there is none."""
    if config == "none":
        return None
    if config:
        return _read(Path(config), own=True)
    here = Path.cwd()
    for folder in ([_folder(given)] if given and "://" not in given else []) + [here]:
        if (folder / NAME).is_file():
            return _read(folder / NAME, own=folder.resolve() == here.resolve())
    return None


def command_defaults(settings: Settings, command: click.Command, name: str) -> dict[str, Any]:
    """Parameter -> default of one command. Raises InvalidArgument at what no option has, with the nearest name."""
    table: Any = settings.tables
    for part in name.split():
        table = table.get(part, {}) if isinstance(table, Mapping) else {}
    where = f"{settings.path}: [{name.replace(' ', '.')}]"
    if not isinstance(table, Mapping):
        raise InvalidArgument(
            f"{where} is no table; write it as [{name.replace(' ', '.')}] with a line per option"
        )
    known = {_longest(one).lstrip("-"): one for one in _options(command)}
    found = {}
    for key, value in table.items():
        word = key.replace("_", "-")
        if word in _ASKED:
            raise InvalidArgument(f"{where} {key}: this is said each time; leave it out")
        if word not in known:
            raise InvalidArgument(f"{where} {key}: tilekit {name} has no --{word}{_nearest(word, known)}")
        if word in _OWN and not settings.own:
            raise InvalidArgument(
                f"{where} {key}: only a file in the working folder, or named by --config, may choose --{word}; "
                f"pass --config {settings.path} if it is yours, or --config none"
            )
        option = known[word]
        if isinstance(value, (dict, list)) and not option.multiple:
            raise InvalidArgument(f"{where} {key}: takes one value")
        if option.is_flag and not isinstance(value, bool):
            raise InvalidArgument(f"{where} {key}: is true or false")
        found[str(option.name)] = value if isinstance(value, list) or not option.multiple else [value]
    return found


def check_tables(settings: Settings, commands: Mapping[str, click.Command]) -> None:
    """Raise InvalidArgument where a table is of no command, or a key of no option."""
    groups = {name.split()[0] for name in commands if " " in name}
    for word, table in settings.tables.items():
        if word not in groups | set(commands):
            every = groups | set(commands)
            raise InvalidArgument(f"{settings.path}: [{word}] is no command{_nearest(word, every, '')}")
        for inner in table if word in groups and isinstance(table, Mapping) else ():
            if f"{word} {inner}" not in commands:
                near = _nearest(
                    inner, [name.split()[-1] for name in commands if name.startswith(f"{word} ")], ""
                )
                raise InvalidArgument(f"{settings.path}: [{word}.{inner}] is no command{near}")
    for name, command in commands.items():
        command_defaults(settings, command, name)


def _read(path: Path, *, own: bool) -> Settings:
    from tilekit.cli import COMMANDS

    with storage_errors(str(path)):
        data = path.read_bytes()
    try:
        tables = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise InvalidArgument(f"{path}: is no TOML ({exc})") from exc
    for word in tables:
        if word not in COMMANDS:
            raise InvalidArgument(f"{path}: [{word}] is no command{_nearest(word, COMMANDS, '')}")
    return Settings(path, tables, own)


def _first_argument(
    command: click.Command, ctx: click.Context, args: list[str]
) -> tuple[str | None, str | None]:
    """The first argument and `--config` of a command line; click says what is wrong with it afterwards."""
    try:
        values, _, _ = command.make_parser(ctx).parse_args(args=list(args))
    except click.UsageError:
        return None, None
    for part in command.params:
        if isinstance(part, click.Argument):
            value = values.get(str(part.name))
            value = value[0] if isinstance(value, (list, tuple)) and value else value
            return (value if isinstance(value, str) and value else None), _text(values.get("config"))
    return None, _text(values.get("config"))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _folder(given: str) -> Path:
    path = Path(given.partition("#page=")[0])
    return path if path.is_dir() else path.parent


def _options(command: click.Command) -> list[click.Option]:
    return [
        one for one in command.params if isinstance(one, click.Option) and one.name not in (*COMMON, "config")
    ]


def _longest(option: click.Option) -> str:
    return max(option.opts, key=len)


def _typed(option: click.Option, value: Any) -> str:
    """An option as one would type it; a flag that is off has no such form."""
    name = _longest(option)
    if option.is_flag:
        return name if value else f"no {name}"
    return " ".join(f"{name} {one}" for one in (value if isinstance(value, list) else [value]))


def _nearest(word: str, known: Iterable[str], dashes: str = "--") -> str:
    near = difflib.get_close_matches(word, list(known), 1, 0.5)
    return f"; the nearest is {dashes}{near[0]}" if near else ""
