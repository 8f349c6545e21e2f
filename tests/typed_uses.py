"""What a type checker sees of tilekit through its top and through a room. Never run: mypy reads it with the package.

An error that is not found fails as well: the comment that expects it is then not used.
"""

from __future__ import annotations

from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import tilekit as tk
from tilekit.grid import TileGrid

assert_type(tk.Tiling(tile=1024).grid(10, 10), TileGrid)
assert_type(tk.boxes.giou(np.zeros((1, 4)), np.zeros((2, 4))), NDArray[np.float64])
tk.open_scan(page="x", source="y")  # type: ignore[arg-type]
tk.nothing_like_it  # type: ignore[attr-defined]  # noqa: B018
