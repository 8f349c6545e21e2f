# What the room offers; loaded on first use.
from .index import read_index as read_index
from .joining import join_tiles as join_tiles
from .keeping import KeepPlan as KeepPlan
from .keeping import keep_plan as keep_plan
from .options import EncodeOptions as EncodeOptions
from .options import TileScanOptions as TileScanOptions
from .reading import read_tiles as read_tiles
from .tile import Tile as Tile
from .writing import EncodedTile as EncodedTile
from .writing import TileSet as TileSet
from .writing import encode_tiles as encode_tiles
from .writing import tile_scan as tile_scan
