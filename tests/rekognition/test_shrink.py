from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tilekit.rekognition.limits import LIMITS
from tilekit.rekognition.shrink import shrunk_size, smallest_side, survives, surviving

sides = st.integers(1, 100_000)


@given(sides, sides)
def test_long_side_becomes_the_limit(width: int, height: int) -> None:
    small = shrunk_size(width, height)
    assert max(small) == min(max(width, height), 1280)
    assert smallest_side(width, height) == max(1, max(width, height) / 1280)


@given(st.floats(0.1, 100), st.floats(0.1, 100), sides, sides)
def test_survives_means_larger_than_one_pixel(
    box_width: float, box_height: float, width: int, height: int
) -> None:
    least = max(width, height, 1280) / 1280
    assert survives(box_width, box_height, width, height) == (box_width > least and box_height > least)
    box = np.array([[0, 0, box_width, box_height]])
    assert surviving(box, width, height).tolist() == [survives(box_width, box_height, width, height)]


def test_known_cases() -> None:
    assert shrunk_size(4096, 2048) == (1280, 640)
    assert shrunk_size(640, 480) == (640, 480)
    assert not survives(1, 5, 1000, 1000)
    assert survives(2, 2, 1280, 1280)
    assert not survives(3, 100, 4096, 4096)
    assert surviving(np.empty((0, 4)), 10, 10).shape == (0,)


def test_limits_by_region() -> None:
    assert LIMITS.max_dataset_images() == 250_000
    assert LIMITS.max_dataset_images("eu-west-2") == 28_000
    assert LIMITS.max_dataset_images("eu-west-2", test=True) == 7_000
