"""Whom tilekit is timed beside: plug-ins, each a `Peers`. None ships with the package.

They are found beside the source (`benchmarks/peers`), as entry points of the group `tilekit.peers`, or by the name of
a module that has `PEERS`.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import tilekit
from tilekit.errors import InvalidArgument

GROUP = "tilekit.peers"
_BESIDE = "benchmarks.peers"
Way = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Tiler:
    """Who cuts a scan into files: the module that must be installed, and "module:function" for a fresh process.

    `plain`: it writes JPEG at quality 75, 4:2:0, whatever is asked. `overlaps`: it knows overlap.
    """

    needs: str
    work: str
    plain: bool = False
    overlaps: bool = True


@dataclass(frozen=True, slots=True)
class Suppressor:
    """Who does nms at IoU 0.5: `load` gives the call (boxes, scores) -> kept indices.

    `most`: boxes it is tried with at most, as what it takes may grow with their square.
    """

    needs: str
    load: Callable[[], Way]
    most: int = 10**7


@dataclass(frozen=True, slots=True)
class Fuser:
    """Who does soft_nms and wbf: each gives, of boxes in 0..1 and scores, the call to time."""

    needs: str
    soft_nms: Callable[[Any, Any], Callable[[], Any]]
    wbf: Callable[[Any, Any], Callable[[], Any]]


@dataclass(frozen=True, slots=True)
class Peers:
    """Everyone of a plug-in, by name; `packages` are the distributions whose versions a run names."""

    tilers: Mapping[str, Tiler] = field(default_factory=dict)
    suppressors: Mapping[str, Suppressor] = field(default_factory=dict)
    fusers: Mapping[str, Fuser] = field(default_factory=dict)
    packages: tuple[str, ...] = ()

    def __or__(self, other: Peers) -> Peers:
        return Peers(
            {**self.tilers, **other.tilers},
            {**self.suppressors, **other.suppressors},
            {**self.fusers, **other.fusers},
            tuple(dict.fromkeys((*self.packages, *other.packages))),
        )

    def __bool__(self) -> bool:
        return bool(self.tilers or self.suppressors or self.fusers)


NO_PEERS = Peers()


def find_peers(module: str | None = None) -> Peers:
    """The peers of `module`; without one, those beside the source and those of installed plug-ins.

    Raises InvalidArgument naming a module or plug-in that cannot be loaded or is none.
    """
    if module is not None:
        return _peers_of(module, lambda: getattr(import_module(module), "PEERS", None))
    found, source = Peers(), Path(tilekit.__file__).parents[1]
    if (source / "benchmarks" / "peers" / "__init__.py").is_file():
        if str(source) not in sys.path:
            sys.path.append(str(source))
        found |= find_peers(_BESIDE)
    for entry in entry_points(group=GROUP):
        found |= _peers_of(entry.value, entry.load)
    return found


def _peers_of(name: str, load: Callable[[], object]) -> Peers:
    try:
        found = load()
    except Exception as exc:
        raise InvalidArgument(f"peers={name!r} cannot be loaded: {type(exc).__name__}: {exc}") from exc
    if not isinstance(found, Peers):
        raise InvalidArgument(f"peers={name!r} has no PEERS, a tilekit.bench.peers.Peers")
    return found


def is_installed(needs: str) -> bool:
    """Whether a module can be imported; nothing is imported to see it."""
    return importlib.util.find_spec(needs) is not None
