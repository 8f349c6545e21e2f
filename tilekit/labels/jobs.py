"""Ground Truth labeling jobs: the files a bounding-box job starts from, and the request that starts it.

Source: SageMaker guide, pages "sms-data-input", "sms-label-cat-config", "sms-ui-template-crowd-bounding-box",
"sms-data-verify-start-api", "sms-data-verify-adjust-prereq"; the
accounts of the built-in functions from the API model of SageMaker (botocore).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tilekit.boxes.annotations import Annotations
from tilekit.errors import InvalidArgument, checked_kind
from tilekit.labels.ground_truth import ManifestWriter
from tilekit.labels.label_set import LabelSet, Size
from tilekit.labels.sources import PathLike, is_url
from tilekit.pages import PageKey
from tilekit.rendition import Rendering
from tilekit.storage.local import write_bytes, write_text

_ACCOUNTS = {
    "ap-northeast-1": "477331159723",
    "ap-northeast-2": "845288260483",
    "ap-south-1": "565803892007",
    "ap-southeast-1": "377565633583",
    "ap-southeast-2": "454466003867",
    "ca-central-1": "918755190332",
    "eu-central-1": "203001061592",
    "eu-west-1": "568282634449",
    "eu-west-2": "487402164563",
    "us-east-1": "432418664414",
    "us-east-2": "266458841044",
    "us-west-2": "081040173940",
}
AT_150 = Rendering(dpi=150.0)
_JOB_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_AS_IT_IS = ("jpeg", "png")
_TEMPLATE = """<script src="https://assets.crowd.aws/crowd-html-elements.js"></script>
<crowd-form>
  <crowd-bounding-box
    name="boundingBox"
    src="{{ task.input.taskObject | grant_read_access }}"
    header="{{ task.input.header }}"
    labels="{{ task.input.labels | to_json | escape }}"%s
  >
    <full-instructions header="How to draw">%s</full-instructions>
    <short-instructions>%s</short-instructions>
  </crowd-bounding-box>
</crowd-form>
"""

ADJUSTED = "page-labels"
"""Label attribute under which the boxes to adjust stand in the input manifest."""
_DRAWN = """
    initial-value="[
      {% for box in task.input.manifestLine.page-labels.annotations %}
        {% capture id %}{{ box.class_id }}{% endcapture %}
        {% assign label = task.input.manifestLine.page-labels-metadata.class-map[id] %}
        {label: {{ label | to_json | escape }}, left: {{ box.left }}, top: {{ box.top }},
         width: {{ box.width }}, height: {{ box.height }}},
      {% endfor %}
    ]\""""


@dataclass(frozen=True)
class LabelingJob:
    """What was written. `uploads`: local file -> s3:// address; `request` for SageMaker's create_labeling_job."""

    folder: Path
    manifest: Path
    images: int
    uploads: dict[Path, str]
    request: dict[str, Any]

    def commands(self) -> list[str]:
        """Shell commands that upload the files and start the job."""
        copies = [
            f"aws s3 cp {json.dumps(str(file))} {json.dumps(uri)}" for file, uri in self.uploads.items()
        ]
        request = self.folder / "create-labeling-job.json"
        return [*copies, f"aws sagemaker create-labeling-job --cli-input-json file://{request}"]


@dataclass(frozen=True)
class JobAccount:
    """Where a job runs and who draws: `s3` the address everything goes to, `role` the job's, `workteam` the people's,
    both as ARNs, in a `region`."""

    s3: str
    role: str
    workteam: str
    region: str

    def __post_init__(self) -> None:
        if not self.s3.startswith("s3://"):
            raise InvalidArgument(f"s3={self.s3!r} must be of the form s3://bucket/prefix")
        if self.region not in _ACCOUNTS:
            raise InvalidArgument(
                f"region={self.region!r}: Ground Truth's box functions are in {', '.join(_ACCOUNTS)}"
            )


@dataclass(frozen=True, kw_only=True)
class LabelingOptions:
    """What people are shown and told: pages as `rendering` says, with these `instructions`; `workers` people draw each
    page."""

    rendering: Rendering = AT_150
    instructions: str = "Draw a tight box around every symbol."
    workers: int = 1


