"""Shapes: what objects look like beside their boxes, one column of one kind for all rows.

`Annotations` and `Detections` carry at most one of these: `Polygons`, `OrientedBoxes`, `Masks`, `Keypoints`. Each is
a frozen, packed struct of arrays in the frame of its boxes, checked once, sliced and concatenated like them. A row
may have none (the box is then all there is). Readers and writers of label formats, carrying, merging and evaluation
use them; nothing here knows of tiles, files or classes, and no dense picture of a scan is ever made.
"""

from __future__ import annotations

from tilekit.boxes.shapes.column import Shapes as Shapes
from tilekit.boxes.shapes.column import unite as unite
from tilekit.boxes.shapes.keypoints import Keypoints as Keypoints
from tilekit.boxes.shapes.masks import Masks as Masks
from tilekit.boxes.shapes.oriented import OrientedBoxes as OrientedBoxes
from tilekit.boxes.shapes.polygons import Polygons as Polygons
