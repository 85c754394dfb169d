"""Load Keras models and run them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ferlab.errors import FerlabError

if TYPE_CHECKING:
    import keras


def load_model(path: str | Path) -> "keras.Model":
    """Load a `.keras` file in safe mode.

    Raises:
        FerlabError: if the file is not a Keras model, or contains layers of a plugin that is not loaded.
    """
    import keras

    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # on damaged files, Keras and h5py raise any kind of exception
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FerlabError(
            f"{path} cannot be loaded as a Keras model: {reason} "
            "If it contains layers of a plugin, load the plugin with --plugin."
        ) from error


def predict_logits(model: "keras.Model", inputs: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Compute the logits of images in batches.

    Args:
        model: a model of `build_model`, or a part of one.
        inputs: images `(N, 48, 48)` uint8, 0..255, or features `(N, F)`.
        batch_size: images per batch. At 224 pixels, MobileNetV2 needs 7 GB for 64 images, and more than 16 GB for 256.

    Returns:
        `(N, K)` float32.
    """
    import keras

    if inputs.ndim == 3:
        inputs = inputs[..., None]  # (N, 48, 48, 1); Keras casts each batch to float32
    if keras.config.backend() != "tensorflow":
        return np.asarray(model.predict(inputs, batch_size=batch_size, verbose=0), np.float32)
    # For a few batches of a deep network, TensorFlow runs faster eagerly than it traces the graph.
    starts = range(0, len(inputs), batch_size)
    batches = (model(inputs[start : start + batch_size].astype(np.float32), training=False) for start in starts)
    return np.concatenate([keras.ops.convert_to_numpy(batch) for batch in batches]).astype(np.float32)
