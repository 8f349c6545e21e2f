"""`import tilekit` and `tilekit --help` load nothing heavy, nor does what an archive is begun with."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

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


def test_what_pip_installed_for_the_build_reaches_the_compiler(monkeypatch, tmp_path):
    """An environment that pip makes for a build is a folder on PYTHONPATH, and no more."""
    root = Path(__file__).resolve().parent.parent
    spec = importlib.util.spec_from_file_location("hatch_build", root / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    seen = []
    monkeypatch.setattr(module.subprocess, "run", lambda words, env, check: seen.append(env["PYTHONPATH"]))
    for given, wanted in (("", [str(root)]), (str(tmp_path), [str(root), str(tmp_path)])):
        monkeypatch.setenv("PYTHONPATH", given)
        hook = module.CompileKernels(str(root), {}, None, None, str(tmp_path), "wheel")
        hook.initialize("standard", {"force_include": {}})
        hook.finalize("standard", {}, "")
        assert seen.pop().split(os.pathsep) == wanted


def test_a_wheel_builds_where_only_what_building_needs_is_installed():
    """`pip install .` builds in an environment of its own, with what `[build-system]` names and nothing else."""
    root = Path(__file__).resolve().parent.parent
    hook = (root / "hatch_build.py").read_text(encoding="utf-8")
    work = re.search(r'"import pathlib, sys; (from tilekit\.[\w.]+ import \w+);', hook)
    assert work, "the build hook starts with other imports now"
    code = f"{work[1]}\nimport sys; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    site = ("import sys; print(*{m.split('.')[0] for m in sys.modules})",)
    before = subprocess.run([sys.executable, "-c", *site], capture_output=True, text=True, check=True).stdout
    loaded = set(out.split()) - set(before.split()) - set(sys.stdlib_module_names) - {"tilekit", "llvmlite"}
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    given = {re.split(r"[><=]", name)[0] for name in project["build-system"]["requires"]}
    assert loaded <= given
    assert "lazy_loader" in loaded
