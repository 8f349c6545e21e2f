"""Types of option values, and options, that several commands take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from tilekit.detectors.naming import ModelRef
    from tilekit.grid import Tiling
    from tilekit.scales import AnyTiling, Scales

_F = TypeVar("_F", bound=Callable[..., Any])


def units_option(told: str, name: str = "units") -> Callable[[_F], _F]:
    """`--inference-units` of a model that is started."""
    return click.option(
        "--inference-units", name, type=click.IntRange(min=1), default=1, show_default=True, help=told
    )


def caps_options(function: _F) -> _F:
    """`--steps` and `--minutes` of a training by the local server."""
    for option in (
        click.option(
            "--minutes",
            type=click.FloatRange(0, min_open=True),
            default=60.0,
            show_default=True,
            help="Cap of a local training; it ends before it when it no longer gets better.",
        ),
        click.option("--steps", type=click.IntRange(1), help="Cap of a local training in steps."),
    ):
        function = option(function)
    return function


class Overlap(click.ParamType[Any]):
    """A whole number is px, one with a point a ratio of the tile."""

    name = "px|ratio"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Int or float; `Tiling` checks its range."""
        try:
            return value if not isinstance(value, str) else float(value) if "." in value else int(value)
        except ValueError:
            self.fail(f"{value!r} is neither px (128) nor a ratio (0.125)", param, ctx)


class Dpi(click.ParamType[Any]):
    """A number, or "native"."""

    name = "dpi"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Float, or the word."""
        try:
            return value if value == "native" else float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor native", param, ctx)


class BandsValue(click.ParamType[Any]):
    """`0,1,2`, one number, or "gray"."""

    name = "0,1,2|gray"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """A tuple, or the word; `open_scan` checks it against the scan."""
        from tilekit.errors import InvalidArgument
        from tilekit.rendition import checked_bands

        try:
            if not isinstance(value, str) or value == "gray":
                return value
            return checked_bands(tuple(int(part) for part in value.split(",")))
        except (ValueError, InvalidArgument):
            self.fail(
                f"{value!r} is neither one or three numbers from 0, such as 0,1,2, nor gray", param, ctx
            )


class LevelsValue(click.ParamType[Any]):
    """`LOW:HIGH`, or full, minmax, percentile."""

    name = "low:high|full|minmax|percentile"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """A pair of numbers, or the word."""
        from tilekit.errors import InvalidArgument
        from tilekit.rendition import checked_levels

        try:
            if not isinstance(value, str):
                return value
            return checked_levels(tuple(float(part) for part in value.split(":")) if ":" in value else value)
        except (ValueError, InvalidArgument):
            self.fail(
                f"{value!r} is neither LOW:HIGH, such as 0:4095, nor full, minmax or percentile", param, ctx
            )


def rendition_options(function: _F) -> _F:
    """`--bands` and `--levels`: what is seen of samples that are not 8-bit gray or RGB."""
    function = click.option(
        "--levels",
        type=LevelsValue(),
        help="Values that become black and white, for scans that are not 8-bit: 0:4095, or full, minmax, percentile.",
    )(function)
    return click.option(
        "--bands", type=BandsValue(), help="Stored samples to be seen, from 0: 0,1,2, or gray."
    )(function)


def untrusted_option(function: _F) -> _F:
    """`--untrusted`: readers that are not hardened against hostile files."""
    return click.option(
        "--untrusted",
        is_flag=True,
        help="Also read formats whose reader is not hardened against hostile files: SVG.",
    )(function)


class Scale(click.ParamType[Any]):
    """`TILE/OVERLAP@SCALE`, overlap and scale left out where 0 and 1; `page@SIDE` for the whole page."""

    name = "tile/overlap@scale"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """A Tiling; it checks its numbers itself."""
        from tilekit.errors import InvalidArgument
        from tilekit.grid import Tiling
        from tilekit.rekognition.limits import LIMITS

        if not isinstance(value, str):
            return value
        text, _, scale = value.partition("@")
        try:
            if text == "page":
                return Tiling.whole(int(scale) if scale else LIMITS.shrink_side)
            tile, _, overlap = text.partition("/")
            shared = float(overlap) if "." in overlap else int(overlap or 0)
            return Tiling(int(tile), shared, scale=float(scale or 1))
        except InvalidArgument as exc:
            self.fail(f"{value}: {exc}", param, ctx)
        except ValueError:
            self.fail(
                f"{value!r} is no scale: write TILE/OVERLAP@SCALE, such as 2560/96 or 1280/96@0.25, or page@1280",
                param,
                ctx,
            )


def align_option(function: _F) -> _F:
    """`--align`, which `scales.as_aligned` applies."""
    return click.option(
        "--align",
        type=int,
        default=1,
        show_default=True,
        help="Tiles begin at multiples of this many px; with 16 every tile of a JPEG can keep its bits, "
        "the last ones are up to 15 px smaller, overlaps as much larger.",
    )(function)


def scale_options(function: _F) -> _F:
    """`--scales auto|FILE` and repeated `--at`, which `chosen_scales` reads."""
    function = click.option(
        "--at",
        "at",
        type=Scale(),
        multiple=True,
        metavar="TILE/OVERLAP@SCALE",
        help="One scale, the finest first; may be repeated: 2560/96, 1280/96@0.25, page@1280 for the whole page.",
    )(function)
    return click.option(
        "--scales",
        "scales",
        metavar="auto|FILE",
        help="Scales from a file (the JSON of `tilekit plan`, or a dataset's tiling.json); auto: as planned or trained.",
    )(function)


def chosen_scales(
    scales: str | None, at: Sequence[Tiling], others: Mapping[str, Any], auto: Callable[[], Scales | None]
) -> Scales | None:
    """What was asked for by `--scales` and `--at`; None where by neither. `others`: what they exclude, by option.

    Raises InvalidArgument naming the options where they do not go together, or a file that holds no scales.
    """
    import json

    from tilekit.errors import InvalidArgument
    from tilekit.scales import Scales
    from tilekit.storage.local import storage_errors

    if not scales and not at:
        return None
    asked = "--scales" if scales else "--at"
    if scales and at:
        raise InvalidArgument("--scales and --at both say the scales; give one of them")
    if clash := [name for name, value in others.items() if value not in (None, False)]:
        raise InvalidArgument(
            f"{asked} says how pages are cut, so {' and '.join(clash)} cannot; leave one out"
        )
    if at:
        return Scales(at)
    if scales == "auto":
        return auto()
    with storage_errors(scales or ""), open(scales or "", "rb") as file:
        data = file.read()
    try:
        return Scales.from_json(json.loads(data))
    except (ValueError, TypeError) as exc:
        raise InvalidArgument(f"--scales {scales}: holds no scales ({exc})") from exc


def say_scales(tiling: AnyTiling) -> None:
    """Say what each of several scales looks for."""
    from tilekit.cli.output import say
    from tilekit.scales import as_scales

    scales = as_scales(tiling)
    for words in scales.looks_for() if len(scales) > 1 else ():
        say(f"looks for, at {words}")


class Criterion(click.ParamType[Any]):
    """What makes a hit: an IoU, or "center"."""

    name = "IOU"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click."""
        if value == "center":
            return value
        try:
            return float(value)
        except (TypeError, ValueError):
            self.fail(f"{value!r} is not a number from 0 to 1, nor 'center'", param, ctx)


