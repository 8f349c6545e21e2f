"""The one-line signatures of kernels: `i(R2,f,S)` is an int64 from read-only boxes, a float64 and an int32 array."""

from __future__ import annotations

from dataclasses import dataclass

from tilekit.errors import InvalidArgument

# Letter: numba's type, bytes, and numpy's type numbers of it (long and long long are two in numpy).
_ELEMENTS: dict[str, tuple[str, int, tuple[int, ...]]] = {
    "F": ("float64", 8, (12,)),
    "I": ("int64", 8, (7, 9)),
    "S": ("int32", 4, (5,)),
    "H": ("uint16", 2, (4,)),
    "B": ("uint8", 1, (2,)),
    "W": ("int16", 2, (3,)),
    "U": ("uint32", 4, (6,)),
    "Q": ("uint64", 8, (8, 10)),
}
_SCALARS = {"i": "int64", "f": "float64"}
_RESULTS = {**_SCALARS, "void": "void"}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: a number (`dimensions` 0) or a C-contiguous array, which the kernel may write unless `readonly`."""

    kind: str
    dimensions: int = 0
    readonly: bool = False
    itemsize: int = 8
    numpy_types: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """What a kernel takes and gives."""

    result: str
    arguments: tuple[Argument, ...]


def parse(text: str) -> Signature:
    """Read a signature: `i` and `f` are int64 and float64, `void` gives nothing; capital letters are arrays.

    `F` float64, `I` int64, `S` int32, `H` uint16, `B` uint8, `W` int16, `U` uint32, `Q` uint64; a leading `R` is
    read-only, a trailing 2 or 3 is the number of dimensions; `R2` alone is short for `RF2`, boxes (n, 4).
    """
    result, opening, rest = text.partition("(")
    if result not in _RESULTS or not opening or not rest.endswith(")"):
        raise InvalidArgument(f"kernel signature {text!r}: write result(arguments), as i(R2,f,S)")
    return Signature(_RESULTS[result], tuple(_argument(part.strip(), text) for part in rest[:-1].split(",")))


def _argument(part: str, whole: str) -> Argument:
    if part in _SCALARS:
        return Argument(_SCALARS[part])
    letters = "RF2" if part == "R2" else part
    readonly = letters.startswith("R")
    letter, dimensions = letters[readonly : readonly + 1], letters[readonly + 1 :] or "1"
    if letter not in _ELEMENTS or dimensions not in ("1", "2", "3"):
        raise InvalidArgument(f"kernel signature {whole!r}: argument {part!r} is unknown")
    kind, itemsize, numpy_types = _ELEMENTS[letter]
    return Argument(kind, int(dimensions), readonly, itemsize, numpy_types)
