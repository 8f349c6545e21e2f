"""To and from the structs of other libraries and of JSON: supervision, pandas, COCO, GeoJSON. Nothing else knows them.

Works on columns, so that `Annotations` and `Detections` can call it; what is read comes back as their fields by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.shapes.column import Shapes
from tilekit.boxes.shapes.masks import Masks
from tilekit.boxes.shapes.oriented import OrientedBoxes
from tilekit.boxes.shapes.polygons import Polygons
from tilekit.boxes.shapes.reading import from_json
from tilekit.errors import InvalidArgument, MissingExtra

if TYPE_CHECKING:
    from tilekit.boxes.annotations import Annotations
    from tilekit.boxes.detections import Detections

_CORNERS = ("x0", "y0", "x1", "y1")
_DENSE = 2**26  # bytes of masks as pictures; above, supervision's packed ones
_TURNED, _EXACT = "xyxyxyxy", "shape"  # supervision's own name for corners; ours for what it has no name for


def to_supervision(found: Detections | Annotations, size: tuple[int, int] | None = None) -> Any:
    """A `supervision.Detections`; labels are kept as `data["class_name"]`, truth gets no confidence.

    Oriented boxes go to `data["xyxyxyxy"]`, masks to `mask` (above 64 MiB as a `CompactMask`), which needs the page's
    `size` (width, height). Polygons become masks too where `size` is given; they, keypoints and masks of which some
    rows have none are kept exactly in `data["shape"]`.
    """
    try:
        import supervision
    except ImportError as exc:
        raise MissingExtra("supervision is not installed; pip install supervision") from exc
    shapes = found.shapes
    data: dict[str, Any] = {"class_name": np.array(found.labels, dtype=str)}
    mask = None
    if isinstance(shapes, OrientedBoxes):
        data[_TURNED] = shapes.corners
    elif isinstance(shapes, Masks) and size is None:
        raise InvalidArgument("masks become pictures of the page; give its size=(width, height)")
    elif shapes is not None:
        if isinstance(shapes, (Masks, Polygons)) and size is not None:
            mask = _pictures(shapes, size)
        if not isinstance(shapes, Masks) or not shapes.given.all():
            data[_EXACT] = _objects(shapes.to_json())
    return supervision.Detections(
        xyxy=found.boxes.copy(),
        mask=mask,
        confidence=getattr(found, "scores", None),
        class_id=found.class_ids.copy(),
        data=data,
    )


def read_supervision(found: Any, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The fields of a `supervision.Detections`.

    `names`: what its class ids point to; without, `data["class_name"]` names them, or else the ids as text.
    Missing confidence is 1. Shapes are what `data["shape"]` (as `to_supervision` writes it), or `data["xyxyxyxy"]`,
    or `mask` has.
    """
    for field in ("xyxy", "confidence", "class_id", "data"):
        if not hasattr(found, field):
            raise InvalidArgument(f"found must be a supervision.Detections, not a {type(found).__name__}")
    count = len(found.xyxy)
    ids = np.zeros(count, np.int64) if found.class_id is None else np.asarray(found.class_id, np.int64)
    if names is None:
        named = found.data.get("class_name")
        labels = [str(item) for item in (ids if named is None else named)]
        names, ids = _named(labels, None)
    scores = np.ones(count) if found.confidence is None else np.asarray(found.confidence, np.float64)
    return {
        "boxes": np.asarray(found.xyxy, np.float64),
        "scores": scores,
        "class_ids": ids,
        "names": names,
        "shapes": shapes_of(found, count),
    }


