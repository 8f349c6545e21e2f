from __future__ import annotations

import inspect

import pytest

from tilekit import errors

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
