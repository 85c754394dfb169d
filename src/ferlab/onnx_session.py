"""Open ONNX Runtime sessions: the only place that chooses threads and options."""

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from onnxruntime import InferenceSession

NO_FOLDER = f"{os.devnull}/none"  # where weights outside the model file would be read from


def open_session(model: bytes, threads: int = 0) -> "InferenceSession":
    """Open a model on the CPU. Several threads can use the session at the same time.

    A model whose weights are in other files is refused: it could read any file.

    Threads that wait for work sleep. By default they would spin and take the cores from other sessions, OpenCV and
    decoders.

    Args:
        model: the content of an ONNX file.
        threads: number of CPU threads per call; 0 for all cores.

    Raises:
        Exception: if ONNX Runtime cannot load the model. Its exceptions have no other common base class.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", NO_FOLDER)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def ends_within(session: "InferenceSession", inputs: Mapping[str, "np.ndarray"], seconds: float) -> bool:
    """Run a model once, and stop it after a time: a loop in it may have no end.

    Args:
        session: the model.
        inputs: its inputs by name.
        seconds: the time after which it is stopped.

    Returns:
        Whether it ended by itself, with outputs or an error.
    """
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.log_severity_level = 4  # not even the error of a stopped model
    timer = threading.Timer(seconds, setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        session.run(None, inputs, options)
    except Exception:  # the exceptions of ONNX Runtime have no other common base class
        return not options.terminate
    finally:
        timer.cancel()
    return True
