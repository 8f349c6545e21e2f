"""A PDF of shapes, written by hand: vectors only, the same bytes for the same shapes."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Sequence

from tilekit.storage.local import write_bytes
from tilekit.testing.shapes import Fill, Shape


def write_pdf(
    path: str | os.PathLike[str], pages: Sequence[Iterable[Shape]], width: int, height: int, dpi: float
) -> None:
    """Write pages of `width` x `height` px at `dpi`; a rendering at that dpi has that size."""
    scale = 72.0 / dpi
    objects: list[bytes] = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    kids = []
    for shapes in pages:
        content = zlib.compress(_content(shapes, height, scale), 6)
        objects.append(
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(content), content)
        )
        box = f"0 0 {width * scale:.6f} {height * scale:.6f}"
        page = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [{box}] /Resources << >> /Contents {len(objects)} 0 R >>"
        )
        objects.append(page.encode())
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(kids)}] >>".encode()
    write_bytes(path, _file(objects))


def _content(shapes: Iterable[Shape], height: int, scale: float) -> bytes:
    parts = [f"{scale:.6f} 0 0 {-scale:.6f} 0 {height * scale:.6f} cm 1 J 1 j"]
    for shape in shapes:
        color = " ".join(f"{channel / 255:.3f}" for channel in shape.color)
        path = " ".join(
            f"{x:.2f} {y:.2f} {'l' if place else 'm'}" for place, (x, y) in enumerate(shape.points)
        )
        if isinstance(shape, Fill):
            parts.append(f"{color} rg {path} f")
        else:
            parts.append(f"{color} RG {shape.width:.2f} w {path} S")
    return "\n".join(parts).encode()


def _file(objects: Sequence[bytes]) -> bytes:
    data = bytearray(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for place in places:
        data += b"%010d 00000 n \n" % place
    data += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(data)