def to_fiftyone(
    found: Detections | Annotations, size: tuple[int, int], scores: NDArray[np.float64] | None = None
) -> Any:
    """A `fiftyone.Detections` of a page of `size` (width, height); of shapes the box, ignore as FiftyOne's `iscrowd`."""
    try:
        import fiftyone
    except ImportError as exc:
        raise MissingExtra("fiftyone is not installed; pip install fiftyone") from exc
    width, height = size
    scores = getattr(found, "scores", scores)
    ignored = getattr(found, "ignore", None)
    rows = []
    for place, ((x0, y0, x1, y1), label) in enumerate(zip(found.boxes.tolist(), found.labels, strict=True)):
        more: dict[str, Any] = {} if scores is None else {"confidence": float(scores[place])}
        if ignored is not None and ignored[place]:
            more["iscrowd"] = True
        box = [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height]
        rows.append(fiftyone.Detection(label=label, bounding_box=box, **more))
    return fiftyone.Detections(detections=rows)


def read_fiftyone(found: Any, size: tuple[int, int], names: Sequence[str] | None = None) -> dict[str, Any]:
    """The fields of a `fiftyone.Detections` of a page of `size` (width, height); missing confidence is 1."""
    rows = getattr(found, "detections", None)
    if rows is None:
        raise InvalidArgument(f"found must be a fiftyone.Detections, not a {type(found).__name__}")
    corners = np.array([row.bounding_box for row in rows], np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    names, ids = _named([str(row.label) for row in rows], names)
    given = [getattr(row, "confidence", None) for row in rows]
    return {
        "boxes": corners * (*size, *size),
        "scores": np.array([1.0 if score is None else score for score in given], np.float64),
        "class_ids": ids,
        "names": names,
        "ignore": np.array([bool(getattr(row, "iscrowd", False)) for row in rows], np.bool_),
    }


def to_pandas(found: Detections | Annotations) -> Any:
    """A DataFrame, a row a box: x0, y0, x1, y1, label, and score (with tile_index, cut) or ignore; shape as plain JSON."""
    try:
        import pandas as pd
    except ImportError as exc:
        raise MissingExtra("pandas is not installed; pip install pandas") from exc
    columns: dict[str, Any] = {name: found.boxes[:, place] for place, name in enumerate(_CORNERS)}
    columns["label"] = found.labels
    for field, name in (("scores", "score"), ("tile_index",) * 2, ("cut",) * 2, ("ignore",) * 2):
        if getattr(found, field, None) is not None:
            columns[name] = getattr(found, field)
    if found.shapes is not None:
        columns["shape"] = _objects(found.shapes.to_json())
    return pd.DataFrame(columns)


def read_pandas(table: Any, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The fields that a DataFrame as `to_pandas` writes it has; a shape may also be JSON text, as in a CSV file."""
    if not hasattr(table, "columns"):
        raise InvalidArgument(f"table must be a pandas DataFrame, not a {type(table).__name__}")
    missing = [name for name in (*_CORNERS, "label") if name not in table]
    if missing:
        raise InvalidArgument(f"the table has no column {missing[0]!r}; it needs x0, y0, x1, y1 and label")
    names, ids = _named([str(item) for item in table["label"]], names)
    fields: dict[str, Any] = {
        "boxes": table[list(_CORNERS)].to_numpy(np.float64),
        "class_ids": ids,
        "names": names,
    }
    for field, name in (("scores", "score"), ("tile_index",) * 2, ("cut",) * 2, ("ignore",) * 2):
        if name in table:
            fields[field] = table[name].to_numpy()
    if "shape" in table:
        fields["shapes"] = _from_cells(list(table["shape"]))
    return fields


def to_coco(
    found: Detections | Annotations, image_id: int = 1, size: tuple[int, int] | None = None
) -> list[dict[str, Any]]:
    """COCO's entries, one a box, as `loadRes` of pycocotools takes those of detections; category ids count from one.

    Polygons and oriented boxes are polygons in `segmentation`, masks and polygons with holes run lengths, which need
    the page's `size` (width, height); keypoints stand in `keypoints`.
    """
    corners = found.boxes
    sides = corners[:, 2:] - corners[:, :2]
    entries: list[dict[str, Any]] = [
        {"id": place, "image_id": image_id, "category_id": label + 1, "bbox": box, "area": area, "iscrowd": 0}
        for place, (label, box, area) in enumerate(
            zip(
                found.class_ids.tolist(),
                np.concatenate([corners[:, :2], sides], axis=1).tolist(),
                sides.prod(axis=1).tolist(),
                strict=True,
            ),
            1,
        )
    ]
    for field, name in (("scores", "score"), ("ignore", "iscrowd")):
        for entry, value in zip(entries, getattr(found, field, np.empty(0)).tolist(), strict=False):
            entry[name] = int(value) if name == "iscrowd" else value
    if found.shapes is not None:
        for entry, more in zip(entries, coco_shapes(found.shapes, size), strict=True):
            entry.update(more)
    return entries


def coco_shapes(shapes: Shapes, size: tuple[int, int] | None) -> Iterator[dict[str, Any]]:
    """What each row's shape adds to its COCO entry: segmentation and its area, or keypoints; nothing for none."""
    if shapes.kind == "keypoints":
        for row in shapes.to_json():
            points = [] if row is None else row["keypoints"]
            flat = [value for point in points for value in point]
            yield {"keypoints": flat, "num_keypoints": sum(point[2] > 0 for point in points)} if flat else {}
        return
    hollow = np.zeros(len(shapes), np.bool_)
    if isinstance(shapes, Masks):
        hollow[:] = shapes.given
    outlines = shapes if isinstance(shapes, Masks) else shapes.to_polygons()
    if isinstance(outlines, Polygons):
        for row in np.flatnonzero(outlines.given).tolist():
            hollow[row] = outlines.holes[outlines.objects[row] : outlines.objects[row + 1]].any()
    codes: dict[int, Any] = {}
    if hollow.any():
        if size is None:
            row = int(hollow.argmax())
            raise InvalidArgument(
                f"shape {row} is a mask or has a hole, which COCO keeps as run lengths of the whole page; give its size=(width, height)"
            )
        rows = np.flatnonzero(hollow)
        chosen = outlines[rows]
        masks = chosen if isinstance(chosen, Masks) else Masks.from_polygons(chosen)
        page = np.tile(np.array([0.0, 0.0, *size]), (len(rows), 1))
        codes = dict(zip(rows.tolist(), masks.clipped(page).to_rle(*size), strict=True))
    areas = outlines.areas.tolist()
    plain = outlines.to_json() if isinstance(outlines, Polygons) else [None] * len(shapes)
    for place, row in enumerate(plain):
        drawn = (
            codes.get(place)
            if hollow[place]
            else row and [[value for point in ring for value in point] for ring in row["polygon"]]
        )
        yield {"segmentation": drawn, "area": areas[place]} if drawn else {}


def to_geojson(
    found: Detections | Annotations, scores: NDArray[np.float64] | None = None, **more: Any
) -> list[dict[str, Any]]:
    """GeoJSON features in image pixels as QuPath takes them, one a box, its score a measurement; `more` goes into each one's properties.

    A shape is a Polygon or MultiPolygon, masks by the outline of their pixels; `properties.shape` says what it was. Of
    keypoints the box is the geometry, they stand in `properties.keypoints`.
    """
    scores = getattr(found, "scores", scores)
    ignored = getattr(found, "ignore", None)
    rows = [None] * len(found) if found.shapes is None else _geometries(found.shapes)
    exact = found.shapes.to_json() if found.shapes is not None else rows
    kind = "" if found.shapes is None else found.shapes.kind
    features = []
    for place, ((x0, y0, x1, y1), label) in enumerate(zip(found.boxes.tolist(), found.labels, strict=True)):
        properties: dict[str, Any] = {
            "objectType": "annotation" if scores is None else "detection",
            "classification": {"name": label},
            **more,
            "ignore": bool(ignored is not None and ignored[place]),
            "shape": "box" if rows[place] is None else kind,
        }
        if scores is not None:
            properties["score"] = float(scores[place])
            properties["measurements"] = {"score": float(scores[place])}
        row = exact[place]
        if kind in ("keypoints", "oriented") and row is not None:
            properties[kind] = row[kind]
        box = {"type": "Polygon", "coordinates": [[[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]]}
        features.append({"type": "Feature", "geometry": rows[place] or box, "properties": properties})
    return features


def _geometries(shapes: Shapes) -> list[dict[str, Any] | None]:
    if shapes.kind == "keypoints":
        return [None] * len(shapes)
    out: list[dict[str, Any] | None] = []
    for row in shapes.to_polygons().to_json():
        if row is None:
            out.append(None)
            continue
        parts: list[list[Any]] = []
        for place, ring in enumerate(row["polygon"]):
            closed = [*ring, ring[0]]
            if place in row.get("holes", ()):
                parts[-1].append(closed)
            else:
                parts.append([closed])
        one = len(parts) == 1
        out.append({"type": "Polygon" if one else "MultiPolygon", "coordinates": parts[0] if one else parts})
    return out


def _named(labels: list[str], names: Sequence[str] | None) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names, and the place of each label in them."""
    known = tuple(dict.fromkeys(labels)) if names is None else tuple(names)
    places = {name: place for place, name in enumerate(known)}
    for row, label in enumerate(labels):
        if label not in places:
            raise InvalidArgument(f"label[{row}] is {label!r}, which is not in names={known!r}")
    return known, np.array([places[label] for label in labels], np.int64)


def _objects(rows: Sequence[Any]) -> NDArray[Any]:
    out = np.empty(len(rows), dtype=object)
    out[:] = rows
    return out


def _from_cells(cells: list[Any]) -> Shapes | None:
    rows = []
    for place, cell in enumerate(cells):
        try:
            row = json.loads(cell) if isinstance(cell, str) else cell
        except ValueError as exc:
            raise InvalidArgument(f"shape[{place}] is no JSON: {exc}") from exc
        rows.append(row if isinstance(row, dict) else None)
    return from_json(rows)


def _pictures(shapes: Masks | Polygons, size: tuple[int, int]) -> Any:
    """Masks as supervision has them: (n, height, width) booleans, or packed where those would be many bytes."""
    width, height = size
    page = np.tile(np.array([0.0, 0.0, width, height]), (len(shapes), 1))
    masks = (shapes if isinstance(shapes, Masks) else Masks.from_polygons(shapes)).clipped(page)
    if len(masks) * width * height <= _DENSE:
        return masks.to_arrays(width, height)
    from supervision.detection.compact_mask import CompactMask

    hulls = masks.boxes.astype(np.int64)
    hulls[~masks.given] = 0, 0, 1, 1
    inner = masks.moved(-hulls[:, 0], -hulls[:, 1])
    sides = hulls[:, 2:] - hulls[:, :2]
    runs = [
        np.array([sides[row].prod()] if code is None else code["counts"], np.int32)
        for row, code in enumerate(
            inner[row : row + 1].to_rle(int(sides[row, 0]), int(sides[row, 1]), text=False)[0]
            for row in range(len(masks))
        )
    ]
    return CompactMask(runs, sides[:, ::-1].astype(np.int32), hulls[:, :2].astype(np.int32), (height, width))


def shapes_of(found: Any, count: int) -> Shapes | None:
    """The shapes of a `supervision.Detections`, or of what looks like one, of `count` rows; None where it has none."""
    data = getattr(found, "data", None) or {}
    exact, corners, mask = data.get(_EXACT), data.get(_TURNED), getattr(found, "mask", None)
    if exact is not None and len(exact) == count:
        return from_json([row if isinstance(row, dict) else None for row in exact])
    if corners is not None:
        return OrientedBoxes.from_corners(np.asarray(corners, np.float64).reshape(-1, 4, 2))
    if mask is None:
        return None
    return Masks.from_arrays([np.asarray(mask[row]) for row in range(count)])
