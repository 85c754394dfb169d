"""LiteRT, formerly TensorFlow Lite: the file for Android, iOS and small computers."""

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
# TensorFlow lets 8 bits span all values seen, however rare: more images make the steps coarser, and answers worse.
CALIBRATION_IMAGES = 128
IN_8_BITS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")  # nearly all the weights, and all the work


def convert(model: "keras.Model", quantize: str, dataset: Dataset) -> bytes:
    """Makes the content of a file without metadata, by TensorFlow's converter.

    Args:
        model: from `images` `(N, 48, 48, 1)` float32 to `probabilities` `(N, K)`.
        quantize: `none`, `float16` or `int8`.
        dataset: its training images tell which values occur, for `int8` alone.

    Raises:
        ArtifactError: if a layer has no counterpart in LiteRT.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    with tempfile.TemporaryDirectory() as folder, quiet_start(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # TensorFlow says that its interpreter has moved to LiteRT
        model.export(folder, format="tf_saved_model", verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if quantize == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        try:
            if quantize == "int8":
                return _quantized(converter, dataset.require(Split.TRAIN).images)
            return converter.convert()
        except ConverterError as error:
            reason = (str(error).splitlines() or [""])[0]
            raise ArtifactError(f"TensorFlow cannot make a LiteRT file of this model: {reason}") from error


def _quantized(converter: Any, images: np.ndarray) -> bytes:
    """Convolutions and dense layers in 8 bits, each channel with a scale of its own, from some training images.

    All else stays in float32: it takes little time, and a softmax in 8 bits has steps of 1/256.
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
    kinds = [name for name in vars(schema.BuiltinOperator) if not name.startswith("_")]
    options = tf.lite.experimental.QuantizationDebugOptions(
        denylisted_ops=[name for name in kinds if name not in IN_8_BITS]
    )
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=examples, debug_options=options
    )
    return debugger.get_nondebug_quantized_model()


def describe(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """The content with metadata, each value in a buffer that an entry of the model's own metadata names.

    See https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/schema/schema.fbs, table Metadata.
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
