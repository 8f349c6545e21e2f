from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from tilekit.cli import doctor as module
from tilekit.cli.doctor import EXTRAS, doctor


def test_it_says_what_there_is_without_a_network(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-shown")
    done = CliRunner().invoke(doctor, ["--json", "--region", "eu-west-1"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["aws"] == {"credentials": "env", "region": "eu-west-1", "endpoint": None}
    assert found["formats"]["jpeg"] is True
    assert found["machine"]["cores"] >= 1
    assert "not-shown" not in done.output
    plain = CliRunner().invoke(doctor, [])
    assert plain.exit_code == 0
    assert "numba" in plain.output


def test_what_is_missing_comes_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "openslide" else name)
    found = json.loads(CliRunner().invoke(doctor, ["--json"]).stdout)
    assert found["extras"]["slides"]["missing"] == ["openslide"]
    assert "tilekit-scans[slides]" in found["extras"]["slides"]["words"]


def test_a_broken_profile_is_said(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    found = json.loads(CliRunner().invoke(doctor, ["--json"]).stdout)
    assert "nobody" in found["aws"]["wrong"]


def test_the_extras_are_those_of_the_package():
    project = Path(__file__).parents[2] / "pyproject.toml"
    known = set(tomllib.loads(project.read_text())["project"]["optional-dependencies"])
    assert known - {"readers", "all"} == set(EXTRAS)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_REKOGNITION"):
        monkeypatch.delenv(name, raising=False)
