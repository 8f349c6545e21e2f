"""Boxes and shapes of georeferenced pages in map coordinates, as GeoJSON or GeoPackage that a map program opens."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tilekit.errors import InvalidArgument, MissingExtra, ScanError
from tilekit.labels.predictions import PageDetections, PredictionSet
from tilekit.pages import PageKey
from tilekit.scans.georeference import GeoReference, read_georeference
from tilekit.storage import json_names
from tilekit.storage.local import atomic_path, write_bytes

if TYPE_CHECKING:
    from tilekit.labels.label_set import LabelSet

_WGS84 = 4326


def map_geojson(
    found: PageDetections | PredictionSet | LabelSet, *, wgs84: bool | None = None
) -> dict[str, Any]:
    """A FeatureCollection in map coordinates of pages that are georeferenced TIFFs.

    `wgs84`: in longitude and latitude, as GeoJSON (RFC 7946) wants it; needs pyproj and an EPSG code in the file.
    None: where both are there. Otherwise coordinates stay those of the map; `crs` names its system, as GDAL and QGIS
    read it, and `note` says why. Pages must share one system. Raises InvalidArgument for a page without a place on a
    map, for pages of several systems, and where `wgs84=True` cannot be.
    """
    pages = _pages(found)
    places = {key: _place(key) for key, _ in pages}
    systems = {place.epsg for place in places.values()}
    if len(systems) > 1:
        raise InvalidArgument(
            f"pages lie on maps of several systems (EPSG {sorted(map(str, systems))}); write them apart"
        )
    epsg = next(iter(systems), None)
    further, note = _to_wgs84(epsg, wgs84)
    features = []
    for key, document in pages:
        for feature in document["features"]:
            moved = _moved(feature["geometry"]["coordinates"], places[key], further)
            properties = {**feature["properties"], "source": key.source, "page": key.page}
            features.append(
                {
                    **feature,
                    "geometry": {**feature["geometry"], "coordinates": moved},
                    "properties": properties,
                }
            )
    out: dict[str, Any] = {"type": "FeatureCollection", "features": features}
    if further is None and epsg is not None:
        out["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{epsg}"}}
    if note:
        out["note"] = note
    return out


def write_map_geojson(
    found: PageDetections | PredictionSet | LabelSet,
    path: str | os.PathLike[str],
    *,
    wgs84: bool | None = None,
) -> str:
    """Write `map_geojson(found)`; gives the note on its coordinates, empty where they are longitude and latitude."""
    document = map_geojson(found, wgs84=wgs84)
    write_bytes(path, json_names.encoded(document))
    return str(document.get("note", ""))


def write_geopackage(
    found: PageDetections | PredictionSet | LabelSet, path: str | os.PathLike[str], *, layer: str = "objects"
) -> str:
    """Write pages that are georeferenced TIFFs as one layer of a GeoPackage, in the map's own system; gives a note on it.

    Columns: label, score, ignore, shape, source, page. Needs pyogrio (the extra `maps`). Raises as `map_geojson` does.
    """
    try:
        import pyogrio.raw
        import shapely
    except ImportError as exc:
        raise MissingExtra("a GeoPackage needs pyogrio, which is not installed", "maps") from exc
    document = map_geojson(found, wgs84=False)
    rows = [feature["properties"] for feature in document["features"]]
    geometries = [shapely.geometry.shape(feature["geometry"]) for feature in document["features"]]
    columns: dict[str, NDArray[Any]] = {
        "label": np.array([row["classification"]["name"] for row in rows], object),
        "score": np.array([row.get("score", np.nan) for row in rows], np.float64),
        "ignore": np.array([row["ignore"] for row in rows], np.bool_),
        "shape": np.array([row["shape"] for row in rows], object),
        "source": np.array([row["source"] for row in rows], object),
        "page": np.array([row["page"] for row in rows], np.int64),
    }
    system = document.get("crs")
    with atomic_path(path) as part, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(crs|extension).*")
        pyogrio.raw.write(
            str(part),
            shapely.to_wkb(np.array(geometries, object)),
            list(columns.values()),
            np.array(list(columns)),
            layer=layer,
            driver="GPKG",
            geometry_type="MultiPolygon",
            promote_to_multi=True,
            crs=None if system is None else system["properties"]["name"],
        )
    return str(document.get("note", ""))


def write_map(found: PageDetections | PredictionSet | LabelSet, path: str | os.PathLike[str]) -> str:
    """Write a GeoPackage where the file's name ends so, else GeoJSON; gives what its coordinates are."""
    write = write_geopackage if os.fspath(path).lower().endswith(".gpkg") else write_map_geojson
    return write(found, path) or "coordinates are longitude and latitude"


def require_places(keys: Iterable[PageKey]) -> None:
    """Raise InvalidArgument for the first page without a place on a map; what cannot be opened is left to its reader.

    For asking before the work whose result goes to `write_map_geojson`.
    """
    for key in keys:
        with contextlib.suppress(ScanError):
            _place(key)


def _pages(found: PageDetections | PredictionSet | LabelSet) -> list[tuple[PageKey, dict[str, Any]]]:
    if isinstance(found, PageDetections):
        return [(found.key, found.to_geojson())]
    if isinstance(found, PredictionSet):
        return [(page.key, page.to_geojson()) for page in found.pages()]
    return [(key, found.subset([key]).to_geojson()) for key in found]


def _place(key: PageKey) -> GeoReference:
    found = read_georeference(key.source, key.page)
    if found is None:
        raise InvalidArgument(f"{key}: does not say where it lies on a map; only georeferenced TIFFs do")
    return found


def _to_wgs84(epsg: int | None, asked: bool | None) -> tuple[Callable[[Any], Any] | None, str]:
    """What takes map coordinates on to longitude and latitude, or None and why not."""
    if asked is False:
        return None, f"coordinates of EPSG {epsg}" if epsg else "coordinates of the map's own system"
    if epsg is None:
        if asked:
            raise InvalidArgument(
                "wgs84=True: the pages name no EPSG code, so nothing leads to longitude and latitude"
            )
        return None, "coordinates of the map's own system: the pages name no EPSG code"
    try:
        from pyproj import Transformer
    except ImportError as exc:
        if asked:
            raise InvalidArgument("wgs84=True needs pyproj, which is not installed") from exc
        return (
            None,
            f"coordinates of EPSG {epsg}: pyproj, which would give longitude and latitude, is not installed",
        )
    steps = Transformer.from_crs(epsg, _WGS84, always_xy=True)
    return lambda points: list(zip(*steps.transform(*points.T), strict=True)), ""


def _moved(coordinates: Any, place: GeoReference, further: Callable[[Any], Any] | None) -> Any:
    """Rings of any depth with every point moved."""
    if coordinates and not isinstance(coordinates[0][0], (int, float)):
        return [_moved(part, place, further) for part in coordinates]
    points = place.to_map(coordinates)
    return [[float(x), float(y)] for x, y in (points if further is None else further(points))]
