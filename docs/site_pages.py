"""For mkdocs: README, CONTRIBUTING and CHANGELOG as pages of the site, their links as seen from docs/."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

_ELSEWHERE = re.compile(r"<(?:script|img|link|iframe)[^>]*\b(?:src|href)=\"?https?://[^>]*>")
ROOT = Path(__file__).resolve().parent.parent
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}
_INTO_DOCS = re.compile(r"\]\(docs/")
_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:LICENSE|Makefile|examples/[^)]*)\)")  # they stay with the source


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages that lie beside docs/."""
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=seen_from_docs(text)))
    return files


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
