from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rekognition.lines import META, changed, line, raw, sport, without
from tilekit.rekognition.codes import CODES
from tilekit.rekognition.images import ImageFacts
from tilekit.rekognition.limits import LIMITS
from tilekit.rekognition.lines import decode_line
from tilekit.rekognition.rules import _exact, _quick, check_line

A, MAP = "annotations", "class-map"
FORMAT = "ERROR_INVALID_LABEL_ATTRIBUTE_FORMAT"
METAFORMAT = "ERROR_INVALID_LABEL_ATTRIBUTE_METADATA_FORMAT"
L = line()
CASES: list[tuple[str, Any, str, str]] = [
    ("blank", b"  ", "ERROR_INVALID_JSON_LINE", "invalid"),
    ("broken", b'{"source-ref": ', "ERROR_INVALID_JSON_LINE", "invalid"),
    ("nan", b'{"source-ref": NaN}', "ERROR_INVALID_JSON_LINE", "invalid"),
    ("list", b"[1]", "ERROR_INVALID_JSON_LINE", "invalid"),
    ("not utf-8", b'{"source-ref": "\xff"}', "ERROR_INVALID_JSON_LINE", "invalid"),
    ("deep", b"[" * 100_000, "ERROR_INVALID_JSON_LINE", "invalid"),
    ("no ref", without(L, "source-ref"), "ERROR_MISSING_SOURCE_REF", "invalid"),
    ("https", line(ref="https://bucket/a.jpg"), "ERROR_INVALID_SOURCE_REF_FORMAT", "invalid"),
    ("local path", line(ref="a.jpg"), "ERROR_INVALID_SOURCE_REF_FORMAT", "invalid"),
    ("no key", line(ref="s3://bucket/"), "ERROR_INVALID_SOURCE_REF_FORMAT", "invalid"),
    ("number", changed(L, 3, "source-ref"), "ERROR_INVALID_SOURCE_REF_FORMAT", "invalid"),
    ("no meta", without(L, META), "ERROR_NO_LABEL_ATTRIBUTES", "invalid"),
    ("no attribute", without(L, "bb"), "ERROR_NO_LABEL_ATTRIBUTES", "invalid"),
    ("no size", without(L, "bb", "image_size"), FORMAT, "invalid"),
    (
        "size as object",
        changed(L, {"width": 1000, "height": 800, "depth": 3}, "bb", "image_size"),
        FORMAT,
        "invalid",
    ),
    ("no depth", changed(L, [{"width": 1000, "height": 800}], "bb", "image_size"), FORMAT, "invalid"),
    ("no boxes", without(L, "bb", A), FORMAT, "invalid"),
    ("text in a box", changed(L, "x", "bb", A, 0, "left"), FORMAT, "invalid"),
    ("no meta object", changed(L, 1, META), METAFORMAT, "invalid"),
    ("no type", without(L, META, "type"), METAFORMAT, "invalid"),
    ("no human", without(L, META, "human-annotated"), METAFORMAT, "invalid"),
    ("no date", without(L, META, "creation-date"), METAFORMAT, "invalid"),
    ("bad date", changed(L, "yesterday", META, "creation-date"), METAFORMAT, "invalid"),
    ("no objects", without(L, META, "objects"), METAFORMAT, "invalid"),
    ("no map", without(L, META, MAP), METAFORMAT, "invalid"),
    ("map of words", changed(L, {"a": "b"}, META, MAP), METAFORMAT, "invalid"),
    (
        "few confidences",
        changed(L, [{"confidence": 1}], META, "objects"),
        "ERROR_MISSING_BOUNDING_BOX_CONFIDENCE",
        "invalid",
    ),
    (
        "no confidence",
        changed(L, [{}, {}], META, "objects"),
        "ERROR_MISSING_BOUNDING_BOX_CONFIDENCE",
        "invalid",
    ),
    ("map gap", changed(L, {"0": "Echo"}, META, MAP), "ERROR_MISSING_CLASS_MAP_ID", "invalid"),
    (
        "segmentation",
        changed(L, "groundtruth/semantic-segmentation", META, "type"),
        "ERROR_UNSUPPORTED_USE_CASE_TYPE",
        "invalid",
    ),
    (
        "multilabel",
        changed(L, "groundtruth/image-classification-multilabel", META, "type"),
        "ERROR_NO_VALID_LABEL_ATTRIBUTES",
        "invalid",
    ),
    ("long label", line(names={"0": "x" * 300, "1": "y"}), "ERROR_INVALID_LABEL_NAME_LENGTH", "invalid"),
    ("off image", changed(L, 990, "bb", A, 0, "left"), "ERROR_INVALID_BOUNDING_BOX", "valid"),
    ("negative", changed(L, -1, "bb", A, 0, "top"), "ERROR_INVALID_BOUNDING_BOX", "valid"),
    ("all off", line([(0, 990, 0, 20, 20)]), "ERROR_NO_VALID_ANNOTATIONS", "invalid"),
    ("1 px", changed(L, 1, "bb", A, 0, "width"), "ERROR_BOUNDING_BOX_TOO_SMALL", "valid"),
    ("zero", changed(L, 0, "bb", A, 0, "height"), "ERROR_BOUNDING_BOX_TOO_SMALL", "valid"),
    (
        "shrinks away",
        line([(0, 0, 0, 3, 90), (0, 0, 0, 90, 90)], (4096, 4096)),
        "ERROR_BOUNDING_BOX_TOO_SMALL",
        "valid",
    ),
    ("51 boxes", line([(0, 0, 0, 9, 9)] * 51), "ERROR_TOO_MANY_BOUNDING_BOXES", "invalid"),
    ("large image", line(size=(4097, 800)), "ERROR_INVALID_IMAGE_DIMENSION", "invalid"),
    ("small image", line([(0, 0, 0, 9, 9)], (63, 63)), "ERROR_INVALID_IMAGE_DIMENSION", "invalid"),
    ("long image", line([(0, 0, 0, 9, 9)], (2000, 64)), "ERROR_INVALID_IMAGE", "invalid"),
    ("fractions", changed(L, 10.5, "bb", A, 0, "left"), "TILEKIT_NOT_WHOLE_NUMBERS", "valid"),
    ("unlabeled", {"source-ref": "s3://bucket/a.jpg"}, "WARNING_UNANNOTATED_RECORD", "ignored"),
    ("empty", line([], names={}), "WARNING_NO_ANNOTATIONS", "ignored"),
    ("empty attribute", line([]), "WARNING_NO_ATTRIBUTE_ANNOTATIONS", "ignored"),
    ("no class", without(sport(), "sport-metadata", "class-name"), METAFORMAT, "invalid"),
    ("class is text", changed(sport(), "x", "sport"), FORMAT, "invalid"),
    ("confidence 2", changed(sport(), 2, "sport-metadata", "confidence"), METAFORMAT, "invalid"),
]


