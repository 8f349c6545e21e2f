"""`next:` lines are run in the state they were printed in, and what those say in turn."""

from __future__ import annotations

import inspect
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.chain import reach, write_pages
from tilekit.cli import cli, hints
from tilekit.local import running

ROOM = Path(inspect.getfile(hints)).parent
Place = tuple[str, int]


class Follower:
    """Runs commands; whatever they say comes next is run at once, and what that says in turn."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.seen: set[Place] = set()
        self.depth = 0
        self.chain: set[Place] = set()  # what spoke since a test's own command: once each, for hints go round
        self.told: list[tuple[Place, str]] = []
        self.fill: dict[str, str] = {}
        self.patch = patch
        say = hints.say

        def noted(text: str) -> None:
            frame = inspect.currentframe()
            while frame is not None:
                path = Path(frame.f_code.co_filename)
                if path.parent == ROOM and path.name != "hints.py":
                    self.told.append(((path.name, frame.f_lineno), text.removeprefix("next: ")))
                    break
                frame = frame.f_back
            say(text)

        patch.setattr(hints, "say", noted)

    def __call__(
        self,
        *words: object,
        code: int | tuple[int, ...] = 0,
        answer: str = "y\n",
        follow: bool = True,
        codes: tuple[int, ...] = (0,),
    ) -> Result:
        typed, self.told = [str(word) for word in words], []
        result = CliRunner().invoke(cli, typed, input=answer)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code in (code if isinstance(code, tuple) else (code,)), (
            f"tilekit {shlex.join(typed)}\n{result.output}"
        )
        told = self.told
        assert [line for _, line in told] == [
            line.removeprefix("next: ") for line in result.stderr.splitlines() if line.startswith("next: ")
        ]
        if self.depth == 0:
            self.chain.clear()
        self.depth += 1
        for place, line in told if follow else []:
            if place not in self.chain:
                self.chain.add(place)
                self.follow(line, codes)
                self.seen.add(place)
        self.depth -= 1
        return result

    def follow(self, line: str, codes: tuple[int, ...]) -> None:
        if line.startswith("open "):
            assert Path(line.removeprefix("open ").removesuffix(" in a browser")).is_file(), line
            return
        words = shlex.split(line, comments=True)
        for word, value in self.fill.items():
            words = [value.format(last=words[-1]) if one == word else one for one in words]
        assert not set(words) & set(hints.PLACEHOLDERS), f"nothing to put into: {line}"
        if words[0] == "export":
            for pair in words[1:]:
                self.patch.setenv(*pair.split("=", 1))
            return
        assert words[0] == "tilekit", line
        if "--local" in words:
            words += ["--steps", "2"]
        self(*words[1:], code=codes, codes=codes)


@pytest.fixture(scope="module")
def follower(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Follower]:
    folder = tmp_path_factory.mktemp("follow")
    with running(canned=True, time_scale=0.0) as url, pytest.MonkeyPatch.context() as patch:
        reach(patch, url, "follow")
        patch.chdir(folder)
        follower = Follower(patch)
        truth = write_pages(folder, 6, 640, 448)
        follower.fill = {"SCANS": "scans", "TRUTH": str(truth), "BASELINE.json": "{last}"}
        yield follower


def test_tiles(follower: Follower) -> None:
    follower("info", "scans/p0.png", "--tile", 256, "--overlap", 0.25, "--levels", "full", "--align", 16)
    follower("tile", "scans", "many")
    made = follower(
        "info", "scans/p0.png", "--tile", 256, "--edge", "clip", "--scale", 0.5, follow=False
    ).stderr
    assert "next: tilekit tile scans/p0.png tiles-2/ --tile 256 --edge clip --scale 0.5" in made


@pytest.mark.slow
def test_from_labels_to_a_report_of_a_local_model(follower: Follower) -> None:
    pages = "dataset/pages-test.manifest"  # where the hints of `plan` and `dataset` lead
    follower.fill |= {
        "TRUTH": pages,
        "BASELINE.jsonl": "detections.jsonl",
        "DETECTIONS.jsonl": "detections.jsonl",
    }
    follower("labels", "convert", "truth.manifest", "truth.coco.json", "--to", "coco")
    assert Path("report/index.html").is_file()


def test_archives(follower: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    follower("archive", "run", "scans", "archive", "--workers", 1, "--dry-run")
    Path("mixed").mkdir()
    Path("mixed/bad.png").write_bytes(b"no picture")
    for name in ("p0.png", "p1.png"):
        shutil.copy(f"scans/{name}", "mixed")
    state = ("--state", "state")
    follower(
        "archive", "run", "mixed", "half", *state, "--workers", 1, "--max-failures", 0, code=1, follow=False
    )
    follower("archive", "run", "mixed", "half", *state, "--workers", 1, code=1, follow=False)
    follower("archive", "status", "half", *state, follow=False)
    for shard in ("1/2", "2/2"):
        follower("archive", "run", "scans", "parts", "--workers", 1, "--shard", shard, follow=False)
    follower("archive", "merge", "parts")
    shutil.copy("scans/p2.png", "mixed/bad.png")
    follower("archive", "retry", "half", *state)
    next(Path("half").rglob("*.jpg")).unlink()
    follower("archive", "verify", "half", *state, code=1, codes=(1,))
