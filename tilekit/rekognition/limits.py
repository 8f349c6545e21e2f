"""Limits of Rekognition Custom Labels, each in one place.

Source: Custom Labels guide, page "limits" (docs.aws.amazon.com/rekognition/latest/customlabels-dg/limits.html),
the Rekognition API reference for lengths, and the general reference for quotas; read 2026-11-23.
Megabytes are taken as decimal, the smaller reading, since the guide does not say which it means.
"""

from __future__ import annotations

from dataclasses import dataclass

REGIONS = (
    "us-east-1",
    "us-east-2",
    "us-west-2",
    "eu-west-1",
    "eu-west-2",
    "eu-central-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-1",
    "ap-northeast-2",
)
"""Regions with Custom Labels (AWS general reference, page "rekognition")."""

SMALL_REGIONS = ("ap-south-1", "eu-west-2")
"""Regions where a detection dataset may hold fewer images: Mumbai and London."""


@dataclass(frozen=True)
class Limits:
    """What the service accepts; sides in px, sizes in bytes."""

    min_side: int = 64
    max_side: int = 4096
    max_aspect: int = 20
    max_image_bytes: int = 15_000_000
    """Object in S3: training, test, detection by reference."""
    max_call_bytes: int = 4_000_000
    """Raw bytes in a DetectCustomLabels call; the API model lets 5 MiB through, the guide says 4 MB."""
    max_boxes: int = 50
    """Boxes per image, train and test."""
    max_image_labels: int = 50
    min_labels_detection: int = 1
    """The rules table says 2, the limits page 1; 1 is accepted."""
    min_labels_classification: int = 2
    max_labels: int = 250
    max_test_images_per_label: int = 1_000
    max_images: int = 250_000
    max_train_images_small: int = 28_000
    max_test_images_small: int = 7_000
    max_manifest_bytes: int = 1_000_000_000
    max_line_chars: int = 100_000
    max_label_chars: int = 255
    """255 in the API, 256 in the guide."""
    max_invalid_share: float = 0.20
    min_label_overlap: float = 0.50
    shrink_side: int = 1280
    """Training shrinks images with a longer side; a box must then still be larger than 1 x 1 px."""
    """JSON Lines in one UpdateDatasetEntries call."""
    detect_tps: float = 50.0
    control_tps: float = 5.0
    max_projects: int = 100
    max_models: int = 100
    max_running: int = 2
    max_trainings: int = 2
    max_units: int = 5
    """Inference units per started model, the account default."""
    max_words: int = 100
    """Words a DetectText call returns."""

    def max_dataset_images(self, region: str | None = None, *, test: bool = False) -> int:
        """Images a detection dataset may hold in `region` (None: the common limit)."""
        if region in SMALL_REGIONS:
            return self.max_test_images_small if test else self.max_train_images_small
        return self.max_images


LIMITS = Limits()
"""The limits as read; pass another `Limits` where an account has raised ones."""
