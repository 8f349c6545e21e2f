"""Mutated files over all readers: no crash, no hang, nothing but our own errors, no more memory than stated.

A thousand of them are run by `benchmarks/mutated_scans.py`; these are its first.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from benchmarks.mutated_scans import run, write_mutants

MUTANTS = int(os.environ.get("TILEKIT_MUTANTS", "55"))


@pytest.mark.timeout(600)
def test_mutated_files_are_read_or_refused(tmp_path):
    count = write_mutants(tmp_path, MUTANTS, seed=0)
    found = run(tmp_path)
    verdicts = found["verdicts"]
    assert len(verdicts) == count
    assert count > MUTANTS
    assert not {name: verdict for name, verdict in verdicts.items() if verdict.startswith("WRONG")}
    whole = {name: verdict for name, verdict in verdicts.items() if name.endswith("-whole")}
    assert set(whole.values()) == {"whole"}, whole
    assert Counter(verdicts.values())["ScanCorrupt"] > (count - len(whole)) / 5
    assert found["stderr"].strip() == ""
