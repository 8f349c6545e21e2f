"""check_manifest: the service's rules over whole manifests, before a byte is uploaded.

Streaming: memory is about 16 bytes a line for repeats and leakage, the labels, and the first findings of each
code; 250,000 lines take about 4 MB beside that.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument, ScanError
from tilekit.labels.check_report import CheckReport, Located, ManifestReport
from tilekit.labels.files import file_size, folder_of, open_bytes
from tilekit.labels.leakage import Hash, hash_of, same_pixels
from tilekit.labels.sources import PathLike, is_url, resolve
from tilekit.rekognition.aggregate import judge, manifest_findings
from tilekit.rekognition.checked import CheckedLine
from tilekit.rekognition.findings import Finding
from tilekit.rekognition.images import HEAD_BYTES, ImageFacts, image_facts
from tilekit.rekognition.limits import LIMITS, Limits
from tilekit.rekognition.lines import iter_batches, iter_lines
from tilekit.rekognition.plain import PlainChecker, PlainLines
from tilekit.rekognition.rules import check_line
from tilekit.storage.local import storage_errors

_WINDOW = re.compile(r"\.x[0-9]+\.y[0-9]+\.w[0-9]+\.h[0-9]+\.[0-9A-Za-z]+$")
_NUMBER = re.compile("[0-9]+")
_SPLIT = re.compile(r"(?:^|(?<=/))(?:train|training|tune|val|valid|validation|test|testing)/")
_ROLES = {"test": "test", "tune": "tune", "val": "tune"}


def check_manifest(
    *paths: PathLike,
    test: PathLike | None = None,
    images: PathLike | None = None,
    uploaded: bool = False,
    pixels: bool = False,
    region: str | None = None,
    limits: Limits = LIMITS,
    keep: int = 100,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Check manifests by the service's rules; several are checked together.

    A file whose name begins with `test` is the test manifest, with `tune` or `val` the tuning one, any other the
    training manifest; `test` names the test manifest outright. Images named by path, or found in the folder
    `images`, are looked at (format, sides, bytes). `uploaded`: paths are then errors, as the service sees them.
    `pixels`: decode every image within reach: those that are damaged or cut short are refused by the service, and the
    same pixels on both sides are found, by perceptual hash.
    `region`: some take fewer images. `keep`: findings kept of each code; all are counted.
    `progress(done, total)` in bytes.
    Raises StorageNotFound, StorageDenied, StorageError where a manifest cannot be read.
    """
    if not paths and test is None:
        raise InvalidArgument("check_manifest needs at least one manifest")
    files = [(path, role_of(path)) for path in paths] + ([(test, "test")] if test is not None else [])
    hashes: dict[str, Hash | None] = {}
    options = _Options(images, uploaded, limits, keep, len(files) > 1, hashes if pixels else None)
    scans = []
    for path, role in files:
        scan = _Scan(os.fspath(path), role, options)
        scan.run(progress)
        scans.append(scan)
    report = CheckReport([scan.report for scan in scans])
    _judge(scans, report, limits, region)
    _leaks(scans, report)
    if pixels:
        _same_pixels(scans, report, hashes)
    return report


def role_of(path: PathLike) -> str:
    """ "test", "tune" or "train", by the beginning of the file's name."""
    stem = Path(os.fspath(path)).name.lower()
    return next((role for start, role in _ROLES.items() if stem.startswith(start)), "train")


def page_of(source: str) -> str:
    """What tiles of one page have in common: the reference without the window and without a split's folder."""
    last = source.rfind(".x")
    tail = (_WINDOW.match(source, last) or _WINDOW.search(source)) if last >= 0 else None
    page = source[: tail.start()] if tail else source
    return _SPLIT.sub("", page, count=1) if "t" in page else page


@dataclass(frozen=True)
class _Options:
    images: PathLike | None
    uploaded: bool
    limits: Limits
    keep: int
    paired: bool
    """Whether there are several manifests, between which pages may leak."""
    hashes: dict[str, Hash | None] | None = None
    """Of images by path, where all are decoded; filled while lines are gone through."""


