"""Outlines as pixels: column by column, the pixels whose centers lie inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilekit.boxes.shapes import ragged
from tilekit.boxes.shapes.polygons import Polygons


def filled(outlines: Polygons) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Spans (m, 3) x, y0, y1 and the row of each, rising by row, x, y.

    Each edge meets the lines through the centers of columns; what lies between the first and second crossing of a
    line, the third and fourth, is inside, as parts are united and crossings resolved first.
    """
    solid = type(outlines).from_geometries(outlines.geometries())
    count = np.diff(solid.rings)
    start = np.arange(len(solid.points))
    end = start + 1
    end[solid.rings[1:] - 1] = solid.rings[:-1]
    row = np.repeat(ragged.row_of(solid.objects), count)
    one, other = solid.points[start], solid.points[end]
    turned = one[:, 0] > other[:, 0]
    low, high = np.where(turned[:, None], other, one), np.where(turned[:, None], one, other)
    first = np.ceil(low[:, 0] - 0.5).astype(np.int64)
    number = np.maximum(np.ceil(high[:, 0] - 0.5).astype(np.int64) - first, 0)
    edge = np.repeat(np.arange(len(number)), number)
    x = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(number) - number, number)
    part = (x + 0.5 - low[edge, 0]) / (high[edge, 0] - low[edge, 0])
    y = low[edge, 1] + part * (high[edge, 1] - low[edge, 1])
    order = np.lexsort((y, x, row[edge]))
    x, y, row = x[order], y[order], row[edge][order]
    y0, y1 = np.ceil(y[0::2] - 0.5).astype(np.int64), np.ceil(y[1::2] - 0.5).astype(np.int64)
    spans, row = np.column_stack([x[0::2], y0, y1]), row[0::2]
    keep = y1 > y0
    spans, row = spans[keep], row[keep]
    fresh = np.ones(len(spans), np.bool_)  # what touches in one column is one span
    fresh[1:] = (row[1:] != row[:-1]) | (spans[1:, 0] != spans[:-1, 0]) | (spans[1:, 1] > spans[:-1, 2])
    head = np.flatnonzero(fresh)
    tail = np.append(head[1:], len(spans))[: len(head)] - 1
    return np.column_stack([spans[head, :2], spans[tail, 2]]), row[head]
