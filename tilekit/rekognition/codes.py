"""Every code the service reports about manifests, with what it says and what to do; and a few of our own.

Source: Custom Labels guide, pages "tm-debugging-json-line-errors", "tm-debugging-aggregate-errors",
"tm-terminal-errors-reference", "debugging-datasets-terminal-errors"; messages as printed there. Codes that
begin with TILEKIT_ are not the service's: they name what it does without saying so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["file", "content", "line", "warning", "silent", "advice"]
"""`file`, `content`: terminal, nothing is trained; content errors stand in the manifest summary, file errors do
not. `line`: the line, or the box alone, is left out. `warning`: valid, yet ignored. `silent`: the service
drops it and tells nobody. `advice`: allowed, but not what you want."""


@dataclass(frozen=True)
class Code:
    """A code: its level, the service's message, and the fix. `first`: hides all others until fixed."""

    name: str
    level: Level
    message: str
    fix: str
    first: bool = False

    @property
    def terminal(self) -> bool:
        """Whether it ends the import or the training."""
        return self.level in ("file", "content")

    @property
    def error(self) -> bool:
        """Whether something is lost by it."""
        return self.level in ("file", "content", "line", "silent")


_FILE = [
    Code(
        "ERROR_MANIFEST_INACCESSIBLE_OR_UNSUPPORTED_FORMAT",
        "file",
        "The manifest file extension or contents are invalid.",
        "give the file the extension .manifest and check that it can be read",
    ),
    Code("ERROR_EMPTY_MANIFEST", "file", "The manifest file is empty.", "add one JSON line for each image"),
    Code(
        "ERROR_MANIFEST_SIZE_TOO_LARGE",
        "file",
        "The manifest file size exceeds the maximum supported size.",
        "keep it to 1 GB: fewer lines, or shorter ones",
    ),
    Code(
        "ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM",
        "file",
        "The manifest file has too many rows.",
        "reduce the number of lines to the limit",
    ),
    Code(
        "ERROR_INVALID_PERMISSIONS_MANIFEST_S3_BUCKET",
        "file",
        "The S3 bucket permissions are incorrect.",
        "allow reading of the bucket with the manifest",
    ),
    Code(
        "ERROR_CANNOT_WRITE_OUTPUT_S3_BUCKET",
        "file",
        "Unable to write to output S3 bucket.",
        "allow writing to the output bucket, or name another",
    ),
    Code(
        "ERROR_TOO_MANY_RECORDS_IN_ERROR",
        "file",
        "The manifest file has too many records in error.",
        "fix the lines at fault; at most 20 % may be invalid",
    ),
    Code(
        "ERROR_INSUFFICIENT_IMAGES_PER_LABEL_FOR_DISTRIBUTE",
        "file",
        "There are too few labeled images per label to distribute the dataset.",
        "label more images, or give a test dataset of your own",
    ),
]

