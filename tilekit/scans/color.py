"""Whatever libvips decoded becomes upright uint8 gray or sRGB, by its color management."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tilekit.errors import ScanUnsupported

_GRAY = {"b-w", "grey16", "multiband", "matrix", "histogram", "fourier"}
_WHITE = 255
_ASSOCIATED, _ALPHA = 1, 2


@dataclass(frozen=True)
class Meaning:
    """What a file says of its samples, where libvips does not tell.

    `colors`: how many of the first samples are color, None where it is as libvips has it.
    `extra`: what each sample after those is: 0 unspecified, 1 associated (premultiplied) alpha,
    2 unassociated alpha. Unspecified is no alpha; the sample is left out.
    """

    colors: int | None = None
    extra: tuple[int, ...] = ()


AS_LOADED = Meaning()


@dataclass(frozen=True)
class Look:
    """What `to_page` will do: `identity` if nothing; `turned` if rows do not come out in stored order."""

    identity: bool
    turned: bool


def look_at(image: Any, meaning: Meaning = AS_LOADED) -> Look:
    """Whether an image as loaded is already upright uint8 gray or sRGB, unspecified samples left out."""
    orientation = _orientation(image)
    image = _without_unspecified(image, meaning)
    plain = (
        image.format == "uchar"
        and (image.bands, image.interpretation) in {(1, "b-w"), (3, "srgb")}
        and not _needs_profile(image)
    )
    return Look(plain and orientation == 1, orientation > 2)


def to_page(image: Any, name: str, meaning: Meaning = AS_LOADED) -> Any:
    """Upright, uint8, 1 band (gray) or 3 (sRGB).

    ICC profiles are followed (relative colorimetric), CMYK without one goes through libvips' own
    CMYK profile, 16 bits keep their upper eight, float is linear light from 0 to 1 (RGB) or
    0 to 255 (gray), alpha is laid over white. Raises ScanUnsupported for what has no color meaning.
    """
    image = _without_unspecified(image, meaning)
    if look_at(image).identity:
        return image
    image = _to_8_bit(_with_meaning(image, name))
    if image.bands in (2, 4):
        image = _over_white(image, premultiplied=meaning.extra[:1] == (_ASSOCIATED,))
    if _orientation(image) > 1:
        image = image.autorot()
    return image


def _with_meaning(image: Any, name: str) -> Any:
    """The image with an interpretation that says what its bands are."""
    if image.format not in {"uchar", "ushort", "float", "double"}:
        raise ScanUnsupported(
            f"{name}: has samples of type {image.format}; convert it to 8 or 16 bit unsigned or to float first"
        )
    space, bands = image.interpretation, image.bands
    wide = image.format == "ushort"
    if space in _GRAY and bands <= 2:
        return image.copy(interpretation="grey16" if wide else "b-w")
    if space in {"multiband", "b-w", "grey16"} and bands in (3, 4):
        return image.copy(interpretation="rgb16" if wide else "srgb")
    if bands - {"cmyk": 4}.get(space, 3) in (0, 1):
        return image
    raise ScanUnsupported(
        f"{name}: has {bands} bands that are not gray, RGB, CMYK or Lab; write the bands to be seen to a file of their own"
    )


def _without_unspecified(image: Any, meaning: Meaning) -> Any:
    """Color, and alpha where the file says that there is some; no other sample."""
    if meaning.colors is None or image.bands <= meaning.colors or image.interpretation == "multiband":
        return image
    alpha = next((place for place, kind in enumerate(meaning.extra) if kind in (_ASSOCIATED, _ALPHA)), None)
    color = image.extract_band(0, n=meaning.colors)
    return color if alpha is None else color.bandjoin(image[meaning.colors + alpha])


def _over_white(image: Any, *, premultiplied: bool) -> Any:
    if not premultiplied:
        return image.flatten(background=[_WHITE] * (image.bands - 1))
    color, alpha = image.extract_band(0, n=image.bands - 1), image[image.bands - 1]
    return (color + (_WHITE - alpha)).cast("uchar")


def _to_8_bit(image: Any) -> Any:
    gray = image.interpretation in {"b-w", "grey16"}
    if _needs_profile(image):
        if gray:
            return _drop_profile(image.icc_import(embedded=True, pcs="lab")).colourspace("b-w").cast("uchar")
        return image.icc_transform("srgb", embedded=True, intent="relative", depth=8)
    return _drop_profile(image).colourspace("b-w" if gray else "srgb").cast("uchar")


def _drop_profile(image: Any) -> Any:
    image = image.copy()
    if image.get_typeof("icc-profile-data"):
        image.remove("icc-profile-data")
    return image


def _needs_profile(image: Any) -> bool:
    """Whether an embedded profile changes the pixels: not if it is sRGB itself."""
    if not image.get_typeof("icc-profile-data"):
        return False
    profile = bytes(image.get("icc-profile-data"))
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return False
    fits = {b"GRAY": 1, b"RGB ": 3, b"CMYK": 4, b"Lab ": 3}.get(profile[16:20])
    if fits is None or image.bands - fits not in (0, 1):
        return False
    return not _is_srgb(profile)


def _is_srgb(profile: bytes) -> bool:
    """By the profile's own description, as every maker of sRGB profiles writes it."""
    count = min(int.from_bytes(profile[128:132], "big"), 200)
    for at in range(132, 132 + 12 * count, 12):
        if profile[at : at + 4] == b"desc":
            start = int.from_bytes(profile[at + 4 : at + 8], "big")
            size = min(int.from_bytes(profile[at + 8 : at + 12], "big"), 400)
            return b"sRGB" in profile[start : start + size].replace(b"\x00", b"")
    return False


def _orientation(image: Any) -> int:
    if not image.get_typeof("orientation"):
        return 1
    value = int(image.get("orientation"))
    return value if 1 <= value <= 8 else 1
