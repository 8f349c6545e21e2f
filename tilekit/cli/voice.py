"""How much a run says, and where it is kept: `-q`, `-v`, `--log-file`, on every command.

Standard error has what people read. With `-q` it has only what went wrong, with `-v` also what the libraries
beneath say. The log file has all of it whatever the screen shows, each line with its time.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

SAID = logging.getLogger(
    "tilekit.cli.said"
)  # what was said to a person: to the log file, never to the screen
SAID.propagate = False
SAID.setLevel(logging.INFO)
SAID.addHandler(logging.NullHandler())  # else a handler of last resort would say failures twice
COMMON = ("quiet", "verbose", "log_file")
GIVEN = "tilekit.arguments"  # in the context: what was typed
_KEY = "tilekit.voice"
_BELOW = ("botocore", "boto3", "s3transfer", "pyvips", "tilekit")
_FORM = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")


def common_options() -> list[click.Option]:
    """`-q`, `-v`, `--log-file`, for the group and each of its commands."""
    return [
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=_chosen,
            help="Say only what went wrong: no progress, notes or next steps.",
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            callback=_chosen,
            help="Say also what the libraries beneath say; -vv all of it, with the traceback of an error.",
        ),
        click.Option(
            ["--log-file"],
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            expose_value=False,
            callback=_chosen,
            help="Append all that is said to FILE, with times, whatever -q and -v show.",
        ),
    ]


def _chosen(ctx: click.Context, option: click.Parameter, value: Any) -> Any:
    """Keep the louder of what stands before and after the command's name."""
    kept = ctx.find_root().meta.setdefault(_KEY, {})
    if value:
        kept[str(option.name)] = value
    if kept.get("quiet") and kept.get("verbose"):
        raise click.UsageError("-q and -v say the opposite; give one of them", ctx)
    if value and option.name == "log_file":
        _open_log(ctx, value)
    if value and option.name == "verbose":
        _listen(ctx, logging.StreamHandler(sys.stderr), logging.INFO if value == 1 else logging.DEBUG)
    return value


def quiet() -> bool:
    """Whether `-q` was given."""
    return bool(_kept().get("quiet"))


def log_errors(command: click.Command) -> None:
    """Let what ends this command, or those in its group, go to the log file with its traceback; with `-vv` seen too."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            log_errors(inner)
        return
    call: Callable[[click.Context], Any] = command.invoke

    def invoke(ctx: click.Context) -> Any:
        try:
            return call(ctx)
        except (click.exceptions.Exit, click.Abort):
            raise
        except Exception as exc:
            SAID.error("%s", exc, exc_info=exc)
            if int(_kept().get("verbose") or 0) > 1:
                traceback.print_exc()
            raise

    command.invoke = invoke  # type: ignore[method-assign]


def _kept() -> dict[str, Any]:
    ctx = click.get_current_context(silent=True)
    return {} if ctx is None else ctx.find_root().meta.get(_KEY, {})


def _open_log(ctx: click.Context, path: Path) -> None:
    try:
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as exc:
        raise click.UsageError(f"--log-file {path}: {exc.strerror}", ctx) from exc
    _listen(ctx, handler, logging.INFO)
    SAID.addHandler(handler)
    ctx.find_root().call_on_close(lambda: SAID.removeHandler(handler))
    SAID.info("%s %s", ctx.find_root().info_name, shlex.join(ctx.find_root().meta.get(GIVEN, [])))


def _listen(ctx: click.Context, handler: logging.Handler, level: int) -> None:
    """Take what the libraries log until the command ends."""
    handler.setFormatter(_FORM)
    handler.setLevel(level)
    was = {}
    for name in _BELOW:
        logger = logging.getLogger(name)
        was[name] = logger.level
        logger.addHandler(handler)
        logger.setLevel(min(level, logger.level or level))

    def leave() -> None:
        for name, before in was.items():
            logging.getLogger(name).removeHandler(handler)
            logging.getLogger(name).setLevel(before)
        with contextlib.suppress(OSError):
            handler.close()

    ctx.find_root().call_on_close(leave)
