"""Scans to benchmark on: made by a seeded generator, cached, with the hash of their bytes."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilekit.bench.machine import require_room
from tilekit.errors import InvalidArgument
from tilekit.scans.opening import scan_info

KINDS = ("jpeg", "png", "deflate-strips", "lzw-strips", "tiled-jpeg")
PAPER, PHOTO = 1.0, 12.0  # noise in levels: a good scanner's paper, a noisy photo
_EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp"}
_BYTES_A_PIXEL = {"jpeg": 1.2, "tiled-jpeg": 1.5}  # noisy paper at quality 90; else at most the raw pixels


@dataclass(frozen=True, slots=True)
class Input:
    """A scan file: `name` for tables, size in px and bytes, BLAKE2 hash of its bytes."""

    name: str
    path: str
    width: int
    height: int
    bytes: int
    hash: str

    @property
    def mpx(self) -> float:
        """Megapixels."""
        return self.width * self.height / 1e6

    def to_json(self) -> dict[str, Any]:
        """All but the path, which is this machine's business."""
        return {
            "name": self.name,
            "width": self.width,
            "height": self.height,
            "bytes": self.bytes,
            "hash": self.hash,
        }


def cache_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """Where made scans are kept: `given`, else tilekit-bench in the user's cache folder."""
    return Path(given) if given is not None else Path.home() / ".cache" / "tilekit-bench"


def given_scan(path: str | os.PathLike[str]) -> Input:
    """A user's own scan. Raises ScanError naming it where it cannot be read."""
    info = scan_info(os.fspath(path))
    return _described(Path(path).name, Path(path), info.width, info.height)


def made_scan(
    kind: str, width: int, height: int, *, noise: float = PAPER, seed: int = 0, cache: Path | None = None
) -> Input:
    """A paper scan of this size, from the cache or made now.

    Raises StorageFull or InvalidArgument before anything is made where disk or memory is too small.
    """
    if width < 1 or height < 1:
        raise InvalidArgument(f"size={width} x {height} px makes no sense")
    folder = cache_folder(cache)
    noisy = "" if noise == PAPER else f"-noise{noise:g}"
    path = folder / f"v1-{kind}-{width}x{height}-s{seed}{noisy}.{_EXTENSIONS.get(kind, 'tif')}"
    if not path.exists():
        from tilekit.testing.scans import write_scan

        require_room(
            f"a {kind} scan of {width} x {height} px",
            folder,
            int(width * height * _BYTES_A_PIXEL.get(kind, 3.0)),
            width * 3 * 1024,
        )
        made: Any = kind
        write_scan(path, width, height, made, seed, noise=noise)
    name = f"{kind} {width * height / 1e6:.0f} Mpx{' noisy' if noisy else ''}"
    return _described(name, path, width, height, keep=True)


def side_of(mpx: float) -> int:
    """Side of a square scan of about `mpx` megapixels, px."""
    if not math.isfinite(mpx) or mpx <= 0:
        raise InvalidArgument(f"size={mpx!r} must be a number of megapixels above 0")
    return max(1, round(math.sqrt(mpx * 1e6)))


def _described(name: str, path: Path, width: int, height: int, *, keep: bool = False) -> Input:
    """`keep`: the hash is written beside the file, and read again while size and time of the file are the same."""
    state = path.stat()
    beside = path.with_name(path.name + ".hash")
    stamp = f"{state.st_size} {state.st_mtime_ns}"
    if keep and beside.exists():
        told, _, digest = beside.read_text().rpartition(" ")
        if told == stamp:
            return Input(name, str(path), width, height, state.st_size, digest)
    digest = file_hash(path)
    if keep:
        beside.write_text(f"{stamp} {digest}")
    return Input(name, str(path), width, height, state.st_size, digest)


def file_hash(path: Path) -> str:
    """BLAKE2 of a file's bytes, 16 bytes as hex."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
