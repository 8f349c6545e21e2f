"""What people read on the page of a benchmark: who is ahead first, words instead of fields, errors as sentences."""

from __future__ import annotations

import re

from tilekit.bench.page import page_of, said, standing


def row(who, slower=None, low=None, high=None, note=""):
    return {
        "scan": "plan",
        "who": who,
        "how": "jpeg",
        "slower": slower,
        "low": low,
        "high": high,
        "note": note,
    }


ROWS = [
    row("tilekit"), row("slow", 4.0, 3.5, 4.5), row("level", 1.02, 0.9, 1.1), row("fast", 0.5, 0.45, 0.6),
    row("gone", note="not installed"), row("broken", note="ImportError: no module named x\nand more"),
]  # fmt: skip


def test_peers_that_are_ahead_or_level_come_first():
    lines = [re.sub(r"<[^>]+>", "", line) for line in standing(ROWS, "scan")]
    assert lines == [
        "Ahead of tilekit: fast on plan: 0.5 times the time of tilekit (0.45 to 0.6).",
        "Level with tilekit: level on plan: 1.02 times the time of tilekit (0.9 to 1.1).",
        "tilekit is ahead in the other comparison: it takes 4 times its time.",
    ]
    assert standing(ROWS[:1], "scan") == []


def test_what_kept_a_peer_away_is_one_sentence():
    assert [said(row["note"]) for row in ROWS[3:]] == [
        "", "It is not installed here.", "It failed: no module named x.",
    ]  # fmt: skip
    assert said("keeps 7 boxes, tilekit 8: another answer") == "Keeps 7 boxes, tilekit 8: another answer."


def test_columns_have_words():
    machine = {
        "processor": "p",
        "cores": 2,
        "memory_gb": 4,
        "system": "s",
        "python": "3",
        "load_before": [0.1],
    }
    document = {
        "what": "tiling",
        "machine": machine,
        "date": "d",
        "notes": [],
        "peers": ROWS,
        "versions": {},
        "inputs": [],
    }
    page = page_of(document)
    assert page.index("Ahead of tilekit") < page.index("<svg") < page.index("times the time of tilekit</th>")
    heads = re.findall(r'<th scope="col">([^<]*)</th>', page)
    assert heads
    assert not [head for head in heads if "_" in head or head in ("slower", "low", "high", "note", "how")]