@dataclass
class _Scan:
    """One manifest gone through once: its report, and a hash of each line's image and page."""

    path: str
    role: str
    options: _Options
    report: ManifestReport = field(init=False)
    refs: array[int] = field(default_factory=lambda: array("q"))
    pages: array[int] = field(default_factory=lambda: array("q"))
    local: int = 0

    def __post_init__(self) -> None:
        self.report = ManifestReport(self.path, self.role)

    def say(self, line: int, finding: Finding) -> None:
        """Count a finding, and keep it where it is among the first of its code."""
        self.report.counts[finding.code] += 1
        if self.report.counts[finding.code] <= self.options.keep:
            self.report.findings.append(Located(self.path, line, finding))

    def run(self, progress: Callable[[int, int], None] | None) -> None:
        """Go through the file: in whole blocks where no image is to be looked at, else line by line."""
        options = self.options
        look: Callable[[str], ImageFacts | None] | None = None
        if not options.uploaded or options.images is not None:
            look = Looking(folder_of(self.path), options.images, options.hashes)
        plain = PlainChecker(options.limits) if options.images is None else None
        with open_bytes(self.path) as file, storage_errors(self.path):
            self.report.bytes = file_size(file)
            self._file_rules()
            batches = iter_batches(file, 4 * options.limits.max_line_chars)
            for turn, (number, offset, lines) in enumerate(batches):
                if plain is None:
                    self._one_by_one(enumerate(lines, number), look)
                else:
                    self._plain(number, lines, plain.check(lines), look)
                    if plain.full:
                        self._take(plain)
                if progress is not None and not turn % 32:
                    progress(offset, self.report.bytes)
        if plain is not None:
            self._take(plain)
        self._repeats()
        if self.local and not options.uploaded:
            self.say(0, Finding("TILEKIT_LOCAL_IMAGES", f"{self.local} lines"))
        self.report.findings.sort(key=lambda located: located.line)

    def _one_by_one(
        self, lines: Iterable[tuple[int, bytes]], look: Callable[[str], ImageFacts | None] | None
    ) -> None:
        for number, raw in lines:
            line = self._line(raw.rstrip(b"\r"), look, not self.options.uploaded)
            self.report.tally.add(number, line)
            for finding in line.findings:
                self.say(number, finding)
            source = line.source_ref
            self.refs.append(hash(source) if source else number)
            if self.options.paired:
                self.pages.append(hash(page_of(source)) if source and line.status != "invalid" else 0)
            self.local += bool(source) and not line.bucket

    def _plain(
        self,
        number: int,
        lines: Sequence[bytes],
        plain: PlainLines,
        look: Callable[[str], ImageFacts | None] | None,
    ) -> None:
        """Note the lines that are plain, and go through the others one by one, all in their order."""
        start = 0
        for place in (*plain.odd, len(lines)):
            sources = plain.sources[start:place]
            self.refs.extend(map(hash, sources))
            if self.options.paired:
                self.pages.extend([hash(page_of(source)) for source in sources])
            self._one_by_one(zip([number + place], lines[place : place + 1], strict=False), look)
            start = place + 1

    def _take(self, plain: PlainChecker) -> None:
        """Add what was counted of plain lines to the report."""
        self.report.tally.buckets.update(plain.buckets)
        for names, labels, lines in plain.drain():
            self.report.tally.add_many(labels, names.named, lines)

    def _line(self, raw: bytes, look: Callable[[str], ImageFacts | None] | None, local: bool) -> CheckedLine:
        limits = self.options.limits
        if len(raw) > limits.max_line_chars:
            length = len(raw.decode("utf-8", "replace"))
            if length > limits.max_line_chars:
                shown = f"it has {length:,}" if len(raw) <= 4 * limits.max_line_chars else "it has many more"
                return CheckedLine("invalid", findings=(Finding("TILEKIT_LINE_TOO_LONG", shown),))
        return check_line(raw, limits=limits, image=look, allow_local=local)

    def _file_rules(self) -> None:
        if not Path(self.path).suffix:
            self.say(0, Finding("ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT", "it has no extension"))
        if self.report.bytes > self.options.limits.max_manifest_bytes:
            self.say(0, Finding("ERROR_MANIFEST_SIZE_TOO_LARGE", f"it has {self.report.bytes:,} bytes"))

    def _repeats(self) -> None:
        values = np.frombuffer(self.refs, dtype=np.int64)
        if not len(values):
            return
        order = np.argsort(values, kind="stable")
        same = np.flatnonzero(values[order][1:] == values[order][:-1])
        earlier = {
            int(order[place + 1]) + 1: int(order[place]) + 1 for place in same[: 10 * self.options.keep]
        }
        for line, other in sorted(earlier.items()):
            self.say(line, Finding("TILEKIT_REPEATED_SOURCE_REF", f"line {other} has it too"))
        self.report.counts["TILEKIT_REPEATED_SOURCE_REF"] += len(same) - len(earlier)
        if not len(same):
            del self.report.counts["TILEKIT_REPEATED_SOURCE_REF"]

    def page_hashes(self) -> NDArray[np.int64]:
        """(lines,) int64, 0 where the line is not used."""
        return np.frombuffer(self.pages, dtype=np.int64)

    def sources(self, lines: Sequence[int] | None = None) -> dict[int, str]:
        """The source-refs of some lines (from one), or of all valid ones, read again."""
        wanted = None if lines is None else set(lines)
        used = self.page_hashes()
        found = {}
        with open_bytes(self.path) as file, storage_errors(self.path):
            for number, raw in iter_lines(file, 4 * self.options.limits.max_line_chars):
                if number <= len(used) and used[number - 1] and (wanted is None or number in wanted):
                    line = check_line(raw, limits=self.options.limits, allow_local=True)
                    found[number] = line.source_ref
                    if wanted is not None and len(found) == len(wanted):
                        break
        return found


