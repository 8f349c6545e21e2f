"""Where a page lies on a map: the affine map from its px to coordinates, and in which system (EPSG).

From the tags of GeoTIFF 1.1 (OGC 19-008r4): ModelPixelScale and ModelTiepoint, or ModelTransformation, and the
directory of GeoKeys. No other library is asked.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.errors import InvalidArgument, ScanError
from tilekit.scans.source import ScanSource, resolve_source
from tilekit.scans.tiff.directories import read_directories
from tilekit.scans.tiff.fields import Fields

_SCALE, _TIEPOINT, _TRANSFORMATION, _KEYS, _ORIENTATION = 33550, 33922, 34264, 34735, 274
_RASTER_TYPE, _GEOGRAPHIC, _PROJECTED = 1025, 2048, 3072
_POINT, _USER_DEFINED = 2, 32767


@dataclass(frozen=True)
class GeoReference:
    """x = a * across + b * down + c, y = d * across + e * down + f, with `matrix` (a, b, c, d, e, f).

    Across and down count px from the top left corner of the page. `epsg`: the coordinate system, None where the
    file describes one of its own or none.
    """

    matrix: tuple[float, float, float, float, float, float]
    epsg: int | None

    def to_map(self, points: ArrayLike) -> NDArray[np.float64]:
        """(n, 2) px of the page as (n, 2) map coordinates."""
        a, b, c, d, e, f = self.matrix
        across, down = np.asarray(points, np.float64).reshape(-1, 2).T
        return np.stack([a * across + b * down + c, d * across + e * down + f], axis=1)

    def to_page(self, points: ArrayLike) -> NDArray[np.float64]:
        """(n, 2) map coordinates as (n, 2) px of the page."""
        a, b, c, d, e, f = self.matrix
        moved = np.asarray(points, np.float64).reshape(-1, 2) - (c, f)
        found: NDArray[np.float64] = np.linalg.solve(np.array([[a, b], [d, e]]), moved.T).T
        return found


def read_georeference(source: ScanSource, page: int = 0) -> GeoReference | None:
    """Where a page of a TIFF lies on a map; None where the file does not say, or is no TIFF.

    Raises ScanError where it says so in a way that is not read: control points without a scale, a page that is
    stored turned, numbers that make no map.
    """
    with contextlib.ExitStack() as stack:
        found = resolve_source(source, stack)
        if found.head[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return None
        reader = found.reader()
        stack.callback(reader.close)
        pages = read_directories(found, reader).pages
        if not 0 <= page < len(pages):
            raise InvalidArgument(f"page={page}: {found.name} has {len(pages)} pages, counted from 0")
        return _of(pages[page].fields, f"{found.name}#page={page + 1}" if page else found.name)


def _of(fields: Fields, name: str) -> GeoReference | None:
    numbers = {tag: _numbers(fields, tag, name) for tag in (_SCALE, _TIEPOINT, _TRANSFORMATION)}
    if not any(len(value) for value in numbers.values()):
        return None
    if fields.one(_ORIENTATION, 1) not in (0, 1):
        raise ScanError(
            f"{name}: lies on a map but is stored turned (orientation {fields.one(_ORIENTATION, 1)})"
        )
    keys = _geo_keys(fields, name)
    a, b, c, d, e, f = _matrix(numbers, name)
    if keys.get(_RASTER_TYPE) == _POINT:  # its numbers are of the centers of px, ours of their corners
        c, f = c - (a + b) / 2, f - (d + e) / 2
    if not np.isfinite([a, b, c, d, e, f]).all() or a * e == b * d:
        raise ScanError(f"{name}: its georeference puts all px on one line")
    epsg = next(
        (keys[key] for key in (_PROJECTED, _GEOGRAPHIC) if 0 < keys.get(key, 0) < _USER_DEFINED), None
    )
    if keys.get(_PROJECTED) == _USER_DEFINED:
        epsg = None
    return GeoReference((a, b, c, d, e, f), epsg)


def _matrix(numbers: dict[int, NDArray[Any]], name: str) -> tuple[float, float, float, float, float, float]:
    whole, scale, tie = (numbers[tag].tolist() for tag in (_TRANSFORMATION, _SCALE, _TIEPOINT))
    if len(whole) >= 8:
        return whole[0], whole[1], whole[3], whole[4], whole[5], whole[7]
    if len(scale) >= 2 and len(tie) >= 6:
        across, down, _, x, y, _ = tie[:6]
        return scale[0], 0.0, x - across * scale[0], 0.0, -scale[1], y + down * scale[1]
    raise ScanError(
        f"{name}: has control points but neither a scale nor a transformation; warp it to a map first"
    )


def _numbers(fields: Fields, tag: int, name: str) -> NDArray[Any]:
    if tag not in fields:
        return np.empty(0)
    try:
        return fields.array(tag).astype(np.float64)
    except ValueError as exc:
        raise ScanError(f"{name}: its georeference cannot be read ({exc})") from exc


def _geo_keys(fields: Fields, name: str) -> dict[int, int]:
    """Keys whose value stands in the directory itself, as the systems' codes do."""
    values = _numbers(fields, _KEYS, name).astype(np.int64).tolist()
    rows = [values[at : at + 4] for at in range(4, len(values) - 3, 4)]
    return {key: value for key, place, count, value in rows if place == 0 and count == 1}
