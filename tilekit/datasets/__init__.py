"""Tiled datasets: recipes recommended, labels carried to tiles, pages split, decoys and baselines written.

For users, `archive`, `demo` and `cli`. Tiles and manifests come out ready for the service, or for YOLO and COCO. A
page's tiles never fall on two sides of a split, a sliver is never silently background, and nothing is uploaded unless
the output is in a bucket.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
