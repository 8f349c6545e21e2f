"""A run as one HTML file with its plots inside; no scripts, nothing from elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from tilekit.report.plots import bars_plot, lines_plot
from tilekit.storage.local import write_text

_MORE = (
    ".plots figure { max-width: 44rem; } table { margin: .75rem 0; } td:last-child { white-space: normal; }"
)
_WORDS = {
    "overlap": "overlap, px",
    "tile": "tile, px",
    "cpu": "CPU seconds",
    "mpx_s": "million px a second",
    "tiles_s": "tiles a second",
    "peak_mb": "peak memory, MB",
    "how": "as",
    "slower": "times the time of tilekit",
    "low": "at least",
    "high": "at most",
    "note": "what to know",
    "decode": "decoding alone, s",
    "encode": "encoding alone, s",
    "write": "writing alone, s",
    "limit": "limit, s",
    "share": "share of the limit reached",
    "bound": "bound by",
    "busy": "share of time the detector worked",
    "call_ms": "a call, ms",
    "call_p95_ms": "19 of 20 calls within, ms",
    "retried": "calls made again",
    "times": "new by old",
    "bytes": "size, bytes",
    "hash": "fingerprint",
}
"""What columns are called where people read them; the others are words already."""
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Warning): ")
_WHAT = {"tiling": "Tiling", "boxes": "Box functions", "detect": "Detection", "suites": "All suites"}


def write_page(document: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write the page. Raises MissingExtra without matplotlib, StorageError."""
    write_text(path, page_of(document))


def page_of(document: Mapping[str, Any]) -> str:
    """The page as text."""
    machine = document["machine"]
    style = files("tilekit.report").joinpath("assets/report.css").read_text(encoding="utf-8")
    title = f"{_WHAT.get(document['what'], document['what'])} on this machine"
    facts = (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, "
        f"Python {machine['python']}; {document['date']}; load before {machine['load_before'][0]}"
    )
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n<style>{style}{_MORE}</style>\n</head>\n<body>',
        f'<header><h1>{escape(title)}</h1><p class="quiet">{escape(facts)}</p>',
        *(f'<p class="outcome">{escape(note)}</p>' for note in document["notes"]),
        "</header>\n<main>",
        *_sections(document),
        _section("What ran", _versions(document)),
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


_SETTINGS = ("scan", "tile", "overlap", "format", "workers", "seconds", "cpu", "mpx_s", "tiles_s", "peak_mb")
_DETECT = ("scan", "workers", "seconds", "tiles_s", "busy", "call_ms", "call_p95_ms", "retried", "bound")


def _sections(document: Mapping[str, Any]) -> Iterable[str]:
    columns: tuple[str, ...]
    if document.get("settings"):
        rates = {_setting(row): float(row["mpx_s"]) for row in document["settings"]}
        peaks = {_setting(row): float(row["peak_mb"]) for row in document["settings"]}
        yield _section(
            "Settings",
            _plots([bars_plot(rates, "Mpx/s"), bars_plot(peaks, "peak MB of the process")]),
            _table(_SETTINGS, document["settings"]),
        )
    if document.get("peers"):
        first = "case" if document["what"] == "boxes" else "scan"
        how = () if document["what"] == "boxes" else ("how",)
        columns = (first, "who", *how, "seconds", "slower", "low", "high", "note")
        rows = [{**row, "note": said(row.get("note"))} for row in document["peers"]]
        yield _section(
            "Beside others",
            *standing(rows, first),
            _plots(_peer_plots(document["peers"], first)),
            _table(columns, rows),
        )
    if document.get("limits"):
        columns = ("scan", "decode", "encode", "write", "limit", "share", "bound")
        shares = {row["scan"]: float(row["share"] or 0) for row in document["limits"]}
        yield _section(
            "The limit here",
            '<p class="quiet">limit: decoding alone plus encoding alone, over the workers</p>',
            _plots([bars_plot(shares, "share of the limit", mark=1.0)]),
            _table(columns, document["limits"]),
        )
    if document.get("detect"):
        rows = sorted(document["detect"], key=lambda row: int(row["workers"]))
        counts = [float(row["workers"]) for row in rows]
        yield _section(
            "By workers",
            _plots(
                [
                    lines_plot({"tiles/s": (counts, [row["tiles_s"] for row in rows])}, "workers", "tiles/s"),
                    lines_plot({"busy": (counts, [row["busy"] for row in rows])}, "workers", "share busy"),
                ]
            ),
            _table(_DETECT, rows),
        )
    if document.get("compared"):
        yield _section("Compared", _table(("what", "old", "new", "times", "verdict"), document["compared"]))
    if document.get("failed"):
        yield _section("Failed", _table(("scan", "reason"), document["failed"]))


def said(note: Any) -> str:
    """What kept a peer from being timed, as one plain sentence."""
    words = str(note or "").strip().splitlines()
    if not words:
        return ""
    text = _RAISED.sub("it failed: ", words[0])
    text = {"not installed": "it is not installed here"}.get(text, text)
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def standing(rows: Sequence[Mapping[str, Any]], first: str) -> list[str]:
    """How peers stand to tilekit, in sentences: who is ahead, who is level (the spread holds 1), then the others."""
    ahead: list[tuple[str, float]] = []
    level: list[tuple[str, float]] = []
    behind: list[tuple[str, float]] = []
    for row in rows:
        if row.get("slower") is None or row["who"] == "tilekit":
            continue
        low, high = float(row.get("low") or row["slower"]), float(row.get("high") or row["slower"])
        what = f"{row['who']} on {row[first]}: {row['slower']:.3g} times the time of tilekit ({low:.3g} to {high:.3g})"
        (ahead if high < 1 else level if low <= 1 else behind).append((what, float(row["slower"])))
    lines = [f"Ahead of tilekit: {what}." for what, _ in ahead]
    lines += [f"Level with tilekit: {what}." for what, _ in level]
    if behind:
        times, many = [times for _, times in behind], len(behind) > 1
        span = f"{min(times):.3g} to {max(times):.3g}" if many else f"{times[0]:.3g}"
        lines.append(
            f"tilekit is ahead in the {'other ' if lines else ''}{f'{len(behind)} comparisons' if many else 'comparison'}: "
            f"{'they take' if many else 'it takes'} {span} times its time."
        )
    return [f'<p class="outcome">{escape(line)}</p>' for line in lines]


def _peer_plots(rows: Sequence[Mapping[str, Any]], first: str) -> Iterable[str]:
    groups: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.get("slower") is not None:
            groups.setdefault(row[first], {})[row["who"]] = float(row["slower"])
    for name, bars in groups.items():
        yield bars_plot(bars, f"times the time of tilekit: {name}", mark=1.0)


def _setting(row: Mapping[str, Any]) -> str:
    return f"{row['scan']}: {row['tile']}/{row['overlap']} {row['format']} ×{row['workers']}"


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def _plots(drawn: Iterable[str]) -> str:
    return '<div class="plots">' + "".join(f"<figure>{svg}</figure>" for svg in drawn) + "</div>"


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f'<th scope="col">{escape(_WORDS.get(name, name))}</th>' for name in columns)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(_cell(row.get(name)))}</td>" for name in columns) + "</tr>"
        for row in rows
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="figures"><table>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _versions(document: Mapping[str, Any]) -> str:
    rows = [
        {"package": name, "version": found or "not installed"} for name, found in document["versions"].items()
    ]
    inputs = (
        _table(("name", "width", "height", "bytes", "hash"), document["inputs"]) if document["inputs"] else ""
    )
    return inputs + _table(("package", "version"), rows)
