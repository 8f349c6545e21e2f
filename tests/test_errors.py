from __future__ import annotations

import ast
import inspect
import pickle
import re
import tomllib
from pathlib import Path

import pytest

from tilekit import errors

ROOT = Path(__file__).parent.parent
ALL = [
    value for _, value in inspect.getmembers(errors, inspect.isclass) if value.__module__ == errors.__name__
]


@pytest.mark.parametrize("kind", ALL)
def test_one_root_a_docstring_and_a_place_in_the_tree(kind):
    assert issubclass(kind, errors.TilekitError)
    assert kind.__doc__
    assert f"{kind.__name__} " in errors.__doc__.replace("\n", " ")


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not errors.TilekitError])
def test_each_is_also_a_builtin_a_caller_expects(kind):
    assert issubclass(kind, (ValueError, OSError, RuntimeError, ImportError))


def test_service_errors_keep_the_services_words():
    error = errors.ServiceDenied("no", code="AccessDenied", operation="StartProjectVersion")
    assert (str(error), error.code, error.operation) == ("no", "AccessDenied", "StartProjectVersion")


def test_a_missing_package_is_answered_with_our_own_distribution_not_a_strangers():
    error = errors.MissingExtra("the report needs jinja2", "report", "pdf")
    assert str(error) == f"the report needs jinja2: pip install '{errors.DISTRIBUTION}[report,pdf]'"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(errors.MissingExtra("pandas is not installed")) == "pandas is not installed"


def test_every_hint_to_install_names_our_distribution_and_an_extra_it_has():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"])
    assert project["name"] == errors.DISTRIBUTION
    package = Path(errors.__file__).parent
    texts = {path: path.read_text() for path in package.rglob("*.py")}
    named = [
        part.value
        for text in texts.values()
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "MissingExtra"
        for argument in call.args[1:]
        for part in ast.walk(argument)
        if isinstance(part, ast.Constant)
    ]
    assert len(named) >= 15
    assert set(named) <= extras
    for path in [*texts, ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for hint in re.findall(r"pip install [^\n`]*?\b(tilekit[\w-]*)(?:\[([\w,]+)\])?", path.read_text()):
            assert hint[0] == errors.DISTRIBUTION, f"{path.name}: {hint}"
            assert set(filter(None, hint[1].split(","))) <= extras, f"{path.name}: {hint}"
