"""Turn a recorded run into the tables of README and docs, and plots: `python benchmarks/table.py RESULT.json`.

`python benchmarks/table.py --compare A.json B.json` says where two runs differ by more than their spreads allow.

Every target is a line: its figure, spread, target, reached or not; what was not measured says so. The text goes
between `<!-- benchmarks:begin FILE -->` and `<!-- benchmarks:end -->`, so no figure stands there without its run.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:
    sys.path.insert(0, str(HERE.parent))

from benchmarks.targets.targets import TARGETS, Target  # noqa: E402

END = "<!-- benchmarks:end -->"
BEGIN = re.compile(r"<!-- benchmarks:begin (\S+) -->")
PLACES = ("docs/results.md",)
SHORT_PLACES = ("README.md",)
SHORT = (
    "tiling.cut.jpeg.idle", "tiling.cut.jpeg.busy", "tiling.cut.tiled-jpeg.idle", "tiling.cut.tiled-jpeg.busy",
    "tiling.dzsave.mean.clean", "tiling.sahi", "tiling.image_slicer", "memory.large",
    "nms.spread.1000000", "nms.tile-merge.1000000", "detect.sahi.1", "detect.slicer.4", "archive.pyvips",
)  # fmt: skip


def lines_of(document: dict) -> dict[str, dict]:
    """The last figure of every target that the run has."""
    return {line["target"]: line for line in document.get("lines", []) if line["target"] in TARGETS}


def row(target: Target, line: dict | None) -> tuple[str, str, str, str, str]:
    """Text, figure, spread, target, verdict of one line."""
    goal = "" if target.value is None else f"{target.sense} {number(target.value, target.unit)}"
    if line is None or line["value"] is None:
        why = "" if line is None else f": {line['note']}"
        return target.text, "not measured" + why, "", goal, "no" if goal else ""
    reached = target.reached(line["value"])
    spread = ""
    if line["rounds"] > 1:
        spread = f"{number(line['low'])} to {number(line['high'])} ({line['rounds']})"
    verdict = "" if reached is None else ("yes" if reached else "**no**")
    return target.text, number(line["value"], target.unit) + beaten(target, line), spread, goal, verdict


def beaten(target: Target, line: dict) -> str:
    """In words, where a peer is ahead, or level: its spread holds 1, or it is within a twentieth."""
    if "faster than" not in target.text:
        return ""
    low, high = (line[end] if line["rounds"] > 1 else line["value"] for end in ("low", "high"))
    if high < 1:
        return ", the peer is ahead"
    return ", the peer is level" if low <= 1 or line["value"] <= 1.05 else ""


def number(value: float, unit: str = "") -> str:
    """Three figures, with the unit."""
    text = f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{text} {unit}".strip() if unit != "x" else f"{text} x"


def table(document: dict, ids: tuple[str, ...] | None = None, notes: bool = True) -> str:
    """The Markdown table; `ids` picks lines, by default every target there is."""
    found = lines_of(document)
    out = ["| what | figure | spread (rounds) | target | reached |", "|---|---|---|---|---|"]
    for key in ids or tuple(TARGETS):
        cells = row(TARGETS[key], found.get(key))
        note = (
            found.get(key, {}).get("note", "")
            if notes and found.get(key, {}).get("value") is not None
            else ""
        )
        first = f"{cells[0]} ({note})" if note else cells[0]
        out.append("| " + " | ".join(cell.replace("|", "/") for cell in (first, *cells[1:])) + " |")
    return "\n".join(out)


def costs(document: dict) -> str:
    """Seconds, CPU seconds and peak memory of everyone, by line; of tiles also what was written, and how true it is."""
    out = [
        "| line | who | seconds | CPU seconds | peak MB | written MB | PSNR dB |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, line in lines_of(document).items():
        for who, cost in line["details"].get("cost", {}).items():
            peak = f"{cost['peak_mb']:.0f}" if cost["peak_mb"] else ""
            told = {**line["details"].get("output", {}).get(who, {}), **cost}
            written = f"{told['bytes'] / 1e6:.1f}" if told.get("bytes") else ""
            same = "exact" if "bytes" in cost else ""  # of cut tiles alone no PSNR means that nothing differs
            psnr = f"{told['psnr']:.1f}" if told.get("psnr") is not None else same
            cells = key, who, number(cost["seconds"]), number(cost["cpu"]), peak, written, psnr
            out.append(f"| {' | '.join(cells)} |")
    return "\n".join(out)


def preamble(document: dict) -> str:
    """When and where the run was made."""
    machine = document["machine"]
    energy = document.get("energy_joules")
    used = "the machine does not tell its energy" if energy is None else f"{energy / 3600:.1f} Wh"
    goals = [target for target in TARGETS.values() if target.value is not None]
    found = lines_of(document)
    values = {key: line["value"] for key, line in found.items() if line["value"] is not None}
    reached = sum(bool(target.reached(values[target.id])) for target in goals if target.id in values)
    return (
        f"Run of {document['date']} on {machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"Python {machine['python']}, in {document['seconds'] / 60:.1f} minutes ({used}): {reached} of {len(goals)} targets reached."
    )


def block(document: dict, name: str, short: bool) -> str:
    """What stands between the markers."""
    body = table(document, SHORT if short else None, notes=not short)
    if not short:
        body += f"\n\n## What it took\n\nMedians of the rounds.\n\n{costs(document)}"
    return f"<!-- benchmarks:begin {name} -->\n{preamble(document)}\n\n{body}\n{END}"


def replaced(text: str, new: str) -> str:
    """The text with its block exchanged; a text without markers is left as it is."""
    begin = BEGIN.search(text)
    if begin is None:
        return text
    return text[: begin.start()] + new + text[text.index(END, begin.end()) + len(END) :]


def summary(document: dict) -> str:
    """The run for a terminal."""
    found = lines_of(document)
    rows = [row(target, found.get(key)) for key, target in TARGETS.items()]
    width = max(len(cells[0]) for cells in rows)
    body = [f"{a:<{width}}  {b[:40]:>16}  {d:>12}  {e.strip('*'):<4} {c}" for a, b, c, d, e in rows]
    return "\n".join([*body, preamble(document)])


def plots(document: dict) -> dict[str, str]:
    """Name -> SVG: ratios to the best peer, memory with size."""
    from tilekit.report.plots import bars_plot, lines_plot

    found = {key: line for key, line in lines_of(document).items() if line["value"] is not None}
    faster = {
        _label(TARGETS[key].text): line["value"]
        for key, line in found.items()
        if key.startswith("tiling.") and not key.startswith(("tiling.limit", "tiling.small", "tiling.blank"))
    }
    boxes = {
        TARGETS[key].text.partition(":")[0]: line["value"]
        for key, line in found.items()
        if re.fullmatch(r"nms\.[a-z-]+\.\d+", key)
    }
    made = {}
    if faster:
        made["tiling"] = bars_plot(faster, "times faster", mark=1.0)
    if boxes:
        made["boxes"] = bars_plot(boxes, "times faster than the fastest peer", mark=1.0)
    curves = {
        str(found[key]["details"]["who"]): (found[key]["details"]["mpx"], found[key]["details"]["mb"])
        for key in ("detect.growth", "detect.growth.sahi", "detect.growth.slicer")
        if key in found
    }
    if curves:
        made["memory"] = lines_plot(curves, "Mpx", "peak MB while detecting")
    return made


def _label(text: str) -> str:
    """A target as a plot has room for it."""
    return text.replace(" without decoding, whole processes to disk,", ",").replace("times faster than ", "")


def compared(first: Path, second: Path) -> int:
    """Print both runs' figures where their spreads do not meet; 1 if there are any."""
    from tilekit.bench.document import compare_documents, read_document

    rows = compare_documents(read_document(first), read_document(second))
    apart = [row for row in rows if row["verdict"] != "same"]
    for row in apart:
        print(f"{row['what']}: {row['old']:g} and {row['new']:g}, {row['times']:.2f} times, {row['verdict']}")
    print(f"{len(rows) - len(apart)} of {len(rows)} figures agree within their spreads")
    return 1 if apart else 0


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("result", type=Path)
    options.add_argument("--compare", type=Path, metavar="OTHER", help="a second run: do they agree?")
    options.add_argument("--root", type=Path, default=HERE.parent)
    given = options.parse_args()
    if given.compare:
        sys.exit(compared(given.result, given.compare))
    document = json.loads(given.result.read_text(encoding="utf-8"))
    for place in (*PLACES, *SHORT_PLACES):
        path = given.root / place
        if not path.exists() or not BEGIN.search(path.read_text(encoding="utf-8")):
            print(f"no markers in {path}: left as it is")
            continue
        text = path.read_text(encoding="utf-8")
        path.write_text(
            replaced(text, block(document, given.result.name, place in SHORT_PLACES)), encoding="utf-8"
        )
        print(f"written: {path}")
    folder = given.root / "docs" / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    for name, svg in plots(document).items():
        # A file of its own has no text color to inherit: middle gray reads on light and on dark.
        (folder / f"{name}.svg").write_text(
            svg.replace("<svg ", '<svg style="color:#7a7f88" ', 1) + "\n", encoding="utf-8"
        )
        print(f"written: {folder / name}.svg")


if __name__ == "__main__":
    main()
