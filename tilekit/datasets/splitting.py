"""Splits: which page serves training, tuning and testing. By page or document, never by tile; parts of pages see
`regions`."""

from __future__ import annotations

import csv
import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from tilekit.boxes.annotations import Annotations
from tilekit.errors import InvalidArgument, LabelError
from tilekit.labels.label_set import LabelSet
from tilekit.pages import PageKey
from tilekit.storage.local import storage_errors
from tilekit.storage.s3 import Access, is_s3
from tilekit.storage.staging import staged

Side = Literal["train", "tune", "test"]
Rectangle = tuple[int, int, int, int]
Regions = Mapping[Side, Sequence[Rectangle]]
SIDES: tuple[Side, ...] = ("train", "tune", "test")
SHARES = (0.7, 0.15, 0.15)
"""Of pages on each side, where nobody says."""
_SIDES_NAMED: Mapping[str, Side] = {
    "train": "train",
    "training": "train",
    "val": "tune",
    "valid": "tune",
    "validation": "tune",
    "tune": "tune",
    "test": "test",
    "testing": "test",
}
OUT = "out"  # what a split file calls a page that no side gets
REGIONS = "regions"  # what a split file calls the parts of pages that are split by region
_FIRST_SERVED: tuple[Side, ...] = ("train", "test", "tune")  # where a label has fewer pages than sides
_NO_SYMBOL = ""  # the stratum of pages without any symbol; a label is never empty


@dataclass(frozen=True)
class Split:
    """Which pages are on which side, each side in the order of the labels.

    `left_out`: pages that no side gets, because a split file says so. `notes`: what a person
    should know, such as a label that is on one side only. `regions`: of pages that are split by region, the
    rectangles (base px) of each side; such a page is on several sides.
    """

    train: tuple[PageKey, ...] = ()
    tune: tuple[PageKey, ...] = ()
    test: tuple[PageKey, ...] = ()
    left_out: tuple[PageKey, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)
    regions: Mapping[PageKey, Regions] = field(default_factory=dict)

    def pages(self, side: Side) -> tuple[PageKey, ...]:
        """The pages of a side."""
        found: tuple[PageKey, ...] = getattr(self, side)
        return found

    def side_of(self) -> dict[PageKey, Side]:
        """Side by page; the last of its sides for one that is split by region."""
        return {key: side for side in SIDES for key in self.pages(side)}

    def to_json(self, name: Callable[[PageKey], str] = str) -> dict[str, Any]:
        """Side -> pages in their text form (or as `name` says), `regions`; a file of this is a split file again."""
        sides: dict[str, Any] = {side: [name(key) for key in self.pages(side)] for side in SIDES}
        if self.left_out:
            sides[OUT] = [name(key) for key in self.left_out]
        if self.regions:
            sides[REGIONS] = {
                name(key): {side: [list(one) for one in found[side]] for side in SIDES if side in found}
                for key, found in self.regions.items()
            }
        return sides


def split_pages(
    labels: Mapping[PageKey, Annotations],
    ratios: Sequence[float] = (0.7, 0.15, 0.15),
    *,
    by: Literal["document", "page"] = "document",
    seed: int = 0,
) -> Split:
    """Split pages into train, tune and test, stratified by label, the same for the same seed.

    `ratios`: shares of train, tune, test; 0 leaves a side empty. `by` "document" keeps the pages
    of one file (a PDF, a multi-page TIFF) on one side. Each label's pages are shared out in these
    ratios, the rarest label first (iterative stratification, Sechidis et al. 2011, on documents);
    a label of one document goes to train, of two to train and test. Pages without any symbol are
    a stratum of their own and go to every side. Ignored boxes do not count as symbols.

    The result does not depend on the order of the pages in `labels`.
    Raises InvalidArgument for ratios that are not three shares, or an empty label set.
    """
    shares = checked_ratios(ratios)
    if by not in ("document", "page"):
        raise InvalidArgument(f'by={by!r} is unknown; choose "document" or "page"')
    if not labels:
        raise InvalidArgument("labels holds no pages, so there is nothing to split")
    groups: dict[tuple[str, int], list[PageKey]] = defaultdict(list)
    for key in sorted(labels):
        groups[key.source, key.page if by == "page" else 0].append(key)
    strata = {place: _strata(labels, keys) for place, keys in groups.items()}
    sides = stratified(strata, {place: len(keys) for place, keys in groups.items()}, shares, seed)
    side_of: dict[PageKey, str] = {key: sides[place] for place, keys in groups.items() for key in keys}
    return _split_of(labels, side_of)


