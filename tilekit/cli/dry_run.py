"""What `tilekit detect --dry-run` says: calls, bytes, time and cost, by the headers of the scans alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tilekit.cli.hints import next_again
from tilekit.cli.output import complain, print_json, say
from tilekit.cli.parameters import say_scales

if TYPE_CHECKING:
    from tilekit.pages import PageKey
    from tilekit.scales import AnyTiling

_BYTES_PER_PIXEL = 0.3  # of a JPEG of quality 90; a page of text has less, a photo more


def show_plan(
    sources: Sequence[str | PageKey],
    tiling: AnyTiling,
    dpi: float | None,
    units: int,
    title: str,
    untrusted: bool,
    as_json: bool,
) -> None:
    """Calls, bytes, time and cost of detecting on these scans; only their headers are read."""
    from tilekit.aws.deploying import plan_detection
    from tilekit.detection.batch import count_tiles
    from tilekit.rekognition.pricing import dollars, duration
    from tilekit.scales import as_scales

    counted = count_tiles(sources, tiling, dpi=dpi, untrusted=untrusted)
    each = round(counted.pixels / counted.tiles * _BYTES_PER_PIXEL) if counted.tiles else 0
    plan = plan_detection(counted.tiles, bytes_per_tile=each, units=units)
    if as_json:
        values = {"model": title, "pages": counted.pages, "calls": plan.calls, "bytes": plan.bytes}
        values |= {"scales": as_scales(tiling).to_json(), "kept": counted.kept, "why": counted.why}
        failed = [{"page": page, "reason": reason} for page, reason in counted.failed]
        print_json({**values, "seconds": plan.seconds, "us_dollars": plan.cost, "failed": failed})
        return
    say(
        f"{counted.pages} pages: {plan.calls} calls, about {plan.bytes / 1e6:.0f} MB, {duration(plan.seconds)} "
        f"at the planned rate; {dollars(plan.cost)} where the model is one of Custom Labels"
    )
    say_scales(tiling)
    if counted.kept:
        say(
            f"{counted.kept} of {counted.tiles} tiles go to a service as the scan's own bits, without decoding"
        )
    if counted.kept and counted.why and "off the grid" in counted.why:
        say(f"others are decoded: the first, {counted.why}; --align 16 keeps them on the grid")
    for page, reason in counted.failed:
        complain(f"cannot be read: {page}: {reason}")
    next_again(without=["--dry-run"])
