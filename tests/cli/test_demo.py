from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tilekit.cli import demo as command
from tilekit.cli.demo import demo
from tilekit.errors import MissingExtra


def test_asks_before_it_spends_money(tmp_path: Path) -> None:
    words = ["--aws", "--bucket", "bucket", "--out", str(tmp_path / "out")]
    answer = CliRunner().invoke(demo, words, input="n\n")
    assert answer.exit_code == 1
    assert "US$" in answer.output
    assert not (tmp_path / "out").exists()


def test_a_bucket_is_for_the_real_service(tmp_path: Path) -> None:
    answer = CliRunner().invoke(demo, ["--bucket", "bucket", "--out", str(tmp_path / "out")])
    assert answer.exit_code == 2
    assert "go together" in answer.output


def test_what_is_set_up_for_the_demo_is_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    setup = (Path(__file__).resolve().parents[2] / ".ci" / "setup").read_text(encoding="utf-8")
    installed = {extra for some in re.findall(r'-e "\.\[([\w,]+)\]"', setup) for extra in some.split(",")}
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra) as missing:
        CliRunner().invoke(demo, ["--out", str(tmp_path / "out")], catch_exceptions=False)
    (named,) = re.findall(r"\[([\w,]+)\]", str(missing.value))
    assert set(named.split(",")) <= installed - {"all"}
