"""Small scans take the way of large ones here: pushed by libvips, band by band."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tilekit.scans import vips


@pytest.fixture(autouse=True, scope="package")
def _pushed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vips, "SMALL_BYTES", 40_000)
        yield
