"""Ground Truth labeling jobs: the files a bounding-box job starts from, and the request that starts it.

Source: SageMaker guide, pages "sms-data-input", "sms-label-cat-config", "sms-ui-template-crowd-bounding-box"; the
accounts of the built-in functions from the API model of SageMaker (botocore).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilekit.errors import InvalidArgument
from tilekit.labels.sources import PathLike, is_url
from tilekit.pages import PageKey
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
_JOB_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_AS_IT_IS = ("jpeg", "png")
_TEMPLATE = """<script src="https://assets.crowd.aws/crowd-html-elements.js"></script>
<crowd-form>
  <crowd-bounding-box
    name="boundingBox"
    src="{{ task.input.taskObject | grant_read_access }}"
    header="{{ task.input.header }}"
    labels="{{ task.input.labels | to_json | escape }}"
  >
    <full-instructions header="How to draw">%s</full-instructions>
    <short-instructions>%s</short-instructions>
  </crowd-bounding-box>
</crowd-form>
"""


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


def labeling_job(
    sources: Iterable[PathLike | PageKey],
    out: PathLike,
    *,
    name: str,
    labels: Sequence[str],
    s3: str,
    role: str,
    workteam: str,
    region: str,
    dpi: float = 150.0,
    instructions: str = "Draw a tight box around every symbol.",
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> LabelingJob:
    """Write the input manifest, label category file, worker template and request of a bounding-box job.

    `sources`: page scans or tiles; a path of a file with several pages means all of them, a PageKey one. JPEG and
    PNG files go as they are; PDF pages (at `dpi`) and every other kind are rendered to JPEG first, since browsers
    show neither. `s3://` sources must be JPEG or PNG and stay where they are. `s3`: address everything goes to.
    Labels then come back in pixels of those images: read the job's output manifest with `images=<out>/images`.
    Memory: one page.
    """
    _check(name, labels, s3, region)
    folder, base = Path(out), f"{s3.rstrip('/')}/{name}"
    uploads: dict[Path, str] = {}
    lines, used = [], set[str]()
    for done, source in enumerate(listed := list(sources), 1):
        for file, address in _images(source, folder / "images", base, dpi, used):
            if file is not None:
                uploads[file] = address
            lines.append(json.dumps({"source-ref": address}, ensure_ascii=False) + "\n")
        if progress is not None:
            progress(done, len(listed))
    if not lines:
        raise InvalidArgument("sources= is empty: a labeling job needs at least one page or tile")
    manifest = folder / "input.manifest"
    categories = {"document-version": "2018-11-28", "labels": [{"label": label} for label in labels]}
    text = instructions.replace("&", "&amp;").replace("<", "&lt;")
    write_text(manifest, "".join(lines))
    write_text(folder / "labels.json", json.dumps(categories, ensure_ascii=False, indent=2) + "\n")
    write_text(folder / "template.liquid.html", _TEMPLATE % (f"<p>{text}</p>", f"<p>{text}</p>"))
    for part in ("input.manifest", "labels.json", "template.liquid.html"):
        uploads[folder / part] = f"{base}/{part}"
    request = _request(name, base, role, workteam, region, instructions, workers)
    write_text(folder / "create-labeling-job.json", json.dumps(request, indent=2, ensure_ascii=False) + "\n")
    return LabelingJob(folder, manifest, len(lines), uploads, request)


def _check(name: str, labels: Sequence[str], s3: str, region: str) -> None:
    if not _JOB_NAME.fullmatch(name) or len(name) > 63:
        raise InvalidArgument(f"name={name!r}: use 1 to 63 letters, digits and inner dashes")
    if not s3.startswith("s3://"):
        raise InvalidArgument(f"s3={s3!r} must be of the form s3://bucket/prefix")
    if region not in _ACCOUNTS:
        raise InvalidArgument(
            f"region={region!r}: Ground Truth's box functions are in {', '.join(_ACCOUNTS)}"
        )
    if not labels or len(set(labels)) != len(labels):
        raise InvalidArgument(f"labels={list(labels)!r} must be different labels, at least one")


def _images(
    source: PathLike | PageKey, folder: Path, base: str, dpi: float, used: set[str]
) -> Iterable[tuple[Path | None, str]]:
    from tilekit.scans.encoding import encode_image
    from tilekit.scans.opening import open_scan, scan_info

    if isinstance(source, PageKey):
        keys, kind = [source], None
    else:
        key = PageKey.parse(str(source))
        if key.source.startswith("s3://"):
            yield None, key.source
            return
        info = scan_info(key.source, key.page)
        kind = info.kind
        alone = key.page or "#page=" in str(source)
        keys = [key] if alone else [PageKey(key.source, page) for page in range(info.pages)]
    for key in keys:
        if kind is None:
            kind = None if is_url(key.source) else scan_info(key.source, key.page).kind
        if kind in _AS_IT_IS:
            file = Path(key.source)
            yield file, f"{base}/images/{_fresh(file.name, used)}"
            continue
        with open_scan(key.source, page=key.page, dpi=dpi if kind == "pdf" else None) as scan:
            pixels = next(scan.bands_of_rows([scan.height]))
            data = encode_image(pixels, "jpeg", quality=90).data
        file = folder / _fresh(f"{Path(key.source).stem}.p{key.page}.jpg", used)
        write_bytes(file, data)
        yield file, f"{base}/images/{file.name}"


def _fresh(name: str, used: set[str]) -> str:
    stem, dot, suffix = name.rpartition(".")
    fresh, number = name, 1
    while fresh.casefold() in used:
        number += 1
        fresh = f"{stem}-{number}{dot}{suffix}"
    used.add(fresh.casefold())
    return fresh


def _request(
    name: str, base: str, role: str, workteam: str, region: str, instructions: str, workers: int
) -> dict[str, Any]:
    function = f"arn:aws:lambda:{region}:{_ACCOUNTS[region]}:function"
    return {
        "LabelingJobName": name,
        "LabelAttributeName": name,
        "InputConfig": {"DataSource": {"S3DataSource": {"ManifestS3Uri": f"{base}/input.manifest"}}},
        "OutputConfig": {"S3OutputPath": f"{base}/output/"},
        "RoleArn": role,
        "LabelCategoryConfigS3Uri": f"{base}/labels.json",
        "HumanTaskConfig": {
            "WorkteamArn": workteam,
            "UiConfig": {"UiTemplateS3Uri": f"{base}/template.liquid.html"},
            "PreHumanTaskLambdaArn": f"{function}:PRE-BoundingBox",
            "TaskTitle": f"Draw boxes: {name}"[:128],
            "TaskDescription": instructions[:255],
            "NumberOfHumanWorkersPerDataObject": workers,
            "TaskTimeLimitInSeconds": 3600,
            "TaskAvailabilityLifetimeInSeconds": 864_000,
            "AnnotationConsolidationConfig": {
                "AnnotationConsolidationLambdaArn": f"{function}:ACS-BoundingBox"
            },
        },
    }
