from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def _no_detector_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests write `finder.py` each into a folder of its own; what was imported of another's would be taken."""
    monkeypatch.delitem(sys.modules, "finder", raising=False)


@pytest.fixture(autouse=True, scope="module")
def _no_watcher_stays(watchers_end: None) -> None:
    """Of a deploy that is run here."""
