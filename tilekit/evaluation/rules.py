"""How predictions are set against truth, beyond the overlap that makes a hit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilekit.errors import InvalidArgument
from tilekit.evaluation.matching import By
from tilekit.evaluation.pages import Missing


@dataclass(frozen=True, slots=True)
class EvaluationRules:
    """What `evaluate` compares and how it groups the results.

    `by`: "box", or "shape": polygons, masks and oriented boxes overlap by their own area, rows without one by their
    box. `labels`: only these. `missing`: pages of truth without predictions are an "error", "empty" (their objects are
    missed) or "skip"ped. `size_edges`: px bounds of sqrt(width * height) for results by object size. `border_edges`:
    px bounds of the distance to the nearest tile border, in the tile that shows an object best, for recall by it.
    """

    by: By = "box"
    labels: tuple[str, ...] | None = None
    missing: Missing = "error"
    size_edges: Sequence[float] = (16.0, 32.0, 64.0, 128.0, 512.0, 2048.0)
    border_edges: Sequence[float] = (16.0, 64.0)

    def __post_init__(self) -> None:
        if self.by not in ("box", "shape"):
            raise InvalidArgument(f"by={self.by!r} is unknown; choose box or shape")
        if isinstance(self.labels, str):
            raise InvalidArgument(f"labels={self.labels!r} must be a list of labels")
        if self.labels is not None:
            object.__setattr__(self, "labels", tuple(self.labels))
        for name in ("size_edges", "border_edges"):
            values = tuple(float(edge) for edge in getattr(self, name))
            if not values or any(b <= a for a, b in zip((0.0, *values), values, strict=False)):
                raise InvalidArgument(
                    f"{name}={tuple(getattr(self, name))!r} must be numbers above 0, rising"
                )
            object.__setattr__(self, name, values)
