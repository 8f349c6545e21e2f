"""ModelRef: one way to name a model, for the library, archives and the command line alike."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tilekit.boxes.detections import Detections
from tilekit.detectors.callables import import_detector
from tilekit.detectors.passing import PassingDetector
from tilekit.detectors.protocol import Detector
from tilekit.errors import InvalidArgument
from tilekit.grid import Tiling
from tilekit.scales import Scales
from tilekit.tiles.tile import Tile

Kind = Literal["model", "ready-made", "onnx", "ultralytics", "transformers", "callable"]


@dataclass(frozen=True)
class ModelRef:
    """A model by its name, and how it is asked.

    `name`: a Custom Labels model (ARN, `project`, `project/version`), `text` or `labels` (the service's ready-made
    ones), an `.onnx` file, a `.pt` file of Ultralytics, `hf:NAME` of a model of Hugging Face or `hf:FOLDER` of one that
    is here, or `module:attribute` of a detector or callable (looked for in the current folder too).
    `names`: labels of an ONNX model or callable that does not say. `conf`: least score, 0..1, before merging
    (default: as the detector does). `iou`: of an ONNX or Ultralytics model, suppression inside a tile. `fit`: of
    an ONNX or Hugging Face model, tiles larger than its input are refused or shrunk (see OnnxInput). `strict`: of a callable or a detector of
    one's own, what looks like a mistake is one. Nothing is opened or started by naming it.
    """

    name: str
    names: tuple[str, ...] = ()
    conf: float | None = None
    iou: float | None = None
    fit: Literal["refuse", "shrink"] = "refuse"
    strict: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        if not isinstance(self.name, str) or not self.name:
            raise InvalidArgument(
                f"model={self.name!r} must be a model's ARN, project or project/version, text, labels, an .onnx or .pt file, "
                "hf:NAME or module:attribute"
            )
        for option, value, kinds in (
            ("iou", self.iou, ("onnx", "ultralytics")),
            ("fit", self.fit if self.fit != "refuse" else None, ("onnx", "transformers")),
            ("strict", None if self.strict else False, ("callable",)),
            ("names", self.names or None, ("onnx", "callable")),
        ):
            if value is not None and self.kind not in kinds:
                raise InvalidArgument(
                    f"{option}={value!r}: is for {' and '.join(map(_WORDS.__getitem__, kinds))}; {self.name!r} is "
                    f"{_WORDS[self.kind]}"
                )
        for option, share in (("conf", self.conf), ("iou", self.iou)):
            if share is not None and (isinstance(share, bool) or not 0 <= share <= 1):
                raise InvalidArgument(f"{option}={share!r} must be a number from 0 to 1")

    @property
    def kind(self) -> Kind:
        """What the name means."""
        if self.name in ("text", "labels"):
            return "ready-made"
        if self.name.startswith("arn:"):
            return "model"
        if self.name.lower().endswith(".onnx"):
            return "onnx"
        if self.name.lower().endswith(".pt"):
            return "ultralytics"
        if self.name.startswith("hf:"):
            return "transformers"
        return "callable" if ":" in self.name else "model"

    @property
    def is_cloud(self) -> bool:
        """Whether the service is called."""
        return self.kind in ("model", "ready-made")

    def detector(self) -> Detector:
        """The detector of a model that runs here, or of a callable; those of the service are in `tilekit.aws.naming`."""
        if self.kind == "onnx":
            return self._onnx()
        if self.kind == "ultralytics":
            from tilekit.detectors.ultralytics_models import UltralyticsDetector

            return UltralyticsDetector(self.name, **self._given(score=self.conf, iou=self.iou))
        if self.kind == "transformers":
            from tilekit.detectors.hugging_face import HuggingFaceDetector

            return HuggingFaceDetector(
                self.name.removeprefix("hf:"), fit=self.fit, **self._given(score=self.conf)
            )
        if self.kind != "callable":
            raise InvalidArgument(
                f"{self.name!r} is {_WORDS[self.kind]}; `tilekit.aws.naming.running` gives its detector"
            )
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        found = import_detector(self.name, self.names, strict=self.strict)
        return found if self.strict and not self.conf else AskedDetector(found, self.conf or 0.0, self.strict)

    def _onnx(self) -> Detector:
        from tilekit.detectors.onnx import OnnxDetector, OnnxInput

        given = self._given(score=self.conf, iou=self.iou)
        return OnnxDetector(self.name, names=self.names or None, input=OnnxInput(fit=self.fit), **given)

    @staticmethod
    def _given(**options: Any) -> dict[str, Any]:
        return {name: value for name, value in options.items() if value is not None}


_WORDS = {
    "model": "a Custom Labels model",
    "ready-made": "a ready-made detector of the service",
    "onnx": "an ONNX file",
    "ultralytics": "a model of Ultralytics",
    "transformers": "a model of Hugging Face",
    "callable": "a callable",
}


class AskedDetector(PassingDetector):
    """Another detector, asked for scores of at least `conf` only, its mistakes taken as they are unless `strict`."""

    def __init__(self, detector: Detector, conf: float, strict: bool = True) -> None:
        super().__init__(detector)
        self._conf = conf
        self.strict = strict and getattr(detector, "strict", True)

    def detect(self, tiles: Sequence[Tile]) -> Sequence[Detections]:
        """See Detector."""
        return [found[found.scores >= self._conf] for found in super().detect(tiles)]


def trained_on(detector: Any) -> Tiling | Scales | None:
    """What a detector says it was trained on, or else tiles of its fixed input with an eighth shared."""
    tiling = getattr(detector, "tiling", None)
    size = getattr(detector, "input_size", None)
    if isinstance(tiling, (Tiling, Scales)) or size is None:
        return tiling if isinstance(tiling, (Tiling, Scales)) else None
    return Tiling(tuple(size), min(size) // 8)


def named(detector: Any) -> Any:
    """The detector of a ModelRef; all else as it is. `Callable`s and Detectors pass."""
    return detector.detector() if isinstance(detector, ModelRef) else detector


AnyDetector = Detector | ModelRef | Callable[..., Any]
