"""CreateML: a JSON list of images with boxes by their center (Apple, "Building an object detector data source")."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tilekit.errors import LabelError
from tilekit.labels.collecting import Collector
from tilekit.labels.entries import Where, Wrong, an_object, number, text
from tilekit.labels.files import folder_of
from tilekit.labels.json_files import read_json
from tilekit.labels.label_set import LabelSet
from tilekit.labels.options import ReadOptions
from tilekit.labels.sources import PathLike, relative, resolve
from tilekit.storage.local import write_text

_NAME = "_annotations.createml.json"
_IMAGE = ("image", "imagefilename", "filename")


def createml_files(folder: Path) -> list[Path]:
    """The files of an export with a folder for each side."""
    return sorted([*folder.glob(_NAME), *folder.glob(f"*/{_NAME}")])


def read_createml(path: PathLike, options: ReadOptions) -> LabelSet:
    """Read a file, or a folder with `_annotations.createml.json` for each side; problems name the JSON path."""
    collector = Collector(path, options)
    inside = os.path.isdir(path)
    for file in createml_files(Path(path)) if inside else [Path(os.fspath(path))]:
        source = str(file) if inside else path
        images = read_json(source)
        if not isinstance(images, list):
            raise LabelError(f"{os.fspath(source)}: not a CreateML file: a list of images is needed")
        for place, image in enumerate(images):
            where = Where(f"[{place}]", 0, str(file) if inside else "")
            _image(collector, image, where, folder_of(source), file.parent.name if inside else "")
    return collector.finish("createml")


def _image(collector: Collector, image: Any, where: Where, folder: str, side: str) -> None:
    found = image.get("annotations", image.get("annotation")) if isinstance(image, dict) else None
    entries = found if isinstance(found, list) else []
    try:
        entry = an_object(image)
        name = next((entry[name] for name in _IMAGE if entry.get(name)), None)
        key = resolve(text(name, "image"), folder, collector.options.images)
    except Wrong as exc:
        collector.expect(max(len(entries), 1))
        collector.refuse(where.at(exc.field), str(exc), max(len(entries), 1))
        return
    mention = collector.page(key, where=where, entries=len(entries))
    if mention is None:
        return
    if side:
        collector.splits[key] = side

    def take(item: Any, spot: Where) -> None:
        at = an_object(an_object(item).get("coordinates"), "coordinates")
        x, y, w, h = (number(at.get(name), f"coordinates.{name}") for name in ("x", "y", "width", "height"))
        ignore = item.get("ignore") is True
        sides = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
        collector.box(
            mention,
            item.get("label"),
            sides,
            spot.at("coordinates"),
            ignore=ignore,
            score=item.get("confidence"),
        )

    collector.each(entries, lambda place: where.at(f"annotations[{place}]"), take, mention)


def write_createml(labels: LabelSet, path: PathLike) -> None:
    """Write a CreateML file. It has no place for sizes; ignore regions are marked by a key of ours."""
    folder, images = folder_of(path), []
    for key, page in labels.items():
        scores = labels.scores[key].tolist() if key in labels.scores else [None] * len(page)
        rows = zip(page.boxes.tolist(), page.labels, page.ignore.tolist(), scores, strict=True)
        entries = []
        for (x0, y0, x1, y1), label, ignored, score in rows:
            at = {"x": (x0 + x1) / 2, "y": (y0 + y1) / 2, "width": x1 - x0, "height": y1 - y0}
            entry: dict[str, Any] = {"label": label, "coordinates": at}
            if ignored:
                entry["ignore"] = True
            if score is not None:
                entry["confidence"] = score
            entries.append(entry)
        images.append({"image": relative(key, folder), "annotations": entries})
    write_text(path, json.dumps(images, ensure_ascii=False, allow_nan=False))
