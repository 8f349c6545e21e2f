"""Curves as SVG that takes the page's own text color, light or dark."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from tilekit.errors import MissingExtra
from tilekit.evaluation.metrics import Curve

_INK = "#010203"  # stands for the page's text color; replaced by currentColor
_COLORS = ("#2b7de9", "#e07b00", "#22a447", "#c43ac0", "#8a6d3b", "#00a3a3", "#e5323f", "#7a5cc4")
_MOST = 8


def precision_recall_plot(curves: Mapping[str, Curve]) -> str:
    """Precision against recall, a line a label (the eight with most truth), as inline SVG."""
    figure, axes = _figure("recall", "precision")
    for color, (label, curve) in zip(_COLORS, _chosen(curves), strict=False):
        if len(curve):
            axes.plot(curve.tp / curve.truths, curve.precision, color=color, label=label, linewidth=1.8)
    return _svg(figure, axes)


def threshold_plot(curves: Mapping[str, Curve], used: Mapping[str, float]) -> str:
    """F1 against the threshold, a line a label; a dot where the threshold in use stands."""
    figure, axes = _figure("threshold", "F1")
    for color, (label, curve) in zip(_COLORS, _chosen(curves), strict=False):
        if not len(curve):
            continue
        f1 = 2 * curve.tp / (curve.tp + curve.fp + curve.truths)
        axes.plot(curve.thresholds, f1, color=color, label=label, linewidth=1.8)
        at = used.get(label)
        if at is not None:
            kept = curve.thresholds >= at
            axes.plot([at], [float(f1[kept][-1]) if kept.any() else 0.0], "o", color=color, markersize=5)
    return _svg(figure, axes)


def bars_plot(rows: Mapping[str, float], across: str, *, mark: float | None = None) -> str:
    """A bar for each name, the first on top, its value beside it; a dashed line at `mark`. Inline SVG."""
    figure, axes = _figure(across, "")
    names, values = list(rows), list(rows.values())
    figure.set_size_inches(6.4, 0.9 + 0.32 * max(1, len(names)))
    places = list(range(len(names)))[::-1]
    axes.set_axisbelow(True)
    axes.barh(places, values, color=_COLORS[0], height=0.6)
    axes.set_yticks(places, names)
    top = max([*values, mark or 0.0], default=1.0)
    axes.set(xlim=(0, 1.15 * top or 1.0), ylim=(-0.6, len(names) - 0.4))
    for place, value in zip(places, values, strict=True):
        axes.text(value + 0.01 * top, place, f"{value:.3g}", va="center", fontsize=8, color=_INK)
    if mark is not None:
        axes.axvline(mark, color=_INK, linestyle="--", linewidth=1)
    return _drawn(figure)


def lines_plot(
    lines: Mapping[str, tuple[list[float], list[float]]], across: str, up: str, *, log: bool = False
) -> str:
    """A line with dots for each name, `log` on both axes. Inline SVG."""
    figure, axes = _figure(across, up)
    for color, (name, (xs, ys)) in zip(_COLORS, lines.items(), strict=False):
        axes.plot(xs, ys, "o-", color=color, label=name, linewidth=1.8, markersize=4)
    if log:
        axes.set(xscale="log", yscale="log")
    axes.relim()
    axes.autoscale()
    if not log:
        axes.set_ylim(bottom=0)
    axes.legend(loc="best", fontsize=8, framealpha=0, labelcolor=_INK)
    return _drawn(figure)


def _chosen(curves: Mapping[str, Curve]) -> list[tuple[str, Curve]]:
    with_truth = [(label, curve) for label, curve in curves.items() if curve.truths]
    return sorted(with_truth, key=lambda item: (-item[1].truths, item[0]))[:_MOST]


def _figure(across: str, up: str) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as exc:
        raise MissingExtra("the report's plots need matplotlib", "report") from exc
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=across, ylabel=up, xlim=(0, 1.02), ylim=(0, 1.02))
    axes.xaxis.label.set_color(_INK)
    axes.yaxis.label.set_color(_INK)
    axes.tick_params(colors=_INK)
    for spine in axes.spines.values():
        spine.set_color(_INK)
    axes.grid(color=_INK, alpha=0.15, linewidth=0.6)
    axes.patch.set_alpha(0)
    figure.patch.set_alpha(0)
    return figure, axes


def _svg(figure: Any, axes: Any) -> str:
    if axes.lines:
        axes.legend(loc="lower left", fontsize=8, framealpha=0, labelcolor=_INK)
    else:
        axes.text(0.5, 0.5, "nothing to draw: no truth", ha="center", color=_INK)
    return _drawn(figure)


def _drawn(figure: Any) -> str:
    import matplotlib as mpl

    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tilekit"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :].replace(_INK, "currentColor")