@pytest.mark.parametrize(
    ("broken", "code", "status"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_rule(broken: Any, code: str, status: str) -> None:
    checked = check_line(raw(broken))
    assert code in [finding.code for finding in checked.findings]
    assert checked.status == status
    assert all(finding.message and finding.about.fix for finding in checked.findings)


def test_every_line_code_is_covered() -> None:
    said = {case[2] for case in CASES}
    assert {name for name, code in CODES.items() if code.level in ("line", "warning")} <= said


def test_a_sound_line() -> None:
    checked = check_line(raw(L))
    assert (checked.status, checked.bucket, checked.findings) == ("valid", "bucket", ())
    assert checked.boxes == [("Echo Dot", 10, 20, 30, 40), ("Echo", 100, 100, 60, 60)]
    assert check_line(raw(sport())).labels == ("Football",)
    assert check_line(raw(sport())).use_case == "IMAGE_LEVEL_LABELS"


def test_the_first_eight_hide_the_rest() -> None:
    broken = changed(changed(L, {"0": "Echo"}, META, MAP), 990, "bb", A, 1, "left")
    assert [finding.code for finding in check_line(raw(broken)).findings] == ["ERROR_MISSING_CLASS_MAP_ID"]


def test_a_bad_box_alone_drops_the_box() -> None:
    checked = check_line(raw(changed(L, 990, "bb", A, 0, "left")))
    assert checked.boxes == [("Echo", 100, 100, 60, 60)]
    assert checked.labels == ("Echo",)


def test_local_paths_before_an_upload() -> None:
    assert check_line(raw(line(ref="tiles/ü.jpg")), allow_local=True).status == "valid"
    assert check_line(raw(line(ref="https://x/ü.jpg")), allow_local=True).status == "invalid"


def test_verification_and_failed_attributes_are_no_labels() -> None:
    more = {
        "v": 1,
        "v-metadata": {"type": "groundtruth/label-verification"},
        "f-metadata": {"failure-reason": "x"},
    }
    assert check_line(raw({**L, **more})).status == "valid"


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (ImageFacts("", 0, 0, 9), "ERROR_INVALID_IMAGE"),
        (ImageFacts("png", 1000, 800, 15_000_001), "ERROR_INVALID_IMAGE"),
        (ImageFacts("png", 5000, 800, 9), "ERROR_INVALID_IMAGE_DIMENSION"),
        (ImageFacts("jpeg", 1000, 801, 9), "TILEKIT_IMAGE_SIZE_DIFFERS"),
        (ImageFacts("jpeg", 128, 128, 9), "ERROR_INVALID_BOUNDING_BOX"),
    ],
)
def test_the_image_itself(facts: ImageFacts, code: str) -> None:
    assert code in [finding.code for finding in check_line(raw(L), image=facts).findings]


