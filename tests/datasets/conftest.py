"""Labeled pages that a module's tests share."""

from __future__ import annotations

import pytest

from tests.datasets.pages import labeled_pages


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return labeled_pages(tmp_path_factory.mktemp("scans"))
