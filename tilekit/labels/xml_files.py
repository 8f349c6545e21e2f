"""Reading XML label files safely: no entities, errors with file and line."""

from __future__ import annotations

import os
from xml.etree import ElementTree as ET

from tilekit.errors import LabelError
from tilekit.labels.files import read_bytes
from tilekit.labels.sources import PathLike


def read_xml(path: PathLike) -> ET.Element:
    """The root element of an XML file; LabelError where it is broken, or declares entities of its own."""
    data = read_bytes(path)
    if b"<!ENTITY" in data:
        raise LabelError(f"{os.fspath(path)}: declares XML entities, which label files have no use for")
    try:
        return ET.fromstring(data)
    except (ET.ParseError, ValueError, LookupError, RecursionError) as exc:
        raise LabelError(f"{os.fspath(path)}: not XML: {exc}") from exc


def write_xml(root: ET.Element) -> str:
    """The document as indented text."""
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
