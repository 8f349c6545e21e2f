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


def _chosen(curves: Mapping[str, Curve]) -> list[tuple[str, Curve]]:
    with_truth = [(label, curve) for label, curve in curves.items() if curve.truths]
    return sorted(with_truth, key=lambda item: (-item[1].truths, item[0]))[:_MOST]


def _figure(across: str, up: str) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as exc:
        raise MissingExtra("the report's plots need matplotlib: pip install 'tilekit[report]'") from exc
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
    import matplotlib as mpl

    if axes.lines:
        axes.legend(loc="lower left", fontsize=8, framealpha=0, labelcolor=_INK)
    else:
        axes.text(0.5, 0.5, "nothing to draw: no truth", ha="center", color=_INK)
    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tilekit"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :].replace(_INK, "currentColor")
