"""The stream of batches depends on seed and step alone."""

from itertools import islice

import numpy as np

from ferlab.augment import Augmentation
from ferlab.batches import BatchStream

IMAGES = np.arange(10 * 48 * 48).reshape(10, 48, 48).astype(np.uint8)
LABELS = np.arange(10) % 7


def stream(seed: int = 0, **settings: object) -> BatchStream:
    augmentation = Augmentation(flip=True, rotation=10)
    defaults = {"batch_size": 4, "augmentation": augmentation, "seed": seed, "class_weights": np.ones(7)}
    return BatchStream(IMAGES, LABELS, **{**defaults, **settings})


def test_each_pass_sees_every_image_once_in_a_new_order() -> None:
    passes = [np.concatenate([stream().indices(step) for step in range(start, start + 3)]) for start in (0, 3)]
    assert [sorted(order) for order in passes] == [list(range(10))] * 2
    assert not np.array_equal(*passes)


def test_beginning_in_the_middle_gives_the_same_batches() -> None:
    whole = list(islice(stream().iterate(0), 9))
    late = list(islice(stream().iterate(5), 4))
    for (expected, _, _), (images, _, _) in zip(whole[5:], late, strict=True):
        np.testing.assert_array_equal(images, expected)


def test_another_seed_gives_other_batches() -> None:
    assert not np.array_equal(stream(0).batch(0)[0], stream(1).batch(0)[0])


def test_batches_are_what_a_model_takes() -> None:
    images, labels, weights = stream(class_weights=np.arange(7.0)).batch(0)
    assert (images.shape, images.dtype, images.min() >= 0, images.max() <= 255) == (
        (4, 48, 48, 1),
        np.float32,
        True,
        True,
    )
    np.testing.assert_array_equal(weights, labels)
    assert weights.dtype == np.float32


def test_features_pass_unchanged() -> None:
    features = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    plain = BatchStream(features, LABELS, batch_size=4, augmentation=Augmentation(), seed=0, class_weights=np.ones(7))
    np.testing.assert_array_equal(plain.batch(1)[0], features[plain.indices(1)])
