"""docs/tiling.md says of cut tiles what the record says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORD = json.loads((ROOT / "benchmarks" / "results" / "cut-tiles.json").read_text(encoding="utf-8"))
DOCS = (ROOT / "docs" / "tiling.md").read_text(encoding="utf-8")


def line(scan: str, cores: str) -> str:
    found = RECORD["rows"][scan][cores]
    within = [found[name] for name in ("within_wall_ratio", "within_cpu_ratio") if name in found]
    peaks = " / ".join(f"{found['peak_mb'][side]:.0f}" for side in ("tilekit", "dzsave"))
    written = " / ".join(f"{found['bytes'][side] / 1e6:.1f}" for side in ("tilekit", "dzsave"))
    exact = " / ".join("exact" if value is None else f"{value:.1f}" for value in found["psnr"])
    pair = f"{found['wall_ratio']:.2f}, {found['cpu_ratio']:.2f}"
    inside = f" {within[0]:.2f}, {within[1]:.2f} " if within else " "
    return f"| {scan} | {cores} | {pair} |{inside}| {peaks} | {written} | {exact} |"


@pytest.mark.parametrize("cores", ["idle", "busy"])
@pytest.mark.parametrize("scan", RECORD["rows"])
def test_the_table_is_the_records(scan: str, cores: str) -> None:
    assert line(scan, cores) in DOCS


def test_what_a_service_is_sent_is_the_records() -> None:
    assert f"What a service is sent costs {RECORD['sent_cpu_ratio']:.2f} of" in DOCS
