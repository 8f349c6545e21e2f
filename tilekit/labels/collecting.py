"""Collector: what every reader fills with entries, pages, boxes; it accounts for each entry and names what is wrong.

A reader says how many entries there are before it looks at any (`expect`, or `page(entries=)`), and each then gets
one outcome: `box`, `refuse`, `passed`, `unlabeled` or `image_label`. `finish` builds the LabelSet, whose Tally holds
that the two agree.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.annotations import Annotations
from tilekit.labels.drawn import Drawn
from tilekit.labels.duplicates import agreed
from tilekit.labels.entries import FAR, NOWHERE, Where, Wrong, checked_label, checked_score, number, page_size
from tilekit.labels.label_set import BadLabel, ImageLabel, LabelSet, Problem, Reading, Size
from tilekit.labels.on_page import OVERHANG, clipped_to_page, on_page, why_not
from tilekit.labels.options import ReadOptions
from tilekit.labels.page_sizes import size_of_image
from tilekit.labels.rows import Outline, Row, Rows
from tilekit.labels.sources import PathLike
from tilekit.labels.tally import Tally, counted
from tilekit.pages import PageKey

_UPRIGHT = Outline()
_DIGITS = 6  # px from shares are rounded to a millionth, so that whole px come back whole


class Collector:
    """Gathers the entries of a file; `names` given first keep their order, others follow as they come.

    In strict mode the first problem raises BadLabel; else it is kept, and what it takes is left out.
    Memory: about 100 bytes a box.
    """

    def __init__(self, path: PathLike, options: ReadOptions, names: Sequence[str] = ()) -> None:
        self.file = os.fspath(path)
        self.options = options
        self.splits: dict[PageKey, str] = {}
        self._problems: list[Problem] = []
        self._notes: Counter[tuple[str, str]] = Counter()
        self._declared = dict.fromkeys(names)
        self._labels: dict[str, int] = {}
        self._pending: list[Row] = []
        self._chunks: list[Rows] = []
        self._where: list[Callable[[int], Where]] = []
        self._starts: list[int] = []
        self._count = 0
        self._mentions: list[PageKey] = []
        self._named: dict[PageKey, list[int]] = {}
        self._first: dict[PageKey, Where] = {}
        self._batches: list[tuple[int, Callable[[int], Where]]] = []
        self._sizes: dict[PageKey, Size] = {}
        self._marks: dict[PageKey, list[ImageLabel]] = {}
        self._unlabeled: dict[PageKey, str] = {}
        self._extra: dict[PageKey, dict[str, Any]] = {}
        self._refused: Counter[PageKey] = Counter()
        self._expected = 0
        self._waiting = 0
        self._passed: Counter[str] = Counter()
        self._shapes: Counter[str] = Counter()
        self._drawn = Drawn()

    # -- entries ------------------------------------------------------------------------------------------------
    def expect(self, entries: int) -> None:
        """There are so many entries (more) in the file, each of which gets an outcome."""
        self._expected += entries

    def refuse(
        self,
        where: Where,
        message: str,
        entries: int = 1,
        key: PageKey | None = None,
        mention: int | None = None,
    ) -> None:
        """A problem, which takes so many entries with it; the page is not background for that."""
        problem = Problem(where.file or self.file, where.line, where.field, message, entries)
        if self.options.strict:
            raise BadLabel(problem)
        self._problems.append(problem)
        place = key if mention is None else self._mentions[mention]
        if place is not None:
            self._refused[place] += max(entries, 1)

    def passed(self, why: str, entries: int = 1) -> None:
        """Entries that the file itself takes back, or a policy leaves out."""
        if entries:
            self._passed[why] += entries

    def note(self, one: str, many: str = "", count: int = 1) -> None:
        """Something a person should know; the same notes are counted: `{count}` in `many` says how many."""
        self._notes[one, many or one] += count

    def each(
        self,
        items: Iterable[Any],
        where: Callable[[int], Where],
        take: Callable[[Any, Where], None],
        mention: int | None = None,
    ) -> None:
        """Entries that are expected already, one by one: what `take(item, where)` raises as Wrong is a problem."""
        for place, item in enumerate(items):
            spot = where(place)
            try:
                take(item, spot)
            except Wrong as exc:
                self.refuse(spot.at(exc.field), str(exc), mention=mention)

    def declare(self, name: str) -> None:
        """A label that the file names, used or not."""
        self._declared.setdefault(name)

    # -- pages --------------------------------------------------------------------------------------------------
    def page(
        self,
        key: PageKey,
        size: tuple[Any, Any] = (None, None),
        where: Where = NOWHERE,
        entries: int = 0,
        again: bool = False,
    ) -> int | None:
        """A labeled page with so many entries; the number to give to `box`, or None where all are refused.

        Each call names the page anew, which twice is a conflict, but for `again`: formats that list boxes row
        by row name it in each.
        """
        self.expect(entries)
        try:
            known = page_size(*size)
        except Wrong as exc:
            self.refuse(where.at(exc.field), str(exc), entries, key)
            return None
        before = self._sizes.get(key)
        if known is not None and before is not None and before != known:
            said = f"{key} is {known[0]} x {known[1]} px here but {before[0]} x {before[1]} px before; write its true size in both"
            self.refuse(where, said, entries, key)
            return None
        earlier = self._named.get(key)
        if earlier is not None and not again and not self._again(key, where, entries):
            return None
        if known is not None:
            self._sizes[key] = known
        if earlier is not None and again:
            return earlier[-1]
        self._named.setdefault(key, []).append(len(self._mentions))
        self._first.setdefault(key, where)
        self._mentions.append(key)
        return len(self._mentions) - 1

    def pages(
        self, keys: Sequence[PageKey], sizes: Sequence[Size], where: Callable[[int], Where]
    ) -> int | None:
        """Many pages at once, whose entries are not counted yet; the number of the first, the others follow.

        None, and nothing done, where one of them is named already. Sizes are whole px above 0.
        """
        first = len(self._mentions)
        fresh = {key: [first + place] for place, key in enumerate(keys)}
        if len(fresh) < len(keys) or not fresh.keys().isdisjoint(self._named):
            return None
        self._named.update(fresh)
        self._sizes.update(zip(keys, sizes, strict=True))
        self._mentions += keys
        self._batches.append((first, where))
        return first

    def _first_of(self, key: PageKey) -> Where:
        """Where a page was named first."""
        if key in self._first:
            return self._first[key]
        mention = self._named[key][0]
        start, where = max(
            (batch for batch in self._batches if batch[0] <= mention), key=lambda batch: batch[0]
        )
        return where(mention - start)

    def _again(self, key: PageKey, where: Where, entries: int) -> bool:
        """A page is named once more: whether its entries are taken."""
        policy = self.options.duplicates
        if policy == "refuse":
            first = self._first_of(key)
            place = first.field or (f"line {first.line}" if first.line else first.file)
            said = (
                f"{key} is named twice, first in {place or 'an earlier entry'}; take duplicates='union' (--duplicates union), 'first' or "
                "'consensus', or name each page once"
            )
            self.refuse(where, said, entries, key)
        elif policy == "first":
            self.passed("of pages named before (duplicates='first')", entries)
        return policy not in ("refuse", "first")

    def key_of(self, mention: int) -> PageKey:
        """The page of a mention."""
        return self._mentions[mention]

    def size_of(self, mention: int) -> Size:
        """The size of a mention's page, where that is known; else 0, 0."""
        return self._sizes.get(self._mentions[mention], (0, 0))

    def unlabeled(self, key: PageKey, reason: str) -> None:
        """A page that is listed, and nobody labeled: an entry."""
        self._waiting += 1
        self._unlabeled.setdefault(key, reason)

    def image_label(self, mention: int, label: Any, confidence: float = 1.0) -> None:
        """An entry that is a label of the page as a whole."""
        self._marks.setdefault(self._mentions[mention], []).append(
            ImageLabel(checked_label(label), confidence)
        )

    def extra(self, key: PageKey, more: dict[str, Any]) -> None:
        """What else the file says of a page."""
        self._extra.setdefault(key, {}).update(more)

    # -- boxes --------------------------------------------------------------------------------------------------
    def label(self, name: str) -> int:
        """The number of a label."""
        return self._labels.setdefault(name, len(self._labels))

    def box(
        self,
        mention: int,
        label: Any,
        sides: Sequence[Any],
        where: Where,
        *,
        ignore: bool = False,
        share: bool | None = None,
        score: float | None = None,
        outline: Outline = _UPRIGHT,
    ) -> None:
        """An entry that is a box x0, y0, x1, y1, in px of its page or shares of its sides.

        `outline`: what it is the hull of. Raises Wrong for what is no label or no numbers.
        """
        name = checked_label(label)
        values = [side if type(side) is float else number(side, "") for side in sides]
        kept, (shape, drawn) = False, outline
        if self.options.shapes and drawn is not None:
            kept = self._drawn.take(self._count + len(self._pending), drawn)
        if shape != "box":
            self._shapes[shape] += 1
            if self.options.shapes and not kept:
                self.note(
                    f"1 object drawn as {shape} keeps only the box around it",
                    f"{{count}} objects drawn as {shape} keep only the boxes around them",
                )
        self._pending.append(
            Row(
                mention,
                self.label(name),
                values,
                ignore,
                self.options.units == "share" if share is None else share,
                np.nan if score is None else checked_score(score),
                where,
            )
        )

    def count_shapes(self, kind: str, count: int) -> None:
        """So many boxes are the hulls of shapes of a kind."""
        if count:
            self._shapes[kind] += count

    def boxes(
        self,
        mention: NDArray[np.int64],
        label: NDArray[np.int64],
        sides: NDArray[np.float64],
        ignore: NDArray[np.bool_],
        score: NDArray[np.float64],
        where: Callable[[int], Where],
    ) -> None:
        """Many boxes at once, as columns; `where(row)` says where a row came from."""
        self._flush()
        count = len(mention)
        share = np.full(count, self.options.units == "share")
        origin = np.arange(self._count, self._count + count)
        self._add(Rows(mention, label, sides, ignore, share, score, origin), where)

    def _add(self, rows: Rows, where: Callable[[int], Where]) -> None:
        self._starts.append(self._count)
        self._where.append(where)
        self._chunks.append(rows)
        self._count += len(rows)

    def _flush(self) -> None:
        rows, self._pending = self._pending, []
        if not rows:
            return
        places = [row.where for row in rows]
        self._add(Rows.of(rows, self._count), places.__getitem__)

    # -- the result ---------------------------------------------------------------------------------------------
    def finish(self, format: str) -> LabelSet:
        """Everything gathered; problems that only show with all boxes at hand come here."""
        self._flush()
        rows = self._in_pixels(Rows.joined(self._chunks))
        rows = self._sound(rows)
        rows = self._once(rows)
        pages, names, scores = self._pages(rows)
        marks = {key: tuple(found) for key, found in self._marks.items()}
        tally = Tally(
            self._expected,
            int(len(rows) - rows.ignore.sum()),
            int(rows.ignore.sum()),
            sum(problem.entries for problem in self._problems),
            self._waiting,
            sum(map(len, marks.values())),
            dict(self._passed),
        )
        return LabelSet(
            pages,
            sizes=self._sizes,
            names=names,
            image_labels=marks,
            unlabeled={key: why for key, why in self._unlabeled.items() if key not in pages},
            extra=self._extra,
            scores=scores,
            reading=Reading(
                format,
                tally,
                tuple(self._problems),
                tuple(
                    (one if count == 1 else many).replace("{count}", f"{count:,}")
                    for (one, many), count in self._notes.items()
                ),
                dict(self.splits),
                dict(self._shapes),
            ),
        )

    def _spot(self, origin: int) -> Where:
        chunk = bisect_right(self._starts, origin) - 1
        return self._where[chunk](origin - self._starts[chunk])

    def _in_pixels(self, rows: Rows) -> Rows:
        """Shares to px; boxes that were taken for px and cannot be are a problem."""
        if self.options.units is None and not rows.share.all():
            plain = ~rows.share
            sides = rows.sides[plain]
            with np.errstate(invalid="ignore"):
                if ((sides >= 0) & (sides <= 1)).all() and (sides != np.floor(sides)).any():
                    return self._without_units(rows, plain)
        if not rows.share.any():
            return rows
        pages = [self._mentions[mention] for mention in np.unique(rows.mention[rows.share])]
        lost: dict[PageKey, str] = {}
        for key in dict.fromkeys(pages):
            if key not in self._sizes:
                try:
                    self._sizes[key] = size_of_image(key)
                except Wrong as exc:
                    lost[key] = str(exc)
        sized = np.array([self._sizes.get(key, (0, 0)) for key in self._mentions], dtype=np.float64).reshape(
            -1, 2
        )
        scale = np.tile(sized[rows.mention], 2)
        sides = np.where(rows.share[:, None], np.round(rows.sides * scale, _DIGITS), rows.sides)
        rows = replace(rows, sides=sides)
        if not lost:
            return rows
        gone = rows.share & np.isin(rows.mention, [n for n, key in enumerate(self._mentions) if key in lost])
        for mention in dict.fromkeys(rows.mention[gone].tolist()):
            mine = gone & (rows.mention == mention)
            where = replace(self._spot(int(rows.origin[mine][0])), field="")
            said = f"{lost[self._mentions[mention]]}, so shares of the page cannot become px; give images= (--images) where the scans are"
            self.refuse(where, said, int(mine.sum()), mention=mention)
        return rows.kept(~gone)

    def _without_units(self, rows: Rows, plain: NDArray[np.bool_]) -> Rows:
        count = int(plain.sum())
        where = self._spot(int(rows.origin[plain][0]))
        for mention in np.unique(rows.mention[plain]).tolist():
            self._refused[self._mentions[mention]] += 1
        said = (
            f"{'the only box lies' if count == 1 else f'all {count:,} boxes lie'} within 0..1: shares of the page, not px? "
            "Read them with units='share' (--units share), or with units='px' (--units px) where they are px"
        )
        self.refuse(where, said, count)
        return rows.kept(~plain)

    def _sound(self, rows: Rows) -> Rows:
        """Only boxes that lie on their page, clipped where rounding let them pass its edge."""
        if not len(rows):
            return rows
        sized = np.array(
            [self._sizes.get(key, (FAR, FAR)) for key in self._mentions], dtype=np.float64
        ).reshape(-1, 2)[rows.mention]
        good, beyond = on_page(rows, sized, self.options.clip)
        for row in np.flatnonzero(~good).tolist():
            key = self._mentions[rows.mention[row]]
            said = why_not(rows.sides[row].tolist(), self._sizes.get(key))
            self.refuse(self._spot(int(rows.origin[row])), said, key=key)
        if not good.all():
            rows, sized, beyond = rows.kept(good), sized[good], beyond[good]
        if passed := int(beyond.sum()):
            self.note(
                "1 box passed the edge of its page and was clipped",
                "{count} boxes passed the edge of their page and were clipped",
                passed,
            )
        return self._shapes_in_place(clipped_to_page(rows, sized))

    def _shapes_in_place(self, rows: Rows) -> Rows:
        """Only entries whose shape lies on the page, by its box; clipped as boxes are."""
        if not self._drawn:
            return rows
        key_of = [self._mentions[mention] for mention in rows.mention.tolist()]
        faults, clipped = self._drawn.fit(
            rows.origin, rows.sides, lambda row: self._sizes.get(key_of[row]), OVERHANG, self.options.clip
        )
        for fault in faults:
            self.refuse(self._spot(int(rows.origin[fault.row])), fault.why, key=key_of[fault.row])
        if clipped:
            self.note(
                "1 shape passed the edge of its page and was clipped",
                "{count} shapes passed the edge of their page and were clipped",
                clipped,
            )
        good = np.ones(len(rows), np.bool_)
        good[[fault.row for fault in faults]] = False
        return rows.kept(good) if faults else rows

    def _once(self, rows: Rows) -> Rows:
        """What the policy takes of pages named more than once."""
        if len(self._named) == len(self._mentions):
            return rows
        order = np.argsort(rows.mention, kind="stable")
        rows = rows.kept(order)
        edges = np.searchsorted(rows.mention, np.arange(len(self._mentions) + 1))
        keep = np.ones(len(rows), dtype=np.bool_)
        sides = rows.sides.copy()
        for mentions in self._named.values():
            if len(mentions) < 2:
                continue
            parts = [np.arange(edges[mention], edges[mention + 1]) for mention in mentions]
            found = agreed(rows.sides, rows.label * 2 + rows.ignore, parts, self.options.duplicates)
            taken = np.concatenate(parts)
            keep[taken] = False
            keep[found.rows] = True
            sides[found.rows] = found.sides
            if len(taken) != len(found.rows):
                self.passed(found.why, len(taken) - len(found.rows))
        return replace(rows, sides=sides).kept(keep)

    def _pages(
        self, rows: Rows
    ) -> tuple[dict[PageKey, Annotations], tuple[str, ...], dict[PageKey, NDArray[np.float64]]]:
        used = [list(self._labels)[place] for place in dict.fromkeys(rows.label.tolist())]
        names = tuple(dict.fromkeys([*self._declared, *used]))
        places = {name: place for place, name in enumerate(names)}
        ids = np.array([places.get(name, 0) for name in self._labels] or [0], dtype=np.int64)[rows.label]
        ordinal = {key: place for place, key in enumerate(self._named)}
        page_of = rows.mention
        if len(ordinal) < len(self._mentions) and len(rows):
            page_of = np.array([ordinal[key] for key in self._mentions], dtype=np.int64)[rows.mention]
        if len(page_of) and (page_of[1:] < page_of[:-1]).any():
            order = np.argsort(page_of, kind="stable")
            rows, page_of, ids = rows.kept(order), page_of[order], ids[order]
        counts = np.bincount(page_of, minlength=len(ordinal)).tolist() if len(ordinal) else []
        whole = Annotations(rows.sides, ids, names, rows.ignore) if len(rows) else Annotations.empty(names)
        pages = dict(zip(self._named, whole.split(counts), strict=True))
        if self._drawn:
            self._draw(pages, np.split(rows.origin, np.cumsum(counts)[:-1]))
        scores = {}
        if len(rows) and not np.isnan(rows.score).all():
            ends = np.cumsum(counts)[:-1]
            parts = np.split(np.where(np.isnan(rows.score), 1.0, rows.score), ends)
            scores = {key: part for key, part in zip(self._named, parts, strict=True) if len(part)}
        for key, refused in self._refused.items():
            if not len(pages.get(key, ())):
                pages.pop(key, None)
                self._unlabeled.setdefault(
                    key, f"{counted(refused, 'entry', 'entries')} of it refused, none left"
                )
        return pages, names, scores

    def _draw(self, pages: dict[PageKey, Annotations], origins: Sequence[NDArray[np.int64]]) -> None:
        """Put the shapes beside their boxes."""
        if lost := self._drawn.put(pages, origins):
            said = "keep only their box: other shapes stand beside them"
            self.note(f"the keypoints of 1 object {said}", f"the keypoints of {{count}} objects {said}", lost)
