"""The Detector protocol, and the detectors that need no cloud: a callable, an ONNX model.

For `detection` and for users who bring a model of their own; the service's detectors are in `aws`. A detector turns
tiles into boxes in the tile's frame. It never moves boxes to the page, never merges, and keeps no state between
calls.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
