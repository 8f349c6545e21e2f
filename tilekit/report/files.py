"""Files that every report holds: style, viewer, and Leaflet from the package that ships it."""

from __future__ import annotations

import importlib.util
from importlib import resources
from pathlib import Path
from typing import Any

from tilekit.errors import MissingExtra
from tilekit.storage.local import storage_errors, write_bytes

_OWN = ("report.css", "viewer.css", "viewer.js")
_LEAFLET = ("leaflet.js", "leaflet.css")


def copy_assets(folder: Path) -> None:
    """Write style, viewer and Leaflet to `folder`; raises MissingExtra without the report extra."""
    own = resources.files("tilekit.report") / "assets"
    for name in _OWN:
        write_bytes(folder / name, (own / name).read_bytes())
    shipped = _leaflet_folder()
    for name in _LEAFLET:
        with storage_errors(shipped / name):
            text = (shipped / name).read_text(encoding="utf-8")
        # The source map is not shipped along; a reader's console should stay clean.
        text = text.replace("//# sourceMappingURL=leaflet.js.map", "")
        write_bytes(folder / name, text.encode("utf-8"))


def templates() -> Any:
    """The jinja2 environment of the report's pages; everything is escaped unless marked safe."""
    try:
        import jinja2
    except ImportError as exc:
        raise MissingExtra("the report needs jinja2", "report") from exc
    loader = jinja2.PackageLoader("tilekit.report", "templates")
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )


def _leaflet_folder() -> Path:
    # The package is a Django app; its files are taken without importing it, so Django is not needed.
    found = importlib.util.find_spec("js_lib_leaflet")
    if found is None or not found.submodule_search_locations:
        raise MissingExtra("the page viewer needs Leaflet", "report")
    return Path(found.submodule_search_locations[0], "static", "js_lib_leaflet")
