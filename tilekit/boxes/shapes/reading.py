"""Shapes from plain JSON values: one column of whatever kind the rows are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tilekit.boxes.shapes.column import Shapes
from tilekit.boxes.shapes.keypoints import Keypoints
from tilekit.boxes.shapes.masks import Masks
from tilekit.boxes.shapes.oriented import OrientedBoxes
from tilekit.boxes.shapes.polygons import Polygons
from tilekit.errors import InvalidArgument

KINDS: dict[str, type[Shapes]] = {kind.kind: kind for kind in (Polygons, OrientedBoxes, Masks, Keypoints)}


def from_json(rows: Sequence[Any]) -> Shapes | None:
    """What `Shapes.to_json` gave, None where no row has a shape. Raises InvalidArgument naming the row."""
    kind = ""
    for place, row in enumerate(rows):
        if row is None:
            continue
        own = next((name for name in KINDS if isinstance(row, dict) and name in row), "")
        if not own or (kind and own != kind):
            raise InvalidArgument(
                f"shape {place} must be one of {', '.join(KINDS)}, the same kind in all rows of a page"
            )
        kind = own
    if not kind:
        return None
    if kind == OrientedBoxes.kind and None in rows:
        raise InvalidArgument(
            f"shape {list(rows).index(None)} is missing; beside oriented boxes every row has one"
        )
    try:
        return KINDS[kind].from_json(rows)
    except (TypeError, ValueError, KeyError, IndexError) as exc:
        if isinstance(exc, InvalidArgument):
            raise
        raise InvalidArgument(f"a shape is not as it is written here: {exc}") from exc
