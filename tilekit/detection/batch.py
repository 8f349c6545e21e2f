"""detect_scans: many scans into one detections.jsonl, page by page, resumable."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tilekit.detection.detecting import detect_tiles, knowing, whole_page
from tilekit.detection.options import ScansOptions
from tilekit.detectors.naming import AnyDetector, named
from tilekit.errors import DetectorError, InvalidArgument, ScanError, checked_kind
from tilekit.grid import Tiling
from tilekit.labels.prediction_lines import PredictionWriter, check_replaceable, iter_predictions
from tilekit.labels.predictions import PageDetections
from tilekit.labels.thresholds import Thresholds
from tilekit.pages import PageKey
from tilekit.scales import AnyTiling, Scales, as_scales, shown, taught_json, words_of
from tilekit.scans.opening import open_scan, scan_info
from tilekit.scans.scan import Scan
from tilekit.tiles.keeping import keep_plan

_SHAPING = ("thresholds", "decoy", "policy", "dpi", "taught")
_OPTIONS = ScansOptions()


@dataclass
class ScansResult:
    """What became of many scans: pages done now, left alone since done before, incomplete, failed.

    `counts`: label -> boxes over the pages done now; `failed`: (page or file, reason).
    """

    done: int = 0
    skipped: int = 0
    incomplete: list[PageKey] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, page: PageDetections) -> None:
        """Count a page."""
        self.done += 1
        if not page.complete:
            self.incomplete.append(page.key)
        for name, count in page.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count


def detect_scans(
    sources: Iterable[str | PageKey],
    detector: AnyDetector | Sequence[AnyDetector],
    tiling: AnyTiling | None,
    out: str | os.PathLike[str],
    *,
    thresholds: Thresholds | None = None,
    fresh: bool = False,
    options: ScansOptions = _OPTIONS,
    progress: Callable[[int, int], None] | None = None,
) -> ScansResult:
    """Detect on every page of every source (or the one page a PageKey names), one line a page in `out`.

    Run it again to go on. `tiling` None sends each page whole, shrunk as `detect_whole` does; of several
    scales a page is cut at those that suit its size (`Scales.on`). `thresholds`: as of `detect_tiles`. Pages that
    `out` holds complete are left alone, incomplete ones are done again; `fresh` starts over, beside
    `out`, which is replaced at the end: until then, and where no page could be read, the old results stay. A scan or
    page that fails is listed and the rest goes on. `options`: see ScansOptions. `progress` counts the tiles of the
    page at hand.
    Raises InvalidArgument where `out` was made with other tiles, another model or other options
    (see `ScansOptions.shaping`), and what ends `detect_tiles` at once. A run that wrote no page leaves no file. Memory: that
    of one page.
    """
    options = checked_kind(options, ScansOptions)
    path = Path(out)
    detector = [named(one) for one in detector] if isinstance(detector, (list, tuple)) else named(detector)
    scales = knowing(as_scales(whole_page() if tiling is None else tiling), detector)
    done = (
        set() if fresh else done_pages(path, scales, model=options.model, options=options.shaping(thresholds))
    )
    if fresh:
        check_replaceable(path)
    result = ScansResult()
    with _no_empty_file(path), PredictionWriter(path, append=not fresh) as writer:
        writer.only_if_any = fresh
        for key in _all_pages(sources, options.untrusted, result):
            if key in done:
                result.skipped += 1
                continue
            try:
                page = _detected(key, detector, scales, thresholds, options, progress)
            except (ScanError, DetectorError) as exc:
                result.failed.append((str(key), str(exc)))
                continue
            writer.write(page)
            result.add(page)
    return result


def _detected(
    key: PageKey,
    detector: Any,
    scales: Scales,
    thresholds: Thresholds | None,
    options: ScansOptions,
    progress: Callable[[int, int], None] | None,
) -> PageDetections:
    """Open a page and detect on it."""
    with open_scan(
        key.source, page=key.page, dpi=options.dpi, untrusted=options.untrusted, **shown(scales)
    ) as scan:
        some, who = on_page_of(scan, detector, scales)
        page = detect_tiles(
            scan,
            who,
            some,
            options.policy,
            thresholds=thresholds,
            workers=options.workers,
            options=options.of_a_page(),
            progress=progress,
        )
        page = replace(page, options=options.shaping(thresholds) | _taught(scales))
        if options.on_page is not None:
            options.on_page(page, scan)
        return page


def _all_pages(sources: Iterable[str | PageKey], untrusted: bool, result: ScansResult) -> Iterator[PageKey]:
    """The pages of the sources; one that cannot be read is listed."""
    for source in sources:
        try:
            keys = _pages_of(source, untrusted)
        except ScanError as exc:
            result.failed.append((str(source), str(exc)))
            continue
        yield from keys


def on_page_of(scan: Scan, detector: Any, scales: Scales) -> tuple[Scales, Any]:
    """The scales that suit a page, and the detectors for them."""
    places = scales.on(scan.width, scan.height, dpi=scan.dpi)
    several = isinstance(detector, (list, tuple)) and len(detector) == len(scales)
    return scales.part(places), [detector[p] for p in places] if several else detector


def _taught(scales: Scales) -> dict[str, str]:
    """A mark of what was taught on the scales, for a page's options; nothing where nobody knows."""
    if not scales.taught or len(scales) == 1:
        return {}
    told = json.dumps([taught_json(one) for one in scales.taught], sort_keys=True)
    return {"taught": hashlib.sha256(told.encode()).hexdigest()[:16]}