_CONTENT = [
    Code(
        "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST",
        "content",
        "The manifest file contains too many invalid rows.",
        "fix or remove the invalid lines; at most 20 % of all lines may be invalid",
    ),
    Code(
        "ERROR_IMAGES_IN_MULTIPLE_S3_BUCKETS",
        "content",
        "The manifest file contains images from multiple S3 buckets.",
        "copy all images of the manifest into one bucket",
    ),
    Code(
        "ERROR_INVALID_PERMISSIONS_IMAGES_S3_BUCKET",
        "content",
        "The permissions for the images S3 bucket are invalid.",
        "allow reading of the bucket with the images",
    ),
    Code(
        "ERROR_INVALID_IMAGES_S3_BUCKET_OWNER",
        "content",
        "Invalid owner id for images S3 bucket.",
        "keep images and manifest in buckets of the same owner",
    ),
    Code(
        "ERROR_INSUFFICIENT_IMAGES_PER_LABEL_FOR_AUTOSPLIT",
        "content",
        "The manifest file contains insufficient labeled images per label to perform auto-split.",
        "label more images, or give a test manifest of your own, split by page",
    ),
    Code(
        "ERROR_MANIFEST_TOO_FEW_LABELS",
        "content",
        "The manifest file has too few labels.",
        "add labels: detection needs 1, classification 2",
    ),
    Code(
        "ERROR_MANIFEST_TOO_MANY_LABELS",
        "content",
        "The manifest file has too many labels.",
        "keep to 250 labels",
    ),
    Code(
        "ERROR_INSUFFICIENT_LABEL_OVERLAP",
        "content",
        "Less than 50% label overlap between the training and testing manifest files.",
        "put images of more of the training labels into the test manifest",
    ),
    Code(
        "ERROR_MANIFEST_TOO_FEW_USABLE_LABELS",
        "content",
        "The manifest file has too few usable labels.",
        "fix the lines at fault, or keep to one kind: boxes, or labels of whole images",
    ),
    Code(
        "ERROR_INSUFFICIENT_USABLE_LABEL_OVERLAP",
        "content",
        "Less than 50% usable label overlap between the training and testing manifest files.",
        "fix the lines at fault, or test on more of the training labels",
    ),
    Code(
        "ERROR_FAILED_IMAGES_S3_COPY",
        "content",
        "One or more images failed to be copied from S3.",
        "check that every image exists and may be read",
    ),
]

_LINE = [
    Code(
        "ERROR_MISSING_SOURCE_REF",
        "line",
        "The source-ref key is missing.",
        'add "source-ref": "s3://bucket/key"',
        first=True,
    ),
    Code(
        "ERROR_INVALID_SOURCE_REF_FORMAT",
        "line",
        "The format of the source-ref value is invalid.",
        "write it as s3://bucket/key",
        first=True,
    ),
    Code(
        "ERROR_NO_LABEL_ATTRIBUTES",
        "line",
        "No label attributes found.",
        "add a label attribute and its -metadata",
        first=True,
    ),
    Code(
        "ERROR_INVALID_LABEL_ATTRIBUTE_FORMAT",
        "line",
        "The format of the label attribute is invalid.",
        "give image_size as a list of one {width, height, depth} and annotations of whole numbers",
        first=True,
    ),
    Code(
        "ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT",
        "line",
        "The format of the label attribute metadata is invalid.",
        "give objects, class-map, type, human-annotated and creation-date",
        first=True,
    ),
    Code(
        "ERROR_MISSING_BOUNDING_BOX_CONFIDENCE",
        "line",
        "One or more bounding boxes has a missing confidence value.",
        "give objects one {confidence} for each annotation, in the same order",
        first=True,
    ),
    Code(
        "ERROR_MISSING_CLASS_MAP_ID",
        "line",
        "One of more class ids is missing from the class map.",
        "add the id to class-map",
        first=True,
    ),
    Code(
        "ERROR_INVALID_JSON_LINE",
        "line",
        "The JSON Line has an invalid format.",
        "write one JSON object in one line, UTF-8, and no blank lines",
        first=True,
    ),
    Code(
        "ERROR_NO_VALID_LABEL_ATTRIBUTES",
        "line",
        "No valid label attributes found.",
        "keep to boxes or single labels of whole images; split Ground Truth's multi-label form",
    ),
    Code(
        "ERROR_INVALID_IMAGE",
        "line",
        "The image is invalid. Check S3 path and/or image properties.",
        "use PNG or JPEG, at most 15 MB, sides at most 20:1",
    ),
    Code(
        "ERROR_INVALID_IMAGE_DIMENSION",
        "line",
        "The image dimension(s) do not conform to allowed dimensions.",
        "cut or scale it so that both sides are from 64 to 4096 px",
    ),
    Code(
        "ERROR_INVALID_BOUNDING_BOX",
        "line",
        "The bounding box has off frame values.",
        "clip the box to the image",
    ),
    Code(
        "ERROR_NO_VALID_ANNOTATIONS",
        "line",
        "No valid annotations found.",
        "fix the boxes, or remove the line",
    ),
    Code(
        "ERROR_BOUNDING_BOX_TOO_SMALL",
        "line",
        "The height and width of the bounding box is too small.",
        "cut smaller tiles so that the box stays larger than 1 x 1 px once sides over 1280 px are shrunk",
    ),
    Code(
        "ERROR_TOO_MANY_BOUNDING_BOXES",
        "line",
        "There are more bounding boxes than the allowed maximum.",
        "cut smaller tiles: at most 50 boxes an image",
    ),
    Code(
        "ERROR_UNSUPPORTED_USE_CASE_TYPE",
        "line",
        "The use case type is unsupported.",
        "use groundtruth/object-detection or groundtruth/image-classification",
    ),
    Code(
        "ERROR_INVALID_LABEL_NAME_LENGTH",
        "line",
        "The label name has an invalid length.",
        "use 1 to 255 characters",
    ),
]

