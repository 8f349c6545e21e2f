"""A trained network as an ONNX file that `tilekit.detectors.onnx` runs without torch."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sqlite3
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the name everyone knows

from tilekit.errors import InvalidArgument, MissingExtra, StorageNotFound
from tilekit.grid import Tiling
from tilekit.local.network import LEVELS, CenterNetwork, load
from tilekit.rekognition.arns import parse_version_arn
from tilekit.scales import Scales
from tilekit.storage.local import write_bytes

OPSET = 17
_RATIO = LEVELS[1].stride // LEVELS[0].stride
# From the center of a coarse cell to that of the finest cell that stands for it: half a fine cell down and right.
_SHIFT = torch.tensor([-1.0, -1.0, 1.0, 1.0]).reshape(1, 4, 1, 1) * (LEVELS[0].stride / 2)


class _Exported(nn.Module):  # type: ignore[misc]
    """Pixels 0..1 with paper as 1 -> `heat` (n, labels, h, w), peaks only, and `box` (n, 4, h, w).

    `box` is left, top, right, bottom in px from the cell's center, as the head "center" is read.
    """

    def __init__(self, network: CenterNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (heat, box), (large_heat, large_box) = (
            self._read(maps, level.stride)
            for maps, level in zip(self.network(1.0 - images), LEVELS, strict=True)
        )
        large_heat = _at_finest(torch.where(large_heat == F.max_pool2d(large_heat, 3, 1, 1), large_heat, 0.0))
        large = large_heat.amax(dim=1, keepdim=True) > heat.amax(dim=1, keepdim=True)
        return torch.where(large, large_heat, heat), torch.where(large, _at_finest(large_box - _SHIFT), box)

    def _read(self, maps: torch.Tensor, stride: int) -> tuple[torch.Tensor, torch.Tensor]:
        heat = maps[:, : self.network.labels].sigmoid()
        shape = maps[:, self.network.labels :]
        half = shape[:, :2].clamp(-4, 6).exp() * (stride / 2)
        offset = shape[:, 2:] * stride
        return heat, torch.cat([half - offset, half + offset], dim=1)


def _at_finest(maps: torch.Tensor) -> torch.Tensor:
    """Each coarse cell's values in one of the finest cells in it, zeros in the others."""
    count = (_RATIO * _RATIO, _RATIO * _RATIO // 2 + _RATIO // 2)
    n, channels, height, width = maps.shape
    cells = F.pad(maps[:, :, None], (0, 0, 0, 0, count[1], count[0] - count[1] - 1))
    return F.pixel_shuffle(cells.reshape(n, channels * count[0], height, width), _RATIO)


def export_network(
    network: CenterNetwork,
    names: Sequence[str],
    path: str | os.PathLike[str],
    *,
    tiling: Tiling | Scales | None = None,
    decoys: Sequence[str] = (),
) -> None:
    """Write a network (in evaluation mode) with what OnnxDetector reads from the file itself.

    `names`: labels in the order of its channels. `tiling`: how its training images were cut.
    `decoys`: labels to drop after merging. Any number of images of any size in multiples of 16 px.
    Raises InvalidArgument where names do not fit, MissingExtra without the package onnx, StorageError.
    """
    if len(names) != network.labels:
        raise InvalidArgument(f"names={tuple(names)!r}: the network has {network.labels} labels")
    try:
        import onnx
    except ImportError as exc:
        raise MissingExtra(f"the export needs onnx ({exc})", "local") from exc
    buffer = io.BytesIO()
    sample = torch.zeros(1, network.bands, 64, 64)
    axes = {0: "count", 2: "height", 3: "width"}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the exporter of TorchScript, which needs no further package
        torch.onnx.export(
            _Exported(network).eval(),
            (sample,),
            buffer,
            dynamo=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["heat", "box"],
            dynamic_axes={"images": axes, "heat": axes, "box": axes},
        )
    model = onnx.load_from_string(buffer.getvalue())
    meta = {"names": json.dumps(list(names), ensure_ascii=False), "decoys": json.dumps(list(decoys))}
    if tiling is not None:
        meta["tiling"] = json.dumps(tiling.to_json())
    onnx.helper.set_model_props(model, meta)
    write_bytes(Path(path), model.SerializeToString())


def trained_folder(state: str | os.PathLike[str], model: str) -> Path:
    """The folder of `project/version` (the newest where a name was used again) in a server's state.

    The server may be running. Raises StorageNotFound where there is no such state or model.
    """
    file = Path(state) / "state.sqlite"
    if not file.is_file():
        raise StorageNotFound(f"{state}: holds no state of a local server; give its folder with --state")
    with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT arn, folder FROM versions WHERE folder IS NOT NULL").fetchall()
    found: dict[str, Path] = {}
    for arn, folder in sorted(rows):
        parsed = parse_version_arn(arn)
        found[f"{parsed.project}/{parsed.version}"] = Path(state) / "models" / folder
    if model not in found:
        raise StorageNotFound(
            f"{model}: no model of this name in {state}; it has {', '.join(found) or 'none'}"
        )
    return found[model]


def export_model(
    model: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    tiling: Tiling | Scales | None = None,
    decoys: Sequence[str] = (),
) -> tuple[str, ...]:
    """Export a `model.pt` that the local server wrote, or the folder that holds it; gives its labels.

    Raises StorageNotFound where there is none, and what `export_network` raises.
    """
    from tilekit.local.inference import MODEL_FILE

    place = Path(model)
    if place.is_dir():
        place = place / MODEL_FILE
    if not place.is_file():
        raise StorageNotFound(
            f"{place}: there is no trained model; a local server keeps them in STATE/models/"
        )
    network, names = load(place)
    export_network(network, names, path, tiling=tiling, decoys=decoys)
    return names
