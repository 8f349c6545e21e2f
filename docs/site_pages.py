"""For mkdocs: README, CONTRIBUTING and CHANGELOG as pages of the site, their links as seen from docs/, and the pages of objects."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

_ELSEWHERE = re.compile(r"<(?:script|img|link|iframe)[^>]*\b(?:src|href)=\"?https?://[^>]*>")
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}
_INTO_DOCS = re.compile(r"\]\(docs/")
_OUTSIDE = re.compile(
    r"\[([^\]]+)\]\((?:LICENSE|Makefile|(?:examples|tests|benchmarks)/[^)]*)\)"
)  # they stay with the source
_BESIDE = re.compile(r"\[([^\]]+)\]\(\.\./(?:examples|benchmarks|tests)/[^)]*\)")


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages that lie beside docs/."""
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=seen_from_docs(text)))
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    from object_pages import object_pages

    for page, text in object_pages().items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Name files of the source without a link: they are not on the site."""
    return _BESIDE.sub(r"\1", markdown)


def on_post_page(output: str, *, page: Any, config: Any) -> str:
    """Refuse what a reader without a network would wait for."""
    if found := _ELSEWHERE.search(output):
        raise PluginError(f"{page.file.src_uri}: loads from elsewhere: {found[0]}")
    return output


def seen_from_docs(text: str) -> str:
    """A page of the root, its links and pictures rewritten."""
    return (
        _OUTSIDE.sub(r"\1", _INTO_DOCS.sub("](", text))
        .replace('src="docs/', 'src="')
        .replace("](README.md", "](index.md")
    )
