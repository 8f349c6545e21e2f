"""What a person would do next, as a command that runs as it is printed.

A word in capitals (SCANS, TRUTH, ...) stands for what only the person knows; `PLACEHOLDERS` says what each is.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from tilekit.cli.output import say
from tilekit.cli.voice import GIVEN

# word in a hint -> what to put there
PLACEHOLDERS = {
    "SCANS": "scans to detect on: files, folders, a manifest",
    "MODEL": "what `tilekit detect --model` takes",
    "TRUTH": "labels of the scans, in any format that is read",
    "BASELINE.json": "an evaluation of whole pages, saved by `tilekit evaluate --out`",
    "BASELINE.jsonl": "detections on whole pages, by `tilekit detect --whole`",
    "DETECTIONS.jsonl": "detections on tiles",
    "PROJECT/VERSION": "a model that `tilekit models` lists",
    "TRAIN.manifest": "a training manifest that `tilekit dataset` wrote",
    "TEST.manifest": "its test manifest",
}


def next_command(*words: object, note: str = "") -> None:
    """Say `next: tilekit WORDS`, each quoted for a shell; `note` follows as a shell's comment."""
    _say(["tilekit", *words], note)


def next_look(path: object) -> None:
    """Say which file a person would look at."""
    say(f"next: open {path} in a browser")


def next_variables(values: dict[str, str]) -> None:
    """Say which variables of the environment a shell needs."""
    say("next: export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in values.items()))


def next_again(without: Iterable[str] = (), plus: Sequence[object] = (), note: str = "") -> None:
    """Say the same command once more, without some flags, or with more options."""
    given = click.get_current_context().find_root().meta.get(GIVEN)
    if given is None:  # a command of the package called by itself, not from a command line
        change = [
            *(f"without {name}" for name in without),
            *([f"with {' '.join(map(str, plus))}"] if plus else []),
        ]
        say(f"next: run the same {', '.join(change)}".rstrip())
        return
    left = [word for word in given if word not in set(without)]
    _say(["tilekit", *left, *plus], note)


def remember(ctx: click.Context, arguments: Sequence[str]) -> None:
    """Keep what was typed, for `next_again`."""
    ctx.meta[GIVEN] = list(arguments)


def passed(**values: Any) -> list[str]:
    """`--region eu-west-1 --endpoint-url URL` of what was given, so that a hint reaches the same place."""
    found: list[str] = []
    for name, value in values.items():
        if value is not None:
            found += [f"--{name.replace('_', '-')}", str(value)]
    return found


def pages_beside(manifest: object, side: str = "test") -> str:
    """The manifest of whole pages beside a manifest of tiles, or SCANS where there is none."""
    beside = Path(str(manifest)).parent / f"pages-{side}.manifest"
    return str(beside) if beside.is_file() else "SCANS"


def detect_with(scans: object, model: object, *more: object) -> None:
    """Say how to detect with a model, into a file that holds nothing yet."""
    out = unused("detections.jsonl")
    next_command(
        "detect", scans, "--model", model, *more, *passed(out=None if out == "detections.jsonl" else out)
    )


def unused(name: str) -> str:
    """A file or folder of this name that is not there yet: tiles/, else tiles-2/ and on."""
    stem, slash = name.rstrip("/"), "/" if name.endswith("/") else ""
    path = Path(stem)
    for number in range(2, 1000):
        if not path.exists():
            break
        path = Path(stem).with_stem(f"{Path(stem).stem}-{number}")
    return f"{path}{slash}"


def _say(words: Sequence[object], note: str) -> None:
    line = shlex.join(map(str, words))
    say(f"next: {line}" + (f"  # {note}" if note else ""))
