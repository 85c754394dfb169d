"""Train, compare and run facial-expression models on FER2013 under its official protocol.

The public names are listed in `__init__.pyi`. Each one is imported when it is first used.
"""

import os

import lazy_loader

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime reads it when it is imported

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
