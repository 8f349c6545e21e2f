"""Detectors of named models, those of the service among them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tilekit.aws.waiting import Note, silent
from tilekit.detectors.naming import AskedDetector, ModelRef, trained_on
from tilekit.detectors.protocol import Detector
from tilekit.errors import InvalidArgument
from tilekit.storage.s3 import Access

if TYPE_CHECKING:
    from tilekit.aws.model import Model
    from tilekit.aws.service import Service
    from tilekit.grid import Tiling
    from tilekit.scales import Scales


def find_model(service: Service, text: str) -> Model:
    """The model a person names: an ARN, `project/version`, or a project for its newest usable model."""
    from tilekit.aws.model import Model, models_of
    from tilekit.aws.project import project_arn_of

    access, note = service.access, service.note
    if text.startswith("arn:"):
        return Model.find(
            text,
            region=access.region,
            profile=access.profile,
            endpoint_url=access.endpoint_url,
            note=note,
        )
    project, _, version = text.partition("/")
    arn = project_arn_of(service, project)
    found = list(models_of(service, arn, versions=[version] if version else None, note=note)) if arn else []
    if not version:
        found = [
            model
            for model in found
            if not model.description["Status"].startswith(("TRAINING_F", "TRAINING_I"))
        ]
    if not found:
        raise InvalidArgument(
            f"{text!r}: there is no such model in this account and region; give project/version or an ARN, "
            "`tilekit models` lists them"
        )
    return found[0]


def model_of(ref: ModelRef, access: Access | None = None, *, note: Note | None = None) -> Model:
    """The Custom Labels model that a reference names; nothing is started."""
    from tilekit.aws.service import Service

    return find_model(Service(access or Access(), note=note or silent), ref.name)


def detector_of(ref: ModelRef, access: Access | None = None) -> Detector:
    """The detector of any named model. One of Custom Labels must run for its calls; see `running`."""
    if ref.kind == "model":
        return model_of(ref, access).detector(**asked(ref))
    if ref.kind != "ready-made":
        return ref.detector()
    from tilekit.aws.labels_detector import LabelsDetector
    from tilekit.aws.text import TextDetector

    access = access or Access()
    found: Detector = TextDetector(access=access) if ref.name == "text" else LabelsDetector(access=access)
    return found if ref.conf is None else AskedDetector(found, ref.conf)


def trained_tiling(ref: ModelRef, access: Access | None = None) -> Tiling | Scales | None:
    """What a named model was trained on, None where it does not say; nothing is started."""
    return model_of(ref, access).tiling if ref.kind == "model" else trained_on(detector_of(ref, access))


def asked(ref: ModelRef) -> dict[str, Any]:
    """Options of a Custom Labels model's detector that a reference says."""
    return {} if ref.conf is None else {"min_confidence": ref.conf}


@contextlib.contextmanager
def running(
    ref: ModelRef,
    access: Access | None = None,
    *,
    units: int = 1,
    tiling: Tiling | Scales | None = None,
    force: bool = False,
    note: Note | None = None,
    **options: Any,
) -> Iterator[Detector]:
    """Any named model, ready for a block of code: one of Custom Labels is started, and stopped if this started it.

    Options are those of `Model.running`; they, `units`, `tiling`, `force` and `note` mean nothing to other models.
    """
    if ref.kind != "model":
        yield detector_of(ref, access)
        return
    with model_of(ref, access, note=note).running(
        units, tiling=tiling, force=force, **asked(ref), **options
    ) as found:
        yield found
