"""The formats that images are written in, by name; loads nothing."""

from typing import Literal

ImageFormat = Literal["jpeg", "png", "webp"]
Subsampling = Literal["444", "422", "420"]
