"""Tests of the batch stream, which depends on seed and step only."""

from itertools import islice

import numpy as np

from ferlab.recipes.augmentation import Augmentation
from ferlab.training.batches import BatchStream, steps_per_pass

IMAGES = np.arange(10 * 48 * 48).reshape(10, 48, 48).astype(np.uint8)
LABELS = np.arange(10) % 7
TARGETS = np.eye(7, dtype=np.float32)[LABELS]
WEIGHTS = 1 + LABELS.astype(np.float32)
EQUAL_WEIGHTS = np.ones(10, np.float32)


def stream(seed: int = 0, weights: np.ndarray = WEIGHTS, **settings: object) -> BatchStream:
    augmentation = Augmentation(flip=True, rotation=10)
    return BatchStream(IMAGES, TARGETS, weights, batch_size=4, augmentation=augmentation, seed=seed, **settings)


def test_each_pass_contains_every_image_once_in_a_new_order() -> None:
    passes = [np.concatenate([stream().indices(step) for step in range(start, start + 3)]) for start in (0, 3)]
    assert [sorted(order) for order in passes] == [list(range(10))] * 2
    assert not np.array_equal(*passes)


def test_starting_in_the_middle_gives_the_same_batches() -> None:
    whole = list(islice(stream().iterate(0), 9))
    late = list(islice(stream().iterate(5), 4))
    for (expected, _, _), (images, _, _) in zip(whole[5:], late, strict=True):
        np.testing.assert_array_equal(images, expected)


def test_steps_of_a_pass_leave_out_what_cannot_be_divided_among_devices() -> None:
    assert (steps_per_pass(129, 64, 1), steps_per_pass(129, 64, 2), steps_per_pass(130, 64, 2)) == (3, 2, 3)
    assert stream(devices=2).steps_per_pass == steps_per_pass(10, 4, 2)


def test_different_seeds_give_different_batches() -> None:
    assert not np.array_equal(stream(0).batch(0)[0], stream(1).batch(0)[0])


def test_batches_have_the_shapes_and_dtypes_of_model_inputs() -> None:
    images, targets, weights = stream().batch(0)
    assert (images.shape, images.dtype, images.min() >= 0, images.max() <= 255) == (
        (4, 48, 48, 1),
        np.float32,
        True,
        True,
    )
    assert set(np.unique(targets)) == {0, 1}
    np.testing.assert_array_equal(weights, 1 + targets.argmax(axis=1))
    assert (targets.dtype, weights.dtype) == (np.float32, np.float32)


def test_features_are_not_augmented() -> None:
    features = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    plain = BatchStream(features, TARGETS, WEIGHTS, batch_size=4, augmentation=Augmentation(), seed=0)
    np.testing.assert_array_equal(plain.batch(1)[0], features[plain.indices(1)])


def test_mixup_uses_the_same_weight_for_images_and_targets() -> None:
    """The weight recovered from the targets reproduces the images."""
    plain, mixed = stream(), stream(weights=EQUAL_WEIGHTS, mixup=0.5)
    images, targets, _ = mixed.batch(0)
    whole = plain.inputs(0)
    label = LABELS[plain.indices(0)[0]]
    weight = targets[0, label]
    assert 0 < weight < 1
    np.testing.assert_allclose(images[0], weight * whole[0] + (1 - weight) * whole[-1], atol=1e-3)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(mixed.inputs(0), whole)


def test_clean_images_are_only_flipped() -> None:
    clean, changed = stream(mixup=0.5, clean_from=2), stream(mixup=0.5)
    np.testing.assert_array_equal(clean.batch(1)[0], changed.batch(1)[0])
    images, targets, weights = clean.batch(2)
    whole = IMAGES[clean.indices(2), ..., None]
    kept = [np.array_equal(image, original) for image, original in zip(images, whole, strict=True)]
    mirrored = [np.array_equal(image, original[:, ::-1]) for image, original in zip(images, whole, strict=True)]
    assert np.all(np.logical_xor(kept, mirrored))
    np.testing.assert_array_equal(targets, TARGETS[clean.indices(2)])
    np.testing.assert_array_equal(weights, WEIGHTS[clean.indices(2)])


def test_mixup_keeps_sample_weights() -> None:
    """The loss is the mix of both images' weighted losses for any prediction."""
    images, targets, weights = stream(mixup=0.5).batch(0)
    whole, indices = stream().inputs(0), stream().indices(0)
    difference = whole - whole[::-1]
    share = np.sum((images - whole[::-1]) * difference) / np.sum(difference**2)
    log_probabilities = np.log(np.random.default_rng(0).dirichlet(np.ones(7), len(images)))
    own = -WEIGHTS[indices] * (TARGETS[indices] * log_probabilities).sum(axis=1)
    others = -WEIGHTS[indices][::-1] * (TARGETS[indices][::-1] * log_probabilities).sum(axis=1)
    np.testing.assert_allclose(
        -weights * (targets * log_probabilities).sum(axis=1), share * own + (1 - share) * others, rtol=1e-4
    )
    assert len(set(WEIGHTS[indices])) > 1


def test_the_teacher_sees_the_mixed_images_and_contributes_its_weight() -> None:
    def teacher(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return np.full((len(images), 7), 1 / 7, np.float32)

    seen: list[np.ndarray] = []
    images, targets, _ = stream(teacher=teacher, distillation=0.7, mixup=0.5).batch(0)
    np.testing.assert_array_equal(seen[0], images)
    plain = stream(mixup=0.5).batch(0)[1]
    np.testing.assert_allclose(targets, 0.3 * plain + 0.1, rtol=1e-5)


def test_teachers_predict_a_limited_number_of_views_once() -> None:
    """Batches come again after the given number of passes, clean ones too, and the teacher is not asked again."""

    def teacher(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return np.random.default_rng(len(seen)).dirichlet(np.ones(7), len(images)).astype(np.float32)

    seen: list[np.ndarray] = []
    settings = {"teacher": teacher, "distillation": 0.7, "mixup": 0.5, "clean_from": 12}
    batches = list(islice(stream(teacher_views=2, **settings).iterate(0), 24))
    for step in (*range(6), *range(12, 18)):
        for values, again in zip(batches[step], batches[step + 6], strict=True):
            np.testing.assert_array_equal(values, again)
    assert len(seen) == 12
    images = [inputs for inputs, _, _ in batches]
    assert not any(np.array_equal(images[step], images[step + 3]) for step in (0, 1, 2, 12, 13, 14))
    assert not any(np.array_equal(images[step], images[step + 12]) for step in range(6))
    np.testing.assert_array_equal(images[0], stream(mixup=0.5).batch(0)[0])


def test_limited_views_do_not_depend_on_where_a_training_is_resumed() -> None:
    """The probabilities are rounded in the first pass as well."""

    def teacher(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1)[:, :7] / 2550 + 0.1

    settings = {"teacher": teacher, "distillation": 0.7, "teacher_views": 1}
    whole = list(islice(stream(**settings).iterate(0), 6))
    late = list(islice(stream(**settings).iterate(4), 2))
    for (_, expected, _), (_, targets, _) in zip(whole[4:], late, strict=True):
        np.testing.assert_array_equal(targets, expected)
