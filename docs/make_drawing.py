"""Draw the rooms in docs/architecture.md from the imports: `python docs/make_drawing.py`."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import grimp

HERE = Path(__file__).parent
BEGIN, END = "<!-- drawn from the imports by docs/make_drawing.py -->", "<!-- end of the drawing -->"


def layers(project: Path) -> list[list[str]]:
    """The layers of the contract, from the top; each its rooms."""
    contracts = tomllib.loads(project.read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [one for one in contracts if one["type"] == "layers"]
    return [[room.strip() for room in layer.split("|")] for layer in contract["layers"]]


def uses() -> dict[str, set[str]]:
    """Which rooms each room imports, types apart."""
    graph = grimp.build_graph("tilekit", exclude_type_checking_imports=True, cache_dir=None)
    rooms = {name.split(".")[1] for name in graph.find_children("tilekit")}
    found: dict[str, set[str]] = {room: set() for room in rooms}
    for module in graph.modules:
        if module.count(".") == 0:
            continue
        room = module.split(".")[1]
        for imported in graph.find_modules_directly_imported_by(module):
            if imported.count(".") and (other := imported.split(".")[1]) != room:
                found[room].add(other)
    return found


def drawing(project: Path) -> str:
    """The rooms by layer with the rooms each leans on; `errors` and `flow`, on which all lean, are left out."""
    found = uses()
    order = [room for layer in layers(project) for room in layer]
    width = max(len(room) for room in order)
    lines = []
    for layer in layers(project):
        for room in layer:
            lower = [other for other in order if other in found[room] - {"errors", "flow"}]
            lines.append(f"{room:<{width}} -> {', '.join(lower)}" if lower else room)
        lines.append("")
    return f"{BEGIN}\n```text\n" + "\n".join(lines).rstrip() + f"\n```\n{END}"


def main() -> None:
    """Write the drawing between its marks."""
    page = HERE / "architecture.md"
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(before + drawing(HERE.parent / "pyproject.toml") + rest.partition(END)[2])
    sys.stdout.write("drawn\n")


if __name__ == "__main__":
    main()
