"""To and from the structs of other libraries: supervision and pandas. Nothing else knows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tilekit.boxes.annotations import Annotations
from tilekit.boxes.detections import Detections
from tilekit.errors import InvalidArgument, MissingExtra

_CORNERS = ("x0", "y0", "x1", "y1")


def to_supervision(found: Detections | Annotations) -> Any:
    """A `supervision.Detections`; labels are kept as `data["class_name"]`, truth gets no confidence."""
    try:
        import supervision
    except ImportError as exc:
        raise MissingExtra("supervision is not installed; pip install supervision") from exc
    return supervision.Detections(
        xyxy=found.boxes.copy(),
        confidence=found.scores.copy() if isinstance(found, Detections) else None,
        class_id=found.class_ids.copy(),
        data={"class_name": np.array(found.labels, dtype=str)},
    )


def from_supervision(found: Any, names: Sequence[str] | None = None) -> Detections:
    """Detections from a `supervision.Detections`.

    `names`: what its class ids point to; without, `data["class_name"]` names them, or else the ids as text.
    Missing confidence is 1.
    """
    for field in ("xyxy", "confidence", "class_id", "data"):
        if not hasattr(found, field):
            raise InvalidArgument(f"found must be a supervision.Detections, not a {type(found).__name__}")
    count = len(found.xyxy)
    ids = np.zeros(count, np.int64) if found.class_id is None else np.asarray(found.class_id, np.int64)
    if names is None:
        named = found.data.get("class_name")
        labels = [str(item) for item in (ids if named is None else named)]
        names = tuple(dict.fromkeys(labels))
        ids = np.array([names.index(label) for label in labels], np.int64)
    scores = np.ones(count) if found.confidence is None else np.asarray(found.confidence, np.float64)
    return Detections(np.asarray(found.xyxy, np.float64), scores, ids, names)


def to_pandas(found: Detections | Annotations) -> Any:
    """A DataFrame, a row a box: x0, y0, x1, y1, label, and score (with tile_index, cut) or ignore."""
    try:
        import pandas as pd
    except ImportError as exc:
        raise MissingExtra("pandas is not installed; pip install pandas") from exc
    columns: dict[str, Any] = {name: found.boxes[:, place] for place, name in enumerate(_CORNERS)}
    columns["label"] = found.labels
    if isinstance(found, Annotations):
        columns["ignore"] = found.ignore
        return pd.DataFrame(columns)
    columns["score"] = found.scores
    for name in ("tile_index", "cut"):
        if getattr(found, name) is not None:
            columns[name] = getattr(found, name)
    return pd.DataFrame(columns)


def from_pandas(table: Any, names: Sequence[str] | None = None) -> Detections | Annotations:
    """Detections where the DataFrame has a score column, Annotations where it has none; as `to_pandas` writes."""
    if not hasattr(table, "columns"):
        raise InvalidArgument(f"table must be a pandas DataFrame, not a {type(table).__name__}")
    missing = [name for name in (*_CORNERS, "label") if name not in table]
    if missing:
        raise InvalidArgument(f"the table has no column {missing[0]!r}; it needs x0, y0, x1, y1 and label")
    boxes = table[list(_CORNERS)].to_numpy(np.float64)
    labels = [str(item) for item in table["label"]]
    names = tuple(dict.fromkeys(labels)) if names is None else tuple(names)
    places = {name: place for place, name in enumerate(names)}
    for row, label in enumerate(labels):
        if label not in places:
            raise InvalidArgument(f"label[{row}] is {label!r}, which is not in names={names!r}")
    ids = np.array([places[label] for label in labels], np.int64)
    if "score" not in table:
        return Annotations(boxes, ids, names, table["ignore"].to_numpy() if "ignore" in table else None)
    return Detections(
        boxes,
        table["score"].to_numpy(np.float64),
        ids,
        names,
        table["tile_index"].to_numpy() if "tile_index" in table else None,
        table["cut"].to_numpy() if "cut" in table else None,
    )
