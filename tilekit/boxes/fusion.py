"""Fusing: soft suppression, greedy non-maximum merging, weighted box fusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilekit.boxes import checks, engine, overlap
from tilekit.boxes.suppression import METRICS, Metric
from tilekit.errors import InvalidArgument, checked_kind

Conf = Literal["avg", "max", "box_and_model_avg", "absent_model_aware_avg"]


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """Boxes made of others, by falling score.

    `boxes` (m, 4) float64; `scores` (m,) float64; `class_ids` (m,) int64; `target` (n,) int64: the row that
    each box given went into, -1 where it took no part.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    class_ids: NDArray[np.int64]
    target: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.boxes)


def soft_nms(
    boxes: ArrayLike,
    scores: ArrayLike,
    class_ids: ArrayLike | None = None,
    threshold: float = 0.3,
    method: Literal["linear", "gaussian"] = "linear",
    sigma: float = 0.5,
    score_floor: float = 0.001,
    class_agnostic: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Soft suppression (Bodla et al., ICCV 2017): the best box lowers the scores of those it overlaps.

    "linear" multiplies by 1 - IoU where IoU > `threshold`; "gaussian" by exp(-IoU^2 / sigma) wherever boxes
    overlap. Ends when no score is left at or above `score_floor`. Gives (indices int64, new scores), best
    first; equal scores keep input order. `scores` 0..1. Time and memory grow with the pairs that overlap.
    """
    checked, values, labels = _checked(boxes, scores, class_ids, class_agnostic)
    limit, floor = checks.ratio(threshold, "threshold"), checks.ratio(score_floor, "score_floor")
    if method not in ("linear", "gaussian"):
        raise InvalidArgument(f"method={method!r} is unknown; choose linear or gaussian")
    if not checks.length(sigma, "sigma") > 0:
        raise InvalidArgument(f"sigma={sigma!r} must be above 0")
    from tilekit.boxes.kernels import decay

    found = overlap.listed(checked, limit if method == "linear" else 0.0)
    found = found[labels[found[:, 0]] == labels[found[:, 1]]]
    both = np.concatenate([found, found[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    first = np.zeros(len(checked) + 1, np.int32)
    np.cumsum(np.bincount(both[:, 0], minlength=len(checked)), out=first[1:])
    second = np.ascontiguousarray(both[:, 1])
    shares = overlap.aligned_iou(checked[both[:, 0]], checked[second])
    lowered, count = values.copy(), len(checked)
    out, heap, spot = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
    gaussian = int(method == "gaussian")
    chosen = decay.soften(first, second, shares, gaussian, sigma, floor, lowered, heap, spot, out)
    return out[:chosen], lowered[out[:chosen]]


def nmm(
    boxes: ArrayLike,
    scores: ArrayLike,
    class_ids: ArrayLike | None = None,
    threshold: float = 0.5,
    metric: Metric = "ios",
    class_agnostic: bool = False,
) -> Fused:
    """Greedy non-maximum merging, in SAHI's meaning: a box swallows what it would suppress.

    As `nms`, but each removed box goes to the best kept one it overlaps by more than `threshold`, which grows
    to the hull of both if they then still overlap so much. Score and class are the kept box's.
    """
    checked, values, labels = _checked(boxes, scores, class_ids, class_agnostic)
    if metric not in METRICS:
        raise InvalidArgument(f"metric={metric!r} is unknown; choose iou or ios")
    limit = checks.ratio(threshold, "threshold")
    order = engine.descending(values)
    state, winner = engine.greedy(checked, order, labels, METRICS[metric], limit, best=True)
    from tilekit.boxes.kernels import fusing

    grown = checked.copy()
    fusing.swallow(checked, order, winner, METRICS[metric], limit, grown)
    kept = order[state[order] == 1]
    rows = np.empty(len(checked), np.int64)
    rows[kept] = np.arange(len(kept))
    target = rows[np.where(winner >= 0, winner, np.arange(len(checked)))]
    ids = checks.labels(class_ids, len(checked))
    return Fused(grown[kept], values[kept], labels[kept] if ids is None else ids[kept], target)


@dataclass(frozen=True, kw_only=True)
class FusionOptions:
    """How `wbf` scores what it fuses, in ensemble-boxes' words.

    `conf`: the score is the mean ("avg") or greatest ("max") of score * weight; "avg" is scaled by members / sum of
    weights, counting at most as many members as models unless `allow_overflow`; "max" is divided by the greatest
    weight. "box_and_model_avg" is the mean weighted by model, times the share of the weights whose models are in the
    cluster; "absent_model_aware_avg" counts absent models as scores of 0. `score_floor`: below it a box takes no part.
    """

    conf: Conf = "avg"
    allow_overflow: bool = False
    score_floor: float = 0.0

    def __post_init__(self) -> None:
        checks.ratio(self.score_floor, "score_floor")
        if self.conf not in get_args(Conf):
            raise InvalidArgument(f"conf={self.conf!r} is unknown; choose {', '.join(get_args(Conf))}")


_FUSION = FusionOptions()


def wbf(
    boxes: ArrayLike,
    scores: ArrayLike,
    class_ids: ArrayLike | None = None,
    models: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    threshold: float = 0.55,
    *,
    options: FusionOptions = _FUSION,
) -> Fused:
    """Weighted box fusion (Solovyev et al., 2021) of one or several models' boxes, per class.

    `models` (n,): which model found each box, 0-based (all 0 if None); `weights`: one number above 0 per model (all
    1). Best first, a box joins the cluster whose mean box it overlaps most, above `threshold`, or opens one;
    the mean is weighted by score * weight. `options`: how a cluster is scored, see FusionOptions.
    This is the arithmetic of ensemble-boxes, but for boxes without area: it leaves them out, here each stays alone.
    """
    options = checked_kind(options, FusionOptions)
    checked, values, labels = _checked(boxes, scores, class_ids, False)
    count = len(checked)
    which = np.zeros(count, np.int64) if models is None else checks.indices(models, count, "models")
    heavy = _weights(weights, int(which.max(initial=0)) + 1)
    limit = checks.ratio(threshold, "threshold")
    from tilekit.boxes.kernels import fusing

    weighted = values * heavy[which]
    order = engine.descending(weighted)
    order = order[values[order] >= options.score_floor]
    fused, total = np.empty((count, 4)), np.empty(count)
    members, target = np.zeros(count, np.int64), np.empty(count, np.int64)
    heads = np.empty(1 << max(4, (count - 1).bit_length()), np.int64)
    links = np.empty((3, count), np.int64)
    clusters = fusing.fuse(
        checked, weighted, order, labels, limit, fused, np.empty((count, 4)), total, heads, links, members, target,
    )  # fmt: skip
    rows = target[order]
    made = _cluster_scores(rows, weighted[order], which[order], heavy, members[:clusters], options)
    ranked = np.argsort(-made, kind="stable")
    place = np.empty(clusters, np.int64)
    place[ranked] = np.arange(clusters)
    target[order] = place[rows]
    of = np.zeros(clusters, np.int64)
    of[rows] = labels[order]
    return Fused(fused[:clusters][ranked], made[ranked], of[ranked], target)


def _cluster_scores(
    rows: NDArray[np.int64],
    weighted: NDArray[np.float64],
    which: NDArray[np.int64],
    heavy: NDArray[np.float64],
    members: NDArray[np.int64],
    options: FusionOptions,
) -> NDArray[np.float64]:
    """The score of each cluster; `rows`: the cluster of each box, with its weighted score and its model."""
    clusters = len(members)
    if options.conf == "max":
        made = np.zeros(clusters)
        np.maximum.at(made, rows, weighted)
        made /= heavy.max()
        return made
    made = np.bincount(rows, weighted, minlength=clusters).astype(np.float64)
    if options.conf == "avg":
        counted = members if options.allow_overflow else np.minimum(members, len(heavy))
        made *= counted / members / heavy.sum()
        return made
    held = np.bincount(rows, heavy[which], minlength=clusters)
    pairs = np.unique(rows * len(heavy) + which)
    present = np.bincount(pairs // len(heavy), heavy[pairs % len(heavy)], minlength=clusters)
    if options.conf == "box_and_model_avg":
        made *= present / held / heavy.sum()
    else:
        made /= held + heavy.sum() - present
    return made


def _checked(
    boxes: ArrayLike, scores: ArrayLike, class_ids: ArrayLike | None, class_agnostic: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    checked = checks.boxes(boxes)
    labels = checks.labels(class_ids, len(checked))
    if class_agnostic or labels is None:
        labels = np.zeros(len(checked), np.int64)
    return checked, checks.scores(scores, len(checked)), labels


def _weights(weights: ArrayLike | None, count: int) -> NDArray[np.float64]:
    if weights is None:
        return np.ones(count)
    heavy = checks.finite(weights, np.size(weights), "weights")
    if len(heavy) < count:
        raise InvalidArgument(f"weights has {len(heavy)} numbers but models names model {count - 1}")
    if (heavy <= 0).any():
        raise InvalidArgument(f"weights[{int((heavy <= 0).argmax())}] must be above 0")
    return heavy
