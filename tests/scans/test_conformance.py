"""The table in docs/formats.md is what happens to small files today."""

from __future__ import annotations

import pytest

from tests.scans.conformance import BEGIN, DOC, END, table


@pytest.mark.slow
def test_the_table_is_what_happens():
    text = DOC.read_text()
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip() == table(), (
        "write it anew: python -m tests.scans.conformance"
    )