class Quality(click.ParamType[Any]):
    """A JPEG quality, or the scan's own."""

    name = "number|keep"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Int, or the word."""
        try:
            return value if value == "keep" else int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number from 1 to 100, nor keep", param, ctx)


def model_options(function: _F) -> _F:
    """`--names`, `--conf`, `--iou`, `--fit`, `--strict`: how a named model is asked; see `model_ref`."""
    for option in (
        click.option(
            "--strict/--no-strict",
            default=True,
            show_default=True,
            help="Whether what looks like a mistake of a callable is one.",
        ),
        click.option(
            "--fit",
            type=click.Choice(["refuse", "shrink"]),
            default="refuse",
            show_default=True,
            help="Tiles larger than the input of an ONNX or Hugging Face model.",
        ),
        click.option("--iou", type=float, help="Suppression inside a tile, of an ONNX or Ultralytics model."),
        click.option("--conf", type=float, help="Least score, 0 to 1, before merging."),
        click.option(
            "--names", metavar="A,B", help="Labels of an ONNX model or callable, in the order of class ids."
        ),
    ):
        function = option(function)
    return function


def model_ref(model: str, options: Mapping[str, Any]) -> ModelRef:
    """The model a person named with `model_options`."""
    from tilekit.detectors.naming import ModelRef

    names = tuple(part.strip() for part in (options["names"] or "").split(",") if part.strip())
    return ModelRef(model, names, options["conf"], options["iou"], options["fit"], strict=options["strict"])
