"""Mask images of Ground Truth's semantic segmentation: a PNG whose colors are labels, as `internal-color-map` says.

SageMaker guide, page "sms-data-output". A mask image does not tell objects apart, so each region of one color that
hangs together is taken for one object.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import ScanError, StorageError, StorageNotFound
from tilekit.labels.entries import Wrong, shown
from tilekit.labels.files import read_bytes
from tilekit.labels.shapes import mask_of
from tilekit.labels.sources import PathLike, is_there, resolve
from tilekit.pages import PageKey

_COLOR = re.compile(r"#([0-9a-fA-F]{6})")
_MOST = 255
"""Colors of a map; one more is background."""


@dataclass(frozen=True, slots=True)
class MaskImage:
    """A mask attribute of a line: `source` as it says, and `colors`: its color map, not looked at yet."""

    source: Any
    colors: Any
    created: str = ""
    adjusted: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the color map names, background left out."""
        entries = self.colors.values() if isinstance(self.colors, dict) else ()
        names = [entry.get("class-name") for entry in entries if isinstance(entry, dict)]
        return tuple(name for name in names if isinstance(name, str) and not _is_background(name))


@dataclass(frozen=True, slots=True)
class Region:
    """Pixels of one label that hang together: the box around them, and the shape as `Collector.box` takes it."""

    label: str
    sides: tuple[float, float, float, float]
    drawn: Any


@dataclass(frozen=True, slots=True)
class MaskFiles:
    """Finds and reads the mask images of a manifest in `folder`; `images`: where the scans are, and masks may be."""

    folder: str
    images: PathLike | None
    _lost: dict[str, str] = field(default_factory=dict)

    def regions(self, mask: MaskImage, page: PageKey) -> tuple[list[Region], tuple[int, int]]:
        """The regions of a mask and its size; Wrong where it is out of reach or does not go with its color map."""
        labels = _labels_by_color(mask.colors)
        if not isinstance(mask.source, str) or not mask.source.strip():
            raise Wrong(f"is {shown(mask.source)}; the path or s3:// address of the mask image is needed")
        pixels = self._pixels(mask.source, page)
        return _regions(pixels, labels), (pixels.shape[1], pixels.shape[0])

    def _pixels(self, source: str, page: PageKey) -> NDArray[np.uint8]:
        from tilekit.scans.encoding import decode_image

        path = resolve(source, self.folder).source
        if self.images is not None:
            beside = resolve(source, self.folder, self.images).source
            path = beside if is_there(beside) and beside != page.source else path
        place = path.rsplit("/", 1)[0] if "://" in path else path
        if place in self._lost:  # one bucket that does not answer would be asked for each line
            raise Wrong(self._lost[place])
        try:
            return decode_image(read_bytes(path))
        except StorageError as exc:
            said = f"the mask image cannot be reached: {exc}; give images= (--images) where it is"
            if not isinstance(exc, StorageNotFound):  # of one that is missing the others know nothing
                self._lost[place] = said
            raise Wrong(said) from exc
        except ScanError as exc:
            raise Wrong(f"the mask image cannot be read: {exc}") from exc


def _labels_by_color(colors: Any) -> dict[int, str]:
    """Color (0xRRGGBB) -> label, empty for the background; Wrong for a map that is none."""
    if not isinstance(colors, dict) or not colors or len(colors) > _MOST:
        raise Wrong(f"is {shown(colors)}; an object of colors is needed", "internal-color-map")
    found: dict[int, str] = {}
    for key, entry in colors.items():
        name = entry.get("class-name") if isinstance(entry, dict) else None
        color = entry.get("hex-color") if isinstance(entry, dict) else None
        match = _COLOR.fullmatch(color) if isinstance(color, str) else None
        if match is None or not isinstance(name, str) or not name:
            said = f"is {shown(entry)}; class-name and hex-color like '#2ca02c' are needed"
            raise Wrong(said, f"internal-color-map.{key}")
        number, label = int(match[1], 16), "" if _is_background(name) else name
        if found.setdefault(number, label) != label:
            raise Wrong(f"gives {color} to two labels", "internal-color-map")
    return found


def _is_background(name: str) -> bool:
    return name.upper() == "BACKGROUND"


def _regions(pixels: NDArray[np.uint8], labels: Mapping[int, str]) -> list[Region]:
    from tilekit.scans.regions import regions_of

    rgb = np.broadcast_to(pixels, (*pixels.shape[:2], 3)).astype(np.uint32)
    colors = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
    names = list(dict.fromkeys(label for label in labels.values() if label))
    values = np.zeros(colors.shape, dtype=np.uint8)
    known = np.zeros(colors.shape, dtype=np.bool_)
    for color, label in labels.items():
        here = colors == color
        known |= here
        values[here] = names.index(label) + 1 if label else 0
    if not known.all():
        odd = int(colors[~known][0])
        said = f"has {int((~known).sum()):,} px of colors such as #{odd:06x} that its internal-color-map does not name"
        raise Wrong(f"{said}; add them to the map, or save the mask without smoothing")
    places = np.flatnonzero(values)
    numbers = regions_of(values).ravel()[places] if len(places) else places
    order = np.argsort(numbers, kind="stable")
    edges = np.flatnonzero(np.diff(numbers[order])) + 1
    parts = np.split(places[order], edges) if len(places) else []
    parts.sort(key=lambda part: int(part[0]))
    return [_region(part, values, names) for part in parts]


def _region(places: NDArray[np.int64], values: NDArray[np.uint8], names: list[str]) -> Region:
    down, across = np.divmod(places, values.shape[1])
    left, top, right, bottom = (
        int(side) for side in (across.min(), down.min(), across.max() + 1, down.max() + 1)
    )
    picture = np.zeros((bottom - top, right - left), dtype=np.bool_)
    picture[down - top, across - left] = True
    label = names[int(values.flat[int(places[0])]) - 1]
    return Region(label, (left, top, right, bottom), mask_of(picture, left, top))
