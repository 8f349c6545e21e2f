"""Whatever libvips decoded becomes upright uint8 gray or sRGB, by its color management."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tilekit.errors import InvalidArgument, ScanUnsupported
from tilekit.rendition import Rendition
from tilekit.scans.levels import WORDS, Range, leveled, range_of, refusal, resolved, uses_its_top_bit

_GRAY = {"b-w", "grey16", "multiband", "matrix", "histogram", "fourier"}
_PLAIN = _GRAY | {"srgb", "rgb", "rgb16", "scrgb"}
_WHITE = 255
_ASSOCIATED, _ALPHA = 1, 2
_WHOLE = {"uchar": 255, "ushort": 65535, "uint": 2**32 - 1, "char": 127, "short": 32767, "int": 2**31 - 1}


@dataclass(frozen=True)
class Meaning:
    """What a file says of its samples, where libvips does not tell.

    `colors`: how many of the first samples are color, None where it is as libvips has it.
    `extra`: what each sample after those is: 0 unspecified, 1 associated (premultiplied) alpha,
    2 unassociated alpha. Unspecified is no alpha; the sample is left out. `most`: the largest
    value a whole number can have by the file's word, 0 where it has none. `lab`: the colors are CIE L*a*b*, a and b stored signed or with
    an offset, though libvips takes them for RGB. `inverted`: zero is white, which is undone after levels, if there are any.
    `inks`: the samples are inks of their own, which only `bands` makes a picture of. `stored`: what the samples are
    in the file, in words, where they come as floats but are none.
    """

    colors: int | None = None
    extra: tuple[int, ...] = ()
    most: int = 0
    lab: Literal["", "signed", "offset"] = ""
    inverted: bool = False
    inks: bool = False
    stored: str = ""


@dataclass(frozen=True)
class Plan:
    """What `to_page` does, decided once for a page.

    `bands`: stored samples taken as they are, else the colors; `opaque`: leave alpha out; `gray`: one band
    at the end; `levels`: values that become 0 and 255, None: as the samples' type has them.
    """

    bands: tuple[int, ...] | None = None
    opaque: bool = False
    gray: bool = False
    levels: Range | None = None


AS_LOADED, AS_IT_IS = Meaning(), Plan()


@dataclass(frozen=True)
class Look:
    """What `to_page` will do: `as_stored` if nothing; `turned` if rows do not come out in stored order."""

    as_stored: bool
    turned: bool


def plan_of(
    image: Any, load: Callable[[], Any], name: str, meaning: Meaning, rendition: Rendition | None
) -> Plan:
    """How a page becomes 8-bit; reads it where its values decide. `load()` gives it afresh.

    Without a rendition nothing is read or refused: the plan is good for the page's size.

    Raises ScanUnsupported for samples without an 8-bit meaning, naming their range and the option to give;
    InvalidArgument for bands it does not have.
    """
    if "complex" in image.format:
        raise ScanUnsupported(f"{name}: has complex samples, which are no picture")
    if rendition is None:
        plain = image.format == "uchar" and image.bands <= 4
        return (
            AS_IT_IS if plain else Plan(bands=tuple(range(3 if image.bands in (3, 4) else 1)), levels=(0, 1))
        )
    bands = rendition.bands
    if meaning.inks and not isinstance(bands, tuple):
        raise ScanUnsupported(
            f"{name}: has {image.bands} inks that are not CMYK; choose those to be seen, such as bands=(0,) (--bands 0)"
        )
    plan = Plan(gray=bands == "gray")
    if isinstance(bands, tuple):
        if max(bands) >= image.bands:
            raise InvalidArgument(f"{name}: bands={bands} must be from 0 to {image.bands - 1}")
        colors = meaning.colors or (image.bands if image.bands in (1, 3) else image.bands - 1)
        own = bands == tuple(range(colors)) and not meaning.inks and meaning.most in (0, 255, 65535)
        plan = Plan(opaque=True) if own else Plan(bands=bands)

    def color(image: Any) -> Any:
        chosen = _chosen(image, name, meaning, plan)
        return chosen.extract_band(0, n=chosen.bands - 1) if _has_alpha(chosen) else chosen

    levels = _levels(color(image), lambda: color(load()), name, meaning, rendition)
    return Plan(plan.bands, plan.opaque, plan.gray, levels)


def _levels(
    image: Any, load: Callable[[], Any], name: str, meaning: Meaning, rendition: Rendition
) -> Range | None:
    form, space, most = image.format, image.interpretation, meaning.most
    if rendition.levels is not None:
        if space not in _PLAIN and space != "cmyk":
            raise InvalidArgument(
                f"{name}: levels= are for gray and RGB samples; these are {space}, which has its own"
            )
        return resolved(rendition.levels, load, most, name, meaning.stored)
    if form in {"uchar", "ushort"} and 0 < most < (255 if form == "uchar" else 65535):
        return 0, most
    if form == "uchar" or (space not in _PLAIN and form != "char"):
        return None
    if form == "ushort" and uses_its_top_bit(load()):
        return None
    raise refusal(name, meaning.stored or WORDS[form], range_of(load()))


def look_at(image: Any, meaning: Meaning = AS_LOADED, plan: Plan = AS_IT_IS) -> Look:
    """Whether an image as loaded is already upright uint8 gray or sRGB, unspecified samples left out."""
    orientation = _orientation(image)
    if image.coding == "none" and plan.bands is None:
        image = _without_unspecified(image, meaning, opaque=plan.opaque)
    plain = (
        image.format == "uchar"
        and not meaning.lab
        and not meaning.inverted
        and (image.bands, image.interpretation) in {(1, "b-w"), (3, "srgb")}
        and plan.bands is None
        and plan.levels is None
        and not (plan.gray and image.bands > 1)
        and not _needs_profile(image)
    )
    return Look(plain and orientation == 1, orientation > 2)


def to_page(image: Any, name: str, meaning: Meaning = AS_LOADED, plan: Plan = AS_IT_IS) -> Any:
    """Upright, uint8, 1 band (gray) or 3 (sRGB).

    ICC profiles are followed (relative colorimetric), CMYK without one goes through libvips' own
    CMYK profile, 16 bits keep their upper eight, alpha is laid over white; with levels, samples are
    mapped and no profile is followed. Raises ScanUnsupported for what has no color meaning.
    """
    image = _chosen(image, name, meaning, plan)
    inverted = meaning.inverted and max(plan.bands or (0,)) < (meaning.colors or 1)
    if plan.levels is not None:
        image = _leveled(image, plan.levels, meaning.most)
    if inverted:
        image = _inverted(image)
    if not look_at(image).as_stored:
        image = _to_8_bit(image)
        if image.bands in (2, 4):
            image = _over_white(image, premultiplied=meaning.extra[:1] == (_ASSOCIATED,))
        if _orientation(image) > 1:
            image = image.autorot()
    return image.colourspace("b-w") if plan.gray and image.bands == 3 else image


def _chosen(image: Any, name: str, meaning: Meaning, plan: Plan) -> Any:
    """The samples to be seen, with an interpretation that says what they are."""
    if image.coding == "labq":
        image = image.LabQ2Lab()
    if plan.bands is not None:
        picked = image[plan.bands[0]]
        if len(plan.bands) > 1:
            picked = picked.bandjoin([image[place] for place in plan.bands[1:]])
        image = _drop_profile(picked.copy(interpretation="multiband"))
    else:
        image = _without_unspecified(image, meaning, opaque=plan.opaque)
        if meaning.lab:
            image = _lab(image, meaning.lab)
    return _with_meaning(image, name, gray_only=meaning.colors == 1 and plan.bands is None)


def _lab(image: Any, kind: str) -> Any:
    """CIE L*a*b* as TIFF stores it (TIFF 6.0 section 23 and its 16-bit supplement) in its own units, as floats."""
    if image.format not in {"uchar", "ushort"}:
        return image.copy(interpretation="lab")
    step, size = (1, 256) if image.format == "uchar" else (256, 65536)
    whole = image.cast("float")
    light = whole[0] * (100 / (size - 1))
    middle = size // 2
    parts = [light]
    for band in (whole[1], whole[2]):
        turned = (band >= middle).ifthenelse(band - size, band) if kind == "signed" else band - middle
        parts.append(turned / step)
    alpha = [whole[3] * (255 / (size - 1))] if image.bands > 3 else []
    return _drop_profile(parts[0].bandjoin([*parts[1:], *alpha]).copy(interpretation="lab"))


def _with_meaning(image: Any, name: str, *, gray_only: bool) -> Any:
    """The image with an interpretation that says what its bands are."""
    space, bands = image.interpretation, image.bands
    wide = image.format == "ushort"
    if space in _GRAY and bands <= 2:
        return image.copy(interpretation="grey16" if wide else "b-w")
    if space in {"multiband", "b-w", "grey16"} and bands in (3, 4) and not gray_only:
        return image.copy(interpretation="rgb16" if wide else "srgb")
    if bands - {"cmyk": 4}.get(space, 3) in (0, 1) and not gray_only:
        return image
    raise ScanUnsupported(
        f"{name}: has {bands} bands that are not gray, RGB, CMYK or Lab; choose those to be seen, such as "
        "bands=(0, 1, 2) (--bands 0,1,2)"
    )


def _inverted(image: Any) -> Any:
    """Zero becomes white; alpha stays."""
    white = _WHOLE[image.format]
    if not _has_alpha(image):
        return (white - image).cast(image.format)
    color, alpha = image.extract_band(0, n=image.bands - 1), image[image.bands - 1]
    return (white - color).cast(image.format).bandjoin(alpha)


def _leveled(image: Any, levels: Range, most: int) -> Any:
    """The color samples mapped to 8 bits, alpha by the whole of its range, the profile left out."""
    space = "cmyk" if image.interpretation == "cmyk" else ("b-w" if image.bands <= 2 else "srgb")
    if not _has_alpha(image):
        return _drop_profile(leveled(image, levels).copy(interpretation=space))
    color, alpha = image.extract_band(0, n=image.bands - 1), image[image.bands - 1]
    whole = leveled(alpha, (0, most or _WHOLE.get(image.format, 1)))
    return _drop_profile(leveled(color, levels).bandjoin(whole).copy(interpretation=space))


def _has_alpha(image: Any) -> bool:
    return image.bands == 5 if image.interpretation == "cmyk" else image.bands in (2, 4)


def _without_unspecified(image: Any, meaning: Meaning, *, opaque: bool = False) -> Any:
    """Color, and alpha where the file says that there is some; no other sample."""
    colors = meaning.colors
    if colors is None:
        return image.extract_band(0, n=image.bands - 1) if opaque and _has_alpha(image) else image
    alpha = next((place for place, kind in enumerate(meaning.extra) if kind in (_ASSOCIATED, _ALPHA)), None)
    several = colors == 1 and alpha is None and image.bands > 2 and not opaque
    if image.bands <= colors or several:
        return image
    color = image.extract_band(0, n=colors)
    return color if alpha is None or opaque else color.bandjoin(image[colors + alpha])


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
    if image.format == "ushort" and image.interpretation in {"grey16", "rgb16"}:
        return _drop_profile((image >> 8).cast("uchar").copy(interpretation="b-w" if gray else "srgb"))
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
