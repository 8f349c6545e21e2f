"""`import tilekit` and `tilekit --help` load nothing heavy, nor does what an archive is begun with."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"numpy", "numba", "boto3", "botocore", "pyvips", "torch", "simplejpeg", "matplotlib", "moto", "rich"}


@pytest.mark.parametrize(
    "work",
    ["import tilekit", "from click.testing import CliRunner as R; from tilekit.cli import cli; "
     "assert R().invoke(cli, ['--help']).exit_code == 0",
     "from tilekit import TileJob, Tiling, process_archive; TileJob(Tiling(512, 64))"],
)  # fmt: skip
def test_nothing_heavy_is_loaded(work):
    code = f"{work}\nimport sys; print(*sorted(m for m in sys.modules if '.' not in m))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert HEAVY & set(out.split()) == set()
