"""Frozen backbones: training the head on stored features equals training the whole model."""

import keras
import numpy as np
import pytest

from ferlab import Dataset, Split
from ferlab.models import build_model, predict_logits
from ferlab.training.batches import to_model_input
from ferlab.training.frozen import compute_features, split_frozen_backbone


@pytest.mark.slow
def test_training_the_head_on_features_equals_training_the_whole_model(small: Dataset) -> None:
    images, labels = small.take(Split.TRAIN).images[:64], small.take(Split.TRAIN).labels[:64]
    results = []
    for on_features in (True, False):
        keras.utils.set_random_seed(0)
        model = build_model("vgg16", scaling="symmetric", trainable_backbone=False, dense_units=16)
        split = split_frozen_backbone(model)
        assert split is not None
        backbone, head = split
        trained, inputs = (head, predict_logits(backbone, images)) if on_features else (model, to_model_input(images))
        trained.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        trained.fit(inputs, labels, batch_size=16, epochs=3, shuffle=False, verbose=0)
        results.append(predict_logits(model, images))
    np.testing.assert_allclose(*results, atol=1e-4)
    assert np.ptp(results[0]) > 0.1


def model_with_features(*, trainable: bool) -> keras.Model:
    images = keras.Input((48, 48, 1))
    convolution = keras.layers.Conv2D(2, 3, strides=8, trainable=trainable)
    features = keras.layers.GlobalAveragePooling2D(name="features")(convolution(images))
    return keras.Model(images, keras.layers.Dense(7)(features))


def test_models_without_a_frozen_backbone_are_not_split() -> None:
    assert split_frozen_backbone(model_with_features(trainable=False)) is not None
    assert split_frozen_backbone(model_with_features(trainable=True)) is None
    assert split_frozen_backbone(build_model("newmodel")) is None


def test_features_are_computed_in_chunks_that_are_counted(small: Dataset) -> None:
    split, images = split_frozen_backbone(model_with_features(trainable=False)), small.images[:25]
    assert split is not None
    counts: list[int] = []
    features = compute_features(split[0], images, counts.append, chunk=10)
    assert counts == [10, 10, 5]
    np.testing.assert_allclose(features, predict_logits(split[0], images), atol=1e-5)
