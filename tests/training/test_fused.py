"""Tests that the fused kernels compute the same as Keras."""

from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", exc_type=ImportError)

from ferlab.models import build_model  # noqa: E402
from ferlab.training.fused import (  # noqa: E402
    FusedBatchNormalization,
    fuse_batch_normalization,
    make_adam,
    make_sgd,
)

pytestmark = pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="the fused kernels require TensorFlow")


@pytest.mark.parametrize("shape", [(16, 6, 6, 5), (32, 7)])
def test_a_training_step_equals_keras(shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(3, 2, shape).astype(np.float32)
    plain, fused = keras.layers.BatchNormalization(), FusedBatchNormalization()
    for layer in (plain, fused):
        layer.build(shape)
        layer.gamma.assign(np.linspace(0.5, 2, shape[-1]))
        layer.beta.assign(np.linspace(-1, 1, shape[-1]))
    outputs = [np.asarray(layer(inputs, training=True)) for layer in (plain, fused)]
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-4)
    for one, other in zip(plain.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.asarray(plain(inputs)), np.asarray(fused(inputs)), atol=1e-5)


def test_a_fused_copy_predicts_and_trains_like_the_original() -> None:
    plain = build_model("newmodel", dropout=0.0)
    fused = fuse_batch_normalization(plain)
    assert any(isinstance(layer, FusedBatchNormalization) for layer in fused.layers)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (16, 48, 48, 1)).astype(np.float32)
    labels = generator.integers(0, 7, 16)
    np.testing.assert_allclose(plain(images), fused(images), atol=1e-5)
    losses = []
    for model in (plain, fused):
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
        losses.append([model.train_on_batch(images, labels) for _ in range(3)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.02)  # rounding grows from step to step


def test_unsupported_layers_are_left_to_keras() -> None:
    images = keras.Input((6, 6, 4))
    layers = keras.layers
    x = layers.BatchNormalization(axis=3, name="last")(images)
    x = layers.BatchNormalization(scale=False, name="unscaled")(x)
    x = layers.BatchNormalization(axis=1, name="rows")(x)
    model = fuse_batch_normalization(keras.Model(images, x))
    fused = [layer.name for layer in model.layers if isinstance(layer, FusedBatchNormalization)]
    assert fused == ["last"]
    assert np.isfinite(np.asarray(model(np.ones((2, 6, 6, 4), np.float32), training=True))).all()


def test_a_frozen_layer_keeps_its_moving_statistics() -> None:
    layer = FusedBatchNormalization(trainable=False)
    before = [*layer(np.ones((2, 3), np.float32), training=True).shape, *np.concatenate(layer.get_weights())]
    layer(np.full((2, 3), 9, np.float32), training=True)
    assert before[2:] == [*np.concatenate(layer.get_weights())]


def plain_sgd(**settings: Any) -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(momentum=0.9, nesterov=True, **settings)


@pytest.mark.parametrize(("plain", "fused"), [(keras.optimizers.Adam, make_adam), (plain_sgd, make_sgd)])
def test_fused_optimizers_equal_keras(plain: Any, fused: Any) -> None:
    schedule = keras.optimizers.schedules.CosineDecay(0.01, decay_steps=30)
    settings = {"learning_rate": schedule, "weight_decay": 0.5, "use_ema": True, "ema_momentum": 0.9}
    generator = np.random.default_rng(0)
    inputs, targets = generator.normal(size=(64, 5)), generator.normal(size=(64, 3))
    ends = []
    for kind in (plain, fused):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(3)])
        optimizer = kind(**settings)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        model.compile(optimizer, "mse", jit_compile=False)
        for _ in range(20):
            model.train_on_batch(inputs, targets)
        ends.append([*model.get_weights(), *map(np.asarray, model.optimizer._model_variables_moving_average)])
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
