"""What commands share: errors as one sentence, JSON for machines, tables and progress for people."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import click

from tilekit.cli.voice import SAID, quiet
from tilekit.errors import TilekitError

F = TypeVar("F", bound=Callable[..., Any])

json_option: Callable[[F], F] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for machines, nothing else on standard output."
)


def run_guarded(command: click.Command) -> int:
    """Run a click command; any of our errors is one sentence on standard error and exit code 1."""
    try:
        # A command that ends by click's Exit comes back as its exit code here.
        result = command.main(prog_name="tilekit", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted; run the same command again to go on")
        return 128 + signal.SIGINT
    except click.UsageError as exc:
        exc.show()
        return 2
    except click.ClickException as exc:
        exc.show()
        return int(exc.exit_code)
    except BrokenPipeError:
        # The reader has gone; keep Python from failing again when it flushes at exit.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except TilekitError as exc:
        complain(f"error: {exc}")
        return 1
    except MemoryError:
        complain("error: out of memory; use fewer --workers or smaller tiles")
        return 1
    except OSError as exc:
        where = f"{exc.filename}: " if exc.filename else ""
        complain(f"error: {where}{exc.strerror or exc}")
        return 1


def say(text: str) -> None:
    """A line for people, on standard error; not with `-q`."""
    SAID.info("%s", _printable(text))
    if not quiet():
        click.echo(_printable(text), err=True)


def explain(*texts: str) -> None:
    """Say what those of our own words mean that stand in texts just shown."""
    from tilekit.cli.words import explained

    if words := explained(*texts):
        say(words)


def complain(text: str) -> None:
    """A line of what went wrong, on standard error, with `-q` too."""
    SAID.warning("%s", _printable(text))
    click.echo(_printable(text), err=True)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(_printable(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)))


def print_json_line(value: Any) -> None:
    """One JSON line on standard output, at once."""
    click.echo(_printable(json.dumps(value, ensure_ascii=False, allow_nan=False)))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> None:
    """A table on standard output, as wide as the terminal, or as it needs where there is none.

    Numbers are right-aligned; words are broken only where they have more than 20 letters.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    cells = [[_cell(value) for value in row] for row in rows]
    for place, name in enumerate(columns):
        numeric = all(isinstance(row[place], (int, float)) for row in rows) if rows else False
        words = " ".join([name, *(row[place] for row in cells)]).split()
        least = min(20, max(map(len, words), default=1))
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold", min_width=least)
    for row in cells:
        table.add_row(*map(Text, row))
    console = Console()
    width = console.width if console.is_terminal else max(console.width, console.measure(table).maximum)
    console.print(table, width=width, crop=False)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else _printable(str(value))


def _printable(text: str) -> str:
    r"""The text, bytes of names that are not UTF-8 (Python's surrogate escapes) as \udcXX, which JSON reads back."""
    return text.encode("utf-8", "backslashreplace").decode()


@contextlib.contextmanager
def progress_bar(label: str, *, hidden: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A `progress(done, total)` callback that draws a bar on a terminal and nothing elsewhere."""
    if hidden or quiet() or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def summary(values: Mapping[str, Any]) -> str:
    """`a 1, b 2` from a mapping, zero and None left out."""
    return ", ".join(f"{name} {value}" for name, value in values.items() if value not in (None, 0))
