"""Load Keras models and run them."""

from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from ferlab.backend import num_devices
from ferlab.errors import FerlabError, reason_of
from ferlab.files import open_regular
from ferlab.zip_files import check_inflation, open_zip

if TYPE_CHECKING:
    import keras


def load_model(path: str | Path) -> "keras.Model":
    """Load a `.keras` file in safe mode.

    Raises:
        FerlabError: if the file is not a Keras model, inflates far beyond its size, or contains layers of a plugin that
            is not loaded.
    """
    try:
        with open_regular(Path(path)) as file, open_zip(file) as archive:
            check_inflation(archive, Path(path).stat().st_size)
    except (OSError, BadZipFile) as error:
        raise _load_error(path, error) from error
    import keras

    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # on damaged files, Keras and h5py raise any kind of exception
        raise _load_error(path, error) from error


def _load_error(path: str | Path, error: Exception) -> FerlabError:
    return FerlabError(
        f"{path} cannot be loaded as a Keras model: {reason_of(error)}. If it contains layers of a plugin, "
        "load the plugin with --plugin."
    )


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
        missing = -len(inputs) % num_devices()  # every batch must be divisible among the devices
        padded = np.concatenate([inputs, np.repeat(inputs[:1], missing, axis=0)]) if missing else inputs
        return np.asarray(model.predict(padded, batch_size=batch_size, verbose=0), np.float32)[: len(inputs)]
    # For a few batches of a deep network, TensorFlow runs faster eagerly than it traces the graph.
    starts = range(0, len(inputs), batch_size)
    batches = (model(inputs[start : start + batch_size].astype(np.float32), training=False) for start in starts)
    return np.concatenate([keras.ops.convert_to_numpy(batch) for batch in batches]).astype(np.float32)