@st.composite
def _lines(draw: st.DrawFn) -> dict[str, Any]:
    side = st.sampled_from([0, 1, 2, 3, 4, 50, 63, 64, 1280, 1281, 4096, 4097])
    size = draw(side), draw(side)
    edge = st.sampled_from([-1, 0, 1, 2, 3, 4, 50, 64, 1279])
    boxes = draw(st.lists(st.tuples(st.integers(0, 2), edge, edge, edge, edge), max_size=52))
    made = line(
        boxes, size, draw(st.dictionaries(st.sampled_from(["0", "1", "2", "x"]), st.text(max_size=3)))
    )
    if draw(st.booleans()):
        made["bb-metadata"]["objects"] = made["bb-metadata"]["objects"][1:]
    if draw(st.booleans()):
        made["source-ref"] = draw(
            st.sampled_from(["s3://b/x", "s3://bu!/x", "x", "s3://bucket", "s3://bucket/k"])
        )
    return made


@given(_lines(), st.booleans())
def test_the_quick_way_accepts_only_what_the_exact_way_does(made: dict[str, Any], allow_local: bool) -> None:
    data = raw(made)
    plain = decode_line(data)
    quick = None if plain is None else _quick(plain, LIMITS, allow_local)
    exact = _exact(data, LIMITS, None, allow_local)
    if quick is None:
        assert exact.findings or exact.status != "valid" or len(made) != 3
        return
    assert exact.findings == ()
    assert (quick.status, quick.source_ref, quick.bucket, quick.use_case, quick.size) == (
        exact.status,
        exact.source_ref,
        exact.bucket,
        exact.use_case,
        exact.size,
    )
    assert set(quick.labels) == set(exact.labels)
    assert set(quick.named) == set(exact.named)
    assert quick.boxes == exact.boxes


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "source-ref",
                        "bb",
                        "bb-metadata",
                        "annotations",
                        "image_size",
                        "class-map",
                        "type",
                        "objects",
                    ]
                ),
                x,
                max_size=6,
            )
        ),
    )
)
def test_any_json_is_judged_without_failing(value: Any) -> None:
    assert check_line(raw(value)).status in ("valid", "invalid", "ignored")
