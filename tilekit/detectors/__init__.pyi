# What the room offers; loaded on first use.
from .callables import CallableDetector as CallableDetector
from .hugging_face import HuggingFaceDetector as HuggingFaceDetector
from .onnx import OnnxDetector as OnnxDetector
from .protocol import Detector as Detector
from .ultralytics_models import UltralyticsDetector as UltralyticsDetector