def _told(options: Mapping[str, Any], name: str) -> str:
    return json.dumps(options[name], ensure_ascii=False) if name in options else "the default"


@contextlib.contextmanager
def _no_empty_file(path: Path) -> Iterator[None]:
    """Where the block makes `path` and writes nothing, remove it and the folder made for it."""
    file, folder = path.exists(), path.parent.exists()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if not file and path.stat().st_size == 0:
                path.unlink()
                if not folder:
                    path.parent.rmdir()


def anything_left(
    sources: Iterable[str | PageKey], done: Collection[PageKey], untrusted: bool = False
) -> bool:
    """Whether any page of the sources is not done yet; looks no further than the first such page.

    A scan that cannot be read has no pages to do. Reads headers only.
    """
    for source in sources:
        with contextlib.suppress(ScanError):
            if any(key not in done for key in _pages_of(source, untrusted)):
                return True
    return False


def _pages_of(source: str | PageKey, untrusted: bool = False) -> list[PageKey]:
    if isinstance(source, PageKey):
        return [source]
    return [PageKey(source, number) for number in range(scan_info(source, untrusted=untrusted).pages)]


def done_pages(
    out: str | os.PathLike[str],
    tiling: AnyTiling,
    *,
    model: str = "",
    options: Mapping[str, Any] | None = None,
) -> set[PageKey]:
    """Pages that are whole in a file of predictions; a line half written by a killed run is cut off first.

    `options`: what `ScansOptions.shaping` gives for the run that goes on. Raises InvalidArgument where they
    were made with other tiles, another model or other options.
    """
    path, scales = Path(out), as_scales(tiling)
    asked = dict(options or {}) | _taught(scales)
    if not path.exists():
        return set()
    with PredictionWriter(path, append=True):
        pass
    done: set[PageKey] = set()
    for page in iter_predictions(path):
        if page.tilings[:1] != scales[:1] or not set(page.tilings) <= set(scales) or page.model != model:
            before, now = _cut(page.tilings, scales)
            raise InvalidArgument(
                f"{path}: {page.key} was detected by {page.model or 'another model'} on {before}, "
                f"not by {model or 'this one'} on {now}; give another output file, or start over (--fresh)"
            )
        changed = [name for name in _SHAPING if page.options.get(name) != asked.get(name)]
        if changed:
            raise InvalidArgument(
                f"{path}: {page.key} was detected with "
                + ", ".join(
                    f"{name}={_told(page.options, name)}, not {_told(asked, name)}" for name in changed
                )
                + "; give another output file, or start over (--fresh)"
            )
        if page.complete:
            done.add(page.key)
        else:
            done.discard(page.key)
    return done


def _cut(before: Sequence[Tiling], now: Sequence[Tiling]) -> tuple[str, str]:
    """How pages were cut and how they are to be: in short, or all of it where that is alike."""
    short = tuple(" and ".join(map(words_of, tilings)) for tilings in (before, now))
    if short[0] != short[1] or list(before) == list(now):
        return short[0], short[1]
    return " and ".join(map(repr, before)), " and ".join(map(repr, now))


@dataclass
class TileCount:
    """What detecting would go through: pages, tiles (calls), pixels sent, and what cannot be read.

    `kept` of the tiles are a scan's own bits for a service, `why`: why the first that is not is decoded.
    """

    pages: int = 0
    tiles: int = 0
    kept: int = 0
    why: str = ""
    pixels: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


def count_tiles(
    sources: Iterable[str | PageKey],
    tiling: AnyTiling,
    *,
    dpi: float | Literal["native"] | None = None,
    untrusted: bool = False,
) -> TileCount:
    """Count pages, tiles and their pixels from the headers of scans."""
    count, scales = TileCount(), as_scales(tiling)
    for source in sources:
        try:
            for key in _pages_of(source, untrusted):
                with open_scan(
                    key.source, page=key.page, dpi=dpi, untrusted=untrusted, **shown(scales)
                ) as scan:
                    places = scales.on(scan.width, scan.height, dpi=scan.dpi)
                    grids = [scan.grid(scales[place]) for place in places]
                    plan = keep_plan(scan, scales[0])
                    count.kept += plan.kept
                    count.why = count.why or plan.why_not_all or ""
                count.pages += 1
                for grid in grids:
                    count.tiles += len(grid)
                    across, down = (
                        int((axis.stops() - axis.starts()).sum()) for axis in (grid.columns, grid.lines)
                    )
                    count.pixels += across * down
        except ScanError as exc:
            count.failed.append((str(source), str(exc)))
    return count
