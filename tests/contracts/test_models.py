"""The contract of architectures, tested for every registered one."""

from pathlib import Path

import keras
import numpy as np
import pytest

from ferlab.errors import FerlabError, UnknownNameError
from ferlab.models import (
    build_model,
    build_trainable,
    count_multiply_adds,
    count_parameters,
    model_names,
    predict_logits,
    set_trained_weights,
)

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)


@pytest.fixture(autouse=True)
def float32_afterwards():
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("name", model_names())
def test_every_architecture_keeps_the_contract(name: str, tmp_path: Path) -> None:
    """48x48x1 images in, K float32 logits out, and equal logits after saving and loading in safe mode."""
    model = build_model(name, num_classes=5)
    assert model.input_shape == (None, 48, 48, 1)
    assert model.input.dtype == "float32"
    assert model.output_shape == (None, 5)
    logits = predict_logits(model, IMAGES)
    assert logits.dtype == np.float32
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(predict_logits(loaded, IMAGES), logits)
    assert 0 < count_multiply_adds(model) < 1e11


@pytest.mark.parametrize("name", model_names())
def test_mixed_precision_keeps_float32_logits(name: str) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert build_model(name).output.dtype == "float32"


STUDY = {
    "newmodel": (4_478_727, 4_474_759, {"scaling": "raw"}),
    "mobilenetv2": (3_576_903, 3_576_903 - 34_112, {"input_size": 224, "dense_units": 1024}),
    "resnet50": (23_850_887, 23_850_887 - 53_120, {"input_size": 224, "dense_units": 128, "dropout": 0.5}),
    "vgg16": (134_289_223, 28_679, {"input_size": 224, "full": True, "trainable_backbone": False}),
}


@pytest.mark.parametrize("name", STUDY)
def test_parameter_counts_of_the_original_study(name: str) -> None:
    parameters, trainable, options = STUDY[name]
    assert count_parameters(build_model(name, **options)) == (parameters, trainable)


def test_multiply_adds_by_hand() -> None:
    """Convolutions of 48x48x64x9, 24x24x128x1600, 12x12x512x1152, 6x6x512x4608; dense layers 4608-256-512-7."""
    convolutions = 2304 * 64 * 9 + 576 * 128 * 1600 + 144 * 512 * 1152 + 36 * 512 * 4608
    assert count_multiply_adds(build_model("newmodel")) == convolutions + 4608 * 256 + 256 * 512 + 512 * 7


def test_multiply_adds_of_nested_models() -> None:
    """A separable convolution in a nested model, 46x46x9 depthwise and 46x46x5 pointwise; a dense layer on rows."""
    inner = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.SeparableConv2D(5, 3)])
    images = keras.Input((48, 48, 1))
    rows = keras.layers.Reshape((46, 230))(inner(images))
    model = keras.Model(images, keras.layers.Flatten()(keras.layers.Dense(2)(rows)))
    assert count_multiply_adds(model) == 46 * 46 * (9 + 5) + 46 * 230 * 2


@pytest.mark.parametrize("mirrored", [False, True])
def test_fernet_s_stays_within_its_size_limits(mirrored: bool) -> None:
    model = build_model("fernet", size="s", mirrored=mirrored)
    assert count_parameters(model)[0] <= 1_500_000
    assert count_multiply_adds(model) <= 45_000_000


def test_an_unknown_size_is_a_clear_error() -> None:
    with pytest.raises(FerlabError, match="Unknown size 'xl' of fernet"):
        build_model("fernet", size="xl")


def test_mirrored_fernet_predicts_the_same_for_a_face_and_its_mirror_image() -> None:
    """This holds for any weights, and the plain layers compute the same as the paired layers that were trained."""
    trained, model = build_trainable("fernet", mirrored=True), build_model("fernet", mirrored=True)
    generator = np.random.default_rng(0)
    for weight in trained.weights:
        weight.assign(weight + 0.1 * generator.uniform(0, 1, weight.shape))
    set_trained_weights(model, trained)
    logits = predict_logits(model, IMAGES)
    np.testing.assert_allclose(predict_logits(model, IMAGES[:, :, ::-1]), logits, rtol=1e-3)
    np.testing.assert_allclose(predict_logits(trained, IMAGES), logits, rtol=1e-3)
    assert np.ptp(logits, axis=0).min() > 0.1, "different images have different logits"
    assert count_multiply_adds(model) <= 45_000_000
    assert sum(weight.size for weight in model.get_weights()) > 1.9 * sum(one.size for one in trained.get_weights())


def test_fernet_is_invariant_to_brightness_and_contrast() -> None:
    model, images = build_model("fernet"), IMAGES // 4
    np.testing.assert_allclose(predict_logits(model, images * 3 + 20), predict_logits(model, images), atol=1e-2)


@pytest.mark.slow
def test_backbones_get_pixels_in_the_range_that_their_weights_expect() -> None:
    """White is 1 for MobileNetV2, and 255 minus the ImageNet means for ResNet50."""
    white = np.full((1, 48, 48, 1), 255, np.float32)
    for name, expected in (("mobilenetv2", [1.0, 1.0, 1.0]), ("resnet50", [151.061, 138.221, 131.32])):
        model = build_model(name, input_size=64)
        scaled = next(layer for layer in model.layers if isinstance(layer, keras.layers.Rescaling))
        prepared = np.asarray(keras.Model(model.input, scaled.output)(white))
        assert prepared.shape == (1, 64, 64, 3)
        np.testing.assert_allclose(prepared[0, 32, 32], expected, atol=1e-3)


@pytest.mark.slow
def test_frozen_backbones_keep_weights_and_moving_statistics() -> None:
    model = build_model("mobilenetv2", trainable_backbone=False)
    before = [np.array(weight) for weight in model.weights]
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(IMAGES[..., None].astype(np.float32), np.array([0, 1, 2]), verbose=0)
    changed = [
        weight.path for weight, old in zip(model.weights, before, strict=True) if not np.array_equal(weight, old)
    ]
    assert "logits/bias" in changed
    assert set(changed) <= {"logits/kernel", "logits/bias"}


@pytest.mark.slow
def test_pretrained_weights_are_loaded_from_a_file(tmp_path: Path) -> None:
    """A weights file of the plain keras.applications network is loaded into our model."""
    plain = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 64, 3))
    plain.save_weights(tmp_path / "plain.weights.h5")
    model = build_model("mobilenetv2", weights=str(tmp_path / "plain.weights.h5"))
    name = plain.layers[1].name
    np.testing.assert_array_equal(model.get_layer(name).kernel, plain.get_layer(name).kernel)


def test_invalid_weights_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(FerlabError, match="weights file 'nowhere.h5' does not exist"):
        build_model("vgg16", weights="nowhere.h5")
    (tmp_path / "broken.weights.h5").write_bytes(b"nothing")
    with pytest.raises(FerlabError, match="does not contain the weights of mobilenetv2"):
        build_model("mobilenetv2", weights=str(tmp_path / "broken.weights.h5"))
    with pytest.raises(UnknownNameError, match="Did you mean 'resnet50'"):
        build_model("resnet5")


def test_a_failed_download_names_the_alternatives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # a port where nothing listens
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path), raising=False)
    with pytest.raises(FerlabError, match="could not be downloaded") as caught:
        build_model("mobilenetv2", weights="imagenet")
    assert "--set model.weights=FILE" in str(caught.value)
    assert "\n" not in str(caught.value)
