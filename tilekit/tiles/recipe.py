"""How tiles are made, as one checked value; loads neither numpy nor any reader, so that whoever only plans is quick."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from tilekit.errors import InvalidArgument
from tilekit.grid import Tiling
from tilekit.scans.formats import ImageFormat, Subsampling

Quality = int | Literal["keep"]
KEEP: Literal["keep"] = "keep"


@dataclass(frozen=True, slots=True)
class TilesRecipe:
    """How a folder's tiles were made; one for the whole folder.

    `quality` "keep": by a JPEG scan's own tables and, where that can be, bits; else 90. `subsampling` None:
    the scan's, else 444.
    """

    tiling: Tiling
    format: ImageFormat = "jpeg"
    quality: int | Literal["keep"] | None = "keep"
    subsampling: Subsampling | None = None
    skip_blank: bool = False
    max_bytes: int | None = None


def make_recipe(
    tiling: Tiling,
    format: ImageFormat = "jpeg",
    quality: int | Literal["keep"] = KEEP,
    subsampling: Subsampling | None = None,
    skip_blank: bool = False,
    max_bytes: int | None = None,
) -> TilesRecipe:
    """A checked TilesRecipe; raises InvalidArgument naming the setting that makes no sense."""
    for name, value, known in (
        ("format", format, get_args(ImageFormat)),
        ("subsampling", subsampling, get_args(Subsampling)),
    ):
        if value not in known and not (name == "subsampling" and value is None):
            raise InvalidArgument(f"{name}={value!r} must be one of {', '.join(known)}")
    check_quality(quality)
    if max_bytes is not None and (
        isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1
    ):
        raise InvalidArgument(f"max_bytes={max_bytes!r} must be a whole number of bytes above 0")
    jpeg = format == "jpeg"
    return TilesRecipe(
        tiling,
        format,
        quality if jpeg else None,
        subsampling if jpeg else None,
        bool(skip_blank),
        max_bytes,
    )


def check_quality(quality: object) -> None:
    """Raises InvalidArgument unless it is 1 to 100 or "keep"."""
    if quality == KEEP:
        return
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise InvalidArgument(f'quality={quality!r} must be a whole number from 1 to 100, or "keep"')


def same_recipe(left: TilesRecipe, right: TilesRecipe) -> bool:
    """Whether tiles of both can lie in one folder: everything but skip_blank must agree."""
    return replace(left, skip_blank=False) == replace(right, skip_blank=False)
