"""Why tiling pays or does not, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tilekit.datasets.plan import TileOption
from tilekit.rekognition.limits import LIMITS
from tilekit.verdicts.outcomes import Reason


def why_tiling(
    reasons: Sequence[Reason],
    whole: TileOption,
    small: Mapping[str, float],
    pays_below: float,
    *,
    hopeless: bool,
) -> str:
    """Why tiling pays or does not, in one sentence without its end."""
    label, least = min(small.items(), key=lambda item: item[1])
    what = "the objects" if len(small) == 1 else f"the {label} objects"
    crowd = f"{whole.crowded:.0%} of the labeled pages have more than {LIMITS.max_boxes} boxes"
    if "size" in reasons:
        words = (
            f"on whole pages, which the service shrinks to {LIMITS.shrink_side} px, a tenth of {what} are "
            f"under {least:.1f} px; below about {pays_below:.0f} px they are often missed"
        )
        return f"{words}; and {crowd}, the most an image may have" if "boxes" in reasons else words
    if "boxes" in reasons:
        return (
            f"{crowd}, the most an image may have; nine of ten objects keep {least:.1f} px or more on whole "
            "pages, so expect no gain by size"
            if least >= pays_below
            else f"{crowd}, the most an image may have; tiles do not enlarge the objects, so expect no gain by size"
        )
    if least < pays_below and hopeless:
        return (
            f"the service hardly shrinks these pages, so the objects (a tenth under {least:.1f} px) "
            "are as small in tiles"
        )
    few = f"; {whole.limits[0]}, too few to tile for" if whole.crowded else ", and no page is too crowded"
    return (
        f"on whole pages nine of ten objects keep {least:.1f} px or more after the service's shrink{few}: "
        "whole pages will do"
    )
