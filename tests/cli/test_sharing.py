"""What all commands share: `-q`, `-v`, `--log-file`, `tilekit.toml`, completion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.chain import write_pages
from tilekit.cli import all_commands, cli
from tilekit.cli.settings import NAME
from tilekit.cli.words import WORDS, explained
from tilekit.errors import InvalidArgument


@pytest.fixture(autouse=True)
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "scans").mkdir()
    Image.new("RGB", (600, 400), "white").save(tmp_path / "scans" / "a.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "scans"


def run(*words: object) -> Result:
    done = CliRunner().invoke(cli, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_quiet_says_only_what_went_wrong():
    for words in (("tile", "scans", "one", "-q"), ("-q", "tile", "scans", "two")):
        assert run(*words).output == ""
    Path("scans/b.png").write_bytes(b"no picture")
    failed = run("tile", "scans", "three", "-q")
    assert failed.exit_code == 1
    assert "b.png" in failed.stderr
    assert "next:" not in failed.stderr


def test_quiet_and_verbose_exclude_each_other():
    assert run("-q", "tile", "scans", "out", "-v").exit_code == 2


def test_the_log_has_all_that_was_said_whatever_the_screen_shows():
    loud = run("tile", "scans", "one").stderr.splitlines()
    run("tile", "scans", "two", "-q", "--log-file", "run.log")
    with pytest.raises(InvalidArgument):
        run("--log-file", "run.log", "tile", "scans", "three", "--quality", "900")
    log = Path("run.log").read_text(encoding="utf-8")
    assert "tile scans two -q --log-file run.log" in log
    assert loud[-1].replace("one", "two") in log
    assert "--quality 900" in log
    assert "Traceback" in log


def test_a_log_that_cannot_be_written_is_wrong_usage():
    done = run("tile", "scans", "out", "--log-file", "none/run.log")
    assert done.exit_code == 2
    assert "none/run.log" in done.stderr


def test_very_verbose_shows_the_traceback(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(InvalidArgument):
        CliRunner().invoke(cli, ["tile", "scans", "out", "--quality", "900", "-vv"], catch_exceptions=False)


def tiles(out: str) -> int:
    return len(Path(out, "tiles.jsonl").read_text(encoding="utf-8").splitlines())


def test_defaults_come_from_beside_the_data_and_what_is_typed_wins(scans: Path):
    (scans / NAME).write_text("[tile]\ntile = 300\noverlap = 0\n")
    Path(NAME).write_text("[tile]\ntile = 150\noverlap = 0\n")
    told = run("tile", "scans/a.png", "beside").stderr
    assert "from scans/tilekit.toml: --tile 300 --overlap 0" in told
    assert tiles("beside") == 4
    run("tile", "scans", "typed", "--tile", 200)
    assert tiles("typed") == 6
    run("tile", "scans", "named", "--config", NAME)
    assert tiles("named") == 12
    run("--config", "none", "tile", "scans", "none")
    assert tiles("none") == 1
    (scans / NAME).unlink()
    run("tile", "scans", "here")
    assert tiles("here") == 12


def test_switches_are_told_as_typed(scans: Path):
    (scans / NAME).write_text("[tile]\nskip-blank = true\ntile = 150\n")
    assert "tilekit.toml: --tile 150 --skip-blank" in run("tile", "scans/a.png", "out").stderr.splitlines()[0]
    (scans / NAME).write_text("[tile]\nskip-blank = false\n")
    assert "tilekit.toml: no --skip-blank" in run("tile", "scans/a.png", "out2").stderr.splitlines()[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tile]\ntiel = 3\n", "the nearest is --tile"),
        ("[tille]\ntile = 3\n", "the nearest is tile"),
        ("[tile\n", "is no TOML"),
        ("tile = 3\n", "is no table"),
        ("[tile]\ntile = [1, 2]\n", "takes one value"),
        ("[tile]\nskip-blank = 1\n", "is true or false"),
        ("[tile]\njson = true\n", "said each time"),
        ("[tile]\nuntrusted = true\n", "--config scans/tilekit.toml"),
    ],
)
def test_what_no_option_has_is_refused(scans: Path, text: str, words: str):
    (scans / NAME).write_text(text)
    with pytest.raises(InvalidArgument) as told:
        run("tile", "scans", "out")
    assert words in str(told.value)
    assert "scans/tilekit.toml" in str(told.value)
    assert not Path("out").exists()


def test_a_wrong_value_names_the_file(scans: Path):
    (scans / NAME).write_text("[tile]\nworkers = 'many'\n")
    done = run("tile", "scans", "out")
    assert done.exit_code == 2
    assert "scans/tilekit.toml, [tile]" in done.stderr


def test_doctor_shows_the_file_and_checks_all_of_it(scans: Path):
    assert json.loads(run("doctor", "--json").stdout)["settings"] == {"file": None, "commands": {}}
    (scans / NAME).write_text("[tile]\ntile = 300\n[labels.convert]\nclip = true\n")
    found = json.loads(run("doctor", "scans", "--json").stdout)["settings"]
    assert found == {
        "file": "scans/tilekit.toml",
        "commands": {"tile": {"tile": 300}, "labels convert": {"clip": True}},
    }
    assert "--tile 300" in run("doctor", "scans").stdout
    (scans / NAME).write_text("[labels.convrt]\nclip = true\n")
    with pytest.raises(InvalidArgument, match="the nearest is convert"):
        run("doctor", "scans")


def test_our_own_words_are_explained_where_they_are_met():
    glossary = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert all(f"**{word}**" in glossary for word in WORDS)
    assert explained("3 pages are crowded", "slivers") == (
        f"words: crowded: {WORDS['crowded']}; sliver: {WORDS['sliver']} (docs/glossary.md)"
    )
    assert explained("executed", "cutter") is None
    write_pages(Path("made"), 4, 320, 224, each=4)
    told = run("plan", "made/truth.manifest").stderr
    assert f"cut: {WORDS['cut']}; crowded: {WORDS['crowded']}" in told


def test_every_command_takes_what_is_shared():
    for name, command in all_commands():
        options = {option for part in command.params for option in part.opts}
        assert {"-q", "-v", "--log-file", "--config", "--json"} <= options, name
        flags = [option for part in command.params for option in part.opts]
        assert len(flags) == len(set(flags)), name


@pytest.mark.parametrize(
    ("typed", "found"),
    [("ti", "tile"), ("labels co", "convert"), ("tile --over", "--overlap"), ("tile --edge s", "shift")],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(typed: str, found: str, shell: str):
    words = f"tilekit {typed}"
    at = words.split()
    env = {"_TILEKIT_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(at) - 1)}
    env["COMP_WORDS"] = words if shell != "fish" else " ".join(at[:-1])
    env["COMP_CWORD"] = env["COMP_CWORD"] if shell != "fish" else at[-1]
    done = CliRunner().invoke(cli, [], prog_name="tilekit", env=env)
    assert found in done.output
