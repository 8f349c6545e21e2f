# What the room offers; loaded on first use.
from .batch import detect_scans as detect_scans
from .detecting import detect_tiles as detect_tiles
from .detecting import detect_whole as detect_whole
from .keeping import KeepingDetector as KeepingDetector
from .keeping import read_kept_tiles as read_kept_tiles
from .options import DetectionOptions as DetectionOptions
from .options import ScansOptions as ScansOptions