@dataclass
class Looking:
    """Looks an image up by its source-ref: its facts, or None where it is out of reach.

    `hashes`: all pixels are decoded, too, and their hash noted here by path.
    """

    folder: str
    images: PathLike | None
    hashes: dict[str, Hash | None] | None = None

    def __call__(self, source: str) -> ImageFacts | None:
        """Facts of the image a source-ref names."""
        place = local_image(source, self.folder, self.images)
        if place is None:
            return None
        try:
            with open(place, "rb") as file:
                head = file.read(4096)
                size = os.fstat(file.fileno()).st_size
                facts = image_facts(head, size)
                if facts.kind == "jpeg" and not facts.width:
                    facts = image_facts(head + file.read(HEAD_BYTES), size)
        except OSError:
            return ImageFacts("", 0, 0, 0)
        if self.hashes is None or not facts.width:
            return facts
        try:
            if place not in self.hashes:
                self.hashes[place] = hash_of(place)
        except ScanError as exc:
            return replace(facts, damage=str(exc).removeprefix(f"{place}: "))
        return facts


def local_image(source: str, folder: str, images: PathLike | None) -> str | None:
    """The local path of a line's image, or None where it is not on this disk."""
    if is_url(source) and images is None:
        return None
    place = resolve(source, folder, images).source
    return None if is_url(place) else place


def _judge(scans: list[_Scan], report: CheckReport, limits: Limits, region: str | None) -> None:
    train = next((scan for scan in scans if scan.role == "train"), None)
    test = next((scan for scan in scans if scan.role == "test"), None)
    done: set[int] = set()
    if train is not None and test is not None:
        verdict = judge(train.report.tally, test.report.tally, limits, region)
        for scan, findings in ((train, verdict.training), (test, verdict.testing)):
            done.add(id(scan))
            for finding in findings:
                scan.say(0, finding)
        for finding in verdict.both:
            report.counts[finding.code] += 1
            report.both.append(Located(train.path, 0, finding))
    for scan in scans:
        if id(scan) not in done:
            tally = scan.report.tally
            for finding in manifest_findings(
                tally, tally.kind, limits, test=scan.role == "test", region=region
            ):
                scan.say(0, finding)


def _pairs(scans: list[_Scan]) -> list[tuple[_Scan, _Scan]]:
    """Pairs of manifests that must not share pages."""
    return [
        (one, other)
        for place, one in enumerate(scans)
        for other in scans[place + 1 :]
        if one.role != other.role or one.role != "train"
    ]


