"""The pages of a dataset on disk or S3: their names in the output, and opening them as they were labeled."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Literal

from tilekit.errors import LabelError
from tilekit.grid import TileGrid, Tiling
from tilekit.pages import PageKey
from tilekit.scales import AnyTiling, as_scales, shown
from tilekit.scans.opening import open_scan
from tilekit.scans.scan import Scan, ScanInfo

Dpi = float | Literal["native"] | None
_RENDERED = ("pdf", "svg")  # kinds that have no pixels of their own: their size follows from the dpi
_PLAIN = Tiling()


@dataclass(frozen=True)
class Page:
    """A labeled page: base size in px as labeled, and the scan's resolution where a recipe needs it."""

    key: PageKey
    width: int
    height: int
    dpi: float | None = None
    untrusted: bool = False

    def grid(self, tiling: Tiling) -> TileGrid:
        """The tiling bound to this page."""
        return tiling.grid(self.width, self.height, dpi=self.dpi)


def page_of(
    key: PageKey,
    sizes: Mapping[PageKey, tuple[int, int]],
    tiling: AnyTiling,
    dpi: Dpi = None,
    untrusted: bool = False,
) -> Page:
    """A page with its size from the labels, or from the scan where they do not say, or a dpi is needed."""
    if key in sizes and all(one.dpi is None for one in as_scales(tiling)):
        return Page(key, *sizes[key], untrusted=untrusted)
    with open_page(key, sizes.get(key), dpi, tiling, untrusted) as scan:
        return Page(key, scan.width, scan.height, scan.dpi, untrusted)


def open_page(
    key: PageKey,
    size: tuple[int, int] | None,
    dpi: Dpi = None,
    tiling: AnyTiling = _PLAIN,
    untrusted: bool = False,
) -> Scan:
    """Open a page at the size it was labeled at, with the tiling's bands and levels.

    A PDF page is rendered at the resolution that gives this size, unless `dpi` says otherwise.
    Raises LabelError naming both sizes where the scan has another one.
    """
    how = {**shown(tiling), "untrusted": untrusted}
    scan = open_scan(key.source, page=key.page, dpi=dpi, **how)
    if size is None or (scan.width, scan.height) == size:
        return scan
    found = scan.info
    scan.close()
    if dpi is None and found.kind in _RENDERED and found.dpi:
        scan = open_scan(key.source, page=key.page, dpi=_matching_dpi(found, size), **how)
        if (scan.width, scan.height) == size:
            return scan
        scan.close()
    raise LabelError(
        f"{key}: the labels say {size[0]} x {size[1]} px but the scan has {found.width} x {found.height}; "
        "label the scan itself, or correct the size in the labels"
    )


def stems_of(keys: Iterable[PageKey]) -> dict[str, str]:
    """Output name of each source: its path below the folder common to all, without the extension.

    Two files that differ in nothing but the extension keep it (`plan-tif`), so no two names are equal.
    """
    sources = list(dict.fromkeys(key.source for key in keys))
    paths = {source: _path_of(source) for source in sources}
    folders = {path.parent for path in paths.values()}
    common = _common(folders)
    short = {source: path.relative_to(common) for source, path in paths.items()}
    plain = {source: _stem(path) for source, path in short.items()}
    count = Counter(plain.values())
    stems: dict[str, str] = {source: stem for source, stem in plain.items() if count[stem] == 1}
    taken = set(stems.values())
    for source, path in short.items():
        if source not in stems:
            stem = wanted = f"{plain[source]}-{path.suffix.lstrip('.') or 'file'}"
            number = 2
            while stem in taken:
                stem, number = f"{wanted}-{number}", number + 1
            stems[source] = stem
            taken.add(stem)
    return {source: stems[source] for source in sources}


def _stem(path: PurePosixPath) -> str:
    """A relative path without its extension; a name of nothing but dots becomes "scan"."""
    return str(path.parent / (path.stem if path.stem.strip(".") else "scan"))


def _matching_dpi(info: ScanInfo, size: tuple[int, int]) -> float:
    return (info.dpi or 1.0) * size[0] / info.width


def _path_of(source: str) -> PurePosixPath:
    """A source as an absolute path, URLs with their host as a first folder."""
    if "://" in source:
        return PurePosixPath("/", source.split("://", 1)[1])
    if os.name != "nt" and PureWindowsPath(source).drive:
        return PurePosixPath("/", PureWindowsPath(source).as_posix().replace(":", ""))
    return PurePosixPath(os.path.abspath(source).replace("\\", "/"))


def _common(folders: Iterable[PurePosixPath]) -> PurePosixPath:
    return PurePosixPath(os.path.commonpath([str(folder) for folder in folders] or ["/"]))
