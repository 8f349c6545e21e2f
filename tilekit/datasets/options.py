"""DatasetOptions: what `tile_dataset` may be told beyond labels, place and tiling."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from tilekit.datasets.carrying import CarryingRules
from tilekit.datasets.decoys import DECOY
from tilekit.datasets.exporting import EXPORTS
from tilekit.datasets.sources import Dpi
from tilekit.datasets.writing import Encoding
from tilekit.errors import InvalidArgument
from tilekit.labels.predictions import PredictionSet
from tilekit.rekognition.limits import LIMITS
from tilekit.storage.s3 import Access

SplitBy = Literal["document", "page", "region"]
_RULES, _ENCODING = CarryingRules(), Encoding()


@dataclass(frozen=True)
class Decoys:
    """Detections of which false alarms on training pages become boxes of `name` where they score `score`."""

    found: PredictionSet | str | os.PathLike[str]
    name: str = DECOY
    score: float = 0.3


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """How a dataset is made.

    `rules`: how labels go to tiles; slivers are dealt with in training tiles only. `encoding`: of the tiles.
    `decoys`: false alarms to teach. `split_by`, `seed`: see `split_pages`, and for "region" `split_regions`:
    parts of pages go to the sides, at least a tile and its overlap apart, and `pages-*.manifest` say which
    parts count. `max_test_images`: of a label; above, whole pages are sampled. `baseline`: also a dataset of
    whole pages below `baseline/`. `export`: "coco", "yolo". `bucket`: an s3 prefix that takes the images, the
    rest goes to the local folder. `images`: where the scans are, if the label file does not say. `dpi`: PDF
    pages are rendered at it (default: what gives the labeled size). `strict=False` sets scans aside that
    cannot be read. `overwrite` replaces a dataset made with other settings. `workers`: pages, or the tiles of
    one large page, at once. `access`: to S3. `untrusted`: as of `open_scan`.
    """

    rules: CarryingRules = _RULES
    encoding: Encoding = _ENCODING
    decoys: Decoys | None = None
    split_by: SplitBy = "document"
    seed: int = 0
    max_test_images: int = LIMITS.max_test_images_per_label
    baseline: bool = False
    export: Collection[str] = ()
    bucket: str | None = None
    images: str | os.PathLike[str] | None = None
    dpi: Dpi = None
    untrusted: bool = False
    strict: bool = True
    overwrite: bool = False
    workers: int | None = None
    access: Access | None = None

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.export) - set(EXPORTS)):
            raise InvalidArgument(f"export={unknown[0]!r} is unknown; choose from {', '.join(EXPORTS)}")
