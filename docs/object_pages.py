"""The site's pages of the library's objects, one a group, a heading for each; made while the site is built."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterator
from typing import Any

import make_reference as reference

FOLDER = "objects"
_CODE = re.compile(r"(``.*?``|`[^`]*`)", re.S)
_LINE = 88


def object_pages() -> dict[str, str]:
    """Page -> its text, for mkdocs."""
    pages = {}
    left = set(reference.public_names())
    for title, rooms in reference.GROUPS.items():
        names = sorted(
            (name for name in left if reference.home_of(name) in rooms),
            key=lambda name: name.split(".")[-1].lower(),
        )
        left -= set(names)
        parts = [f"# {title}", *(part for name in names for part in _object(name))]
        pages[page_of(title)] = "\n\n".join(parts) + "\n"
    return pages


def page_of(title: str) -> str:
    """Where the page of a group lies: `objects/boxes.md`."""
    return f"{FOLDER}/{title.lower().replace(' ', '-')}.md"


def _object(name: str) -> Iterator[str]:
    value = reference.value_of(name)
    yield f"## {name}"
    if inspect.isclass(value) and issubclass(value, Exception):
        bases = ", ".join(base.__name__ for base in value.__bases__)
        yield f"```python\nclass tilekit.{name}({bases})\n```"
    else:
        yield f"```python\n{_signature(f'tilekit.{name}', value)}\n```"
    yield _prose(inspect.getdoc(value) or "")
    if inspect.isclass(value):
        yield from _members(value)


def _signature(name: str, value: Any) -> str:
    """The call with types; a parameter a line where it is long."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return name
    if inspect.isclass(value):
        found = found.replace(return_annotation=found.empty)
    short = f"{name}{_plain(str(found))}"
    if len(short) <= _LINE or not found.parameters:
        return short
    rows, star = [], False
    for one in found.parameters.values():
        if one.kind is one.KEYWORD_ONLY and not star:
            rows.append("*")
            star = True
        star = star or one.kind is one.VAR_POSITIONAL
        rows.append(_plain(str(one)))
    back = "" if found.return_annotation is found.empty else f" -> {_plain(_kind(found.return_annotation))}"
    inside = "".join(f"    {row},\n" for row in rows)
    return f"{name}(\n{inside}){back}"


def _kind(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _plain(text: str) -> str:
    """Types as they are written, without quotes around them and without their modules."""
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)
    return re.sub(r"\b(?:tilekit|numpy|collections|typing|pathlib)(?:\.[a-z_]+)*\.(?=[A-Za-z])", "", text)


def _members(value: type) -> Iterator[str]:
    """Methods and properties of the class itself, a line each."""
    rows = []
    for name, member in vars(value).items():
        if name.startswith("_"):
            continue
        inner = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        if isinstance(inner, property):
            rows.append(f"- `.{name}`: {_prose(reference.first_paragraph(inner))}")
        elif inspect.isfunction(inner):
            words = [one for one in inspect.signature(inner).parameters if one not in ("self", "cls")]
            rows.append(f"- `.{name}({', '.join(words)})`: {_prose(reference.first_paragraph(inner))}")
    if rows:
        yield "\n".join(rows)


def _prose(text: str) -> str:
    """A docstring as Markdown: what is not code stands as it is written."""
    parts = _CODE.split(text)
    return "".join(
        part if place % 2 else re.sub(r"([*_\[\]])", r"\\\1", html.escape(part, quote=False))
        for place, part in enumerate(parts)
    )
