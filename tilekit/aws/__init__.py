"""Amazon Rekognition Custom Labels through boto3: projects, training, models that run and stop, detectors, guards.

For users, `archive`, `demo` and `cli`. It paces and retries calls in one place and says what things cost. What it
starts it stops, also when its process dies. It never reads credentials itself (boto3's chain does), never leaves a
model running that it started, and knows the service's rules only through `rekognition`.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
