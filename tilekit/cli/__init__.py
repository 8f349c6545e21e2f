"""The command line: a skin over the library, one file a group of commands, loaded when called.

For people and scripts at a shell; nothing imports it. It alone prints, asks, reads the environment for options and
chooses exit codes. It never computes what the library does not offer, and never shows a traceback for a mistake of the
user's.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

import tilekit
from tilekit.cli.hints import remember
from tilekit.cli.output import run_guarded
from tilekit.cli.settings import config_option, use_settings
from tilekit.cli.speaking import speak_in_options
from tilekit.cli.voice import common_options, log_errors

# name -> (module, attribute, one-line help). The help stands here so that `--help` loads no command.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "tile": ("tilekit.cli.tile", "tile_command", "Cut scans, folders of scans and PDFs into tiles."),
    "join": ("tilekit.cli.tile", "join_command", "Put tiles back together as one image."),
    "info": (
        "tilekit.cli.tile",
        "info_command",
        "Say what a scan is and what tiling it would give and take.",
    ),
    "labels": ("tilekit.cli.labels", "labels", "Convert labels, count them, prepare a labeling job."),
    "plan": (
        "tilekit.cli.plan",
        "plan",
        "Recommend tile and overlap for labeled pages, with cost and alternatives.",
    ),
    "dataset": (
        "tilekit.cli.dataset",
        "dataset",
        "Cut labeled scans into tiles and manifests, split by page, ready to train on.",
    ),
    "check": (
        "tilekit.cli.check",
        "check",
        "Check manifests by Rekognition's own rules before a byte is uploaded.",
    ),
    "train": (
        "tilekit.cli.train",
        "train_command",
        "Train a Rekognition model on two manifests; a rerun goes on.",
    ),
    "models": (
        "tilekit.cli.models",
        "models_command",
        "List projects and models: state, F1, what they cost so far.",
    ),
    "deploy": (
        "tilekit.cli.deploy",
        "deploy_command",
        "Start a model and leave it running, until a deadline or a stop.",
    ),
    "stop": ("tilekit.cli.deploy", "stop_command", "Stop models, or everything that runs."),
    "copy": ("tilekit.cli.models", "copy_command", "Copy a model into another project."),
    "delete": ("tilekit.cli.models", "delete_command", "Delete a model, or a project with all it has."),
    "detect": ("tilekit.cli.detect", "detect", "Find objects on scans; boxes on pages, resumable."),
    "evaluate": ("tilekit.cli.evaluate", "evaluate", "Score predictions against truth, at page level."),
    "compare": ("tilekit.cli.evaluate", "compare", "Is tiling better? Differences with 95 % intervals."),
    "tune-merge": (
        "tilekit.cli.tune_merge",
        "tune_merge",
        "Fit how tiles are merged to a detector, on labeled pages set aside.",
    ),
    "report": (
        "tilekit.cli.report",
        "report",
        "Write a page that shows what was found and missed, whole pages against tiles.",
    ),
    "bench": (
        "tilekit.cli.bench",
        "bench",
        "How fast on this machine, by settings and beside others, and what bounds it.",
    ),
    "archive": (
        "tilekit.cli.archive",
        "archive",
        "Process many scans, resumable, on one machine or a cluster.",
    ),
    "local": ("tilekit.cli.local", "local", "Serve a local Rekognition Custom Labels that really trains."),
    "doctor": (
        "tilekit.cli.doctor",
        "doctor",
        "Say what is installed, what can be read, and what this machine has.",
    ),
    "demo": ("tilekit.cli.demo", "demo", "Whole pages against tiles on made or own pages, start to report."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported only when one is called or its own help is asked for."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what was typed, for hints that say it again."""
        remember(ctx, args)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Command names in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and give the command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        if not _is_prepared(command):
            _refuse_empty(command)
            _say_as_asked(command)
            use_settings(command, cmd_name)
            speak_in_options(command)
            log_errors(command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands without importing any; click completes the rest."""
        named = [
            CompletionItem(name, help=text)
            for name, (_, _, text) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands with the help that stands in the table."""
        rows = [(name, text) for name, (_, _, text) in COMMANDS.items()]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def all_commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its words: `labels convert`. Imports all of them."""
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", command.commands[inner]) for inner in command.commands)
        elif command is not None:
            yield name, command


def _is_prepared(command: click.Command) -> bool:
    """Whether the command has what every command gets; it outlives the group that gave it."""
    if isinstance(command, click.Group):
        return all(_is_prepared(inner) for inner in command.commands.values())
    return any(part.name == "log_file" for part in command.params)


def _refuse_empty(command: click.Command) -> None:
    """An argument that is the empty string is a shell variable that was not set, not the current folder."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _refuse_empty(inner)
    for part in command.params:
        if isinstance(part, click.Argument) and part.callback is None:
            part.callback = _not_empty


def _say_as_asked(command: click.Command) -> None:
    """`-q`, `-v`, `--log-file` and `--config` after the command's name, as before it."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _say_as_asked(inner)
        return
    command.params += [*common_options(), config_option()]


def _not_empty(ctx: click.Context, part: click.Parameter, value: Any) -> Any:
    if "" in (value if isinstance(value, tuple) else (str(value),)):
        raise click.BadParameter("is empty; was a shell variable not set?", ctx, part)
    return value


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(tilekit.__version__, prog_name="tilekit")
def cli() -> None:
    """Tile very large scans, carry labels to tiles, detect, merge back, prove the gain."""


cli.params += [*common_options(), config_option()]


def main() -> None:
    """Run the command line; exit code 0, 1 (failed) or 2 (bad usage)."""
    code = run_guarded(cli)
    gc.freeze()  # the process ends: looking through all it has for cycles, twice, takes longer than many a command
    sys.exit(code)


if __name__ == "__main__":
    main()
