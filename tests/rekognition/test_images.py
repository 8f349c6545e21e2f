from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tilekit.rekognition.images import ImageFacts, check_image, image_facts


@pytest.mark.parametrize("kind", ["jpeg", "png"])
@pytest.mark.parametrize("size", [(1, 1), (640, 480), (70, 4001)])
def test_sides_are_read_from_the_head(kind: str, size: tuple[int, int]) -> None:
    file = io.BytesIO()
    options = {"comment": b"x" * 500, "icc_profile": b"y" * 70_000} if kind == "jpeg" else {}
    Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(file, kind, **options)
    data = file.getvalue()
    assert image_facts(data, len(data)) == ImageFacts(kind, *size, len(data))


@pytest.mark.parametrize(
    "head",
    [b"", b"GIF89a", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\x00\x10" + b"\x00" * 40],
)
def test_what_is_no_image_is_said(head: bytes) -> None:
    assert [finding.code for finding in check_image(image_facts(head, len(head)))] == ["ERROR_INVALID_IMAGE"]
