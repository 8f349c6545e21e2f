"""A local Rekognition Custom Labels: the service's protocol, states, limits and files, and real training.

`running()` gives a server's URL for tests and demos; `serve()` runs one until interrupted. `cli` and `demo` call it,
and users' own tests do; it never calls AWS, and nothing of it is imported by the rooms below.
"""

from __future__ import annotations

from tilekit.local.faults import FaultRule as FaultRule
from tilekit.local.launch import serve as serve
from tilekit.local.process import running as running
from tilekit.local.settings import ServerSettings as ServerSettings
from tilekit.local.signing import Key as Key

__all__ = ["FaultRule", "Key", "ServerSettings", "running", "serve"]
