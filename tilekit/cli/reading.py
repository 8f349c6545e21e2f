"""Options that decide how a label file is read: the same for every command that reads one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import click

from tilekit.cli.hints import passed
from tilekit.cli.output import complain, say
from tilekit.cli.speaking import in_our_options

if TYPE_CHECKING:
    from tilekit.labels.label_set import LabelSet

_OPTIONS: tuple[Callable[..., Any], ...] = (
    click.option(
        "--from",
        "source_format",
        metavar="FORMAT",
        help="Format of the labels; found by content unless told.",
    ),
    click.option("--images", metavar="FOLDER", help="Where the scans are, if not where the labels say."),
    click.option("--lenient", is_flag=True, help="Leave bad entries out and list them, instead of stopping."),
    click.option("--clip", is_flag=True, help="Clip boxes that pass the edge of their page, and count them."),
    click.option(
        "--duplicates",
        type=click.Choice(["refuse", "union", "first", "consensus"]),
        default="refuse",
        show_default=True,
        help="What becomes of a page that is named twice.",
    ),
    click.option(
        "--units",
        type=click.Choice(["px", "share"]),
        help="What the boxes are in, where the format does not say.",
    ),
    click.option(
        "--crowd",
        type=click.Choice(["ignore", "box"]),
        help="COCO: what iscrowd entries become (ignore regions).",
    ),
    click.option(
        "--no-file",
        type=click.Choice(["unlabeled", "empty"]),
        help="YOLO: what an image without a text file is.",
    ),
    click.option(
        "--attribute",
        "attributes",
        multiple=True,
        metavar="NAME",
        help="Ground Truth: read this label attribute.",
    ),
)


@dataclass(frozen=True)
class Reading:
    """What a person said of how labels are read."""

    source_format: str | None = None
    images: str | None = None
    lenient: bool = False
    clip: bool = False
    duplicates: Any = "refuse"
    units: Any = None
    crowd: str | None = None
    no_file: str | None = None
    attributes: tuple[str, ...] = ()

    def read(self, source: str, ignore_names: tuple[str, ...] = (), *, shapes: bool = False) -> LabelSet:
        """The labels of a file or folder."""
        from tilekit.labels.reading import FORMATS, read_labels

        if self.source_format is not None and self.source_format not in FORMATS:
            raise click.BadParameter(f"{self.source_format!r}: use one of {', '.join(FORMATS)}")
        more: dict[str, Any] = {"crowd": self.crowd, "no_file": self.no_file, "attributes": self.attributes}
        return read_labels(
            source,
            self.source_format,
            strict=not self.lenient,
            images=self.images,
            ignore_names=ignore_names,
            duplicates=self.duplicates,
            units=self.units,
            clip=self.clip,
            shapes=shapes,
            **{name: value for name, value in more.items() if value},
        )

    def read_aloud(self, source: str, *, shapes: bool = False) -> LabelSet:
        """The labels of a file or folder; what was left out of it is said."""
        found = self.read(source, shapes=shapes)
        if found.problems:
            tell(found)
        else:
            for note in found.notes:
                say(in_our_options(note))
        return found

    @property
    def words(self) -> list[str]:
        """The options as they were typed, for a hint that reads the same file."""
        flags = [f"--{name}" for name in ("lenient", "clip") if getattr(self, name)]
        values = {"from": self.source_format, "images": self.images, "units": self.units, "crowd": self.crowd}
        values |= {"no_file": self.no_file}
        values |= {"duplicates": None if self.duplicates == "refuse" else self.duplicates}
        return [
            *passed(**values),
            *flags,
            *(word for name in self.attributes for word in ("--attribute", name)),
        ]

    def of_review(self) -> Reading:
        """How a review of these labels is read: its format is its own, its pages are in the same place."""
        return Reading(images=self.images, lenient=self.lenient, clip=self.clip, duplicates=self.duplicates)

    def require(self, there: bool, what: str) -> None:
        """Refuse options of reading where no labels are read; `what` says what would be."""
        if self.words and not there:
            raise click.UsageError(f"{self.words[0]} says how labels are read: {what}")


def tell(found: LabelSet) -> None:
    """Notes, problems, and the sum of all entries."""
    for note in found.notes:
        say(in_our_options(note))
    for problem in found.problems:
        complain(in_our_options(str(problem)))
    if found.tally is not None:
        say(str(found.tally))


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options, handed to the command as one value, `reading`."""
    names = [field.name for field in fields(Reading)]

    @functools.wraps(command)
    def call(**given: Any) -> Any:
        chosen = Reading(**{name: given.pop(name) for name in names})
        return command(**given, reading=chosen)

    made: Callable[..., Any] = call
    for option in reversed(_OPTIONS):
        made = option(made)
    return made
