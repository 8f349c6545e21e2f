from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from tilekit.cli.demo import demo


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
