"""What the library says of parameters is said of options on the command line."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tilekit.cli import COMMANDS, LazyGroup
from tilekit.cli.speaking import in_options, options_of

PYTHON_WORDS = re.compile(r"\b[a-z_]+=|\bTrue\b|\bNone\b|Tiling\(")


@pytest.mark.parametrize(
    ("library", "said"),
    [
        (
            "quality=0 must be a whole number from 1 to 100",
            "--quality 0 must be a whole number from 1 to 100",
        ),
        ("give region=, or set AWS_REGION", "give --region, or set AWS_REGION"),
        ("pass untrusted=True if you trust it", "pass --untrusted if you trust it"),
        ('format="png" cannot', "--format png cannot"),
        ("use Tiling(tile=(640, 640)), or less", "use --tile 640, or less"),
        ("such as Tiling(1024, 128)", "such as --tile 1024 --overlap 128"),
        ("nothing=1 is ours", "nothing=1 is ours"),
        ("or dpi=", "or --dpi"),
        ("a == b and x>=3", "a == b and x>=3"),
    ],
)
def test_parameters_become_options(library, said):
    names = {
        name: (f"--{name}", name == "untrusted")
        for name in ("quality", "region", "untrusted", "format", "tile", "dpi")
    }
    assert in_options(library, names) == said


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_option_of_every_command_is_known_by_its_parameter(name):
    command = LazyGroup().get_command(None, name)
    for leaf in getattr(command, "commands", {"": command}).values():
        names = options_of(leaf)
        assert all(part.name in names for part in leaf.params if part.param_type_name == "option")


@pytest.mark.parametrize(
    "words",
    [
        ["tile", "a.png", "out", "--tile", "0"],
        ["tile", "a.png", "out", "--tile", "100", "--overlap", "200"],
        ["tile", "a.png", "out", "--quality", "900"],
        ["tile", "a.png", "out", "--workers", "-3"],
        ["tile", "a.png", "out", "--scale", "0"],
        ["models", "--region", "nowhere!"],
    ],
)
def test_wrong_options_are_told_of_as_options(words, tmp_path):
    from PIL import Image

    Image.new("RGB", (300, 200), "white").save(tmp_path / "a.png")
    done = subprocess.run(
        [sys.executable, "-m", "tilekit", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (1, 2), done.stderr
    assert not PYTHON_WORDS.search(done.stderr), done.stderr
    assert "Traceback" not in done.stderr
