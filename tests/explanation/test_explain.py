"""Explanations: the contract of the maps, maps of known patterns, the sanity check, and the command."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
from scipy.stats import rankdata
from typer.testing import CliRunner

import ferlab
from ferlab import Dataset, Split
from ferlab.cli import app
from ferlab.data.image_folder import read_face
from ferlab.errors import DataError, FerlabError, RunError
from ferlab.explanation.explain import SplitExplanation, explain, explain_split, write_classes, write_image
from ferlab.explanation.grad_cam import MIN_SIDE, grad_cam
from ferlab.explanation.heatmaps import shares_by_height
from ferlab.explanation.sanity import rank_correlation
from ferlab.json_files import SCHEMA
from ferlab.models import build_model, model_names, predict_logits
from tests.artifacts import linear_artifact
from tests.comparisons import write_run

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
PATCH = 16  # pixels


def striped(num_images: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise with a striped patch: horizontal in class 0, vertical in class 1. Returns images, labels and corners."""
    generator = np.random.default_rng(seed)
    images = generator.integers(90, 160, (num_images, 48, 48), dtype=np.uint8)
    labels, corners = generator.integers(0, 2, num_images), generator.integers(0, 48 - PATCH, (num_images, 2))
    stripes = np.where(np.arange(PATCH)[:, None] % 4 < 2, 40, 215).repeat(PATCH, axis=1).astype(np.uint8)
    for image, label, (top, left) in zip(images, labels, corners, strict=True):
        image[top : top + PATCH, left : left + PATCH] = stripes.T if label else stripes
    return images, labels, corners


def small_network(num_classes: int, *, pooled: bool = False, **kernels: Any) -> keras.Model:
    """Two convolutions and a dense layer. With pooling, predictions do not depend on positions."""
    layers = keras.layers
    stack = [keras.Input((48, 48, 1)), layers.Rescaling(1 / 127.5, -1.0)]
    for filters, size in ((8, 5), (16, 3)):
        stack += [layers.Conv2D(filters, size, strides=2, padding="same", **kernels)]
        stack += [layers.BatchNormalization(momentum=0.9), layers.ReLU()]
    stack += [layers.GlobalAveragePooling2D() if pooled else layers.Flatten(), layers.Dense(num_classes, **kernels)]
    return keras.Sequential(stack)


def fitted(model: keras.Model, images: np.ndarray, labels: np.ndarray, epochs: int) -> keras.Model:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.003), loss)
    model.fit(images[..., None].astype(np.float32), labels, batch_size=32, epochs=epochs, verbose=0)
    return model


@pytest.fixture(scope="module")
def on_stripes() -> keras.Model:
    """A network trained to classify horizontal and vertical stripes."""
    keras.utils.set_random_seed(0)
    images, labels, _ = striped(512, seed=0)
    return fitted(small_network(2, pooled=True), images, labels, epochs=5)


