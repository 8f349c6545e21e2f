"""A run as one HTML file with its plots inside; no scripts, nothing from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from tilekit.report.plots import bars_plot, lines_plot
from tilekit.storage.local import write_text

_MORE = (
    ".plots figure { max-width: 44rem; } table { margin: .75rem 0; } td:last-child { white-space: normal; }"
)
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


def _sections(document: Mapping[str, Any]) -> Iterable[str]:
    columns: tuple[str, ...]
    if document.get("settings"):
        columns = (
            "scan",
            "tile",
            "overlap",
            "format",
            "workers",
            "seconds",
            "cpu",
            "mpx_s",
            "tiles_s",
            "peak_mb",
        )
        rates = {_setting(row): float(row["mpx_s"]) for row in document["settings"]}
        peaks = {_setting(row): float(row["peak_mb"]) for row in document["settings"]}
        yield _section(
            "Settings",
            _plots([bars_plot(rates, "Mpx/s"), bars_plot(peaks, "peak MB of the process")]),
            _table(columns, document["settings"]),
        )
    if document.get("peers"):
        first = "case" if document["what"] == "boxes" else "scan"
        how = () if document["what"] == "boxes" else ("how",)
        columns = (first, "who", *how, "seconds", "slower", "low", "high", "note")
        yield _section(
            "Beside others", _plots(_peer_plots(document["peers"], first)), _table(columns, document["peers"])
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
        columns = (
            "scan",
            "workers",
            "seconds",
            "tiles_s",
            "busy",
            "call_ms",
            "call_p95_ms",
            "retried",
            "bound",
        )
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
            _table(columns, rows),
        )
    if document.get("compared"):
        yield _section("Compared", _table(("what", "old", "new", "times", "verdict"), document["compared"]))
    if document.get("failed"):
        yield _section("Failed", _table(("scan", "reason"), document["failed"]))


def _peer_plots(rows: Sequence[Mapping[str, Any]], first: str) -> Iterable[str]:
    groups: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.get("slower") is not None:
            groups.setdefault(row[first], {})[row["who"]] = float(row["slower"])
    for name, bars in groups.items():
        yield bars_plot(bars, f"times slower than tilekit: {name}", mark=1.0)


def _setting(row: Mapping[str, Any]) -> str:
    return f"{row['scan']}: {row['tile']}/{row['overlap']} {row['format']} ×{row['workers']}"


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def _plots(drawn: Iterable[str]) -> str:
    return '<div class="plots">' + "".join(f"<figure>{svg}</figure>" for svg in drawn) + "</div>"


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
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
