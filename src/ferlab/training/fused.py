"""Batch normalization and optimizers with TensorFlow's fused kernels, for faster training.

Keras implements them as dozens of small operations. Each is a pass over memory and a node of the graph, and batch
normalization runs in float32. TensorFlow has a single kernel for each, which supports bfloat16 activations:
https://www.tensorflow.org/api_docs/python/tf/raw_ops/FusedBatchNormV3, .../ResourceApplyAdam and
.../ResourceApplyKerasMomentum. Results are equal up to rounding. Only models in training use these classes; saved
models consist of Keras's own layers.
"""

from typing import Any

import keras


def fuse_batch_normalization(model: keras.Model) -> keras.Model:
    """Copy a model and replace its batch normalization layers with `FusedBatchNormalization`.

    Other backends than TensorFlow fuse these layers themselves; there, the function returns the model itself.
    """
    if keras.config.backend() != "tensorflow":
        return model

    def fused(layer: keras.Layer) -> keras.Layer:
        kind = FusedBatchNormalization if _has_kernel(layer) else type(layer)
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=fused)
    copy.set_weights(model.get_weights())
    return copy


def _has_kernel(layer: keras.Layer) -> bool:
    """Return whether the fused kernel supports a layer: batch normalization of the last axis with scale and offset."""
    if type(layer) is not keras.layers.BatchNormalization:
        return False
    over_last_axis = layer.axis in (-1, layer.input_spec.ndim - 1)
    return over_last_axis and layer.scale and layer.center and not layer.get_config().get("renorm")


def make_adam(**settings: Any) -> keras.optimizers.Adam:
    """Create Keras's Adam; on TensorFlow, the fused version."""
    kind = FusedAdam if keras.config.backend() == "tensorflow" else keras.optimizers.Adam
    return kind(**settings)


def make_sgd(**settings: Any) -> keras.optimizers.SGD:
    """Create Keras's SGD with Nesterov momentum 0.9; on TensorFlow, the fused version."""
    kind = FusedSGD if keras.config.backend() == "tensorflow" else keras.optimizers.SGD
    return kind(momentum=0.9, nesterov=True, **settings)


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalization over the last axis, with a single TensorFlow kernel in training."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize `(..., C)` with the statistics of the batch in training, else with the moving statistics."""
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        shape = tf.shape(inputs)
        pixels = tf.reshape(inputs, (-1, 1, 1, inputs.shape[-1])) if len(inputs.shape) != 4 else inputs
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=pixels,
            scale=tf.cast(self.gamma, "float32"),
            offset=tf.cast(self.beta, "float32"),
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        count = tf.cast(tf.size(inputs) / inputs.shape[-1], "float32")
        biased = variance * (count - 1) / count  # Keras applies no Bessel correction to the moving variance
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, biased)):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))
        return tf.reshape(outputs, shape)


class _FusedSteps(keras.optimizers.Optimizer):
    """Weight decay and EMA with one kernel per variable."""

    def _apply_weight_decay(self, variables: Any) -> None:
        import tensorflow as tf

        if self.weight_decay is None:
            return
        rate = tf.cast(self.learning_rate, "float32") * self.weight_decay
        for value in (variable.value for variable in variables):
            if self._use_weight_decay(value):
                tf.raw_ops.ResourceApplyGradientDescent(var=value.handle, alpha=rate, delta=value)

    def _update_model_variables_moving_average(self, variables: Any) -> None:
        import tensorflow as tf

        if not self.use_ema:
            return
        alpha = tf.where(tf.equal(self.iterations, 0), 1.0, 1 - self.ema_momentum)  # the EMA starts at the weights
        for variable, average in zip(variables, self._model_variables_moving_average, strict=True):
            difference = average.value - variable.value
            tf.raw_ops.ResourceApplyGradientDescent(var=average.value.handle, alpha=alpha, delta=difference)


class FusedSGD(_FusedSteps, keras.optimizers.SGD):
    """Keras's SGD with Nesterov momentum, with one TensorFlow kernel per variable."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one TensorFlow variable and its momentum."""
        import tensorflow as tf

        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[self._get_variable_index(variable)].value.handle,
            lr=tf.cast(learning_rate, "float32"),
            grad=tf.cast(gradient, "float32"),
            momentum=self.momentum,
            use_nesterov=self.nesterov,
        )


class FusedAdam(_FusedSteps, keras.optimizers.Adam):
    """Keras's Adam, with one TensorFlow kernel per variable."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one TensorFlow variable and its two moments."""
        import tensorflow as tf

        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, "float32")
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, "float32"),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, "float32"),
        )
