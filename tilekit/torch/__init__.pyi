# What the room offers; loaded on first use.
from .tile_dataset import TileDataset as TileDataset