def split_from_file(
    labels: Mapping[PageKey, Annotations], path: str | os.PathLike[str], *, access: Access | None = None
) -> Split:
    """The split that a file, local or on S3, gives: JSON (`{"train": [pages], ...}`) or CSV (`page,side` a line).

    Pages stand in their text form (`plan.tif`, `set.pdf#page=3`): as in the labels, relative to the
    split file, or from any folder on;
    a file named without `#page=` covers all of its pages that are not named themselves. The side
    `out` leaves pages out. Raises LabelError naming file and line for an unknown page or side, a
    page that stands twice, and pages of `labels` that are not named; StorageError for what cannot be read.
    """
    with staged(path, access=access) as file, storage_errors(path):
        data = file.read_bytes()
    entries, regions = _entries(os.fspath(path), data)
    folder = "." if is_s3(path) else Path(path).parent
    return split_from(labels, entries, where=os.fspath(path), folder=folder, regions=regions)


def split_from(
    labels: Mapping[PageKey, Annotations],
    entries: Iterable[tuple[str, str, str]],
    where: str = "split",
    folder: str | os.PathLike[str] = ".",
    regions: Mapping[str, Regions] | None = None,
) -> Split:
    """The split given by (page in text form, side, place for messages) entries; see `split_from_file`.

    `regions`: of pages (in text form) that are split by region; these alone may stand on several sides.
    """
    sources: dict[str, list[PageKey]] = defaultdict(list)
    for key in labels:
        sources[key.source].append(key)
    names = _Names(sources, Path(folder))
    named: dict[PageKey, str] = {}
    covered: dict[PageKey, str] = {}
    parts = {
        key: found
        for text, found in (regions or {}).items()
        for key in names.pages(text, f"{where} field {REGIONS!r}")[0]
    }
    for text, side, place in entries:
        if side not in (*SIDES, OUT):
            raise LabelError(f"{place}: unknown side {side!r}; known are {', '.join((*SIDES, OUT))}")
        keys, whole = names.pages(text, place)
        target = covered if whole else named
        for key in keys:
            if target.get(key, side) != side and key not in parts:
                raise LabelError(f"{place}: {key} is on two sides, {target[key]} and {side}; keep one")
            target[key] = side
    side_of = {key: found for key in labels if (found := named.get(key, covered.get(key))) is not None}
    if missing := [key for key in labels if key not in side_of]:
        raise LabelError(
            f"{where}: names no side for {len(missing)} of {len(labels)} pages, the first is {missing[0]}; "
            f"add them, with the side {OUT!r} for pages to leave out"
        )
    chosen = _split_of(labels, side_of)
    return _with_regions(chosen, list(labels), parts) if parts else chosen


def _with_regions(split: Split, keys: Sequence[PageKey], parts: Mapping[PageKey, Regions]) -> Split:
    """A split whose pages with regions are on the sides that these say."""
    alone = split.side_of()
    pages = {
        side: tuple(key for key in keys if (side in parts[key] if key in parts else alone.get(key) == side))
        for side in SIDES
    }
    return replace(
        split, train=pages["train"], tune=pages["tune"], test=pages["test"], notes=(), regions=parts
    )


def split_from_inputs(inputs: Mapping[str, Mapping[PageKey, Annotations]]) -> Split:
    """The split kept from separate inputs: side -> labels. Raises LabelError for a page on two sides."""
    united: dict[PageKey, Annotations] = {}
    side_of: dict[PageKey, str] = {}
    for side, labels in inputs.items():
        if side not in SIDES:
            raise InvalidArgument(f"labels: unknown side {side!r}; known are {', '.join(SIDES)}")
        for key, value in labels.items():
            if key in side_of:
                raise LabelError(
                    f"{key} is in the labels of both {side_of[key]} and {side}; a page serves one side only"
                )
            side_of[key], united[key] = side, value
    return _split_of(united, side_of)


def split_from_labels(labels: LabelSet) -> Split | None:
    """The split that a label file names: its train, val (or valid, tune) and test; val is the test where none is named.

    None where it names no training side, just one, a side of another name, or has pages without one.
    """
    said = {key: _SIDES_NAMED.get(labels.reading.splits.get(key, "").lower()) for key in labels}
    found = {side for side in said.values() if side is not None}
    if None in said.values() or "train" not in found or len(found) < 2:
        return None
    other = {} if "test" in found else {"tune": "test"}
    chosen = _split_of(labels, {key: other.get(side or "", side or "") for key, side in said.items()})
    counts = ", ".join(f"{side} {len(chosen.pages(side))}" for side in SIDES)
    note = f"the sides are those that the labels name ({counts}); split= (--split) shares the pages out anew"
    return replace(chosen, notes=(note, *chosen.notes))


