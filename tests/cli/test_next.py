"""`next:` lines are run in the state they were printed in, and what those say in turn."""

from __future__ import annotations

import ast
import contextlib
import inspect
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.chain import reach, write_pages
from tilekit.cli import cli, hints
from tilekit.labels.label_set import LabelSet
from tilekit.labels.reading import read_labels, write_labels
from tilekit.local import running
from tilekit.pages import PageKey

ROOM = Path(inspect.getfile(hints)).parent
Place = tuple[str, int]
FOUND = dict.fromkeys(("BASELINE.jsonl", "DETECTIONS.jsonl"), "detections.jsonl")
FINDER = """
def nothing(pixels):
    return [[4, 4, 30, 30, 0.9, 0]]

def broken(pixels):
    raise RuntimeError("cannot see")
"""


class Follower:
    """Runs commands; whatever they say comes next is run at once, and what that says in turn."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.depth = 0
        self.chain: set[Place] = set()  # what spoke since a test's own command: once each, for hints go round
        self.told: list[tuple[Place, str]] = []
        self.reached: set[Place] = set()  # whose hints were run
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
                self.reached.add(place)
                self.follow(line, codes)
        self.depth -= 1
        return result

    def follow(self, line: str, codes: tuple[int, ...]) -> None:
        if line.startswith("open "):
            assert Path(line.removeprefix("open ").removesuffix(" in a browser")).is_file(), line
            return
        words = shlex.split(line, comments=True)
        for word, value in self.fill.items():
            put = shlex.split(value.format(last=words[-1]))
            words = [part for one in words for part in (put if one == word else [one])]
        assert not set(words) & set(hints.PLACEHOLDERS), f"nothing to put into: {line}"
        if words[0] == "export":
            for pair in words[1:]:
                self.patch.setenv(*pair.split("=", 1))
            return
        assert words[0] == "tilekit", line
        if "--local" in words:
            words += ["--steps", "2"]
        self(*words[1:], code=codes, codes=codes)


@contextlib.contextmanager
def following(folder: Path) -> Iterator[Follower]:
    """A follower in a folder of labeled pages, with a canned service."""
    with running(canned=True, time_scale=0.0) as url, pytest.MonkeyPatch.context() as patch:
        reach(patch, url, "follow")
        patch.chdir(folder)
        follower = Follower(patch)
        truth = write_pages(folder, 6, 640, 448)
        follower.fill = {"SCANS": "scans", "TRUTH": str(truth), "BASELINE.json": "{last}"} | FOUND
        yield follower


def tiles(follower: Follower) -> None:
    follower("info", "scans/p0.png", "--tile", 256, "--overlap", 0.25, "--levels", "full", "--align", 16)
    follower("tile", "scans", "many")
    made = follower(
        "info", "scans/p0.png", "--tile", 256, "--edge", "clip", "--scale", 0.5, follow=False
    ).stderr
    assert "next: tilekit tile scans/p0.png tiles-2/ --tile 256 --edge clip --scale 0.5" in made


def from_labels_to_a_report_of_a_local_model(follower: Follower) -> None:
    pages = "dataset/pages-test.manifest"  # where the hints of `plan` and `dataset` lead
    follower.fill |= {
        "TRUTH": pages,
    }
    follower("labels", "convert", "truth.manifest", "truth.coco.json", "--to", "coco")
    assert Path("report/index.html").is_file()
    pair = ("dataset/train.manifest", "dataset/test.manifest")
    follower("train", *pair, "--local", "--steps", 2, "--state", "other", "--export", "other.onnx")


def the_service(follower: Follower) -> None:
    pair = ("dataset/train.manifest", "dataset/test.manifest")
    if not Path(pair[0]).exists():
        follower("dataset", "truth.manifest", "dataset", "--tile", 256, "--overlap", 64, follow=False)
    follower.fill |= {"TRAIN.manifest": pair[0], "TEST.manifest": pair[1]}
    follower("models", "no-such-project")
    name = ("--project", "symbols", "--bucket", "follow", "--version", "v1")
    follower("train", *pair, *name, "--dry-run")
    follower("deploy", "symbols/v1", "--for", "1h", "--dry-run")
    follower("models")
    follower("copy", "symbols/v1", "--to", "other", "--bucket", "follow", "--yes")
    follower("delete", "other", "--yes")
    follower("deploy", "symbols/v1", "--for", "1h", follow=False)
    follower("models")  # to `stop --all`


def detections_to_a_report(follower: Follower) -> None:
    Path("finder.py").write_text(FINDER, encoding="utf-8")
    follower.patch.syspath_prepend(str(Path.cwd()))
    found = ("--model", "finder:nothing", "--names", "valve")
    follower.fill |= {"BASELINE.jsonl": "whole.jsonl", "DETECTIONS.jsonl": "tiled.jsonl"}
    follower("detect", "scans", *found, "--whole", "--out", "whole.jsonl", follow=False)
    follower("detect", "truth.manifest", *found, "--out", "tiled.jsonl", "--dry-run")
    follower("compare", "truth.manifest", "whole.jsonl", "tiled.jsonl")
    follower.fill["MODEL"] = "finder:nothing --names valve --out tuned.jsonl"
    follower("detect", "truth.manifest", *found, "--out", "again.jsonl", "--keep-tiles", "kept.jsonl")
    assert Path("tuned.jsonl").is_file()
    broken = ("--model", "finder:broken", "--names", "valve", "--out", "broken.jsonl")
    follower("detect", "scans/p0.png", *broken, code=1, codes=(1,))


def archives(follower: Follower) -> None:
    follower("archive", "run", "scans", "archive", "--workers", 1, "--dry-run")
    Path("mixed").mkdir()
    Path("mixed/bad.png").write_bytes(b"no picture")
    for name in ("p0.png", "p1.png"):
        shutil.copy(f"scans/{name}", "mixed")
    state = ("--state", "state")
    run = ("archive", "run", "mixed", "half", *state, "--workers", 1)
    follower(*run, "--max-failures", 0, code=1, codes=(1,))
    follower(*run, code=1, codes=(1,))  # to `archive retry`
    follower("archive", "status", "half", *state, codes=(1,))
    for shard in ("1/2", "2/2"):
        follower("archive", "run", "scans", "parts", "--workers", 1, "--shard", shard, follow=False)
    follower("archive", "merge", "parts")
    shutil.copy("scans/p2.png", "mixed/bad.png")
    follower("archive", "retry", "half", *state)
    next(Path("half").rglob("*.jpg")).unlink()
    follower("archive", "verify", "half", *state, code=1, codes=(1,))


def what_is_left(follower: Follower) -> None:
    Image.open("scans/p0.png").save("plan.pdf", resolution=150)
    shutil.copy("scans/p0.png", "plan-1.png")
    page = read_labels("truth.manifest")
    first = page.pages()[0]
    write_labels(
        LabelSet({PageKey("plan-1.png"): page[first]}, sizes={PageKey("plan-1.png"): page.size(first)}),
        "plan.manifest",
    )
    follower("labels", "match", "plan.manifest", "plan.pdf", "--out", "matched.manifest", codes=(0, 1))
    follower("labels", "merge", "truth.manifest", "truth.manifest", "--out", "merged.manifest", codes=(0, 1))
    follower("tile", "scans/p0.png", "seen", "--preview", "grid.png")
    follower.patch.setattr("tilekit.demo.run_demo", made_demo)
    follower("demo", "--out", "demo")
    served = os.environ["AWS_ENDPOINT_URL"]
    follower.patch.setattr("tilekit.local.serve", lambda *args, ready, **more: ready(served))
    follower("local", "serve", "--canned")
    bad = Path("bad.manifest")
    bad.write_text(Path("truth.manifest").read_text(encoding="utf-8") + "{}\n", encoding="utf-8")
    follower("check", bad, code=1, codes=(0, 1))
    follower("bench", "detect", "scans/p0.png", "--nap", 0, "--workers", 1, "--tile", 256, "--overlap", 64)


def made_demo(out: Path, **options: Any) -> Any:
    """As the demo ends: its report is where test_demo finds it."""
    (out / "report").mkdir(parents=True)
    (out / "report" / "index.html").write_text("", encoding="utf-8")
    return SimpleNamespace(table=lambda: (["side"], []), words=[])


QUICK = (tiles, detections_to_a_report, archives)
TRAIN = (from_labels_to_a_report_of_a_local_model, the_service, what_is_left)  # some steps of a network each


@pytest.mark.slow
@pytest.mark.parametrize("scenario", QUICK, ids=lambda one: one.__name__)
def test_what_is_said_next_runs(scenario: Callable[[Follower], None], tmp_path: Path) -> None:
    with following(tmp_path) as follower:
        scenario(follower)


def calls(path: Path) -> Iterator[tuple[str, str, int, int]]:
    """Function that holds the call, what it calls, first and last line, of a file's calls by plain names."""
    for top in ast.parse(path.read_text(encoding="utf-8")).body:
        for node in ast.walk(top):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                yield getattr(top, "name", ""), node.func.id, node.lineno, node.end_lineno or node.lineno


def sites() -> Iterator[tuple[str, int, int]]:
    """Where the command line says what comes next: file, first and last line of the call."""
    said = {"say"}
    while more := {holder for holder, called, *_ in calls(ROOM / "hints.py") if called in said} - said:
        said |= more
    for path in ROOM.glob("*.py"):
        if path.name != "hints.py":
            lines = [line for _, called, *line in calls(path) if called in said - {"say"}]
            yield from ((path.name, first, last) for first, last in lines)


@pytest.mark.slow
def test_every_hint_there_is_was_run(tmp_path: Path) -> None:
    reached: set[Place] = set()
    for number, scenario in enumerate((*TRAIN, *QUICK)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with following(folder) as follower:
            scenario(follower)
        reached |= follower.reached
    known = list(sites())
    assert len(known) > 40
    left = [
        f"{file}:{first}"
        for file, first, last in known
        if not any(file == name and first <= line <= last for name, line in reached)
    ]
    assert not left, "hints that no scenario runs"
