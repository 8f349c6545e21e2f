# What the room offers; loaded on first use.
from .callables import CallableDetector as CallableDetector
from .onnx import OnnxDetector as OnnxDetector
from .protocol import Detector as Detector
