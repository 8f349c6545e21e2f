"""No public function over 8 parameters, no kernel over 12, no function over 60 lines without a reason at its top."""

from __future__ import annotations

import ast
from pathlib import Path

import tilekit

PACKAGE = Path(tilekit.__file__).parent
PARAMETERS, KERNEL_PARAMETERS, LINES = 8, 12, 60


def functions():
    """Name, parameters, lines, whether public, kernel, and whether a reason stands at the top, of every function."""
    for file in sorted(PACKAGE.rglob("*.py")):
        source = file.read_text()
        lines = source.splitlines()
        module = ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
        scopes = [(module, ast.parse(source))]
        while scopes:
            scope, node = scopes.pop()
            for child in ast.iter_child_nodes(node):
                if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    continue
                name = f"{scope}.{child.name}"
                scopes.append((name, child))
                if isinstance(child, ast.ClassDef):
                    continue
                given = child.args
                parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs]
                taken = [one for one in parameters if one.arg not in ("self", "cls")]
                private = any(part.startswith("_") and part != "__init__" for part in name.split("."))
                head = "\n".join(lines[child.lineno - 1 : child.body[0].end_lineno + 2])
                yield {
                    "name": name,
                    "parameters": len(taken),
                    "lines": child.end_lineno - child.lineno + 1,
                    "public": not private,
                    "kernel": ".kernels." in f".{module}.",
                    "reason": "# Long because " in head,
                }


def too_much():
    """What is over a limit: name to size."""
    wide, long = {}, {}
    for one in functions():
        limit = KERNEL_PARAMETERS if one["kernel"] else PARAMETERS
        if (one["public"] or one["kernel"]) and one["parameters"] > limit:
            wide[one["name"]] = one["parameters"]
        if one["lines"] > LINES and not one["reason"]:
            long[one["name"]] = one["lines"]
    return {"parameters": wide, "lines": long}


def test_no_function_is_too_wide_or_too_long():
    assert too_much() == {"parameters": {}, "lines": {}}, (
        "group options in a frozen dataclass; split by role, or say why at the top: # Long because ..."
    )
