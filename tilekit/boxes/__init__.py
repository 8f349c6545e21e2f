"""Boxes and the shapes beside them, as arrays: carried to tiles and back, measured, suppressed, fused, merged.

Everything above `grid` may use it; it knows geometry, scores and class ids, never files, pixels, detectors or figures.
`kernels` holds compiled loops on bare arrays, `shapes` the columns of polygons, oriented boxes, masks and keypoints.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
