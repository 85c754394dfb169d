"""LiteRT, formerly TensorFlow Lite: the format for Android, iOS and single-board computers."""

import tempfile
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ferlab.backend import quiet_start
from ferlab.data import Dataset, Split
from ferlab.errors import ArtifactError
from ferlab.predict.artifact import import_litert

if TYPE_CHECKING:
    import keras

SUFFIX = ".tflite"
# TensorFlow's 8-bit range covers every observed value, however rare. More images widen it, which lowers the precision.
CALIBRATION_IMAGES = 128
QUANTIZED_OPS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")  # nearly all weights and computation


def convert(model: "keras.Model", quantize: str, dataset: Dataset) -> bytes:
    """Convert a model with TensorFlow's converter.

    Args:
        model: maps `images` `(N, 48, 48, 1)` float32 to `probabilities` `(N, K)`.
        quantize: `none`, `float16` or `int8`.
        dataset: for `int8`, its training images calibrate the value ranges.

    Returns:
        The content of a `.tflite` file without metadata.

    Raises:
        ArtifactError: if LiteRT does not support a layer.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    with tempfile.TemporaryDirectory() as folder, quiet_start(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # TensorFlow's interpreter is deprecated in favor of LiteRT
        model.export(folder, format="tf_saved_model", verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if quantize == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        try:
            if quantize == "int8":
                return _quantize(converter, dataset.require(Split.TRAIN).images)
            return converter.convert()
        except ConverterError as error:
            reason = (str(error).splitlines() or [""])[0]
            raise ArtifactError(f"TensorFlow cannot convert this model to LiteRT: {reason}") from error


def _quantize(converter: Any, images: np.ndarray) -> bytes:
    """Quantize convolutions and dense layers to 8 bits, with one scale per channel, calibrated on training images.

    Other layers stay in float32: they take little time, and a softmax in 8 bits has a resolution of only 1/256.
    """
    import tensorflow as tf

    chosen = np.random.default_rng(0).permutation(len(images))[:CALIBRATION_IMAGES]

    def examples() -> Iterator[list[np.ndarray]]:
        for image in images[chosen]:
            yield [image[None, ..., None].astype(np.float32)]  # (1, 48, 48, 1)

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = examples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    _, schema = import_litert()
    all_ops = [name for name in vars(schema.BuiltinOperator) if not name.startswith("_")]
    options = tf.lite.experimental.QuantizationDebugOptions(
        denylisted_ops=[name for name in all_ops if name not in QUANTIZED_OPS]
    )
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=examples, debug_options=options
    )
    return debugger.get_nondebug_quantized_model()


def add_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """Add metadata to a file's content: one entry in the model's metadata, with its own buffer, for each value.

    Reference: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/schema/schema.fbs, table Metadata.
    """
    import flatbuffers

    _, schema = import_litert()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    for name, value in metadata.items():
        entry, buffer = schema.MetadataT(), schema.BufferT()
        buffer.data = np.frombuffer(value.encode(), np.uint8)
        entry.name, entry.buffer = name, len(model.buffers)
        model.buffers.append(buffer)
        model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