def _leaks(scans: list[_Scan], report: CheckReport) -> None:
    for one, other in _pairs(scans):
        first, second = one.page_hashes(), other.page_hashes()
        shared = np.setdiff1d(np.intersect1d(first, second), [0])
        shared = _near(one, other, shared)
        report.counts["TILEKIT_PAGE_IN_TRAIN_AND_TEST"] += len(shared)
        if not len(shared):
            del report.counts["TILEKIT_PAGE_IN_TRAIN_AND_TEST"]
            continue
        shown = shared[: one.options.keep]
        lines = [int(np.argmax(second == page)) + 1 for page in shown]
        others = [int(np.argmax(first == page)) + 1 for page in shown]
        names = other.sources(lines)
        for line, twin in sorted(zip(lines, others, strict=True)):
            detail = f"{page_of(names[line])} is in {one.path}, line {twin}, too"
            report.both.append(Located(other.path, line, Finding("TILEKIT_PAGE_IN_TRAIN_AND_TEST", detail)))


def _near(one: _Scan, other: _Scan, shared: NDArray[np.int64]) -> NDArray[np.int64]:
    """The shared pages whose tiles of one manifest come nearer to those of the other than a tile is wide.

    Farther apart they are regions, which a split by region keeps so.
    """
    if not len(shared):
        return shared
    tiles = [_windows_of(scan, shared) for scan in (one, other)]
    return np.array(
        [page for page in shared.tolist() if _touch(*(found.get(page) for found in tiles))], np.int64
    )


def _windows_of(scan: _Scan, pages: NDArray[np.int64]) -> dict[int, NDArray[np.int64] | None]:
    """Windows of a manifest's tiles by hash of their page, (n, 4); None where a line is no tile of its page."""
    used = scan.page_hashes()
    lines = (np.flatnonzero(np.isin(used, pages)) + 1).tolist()
    found: dict[int, list[list[int]] | None] = {}
    for line, source in scan.sources(lines).items():
        page = int(used[line - 1])
        named = _WINDOW.search(source)
        if named is None:
            found[page] = None
        elif (rows := found.setdefault(page, [])) is not None:
            x, y, width, height = map(int, _NUMBER.findall(named[0])[:4])
            rows.append([x, y, x + width, y + height])
    return {page: None if rows is None else np.array(rows, np.int64) for page, rows in found.items()}


def _touch(one: NDArray[np.int64] | None, other: NDArray[np.int64] | None) -> bool:
    """Whether any two windows are nearer to each other than the larger of their sides, in x and in y."""
    if one is None or other is None:
        return True
    one = np.unique(one, axis=0)
    step = max(1, 1_000_000 // max(1, len(other)))
    for start in range(0, len(one), step):
        part = one[start : start + step, None]
        gap = np.maximum(part[..., :2] - other[:, 2:], other[:, :2] - part[..., 2:])
        side = np.maximum(part[..., 2:] - part[..., :2], other[:, 2:] - other[:, :2])
        if (gap < side).all(axis=2).any():
            return True
    return False


def _same_pixels(scans: list[_Scan], report: CheckReport, hashes: dict[str, Hash | None]) -> None:
    places: dict[int, dict[int, str]] = {}
    for scan in scans:
        folder = folder_of(scan.path)
        found = {
            number: local_image(source, folder, scan.options.images)
            for number, source in scan.sources().items()
        }
        places[id(scan)] = {number: place for number, place in found.items() if place is not None}
    for one, other in _pairs(scans):
        for twin, line in same_pixels(places[id(one)], places[id(other)], hashes):
            report.counts["TILEKIT_PIXELS_IN_TRAIN_AND_TEST"] += 1
            if report.counts["TILEKIT_PIXELS_IN_TRAIN_AND_TEST"] <= one.options.keep:
                detail = f"they are those of {one.path}, line {twin}"
                report.both.append(
                    Located(other.path, line, Finding("TILEKIT_PIXELS_IN_TRAIN_AND_TEST", detail))
                )
