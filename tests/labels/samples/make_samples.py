"""Writes label files with the tools' own writers: `python make_samples.py OUT`; see README.md for what it needs."""

import json
import sys
from pathlib import Path

import datumaro as dm
import numpy as np
from datumaro.components.annotation import Bbox, Polygon
from datumaro.components.media import Image
from label_studio_sdk.converter import Converter

OUT = Path(sys.argv[1])
VIEW = """<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">
<Label value="up_arrow"/><Label value="legend"/></RectangleLabels></View>"""


def datumaro():
    drawn = [
        Bbox(10.5, 20, 30, 24.25, label=0, id=1, group=1),
        Bbox(60, 70, 12, 18, label=1, id=2, group=2, attributes={"occluded": True, "difficult": False}),
        Polygon([100, 10, 140, 12, 120, 50], label=1, id=3, group=3),
    ]
    items = [
        dm.DatasetItem(
            id=f"plan{number}",
            subset="train",
            media=Image.from_numpy(data=np.full((120, 160, 3), 250, np.uint8)),
            annotations=[] if number else drawn,
        )
        for number in range(2)
    ]
    dataset = dm.Dataset.from_iterable(items, categories=["up_arrow", "legend"])
    for kind in ("cvat", "coco_instances", "voc_detection"):
        dataset.export(str(OUT / kind), kind, save_media=False)


def result(name, x, y, width, height, label):
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [label]}
    return {
        "id": name, "type": "rectanglelabels", "from_name": "label", "to_name": "image",
        "original_width": 160, "original_height": 120, "image_rotation": 0, "value": value,
    }  # fmt: skip


def label_studio():
    boxes = [
        result("a", 6.25, 10, 18.75, 20, "up_arrow"),
        result("b", 50, 50, 10, 10, "legend"),
    ]
    tasks = [
        {"id": number, "data": {"image": f"plan{number - 1}.png"},
         "annotations": [{"id": number, "completed_by": 1, "result": drawn}]}
        for number, drawn in ((1, boxes), (2, []))
    ]  # fmt: skip
    source = OUT / "tasks.json"
    source.write_text(json.dumps(tasks))
    converter = Converter(VIEW, str(OUT), download_resources=False)
    for kind in ("JSON", "JSON_MIN", "COCO", "VOC"):
        converter.convert(str(source), str(OUT / kind), kind, is_dir=False)


OUT.mkdir(parents=True, exist_ok=True)
datumaro()
label_studio()
