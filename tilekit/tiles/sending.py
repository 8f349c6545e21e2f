"""Tiles as a service takes them: those of a JPEG scan cut from its bits, neither decoded nor encoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from tilekit.flow import DEFAULT_BUDGET, ordered_map
from tilekit.grid import TileGrid
from tilekit.scales import AnyTiling, as_scales
from tilekit.scans.scan import Scan, check_open
from tilekit.tiles.encoder import TileEncoder
from tilekit.tiles.pieces import RawTile
from tilekit.tiles.reading import chosen_rows, expected, worker_count
from tilekit.tiles.recipe import make_recipe
from tilekit.tiles.tile import Tile


def tiles_to_send(
    scan: Scan, tiling: AnyTiling, *, workers: int | None = None, budget: int = DEFAULT_BUDGET
) -> Iterator[Tile]:
    """`read_tiles`, but tiles that keep the bits of a JPEG scan come as `Tile.jpeg`, decoded only if pixels are asked for.

    Which those are `keep_plan` tells. Order, other arguments, memory and errors as in `read_tiles`; `budget`
    bounds the bytes that tiles hold, of JPEG where they have it.
    """
    check_open(scan)
    scales = as_scales(tiling)
    scales.grids(scan.width, scan.height, dpi=scan.dpi)
    for place in expected(scan, scales):
        yield from _of_grid(scan, scan.grid(scales[place]), place, worker_count(workers), budget)


def _of_grid(scan: Scan, grid: TileGrid, scale: int, threads: int, budget: int) -> Iterator[Tile]:
    encoder = TileEncoder(scan, grid, make_recipe(grid.tiling), threads)
    with encoder.tiles(chosen_rows(grid, None), None) as tiles:
        yield from ordered_map(
            partial(_tile, encoder=encoder, scale=scale),
            tiles,
            workers=threads,
            cost=lambda tile: tile.nbytes,
            budget=budget,
        )


def _tile(raw: RawTile, encoder: TileEncoder, scale: int) -> Tile:
    data = encoder.cut(raw)
    if data is None:
        return replace(raw.tile(), scale=scale)
    return Tile.cut((raw.index, raw.row, raw.col), raw.window, data, raw.pixels, scale)
