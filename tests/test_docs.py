"""The documentation tells the truth: its code runs, its links lead somewhere, nothing public is left out."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import click
import pytest

import tilekit
from tilekit.cli import COMMANDS, cli

ROOT = Path(__file__).resolve().parent.parent
LONG = {"guide.md", "aws.md", "tutorial.md", "tiling.md", "looking.md", "datasets.md"}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = {page: page.read_text(encoding="utf-8") for page in PAGES}
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def blocks(page: Path) -> str:
    return "\n".join(body for word, body in FENCE.findall(TEXT[page]) if word == "python")


def commands(command: click.Command = cli, name: str = "tilekit") -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for sub in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), sub)
            assert found is not None
            yield from commands(found, f"{name} {sub}")


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.slow] if page.name in LONG else [])
        for page in PAGES
        if blocks(page)
    ],
    ids=lambda page: page.name,
)
def test_code_runs_as_it_stands(page, tmp_path):
    script = tmp_path / "blocks.py"
    script.write_text(blocks(page), encoding="utf-8")
    folder = tmp_path / "empty"
    folder.mkdir()
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(script)], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert ran.returncode == 0, f"{page.name}:\n{ran.stderr[-3000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in LINK.findall(FENCE.sub("", TEXT[page])):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, part = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if target.name in {"LICENSE", "CONTRIBUTING.md", "Makefile"}:  # they stay with the source
            continue
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        if part:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
            assert part in {anchor(heading) for heading in headings}, f"{page.name}: no heading for {link}"


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda value: str(value)[:40])
def test_commands_are_documented(name, command):
    assert command.help, f"{name} has no help"
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{name} {option.opts[0]} has no help"
    assert any(re.search(rf"\b{name}\b", text) for page, text in TEXT.items() if page.name != "reference.md")


def test_the_help_of_a_command_is_the_same_in_both_places():
    for name, (_, _, text) in COMMANDS.items():
        assert text.endswith("."), f"{name}: {text}"


def test_commands_written_in_the_documentation_exist():
    known = {name.partition(" ")[2] for name, _ in commands()}
    groups = {name.split()[0] for name in known if " " in name}
    for page, text in TEXT.items():
        for word, body in FENCE.findall(text):
            if word in ("sh", "bash", ""):
                for line in re.findall(r"^tilekit ([a-z].*)$", body, re.M):
                    words = line.split()
                    wanted = " ".join(words[:2]) if words[0] in groups else words[0]
                    assert wanted in known, f"{page.name}: tilekit {line}"


def test_options_written_in_the_documentation_exist():
    known = {name.partition(" ")[2]: command for name, command in commands()}
    for page, text in TEXT.items():
        if page.name == "reference.md":
            continue
        for line in re.findall(r"(?:^|`)tilekit ([a-z][^`\n]*)", text, re.M):
            words = line.split("  #")[0].split()
            name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
            if name not in known:
                continue
            options = {opt for one in known[name].params for opt in [*one.opts, *one.secondary_opts]}
            for word in words:
                if word.startswith("--") and word != "--help":
                    assert word.split("=")[0].rstrip(".,;:") in options, f"{page.name}: tilekit {line}"


def make_reference():
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NAMES = make_reference().public_names()


@pytest.mark.parametrize("name", NAMES)
def test_public_names_are_documented(name):
    text = TEXT[ROOT / "docs" / "reference.md"]
    assert re.search(rf"`{name}\b", text), f"{name} is not in docs/reference.md"


def test_names_written_in_the_documentation_exist():
    for page, text in TEXT.items():
        for name in re.findall(r"\btk\.([\w.]*\w)", text):
            assert hasattr(tilekit, name.split(".")[0]), f"{page.name}: tk.{name}"


@pytest.mark.parametrize("name", NAMES)
def test_docstrings_start_with_a_sentence_and_name_real_parameters(name):
    value = attrgetter(name)(tilekit)
    text = inspect.getdoc(value)
    assert text
    assert text.split("\n\n")[0].rstrip().endswith((".", ":", "`")), f"{name}: {text[:80]}"
    if inspect.isfunction(value):
        known = set(inspect.signature(value).parameters)
        for found in re.findall(r"`(\w+)`: ", text):
            assert found in known, f"{name} has no parameter {found}"


def test_the_reference_is_what_the_package_says():
    assert make_reference().reference() == TEXT[ROOT / "docs" / "reference.md"], (
        "run python docs/make_reference.py"
    )


def test_each_public_name_has_a_heading_on_one_page_of_the_site(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    pages = importlib.import_module("object_pages").object_pages()
    headings = [found for text in pages.values() for found in re.findall(r"^## (.+)$", text, re.M)]
    assert sorted(headings) == sorted(NAMES)
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8") if (ROOT / "mkdocs.yml").exists() else None
    assert config is None or all(page in config for page in pages)
    boxes = pages["objects/boxes.md"]
    call = boxes.partition("## nms\n")[2].partition("## ")[0]
    assert "tilekit.nms(" in call
    assert "threshold: float" in call


def test_the_readme_on_the_package_index_leads_nowhere_that_is_not_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    hook = project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    assert [part["path"] for part in hook["fragments"]] == ["README.md"]
    text = TEXT[ROOT / "README.md"]
    links = re.compile(r"!?\[[^\]]*\]\(([^)]*)\)|(?:src|href)=\"([^\"]*)\"")
    picture = re.search(r"!\[([^\]]+)\]\(docs/", text)
    assert picture, "the README opens with a picture"
    for step in hook["substitutions"]:
        text = re.sub(step["pattern"], step["replacement"], text)
    left = [one or other for one, other in links.findall(text)]
    assert [link for link in left if not link.startswith("https://")] == []
    assert f"*{picture[1]}.*" in text
    assert len(text) > 0.7 * len(TEXT[ROOT / "README.md"])
