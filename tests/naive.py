"""Slow, obvious twins of the kernels: plain loops, no tricks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np


def area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def intersection(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    return w * h if w > 0 and h > 0 else 0.0


def iou(a, b):
    shared = intersection(a, b)
    return shared / (area(a) + area(b) - shared) if shared > 0 else 0.0


def ios(a, b):
    shared = intersection(a, b)
    return shared / min(area(a), area(b)) if shared > 0 else 0.0


def nms(boxes, scores, class_ids=None, threshold=0.5, metric="iou"):
    overlap = {"iou": iou, "ios": ios, "giou": giou, "diou": diou}[metric]
    order = sorted(range(len(boxes)), key=lambda i: -scores[i])
    kept = []
    for i in order:
        rivals = (k for k in kept if class_ids is None or class_ids[k] == class_ids[i])
        if not any(overlap(boxes[i], boxes[k]) > threshold for k in rivals):
            kept.append(i)
    return kept


def remap_to_tiles(boxes, grid, min_visible=0.5):
    """Rows of (tile, source, box, visible, cut), every box against every tile."""

    def share(low, high, start, stop):
        if high <= low:
            return 1.0 if start <= low < stop else 0.0
        return max(0.0, min(high, stop) - max(low, start)) / (high - low)

    rows = []
    reduced = grid.to_reduced(np.asarray(boxes, float).reshape(-1, 4))
    for tile, window in enumerate(grid):
        x0, y0, x1, y1 = window.x0, window.y0, min(window.x1, grid.width), min(window.y1, grid.height)
        for source, box in enumerate(reduced):
            visible = share(box[1], box[3], y0, y1) * share(box[0], box[2], x0, x1)
            if visible <= 0 or visible < min_visible:
                continue
            cut = (
                (box[0] < x0 and x0 > 0)
                or (box[1] < y0 and y0 > 0)
                or (box[2] > x1 and x1 < grid.width)
                or (box[3] > y1 and y1 < grid.height)
            )
            clipped = [max(box[0], x0) - x0, max(box[1], y0) - y0, min(box[2], x1) - x0, min(box[3], y1) - y0]
            rows.append((tile, source, clipped, visible, cut))
    return rows


def giou(a, b):
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    union = area(a) + area(b) - intersection(a, b)
    return iou(a, b) - ((hull - union) / hull if hull > 0 else 0.0)


def diou(a, b):
    wide, high = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    across, down = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    diagonal = wide * wide + high * high
    return iou(a, b) - ((across * across + down * down) / diagonal if diagonal > 0 else 0.0)


def soft_nms(boxes, scores, class_ids, threshold, method, sigma, floor):
    scores, left, chosen = list(scores), list(range(len(boxes))), []
    while left:
        best = max(left, key=lambda i: (scores[i], -i))
        if scores[best] < floor:
            break
        left.remove(best)
        chosen.append(best)
        for i in left:
            part = iou(boxes[i], boxes[best])
            if class_ids[i] != class_ids[best] or part <= (threshold if method == "linear" else 0):
                continue
            scores[i] *= 1 - part if method == "linear" else np.exp(-part * part / sigma)
    return chosen, [scores[i] for i in chosen]


def nmm(boxes, scores, class_ids, threshold, metric):
    """(kept index, its grown box) best first."""
    overlap = iou if metric == "iou" else ios
    left = sorted(range(len(boxes)), key=lambda i: -scores[i])
    out = []
    while left:
        best = left.pop(0)
        taken = [
            i for i in left if class_ids[i] == class_ids[best] and overlap(boxes[i], boxes[best]) > threshold
        ]
        left = [i for i in left if i not in taken]
        grown = list(boxes[best])
        for i in taken:
            if overlap(boxes[i], grown) > threshold:
                grown[:2] = [min(grown[k], boxes[i][k]) for k in (0, 1)]
                grown[2:] = [max(grown[k], boxes[i][k]) for k in (2, 3)]
        out.append((best, grown))
    return out


def merge(boxes, scores, class_ids, tile_index, grid, policy):
    """Merging without joining: rows of (box, score, class, tile, cut, {other class: best score}) in merge order."""

    def within(a, b, slack):
        """Share of a in b widened by slack."""
        w = min(a[2], b[2] + slack) - max(a[0], b[0] - slack)
        h = min(a[3], b[3] + slack) - max(a[1], b[1] - slack)
        if w < 0 or h < 0:
            return 0.0
        if area(a) > 0:
            return w * h / area(a)
        return 1.0 if w >= a[2] - a[0] and h >= a[3] - a[1] else 0.0

    def removes(best, other):
        (a, _, label_a, tile_a, cut_a), (b, _, label_b, tile_b, cut_b) = best, other
        if label_a != label_b and not policy.class_agnostic:
            return False
        if not cut_b:
            near = all(abs(p - q) <= slack for p, q in zip(a, b, strict=True)) and intersection(a, b) > 0
            least = policy.threshold * (0.8 if tile_a != tile_b else 1)
            return iou(a, b) > least or (tile_a != tile_b and near)
        if cut_a and ios(a, b) > policy.threshold:
            return True
        return within(b, a, slack) > policy.threshold

    def rank(i):
        box, score, _, _, cut = pieces[i]
        return cut, -area(box) if cut else -score

    slack, pieces = 2 * policy.tolerance, []
    for box, score, label, tile in zip(boxes, scores, class_ids, tile_index, strict=True):
        if score < policy.score_floor:
            continue
        window = grid[tile]
        x0, y0, x1, y1 = window.x0, window.y0, min(window.x1, grid.width), min(window.y1, grid.height)
        x = [min(max(v + x0, x0), x1) for v in (box[0], box[2])]
        y = [min(max(v + y0, y0), y1) for v in (box[1], box[3])]
        off_x, off_y = (max(policy.tolerance, policy.relative_tolerance * (v[1] - v[0])) for v in (x, y))
        cut = (
            (x0 > 0 and x[0] <= x0 + off_x)
            or (y0 > 0 and y[0] <= y0 + off_y)
            or (x1 < grid.width and x[1] >= x1 - off_x)
            or (y1 < grid.height and y[1] >= y1 - off_y)
        )
        pieces.append((tile, tuple(box), label, -score, ([x[0], y[0], x[1], y[1]], score, label, tile, cut)))
    pieces = [piece[-1] for piece in sorted(pieces, key=lambda piece: piece[:4])]
    kept = {}
    for i in sorted(range(len(pieces)), key=rank):
        best = next((k for k in kept if removes(pieces[k], pieces[i])), None)
        if best is None:
            kept[i] = {}
        elif pieces[i][2] != pieces[best][2]:
            others, label = kept[best], pieces[i][2]
            others[label] = max(others.get(label, 0.0), pieces[i][1])
    return [(*pieces[i], kept[i]) for i in sorted(kept)]


def grown(box, edges, grid, growth, tolerance):
    """A piece made longer over the border that cuts it, where one does, where the tile beyond shows a quarter of it."""
    out = list(box)
    windows = list(grid)
    for axis, before, after in ((0, 1, 4), (1, 2, 8)):
        size = (grid.width, grid.height)[axis]
        tiles = sorted({(window[axis], min(window[axis + 2], size)) for window in windows})
        low, high = box[axis], box[axis + 2]
        length, borders = high - low, list(pairwise(tiles))
        if not borders or edges not in (before, after):
            continue
        if edges == after:
            (_, stop), (start, _) = min(borders, key=lambda pair: abs(pair[0][1] - high))
            if abs(stop - high) <= tolerance and high - max(low, start) >= length / 4:
                out[axis + 2] = min(high + growth * length, size)
        else:
            (_, stop), (start, _) = min(borders, key=lambda pair: abs(pair[1][0] - low))
            if abs(start - low) <= tolerance and min(high, stop) - low >= length / 4:
                out[axis] = max(low - growth * length, 0)
    return out


def edges(rings, holes):
    """Edges of one outline that are not upright, by x0: x0, y0, x1, y1, which side is inside; and its area."""
    out, area = [], 0.0
    for ring, hole in zip(rings, holes, strict=True):
        pairs = list(zip(ring, [*ring[1:], ring[0]], strict=True))
        double = sum(
            (a[0] - ring[0][0]) * (b[1] - ring[0][1]) - (b[0] - ring[0][0]) * (a[1] - ring[0][1])
            for a, b in pairs
        )
        area += (-0.5 if hole else 0.5) * abs(double)
        sign = (-1 if hole else 1) * (-1 if double < 0 else 1)
        out += [(*a, *b, sign) if a[0] < b[0] else (*b, *a, -sign) for a, b in pairs if a[0] != b[0]]
    return sorted(out, key=lambda edge: edge[0]), max(area, 0.0)


def carry_shapes(geometries, boxes, grid, min_visible):
    """Rows of (tile, source, box, visible, clipped geometry): every outline against every tile, one by one."""
    import shapely

    rows = []
    for tile, window in enumerate(grid):
        x1, y1 = min(window.x1, grid.width), min(window.y1, grid.height)
        frame = shapely.box(window.x0, window.y0, x1, y1)
        for source, outline in enumerate(geometries):
            parts = shapely.get_parts(shapely.intersection(outline, frame))
            shown = shapely.union_all(parts[shapely.area(parts) > 0])  # a line along the border shows nothing
            visible = shown.area / outline.area
            if visible > 0 and visible >= min_visible:
                left, top, right, bottom = shown.bounds
                box = [left - window.x0, top - window.y0, right - window.x0, bottom - window.y0]
                rows.append((tile, source, box, visible, shown))
    return rows


def box_means(rows, across, down):
    """Means of boxes of pixels: down, rounded, then across, rounded; the last row and column fill the last boxes."""
    height, width, bands = rows.shape
    tall, wide = -(-height // down), -(-width // across)
    out = np.zeros((tall, wide, bands), np.uint8)
    for y, x, band in np.ndindex(out.shape):
        means = []
        for column in range(x * across, (x + 1) * across):
            column = min(column, width - 1)
            values = [
                int(rows[min(row, height - 1), column, band]) for row in range(y * down, (y + 1) * down)
            ]
            means.append(vips_mean(values))
        out[y, x, band] = vips_mean(means)
    return out


def vips_mean(values):
    """As libvips divides: by a factor of 24 binary places, rounded down, so that halves and a bit more go down."""
    count = len(values)
    return (sum(values) + count // 2) * (2**32 // (256 * count)) >> 24
