"""Make every input of the suites ahead of them, each on its own: one that fails is named and the rest goes on."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Callable, Iterator
from importlib import import_module

from benchmarks.conftest import Frame
from benchmarks.manifests import large_manifest
from benchmarks.pages import blank_page, squares_page
from benchmarks.targets.targets import KINDS
from tilekit.bench.inputs import PAPER, PHOTO
from tilekit.boxes import kernels
from tilekit.errors import TilekitError


def inputs(frame: Frame) -> Iterator[tuple[str, Callable[[], object]]]:
    """Name and maker of each input, smallest first."""
    from benchmarks.targets.test_archive import archive, finished

    unwrapped = [fixture.__wrapped__ for fixture in (archive, finished)]
    side = frame.pick(12_000, 3000)
    for noise in (PAPER, PHOTO):
        for kind in KINDS:
            yield f"{kind} {noise:g}", lambda kind=kind, noise=noise: frame.scan(kind, side, noise=noise)
    yield "small", lambda: frame.scan("jpeg", 1024)
    for one in frame.pick((12_000, 5000, 20_000), (2000, 1000)):
        yield f"squares {one}", lambda one=one: squares_page(frame.cache, one)
    yield "small side", lambda: frame.scan("jpeg", frame.pick(5000, 2000))
    yield "report", lambda: frame.scan("jpeg", 2500, 3500)
    yield "blank", lambda: blank_page(frame.cache, side)
    yield "manifest", lambda: large_manifest(frame.cache, frame.pick(999_000_000, 5_000_000))
    yield "archive", lambda: unwrapped[0](frame)
    yield "ledger", lambda: unwrapped[1](frame)
    yield "large", lambda: frame.scan("tiled-jpeg", frame.pick(32_768, 4096))
    yield (
        "largest",
        lambda: frame.scan("tiled-jpeg", frame.pick(131_072, 8192), frame.pick(76_800, 8192)),
    )


def prepare() -> None:
    """Make them all, and have the kernels compiled on disk."""
    frame, failed = Frame(), 0
    for module in pkgutil.iter_modules(kernels.__path__):
        import_module(f"{kernels.__name__}.{module.name}")
    for name, make in inputs(frame):
        try:
            make()
        except (TilekitError, OSError) as exc:
            failed += 1
            print(f"input {name}: {exc}", file=sys.stderr, flush=True)
    sys.exit(1 if failed else 0)