def present(annotations: Annotations) -> set[str]:
    """The labels that a page really shows: those of boxes that are not ignored."""
    return {annotations.names[place] for place in set(annotations.class_ids[~annotations.ignore].tolist())}


def checked_ratios(ratios: Sequence[float]) -> dict[Side, float]:
    """The shares of train, tune and test, adding up to 1. Raises InvalidArgument."""
    try:
        shares = [float(value) for value in ratios]
    except (TypeError, ValueError) as exc:
        raise InvalidArgument(f"split={ratios!r} must be three shares: train, tune, test") from exc
    if len(shares) != 3 or any(not 0 <= share < float("inf") for share in shares) or not shares[0]:
        raise InvalidArgument(
            f"split={ratios!r} must be three shares of at least 0: train, tune, test; train above 0"
        )
    return {side: share / sum(shares) for side, share in zip(SIDES, shares, strict=True)}


def _strata(labels: Mapping[PageKey, Annotations], keys: Iterable[PageKey]) -> Counter[str]:
    """Pages of a group by label; pages without a symbol count under the empty label."""
    pages: Counter[str] = Counter()
    for key in keys:
        pages.update(present(labels[key]) or {_NO_SYMBOL})
    return pages


def stratified(
    strata: Mapping[tuple[str, int], Counter[str]],
    sizes: Mapping[tuple[str, int], int],
    shares: Mapping[Side, float],
    seed: int,
) -> dict[tuple[str, int], Side]:
    """Share out groups, the label with the fewest groups first."""
    order = sorted(strata)
    random.Random(seed).shuffle(order)
    rank = {place: number for number, place in enumerate(order)}
    holders: dict[str, set[tuple[str, int]]] = defaultdict(set)
    wanted: dict[str, dict[Side, float]] = {}
    for place, pages in strata.items():
        for label in pages:
            holders[label].add(place)
    for label, places in holders.items():
        total = sum(strata[place][label] for place in places)
        wanted[label] = {side: share * total for side, share in shares.items()}
    room = {side: share * sum(sizes.values()) for side, share in shares.items()}
    served: dict[str, set[Side]] = defaultdict(set)
    assigned: dict[tuple[str, int], Side] = {}
    while holders:
        label = min(holders, key=lambda name: (len(holders[name]), name))
        todo = sorted(holders.pop(label), key=lambda place: (-strata[place][label], rank[place]))
        for number, place in enumerate(todo):
            side = _neediest(wanted[label], room, served[label], len(todo) - number, shares)
            assigned[place] = side
            room[side] -= sizes[place]
            for other, count in strata[place].items():
                wanted[other][side] -= count
                served[other].add(side)
                if other in holders:
                    holders[other].discard(place)
                    if not holders[other]:
                        del holders[other]
    return assigned


def _neediest(
    wanted: Mapping[Side, float],
    room: Mapping[Side, float],
    served: set[Side],
    remaining: int,
    shares: Mapping[Side, float],
) -> Side:
    """The side a group goes to: one the label would otherwise miss, else where most of it is wanted."""
    lacking = [side for side in _FIRST_SERVED if shares[side] > 0 and side not in served]
    if lacking and remaining <= len(lacking):
        return lacking[0]
    open_sides = [side for side in SIDES if shares[side] > 0]
    return max(open_sides, key=lambda side: (wanted[side], room[side], -_FIRST_SERVED.index(side)))


def _split_of(labels: Mapping[PageKey, Annotations], side_of: Mapping[PageKey, str]) -> Split:
    pages: dict[str, list[PageKey]] = {side: [] for side in (*SIDES, OUT)}
    shown: dict[str, set[str]] = {side: set() for side in (*SIDES, OUT)}
    empty: Counter[str] = Counter()
    for key in labels:
        side = side_of[key]
        found = present(labels[key])
        pages[side].append(key)
        shown[side] |= found
        empty[side] += not found
    return Split(
        tuple(pages["train"]),
        tuple(pages["tune"]),
        tuple(pages["test"]),
        tuple(pages[OUT]),
        tuple(_notes(pages, shown, empty)),
    )