@pytest.fixture(scope="module")
def on_demo(demo: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network trained on the demo data, as a file."""
    keras.utils.set_random_seed(0)
    part = demo.take(Split.TRAIN)
    model = fitted(small_network(7), part.images, part.labels, epochs=6)
    path = tmp_path_factory.mktemp("trained") / "small.keras"
    model.save(path)
    return path


@pytest.mark.parametrize("name", model_names())
def test_contract(name: str) -> None:
    """Every architecture has a map of every class, and its logits do not change."""
    keras.utils.set_random_seed(0)
    model = build_model(name, 5)
    found = grad_cam(model, IMAGES)
    maps = found.maps
    np.testing.assert_allclose(found.logits, predict_logits(model, IMAGES), rtol=1e-4, atol=1e-4)
    assert found.layer in [own.name for own in model.layers]
    assert maps.shape[:2] == (3, 5)
    assert min(maps.shape[2:]) >= MIN_SIDE
    assert maps.dtype == np.float32
    highest = maps.max(axis=(2, 3))
    assert maps.min() >= 0
    assert np.all((highest == 0) | (highest == 1))
    assert highest.any()
    labels = np.array([4, 0, 2])
    chosen = grad_cam(model, IMAGES, labels).maps
    np.testing.assert_allclose(chosen[:, 0], maps[np.arange(3), labels], atol=1e-4)


def test_a_map_is_as_computed_by_hand() -> None:
    """Before global average pooling, the gradient is the weight of the dense layer divided by the number of pixels."""
    features = keras.layers.Conv2D(3, 9, strides=8, padding="same", name="features")
    model = keras.Sequential(
        [keras.Input((48, 48, 1)), features, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4)]
    )
    found = grad_cam(model, IMAGES)
    channels = np.asarray(features(IMAGES[..., None].astype(np.float32)))  # (N, 6, 6, 3)
    expected = np.einsum("nhwc,ck->nkhw", channels, np.asarray(model.layers[-1].kernel)).clip(0)
    expected /= np.maximum(expected.max(axis=(2, 3), keepdims=True), 1e-9)
    assert found.layer == "features"
    np.testing.assert_allclose(found.maps, expected, atol=1e-4)


def test_nested_models_are_inlined() -> None:
    """Two levels deep, with the pooling inside, the map equals that of the flat model."""
    convolution = keras.layers.Conv2D(4, 3, strides=4, padding="same", activation="relu", name="innermost")
    pooling, dense = keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)
    inner = keras.Sequential([keras.Input((48, 48, 2)), convolution, pooling], name="inner")
    images = keras.Input((48, 48, 1))
    both = keras.layers.Concatenate()([images, images])
    middle = keras.Model(images, inner(both), name="middle")
    outer = keras.Input((48, 48, 1))
    nested = keras.Model(outer, dense(middle(outer, training=False)))
    flat = keras.Model(images, dense(pooling(convolution(both))))
    found = grad_cam(nested, IMAGES)
    assert found.layer == "innermost"
    np.testing.assert_allclose(found.maps, grad_cam(flat, IMAGES).maps, atol=1e-5)


def test_a_feature_map_that_a_branch_bypasses_is_skipped() -> None:
    layers, images = keras.layers, keras.Input((48, 48, 1))
    stem = layers.Conv2D(4, 3, name="stem")(images)
    branches = [layers.GlobalMaxPooling2D()(layers.Conv2D(4, size)(stem)) for size in (3, 5)]
    assert grad_cam(keras.Model(images, layers.Dense(2)(layers.Concatenate()(branches))), IMAGES).layer == "stem"


def test_models_without_a_suitable_feature_map_raise() -> None:
    layers = keras.layers
    dense = keras.Sequential([keras.Input((48, 48, 1)), layers.Rescaling(2.0), layers.Flatten(), layers.Dense(2)])
    coarse = keras.Sequential(
        [keras.Input((48, 48, 1)), layers.Conv2D(2, 3, strides=16), layers.Flatten(), layers.Dense(2)]
    )
    for model in (dense, coarse):
        with pytest.raises(FerlabError, match="no feature map of at least 6x6"):
            grad_cam(model, IMAGES)
    layer = layers.Conv2D(2, 3, name="twice")
    inner = keras.Sequential([keras.Input((48, 48, 1)), layer, layers.Flatten(), layers.Dense(2)])
    images = keras.Input((48, 48, 1))
    clash = keras.Model(images, inner(layers.Conv2D(1, 1, name="twice")(images)))
    with pytest.raises(FerlabError, match="cannot be separated.*twice"):
        grad_cam(clash, IMAGES)


def test_maps_mark_the_pattern_of_the_class(on_stripes: keras.Model) -> None:
    images, labels, corners = striped(100, seed=1)
    explained = grad_cam(on_stripes, images, labels)
    assert np.mean(explained.logits.argmax(axis=1) == labels) > 0.9
    found = []
    for heat, (top, left) in zip(explained.maps[:, 0], corners, strict=True):
        row, column = (48 / len(heat) * (place + 0.5) for place in np.unravel_index(heat.argmax(), heat.shape))
        found.append(top - 4 <= row <= top + PATCH + 4 and left - 4 <= column <= left + PATCH + 4)
    assert np.mean(found) > 0.9, "chance is a quarter"


def test_the_sanity_check_detects_an_untrained_network(on_demo: Path, demo: Dataset, tmp_path: Path) -> None:
    """A trained network scores near 0. One whose random weights are its own weights scores 1."""
    learned = explain_split(on_demo, demo, images_per_class=10)
    assert ferlab.evaluate(on_demo, demo).accuracy > 0.5
    assert learned.rank_correlation is not None
    assert abs(learned.rank_correlation) < 0.3
    initializer = keras.initializers.GlorotUniform(seed=1)
    small_network(7, kernel_initializer=initializer).save(tmp_path / "untrained.keras")
    untrained = explain_split(tmp_path / "untrained.keras", demo, images_per_class=10)
    assert untrained.rank_correlation == pytest.approx(1)


def test_rank_correlation_is_pearson_of_ranks_and_nan_for_constant_maps() -> None:
    one, other = np.random.default_rng(0).integers(0, 5, (2, 6, 6))
    expected = np.corrcoef(rankdata(one), rankdata(other))[0, 1]
    assert rank_correlation(one, other) == pytest.approx(expected)
    assert np.isnan(rank_correlation(one, np.full((6, 6), 2)))
    assert np.isnan(rank_correlation(np.full((6, 6), 2), other))


def test_shares_by_height() -> None:
    heat = np.zeros((7, 7))
    heat[3] = 1  # row 3 of 7 covers 3/7 to 4/7: all in the middle third
    assert shares_by_height(heat) == [0, 1, 0]
    heat[3], heat[2] = 0, 1  # row 2 covers 2/7 to 3/7: a third of it lies above 1/3
    assert shares_by_height(heat) == pytest.approx([1 / 3, 2 / 3, 0])
    assert shares_by_height(np.zeros((6, 6))) is None


def test_mean_maps_are_per_class() -> None:
    maps = np.stack([np.full((6, 6), value, np.float32) for value in (0.2, 0.4, 0.9)])
    explanation = SplitExplanation(
        class_names=("a", "b", "c"),
        layer="",
        images=IMAGES,
        labels=np.array([0, 0, 2]),
        maps=maps,
        rank_correlation=None,
    )
    assert explanation.counts().tolist() == [2, 0, 1]
    assert explanation.mean_maps()[:, 0, 0].tolist() == pytest.approx([0.3, 0, 0.9])


def test_the_sample_does_not_depend_on_the_order_of_images(on_demo: Path, demo: Dataset) -> None:
    order = np.random.default_rng(0).permutation(len(demo))
    one, two = (explain_split(on_demo, data, "test", images_per_class=3) for data in (demo, demo.where(order)))
    assert one.counts().tolist() == [3] * 7
    np.testing.assert_array_equal(one.images, two.images)
    assert one.rank_correlation == two.rank_correlation


def test_class_names_come_from_the_run_or_the_data(on_demo: Path, small: Dataset, tmp_path: Path) -> None:
    assert explain(on_demo, IMAGES).class_names == tuple(f"class {number}" for number in range(7))
    renamed = replace(small, class_names=tuple("abcdefg"))
    run = write_run(tmp_path / "run", renamed, "fair_newmodel", 0, 0.5)
    (run / "model.keras").write_bytes(on_demo.read_bytes())
    for model in (run, run / "model.keras"):
        found = ferlab.explain(model, IMAGES)
        assert found.class_names == tuple("abcdefg")
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-5)
    with pytest.raises(FerlabError, match="has the classes a, b, c, d, e, f, g; the data has angry"):
        explain_split(run, small)
    with pytest.raises(FerlabError, match="has the classes a, b, c, d, e, f, g; the data has angry"):
        explain_split(run / "model.keras", small)
    with pytest.raises(FerlabError, match="has 7 classes, and the data has 2"):
        explain(on_demo, IMAGES, class_names=["x", "y"])


def test_models_that_cannot_be_explained_raise(tmp_path: Path, small: Dataset) -> None:
    linear_artifact(tmp_path / "linear.onnx")
    for model in (tmp_path / "linear.onnx", "default"):
        with pytest.raises(FerlabError, match="has no gradients"):
            explain(model, IMAGES)
    with pytest.raises(FerlabError, match="does not exist"):
        explain(tmp_path / "nowhere", IMAGES)
    with pytest.raises(RunError, match="does not contain a trained model"):
        explain(write_run(tmp_path / "run", small, "fair_newmodel", 0, 0.5), IMAGES)
    (tmp_path / "broken.keras").write_bytes(b"nothing")
    with pytest.raises(FerlabError, match="cannot be loaded as a Keras model"):
        explain(tmp_path / "broken.keras", IMAGES)


def test_images_are_read_as_model_input(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), IMAGES[0])
    for faces in (False, True):
        np.testing.assert_array_equal(read_face(tmp_path / "face.png", faces=faces), IMAGES[0])
    wide = np.zeros((60, 200, 3), np.uint8)
    wide[:, 70:130] = 200
    cv2.imwrite(str(tmp_path / "wide.png"), wide)
    assert np.all(read_face(tmp_path / "wide.png") == 200)
    with pytest.raises(DataError, match=r"wide\.png: no face found\. Remove --faces"):
        read_face(tmp_path / "wide.png", faces=True)
    with pytest.raises(DataError, match="cannot be read"):
        read_face(tmp_path / "missing.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(DataError, match="not an image"):
        read_face(tmp_path / "text.png")


def run_command(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["explain", *map(str, arguments)])


def test_the_command_explains_an_image(on_demo: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), IMAGES[0])
    out = tmp_path / "made" / "explained.png"
    table = run_command(on_demo, tmp_path / "face.png", "--out", out).stdout
    assert "rank correlation with untrained networks" in table
    assert cv2.imread(str(out)).shape[0] > 2 * 168
    found = json.loads(run_command(on_demo, tmp_path / "face.png", "--out", out, "--json").stdout)
    assert (found["schema"], found["model"], found["file"]) == (SCHEMA, str(on_demo), str(out))
    assert sum(row["probability"] for row in found["classes"].values()) == pytest.approx(1, abs=1e-5)
    for row in found["classes"].values():
        assert np.max(row["map"]) in (0, 1)
        assert row["by_height"] is None or sum(row["by_height"]) == pytest.approx(1)
    assert -1 <= found["sanity"]["rank_correlation"] <= 1
    assert "untrained" in found["sanity"]["meaning"]


@pytest.mark.slow
def test_the_command_explains_a_data_set(on_demo: Path, tmp_path: Path) -> None:
    arguments = (on_demo, "--data", "demo", "--split", "test", "--images-per-class", 4, "--no-cache", "--json")
    found = json.loads(run_command(*arguments, "--out", tmp_path / "with.png").stdout)
    again = json.loads(run_command(*arguments, "--out", tmp_path / "without.png", "--no-images").stdout)
    assert found["classes"] == again["classes"]
    assert [row["images"] for row in found["classes"].values()] == [4] * 7
    shown, hidden = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("with", "without"))
    assert shown.shape[0] > 2 * hidden.shape[0]


def test_wrong_usage_exits_with_2(on_demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    assert run_command(on_demo, "--out", out).exit_code == 2
    assert run_command(on_demo, "face.png", "--data", "demo", "--out", out).exit_code == 2
    assert run_command(on_demo, "face.png", "--out", tmp_path / "out.svg").exit_code == 2
    assert isinstance(run_command("default", tmp_path / "face.png", "--out", out).exception, FerlabError)
    assert not out.exists()


def test_sheets_can_be_drawn_for_unusual_classes(tmp_path: Path) -> None:
    """Names that OpenCV cannot draw, empty maps, and a class without images."""
    network = small_network(2)
    network.save(tmp_path / "two.keras")
    found = explain(tmp_path / "two.keras", IMAGES[:1], class_names=["überrascht", "[b]"])
    write_image(replace(found, maps=np.zeros_like(found.maps), rank_correlation=None), tmp_path / "one.png", "")
    empty = SplitExplanation(
        class_names=found.class_names,
        layer=found.layer,
        images=IMAGES,
        labels=np.zeros(3, np.int64),
        maps=np.zeros((3, 12, 12), np.float32),
        rank_correlation=None,
    )
    write_classes(empty, tmp_path / "two.png", "")
    assert all(cv2.imread(str(tmp_path / name)) is not None for name in ("one.png", "two.png"))


@pytest.mark.slow
def test_jax_computes_the_same_maps(on_demo: Path, tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="jax is not installed")
    code = (
        "import sys, numpy as np; from ferlab.models import load_model; from ferlab.backend import start_keras; "
        "from ferlab.explanation.grad_cam import grad_cam; assert start_keras() == 'jax'; "
        "maps = grad_cam(load_model(sys.argv[1]), np.load(sys.argv[2])).maps; np.save(sys.argv[2], maps)"
    )
    file = tmp_path / "arrays.npy"
    np.save(file, IMAGES)
    line = [sys.executable, "-c", code, str(on_demo), str(file)]
    subprocess.run(line, env=os.environ | {"KERAS_BACKEND": "jax"}, check=True, capture_output=True)
    here = grad_cam(keras.models.load_model(on_demo), IMAGES).maps
    np.testing.assert_allclose(np.load(file), here, atol=1e-3)