_OPTIONS = LabelingOptions()


def labeling_job(
    sources: Iterable[PathLike | PageKey],
    out: PathLike,
    *,
    name: str,
    labels: Sequence[str],
    account: JobAccount,
    adjust: LabelSet | None = None,
    options: LabelingOptions = _OPTIONS,
    progress: Callable[[int, int], None] | None = None,
) -> LabelingJob:
    """Write the input manifest, label category file, worker template and request of a bounding-box job.

    `adjust`: labels of these pages that people shall adjust: an adjustment job, which shows them their boxes.
    Its output takes their place when it is read: it stands under `name`, they under "page-labels".

    `sources`: page scans or tiles; a path of a file with several pages means all of them, a PageKey one. JPEG and
    PNG files go as they are; PDF pages (at the options' `rendering.dpi`) and every other kind, and all where bands or levels are asked for, are rendered to
    JPEG first, since browsers show neither. `s3://` sources must be JPEG or PNG and stay where they are.
    `account`, `options`: see JobAccount and LabelingOptions.
    Labels then come back in pixels of those images: read the job's output manifest with `images=<out>/images`.
    Memory: one page.
    """
    options = checked_kind(options, LabelingOptions)
    _check(name, labels)
    if adjust is not None:
        _check_adjusted(name, labels, adjust)
    folder, base = Path(out), f"{account.s3.rstrip('/')}/{name}"
    uploads: dict[Path, str] = {}
    manifest, used, given = folder / "input.manifest", set[str](), 0
    with ManifestWriter(manifest, attribute=ADJUSTED, job_name=f"{name}-input") as writer:
        for done, source in enumerate(listed := list(sources), 1):
            for image in _images(source, folder / "images", base, options.rendering, used):
                if image.file is not None:
                    uploads[image.file] = image.address
                given += _write_line(writer, image, adjust)
            if progress is not None:
                progress(done, len(listed))
        if not writer.lines:
            raise InvalidArgument("sources= is empty: a labeling job needs at least one page or tile")
        if adjust is not None and not given:
            raise InvalidArgument(
                "adjust= has labels of none of the sources; name the scans as the labels do"
            )
        images = writer.lines
    categories = {"document-version": "2018-11-28", "labels": [{"label": label} for label in labels]}
    text = options.instructions.replace("&", "&amp;").replace("<", "&lt;")
    write_text(folder / "labels.json", json.dumps(categories, ensure_ascii=False, indent=2) + "\n")
    write_text(
        folder / "template.liquid.html",
        _TEMPLATE % (_DRAWN if adjust is not None else "", f"<p>{text}</p>", f"<p>{text}</p>"),
    )
    for part in ("input.manifest", "labels.json", "template.liquid.html"):
        uploads[folder / part] = f"{base}/{part}"
    request = _request(name, base, account, options, adjust is not None)
    write_text(folder / "create-labeling-job.json", json.dumps(request, indent=2, ensure_ascii=False) + "\n")
    return LabelingJob(folder, manifest, images, uploads, request)


def _check(name: str, labels: Sequence[str]) -> None:
    if not _JOB_NAME.fullmatch(name) or len(name) > 63:
        raise InvalidArgument(f"name={name!r}: use 1 to 63 letters, digits and inner dashes")
    if not labels or len(set(labels)) != len(labels):
        raise InvalidArgument(f"labels={list(labels)!r} must be different labels, at least one")


def _check_adjusted(name: str, labels: Sequence[str], adjust: LabelSet) -> None:
    if name == ADJUSTED:
        raise InvalidArgument(f"name={name!r} is where the boxes to adjust stand; choose another")
    missing = sorted({label for page in adjust.values() for label in page.labels} - set(labels))
    if missing:
        raise InvalidArgument(f"labels= lacks {missing[0]!r}, which the boxes to adjust have")


@dataclass(frozen=True)
class _Image:
    """An image of the job: of which page, its file if it is uploaded, its size where it was rendered."""

    key: PageKey
    file: Path | None
    address: str
    size: Size | None = None


