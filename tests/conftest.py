"""Hypothesis profiles: `default` for people, `quick` while editing, `ci` derandomized, `nightly` long, run by hand.

No process outlives the tests (`tests.processes`).
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.processes"]

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("default", deadline=None, suppress_health_check=_SLOW)
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=30, suppress_health_check=_SLOW)
settings.register_profile("quick", deadline=None, max_examples=10, suppress_health_check=_SLOW)
settings.register_profile("nightly", deadline=None, max_examples=5000, suppress_health_check=_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