def _notes(
    pages: Mapping[str, list[PageKey]], shown: Mapping[str, set[str]], empty: Mapping[str, int]
) -> list[str]:
    notes = [f"no page is on the {side} side" for side in SIDES if not pages[side]]
    for label in sorted(set().union(*(shown[side] for side in SIDES))):
        absent = [side for side in SIDES if pages[side] and label not in shown[side]]
        if absent:
            notes.append(f"label {label!r} is on no {' or '.join(absent)} page; it is on too few documents")
    if any(empty[side] for side in SIDES):
        without = [side for side in SIDES if pages[side] and not empty[side]]
        if without:
            notes.append(f"{' and '.join(without)} have no page without symbols; too few such documents")
    return notes


def _entries(path: str, data: bytes) -> tuple[list[tuple[str, str, str]], dict[str, Regions]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise LabelError(f"{path}: is not UTF-8 text; a split is JSON or CSV") from exc
    if text.lstrip().startswith("{"):
        return _json_entries(path, text)
    entries = []
    for number, row in enumerate(csv.reader(text.splitlines()), 1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and cells[:2] == ["page", "side"]):
            continue
        if len(cells) != 2:
            raise LabelError(f"{path} line {number}: has {len(cells)} fields; a line is page,side")
        entries.append((cells[0], cells[1], f"{path} line {number}"))
    return entries, {}


def _json_entries(path: str, text: str) -> tuple[list[tuple[str, str, str]], dict[str, Regions]]:
    try:
        value: Any = json.loads(text)
    except json.JSONDecodeError as exc:
        raise LabelError(f"{path} line {exc.lineno}: is not JSON: {exc.msg}") from exc
    entries = []
    regions = _regions(path, value.pop(REGIONS, {}))
    for side, pages in value.items():
        if not isinstance(pages, list) or not all(isinstance(page, str) for page in pages):
            raise LabelError(f"{path} field {side!r}: must be a list of pages in text form")
        entries += [(page, side, f"{path} field {side!r}") for page in pages]
    return entries, regions


def _regions(path: str, value: Any) -> dict[str, Regions]:
    """Page -> side -> rectangles, as `Split.to_json` writes them."""
    try:
        found = msgspec.convert(value, dict[str, dict[Side, list[Rectangle]]])
    except msgspec.ValidationError as exc:
        raise LabelError(
            f"{path} field {REGIONS!r}: must be page -> side -> rectangles [x0, y0, x1, y1]: {exc}"
        ) from exc
    for page, sides in found.items():
        every = [one for rectangles in sides.values() for one in rectangles]
        if any(x0 < 0 or y0 < 0 or x1 <= x0 or y1 <= y0 for x0, y0, x1, y1 in every):
            raise LabelError(f"{path} field {REGIONS!r}: {page!r} has a rectangle without area")
        for place, one in enumerate(every):
            for other in every[place + 1 :]:
                if one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]:
                    raise LabelError(
                        f"{path} field {REGIONS!r}: {page!r} has rectangles that overlap, {one} and {other}"
                    )
    return {page: {side: tuple(rows) for side, rows in sides.items()} for page, sides in found.items()}


class _Names:
    """The ways to name the sources of labels: as they stand, relative to a folder, by an end of the path."""

    def __init__(self, sources: Mapping[str, list[PageKey]], folder: Path) -> None:
        self.sources, self.folder = sources, folder
        self.absolute = {os.path.abspath(name): name for name in sources}
        self.ends: dict[str, list[str]] = defaultdict(list)
        for name in sources:
            parts = name.replace("\\", "/").split("/")
            for start in range(len(parts)):
                self.ends["/".join(parts[start:])].append(name)

    def pages(self, text: str, place: str) -> tuple[list[PageKey], bool]:
        """The pages an entry names, and whether it names a whole file of several."""
        try:
            wanted = PageKey.parse(text)
        except InvalidArgument as exc:
            raise LabelError(f"{place}: {exc}") from exc
        found = self.sources[self._source(wanted.source, text, place)]
        if "#page=" not in text:
            return found, len(found) > 1
        keys = [key for key in found if key.page == wanted.page]
        if not keys:
            raise LabelError(f"{place}: {text!r} is no page of the labels; the file's other pages are")
        return keys, False

    def _source(self, source: str, text: str, place: str) -> str:
        if source in self.sources:
            return source
        if (known := self.absolute.get(os.path.abspath(self.folder / source))) is not None:
            return known
        parts = [part for part in source.replace("\\", "/").split("/") if part != "."]
        while parts and parts[0] == "..":
            parts.pop(0)
        full = self.ends.get("/".join(parts), [])
        if not full:
            raise LabelError(f"{place}: {text!r} is no page of the labels; use their paths or ends of them")
        if len(full) > 1:
            raise LabelError(f"{place}: {text!r} may be {full[0]} or {full[1]}; give more of its path")
        return full[0]