def _write_line(writer: ManifestWriter, image: _Image, adjust: LabelSet | None) -> bool:
    """Write the image's line; whether it has labels to adjust."""
    key = None if adjust is None else _labeled(image.key, adjust)
    if adjust is None or key is None or (size := adjust.sizes.get(key)) is None:
        writer.write_line({"source-ref": image.address})
        return False
    page, shown = adjust[key], image.size or size
    page = page[~page.ignore]
    scale = np.array([shown[0] / size[0], shown[1] / size[1]] * 2)
    writer.write(image.address, shown, Annotations(page.boxes * scale, page.class_ids, page.names))
    return True


def _labeled(key: PageKey, labels: LabelSet) -> PageKey | None:
    """The page's key among the labels, which may write its path another way."""
    if key in labels:
        return key
    place = None if is_url(key.source) else Path(key.source).resolve()
    same = (other for other in labels if other.page == key.page and not is_url(other.source))
    return next((other for other in same if Path(other.source).resolve() == place), None)


def _images(
    source: PathLike | PageKey, folder: Path, base: str, rendering: Rendering, used: set[str]
) -> Iterable[_Image]:
    from tilekit.scans.encoding import encode_image
    from tilekit.scans.opening import open_scan, scan_info

    if isinstance(source, PageKey):
        keys, kind = [source], None
    else:
        key = PageKey.parse(str(source))
        if key.source.startswith("s3://"):
            yield _Image(key, None, key.source)
            return
        info = scan_info(key.source, key.page)
        kind = info.kind
        alone = key.page or "#page=" in str(source)
        keys = [key] if alone else [PageKey(key.source, page) for page in range(info.pages)]
    for key in keys:
        if kind is None:
            kind = None if is_url(key.source) else scan_info(key.source, key.page).kind
        if kind in _AS_IT_IS and not rendering.shown:
            file = Path(key.source)
            yield _Image(key, file, f"{base}/images/{_fresh(file.name, used)}")
            continue
        dpi = rendering.dpi if kind == "pdf" else None
        with open_scan(key.source, page=key.page, dpi=dpi, **rendering.shown) as scan:
            pixels = next(scan.bands_of_rows([scan.height]))
            data = encode_image(pixels, "jpeg", quality=90).data
        file = folder / _fresh(f"{Path(key.source).stem}.p{key.page}.jpg", used)
        write_bytes(file, data)
        yield _Image(key, file, f"{base}/images/{file.name}", (pixels.shape[1], pixels.shape[0]))


def _fresh(name: str, used: set[str]) -> str:
    stem, dot, suffix = name.rpartition(".")
    fresh, number = name, 1
    while fresh.casefold() in used:
        number += 1
        fresh = f"{stem}-{number}{dot}{suffix}"
    used.add(fresh.casefold())
    return fresh


def _request(
    name: str, base: str, account: JobAccount, options: LabelingOptions, adjust: bool
) -> dict[str, Any]:
    task = "AdjustmentBoundingBox" if adjust else "BoundingBox"
    function = f"arn:aws:lambda:{account.region}:{_ACCOUNTS[account.region]}:function"
    return {
        "LabelingJobName": name,
        "LabelAttributeName": name,
        "InputConfig": {"DataSource": {"S3DataSource": {"ManifestS3Uri": f"{base}/input.manifest"}}},
        "OutputConfig": {"S3OutputPath": f"{base}/output/"},
        "RoleArn": account.role,
        "LabelCategoryConfigS3Uri": f"{base}/labels.json",
        "HumanTaskConfig": {
            "WorkteamArn": account.workteam,
            "UiConfig": {"UiTemplateS3Uri": f"{base}/template.liquid.html"},
            "PreHumanTaskLambdaArn": f"{function}:PRE-{task}",
            "TaskTitle": f"{'Adjust' if adjust else 'Draw'} boxes: {name}"[:128],
            "TaskDescription": options.instructions[:255],
            "NumberOfHumanWorkersPerDataObject": options.workers,
            "TaskTimeLimitInSeconds": 3600,
            "TaskAvailabilityLifetimeInSeconds": 864_000,
            "AnnotationConsolidationConfig": {"AnnotationConsolidationLambdaArn": f"{function}:ACS-{task}"},
        },
    }