_WARNINGS = [
    Code(
        "WARNING_UNANNOTATED_RECORD",
        "warning",
        "Record is unannotated.",
        "label the image, or remove the line; it is ignored",
    ),
    Code(
        "WARNING_NO_ANNOTATIONS",
        "warning",
        "No annotations were found.",
        "nothing to fix; empty images are ignored in training and test",
    ),
    Code(
        "WARNING_NO_ATTRIBUTE_ANNOTATIONS",
        "warning",
        "No attribute annotations were found.",
        "nothing to fix; the attribute is ignored",
    ),
]

_OWN = [
    Code(
        "TILEKIT_LINE_TOO_LONG",
        "silent",
        "The line is longer than 100,000 characters: the service drops it without a word.",
        "use smaller tiles, or fewer extra keys",
    ),
    Code(
        "TILEKIT_REPEATED_SOURCE_REF",
        "silent",
        "An earlier line has the same source-ref: the service drops this one without a word.",
        "put all labels of an image into one line",
    ),
    Code(
        "TILEKIT_OTHER_USE_CASE",
        "silent",
        "The manifest mixes boxes and labels of whole images: the service keeps one kind and drops the other.",
        "keep to one kind",
    ),
    Code(
        "TILEKIT_TOO_MANY_TEST_IMAGES",
        "advice",
        "A label stands on more than 1,000 test images.",
        "sample whole pages of the test set",
    ),
    Code(
        "TILEKIT_PAGE_IN_TRAIN_AND_TEST",
        "advice",
        "Tiles of the same page are in training and in test, less than a tile apart, so the test flatters the model.",
        "split by page, or by region",
    ),
    Code(
        "TILEKIT_PIXELS_IN_TRAIN_AND_TEST",
        "advice",
        "The same pixels are in training and in test, so the test flatters the model.",
        "keep one of the two",
    ),
    Code(
        "TILEKIT_NOT_WHOLE_NUMBERS",
        "advice",
        "A box has fractions of a pixel; the schema wants whole numbers.",
        "round outward",
    ),
    Code(
        "TILEKIT_IMAGE_SIZE_DIFFERS",
        "advice",
        "image_size differs from the image's own size.",
        "write the true size",
    ),
    Code(
        "TILEKIT_IMAGE_TURNED",
        "advice",
        "EXIF turns the image; the guide does not say whether training turns it, too.",
        "store it upright, without an EXIF orientation, and draw or turn the boxes so",
    ),
    Code(
        "TILEKIT_ONE_LABEL",
        "advice",
        "There is one label; AWS asks for 1 on one page and 2 on another.",
        "add a decoy label if it is refused",
    ),
    Code(
        "TILEKIT_FEW_IMAGES",
        "advice",
        "A label stands on fewer than 10 training images, the number AWS advises.",
        "label more pages",
    ),
    Code(
        "TILEKIT_LOCAL_IMAGES",
        "advice",
        "Lines name local files, not s3:// objects.",
        "nothing to fix where the images are uploaded before training, as `tilekit train` does",
    ),
]

CODES: dict[str, Code] = {code.name: code for code in [*_FILE, *_CONTENT, *_LINE, *_WARNINGS, *_OWN]}
"""All of them by name."""
