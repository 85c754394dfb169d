"""The prediction for one image: a sequence of faces, drawn, and in other formats."""

import builtins
import json
import os
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ferlab.errors import ImageError, MissingExtraError, OutputError
from ferlab.images.decode import read_image
from ferlab.images.sources import open_source
from ferlab.predict import Prediction
from ferlab.predict.results import Box
from ferlab.predict.table import columns
from ferlab.predict.table_files import open_writer
from tests.predict.test_results import FACE, PROBABILITIES
from tests.scenes import encoded

PIXELS = np.full((80, 100, 3), 128, np.uint8)
PREDICTION = Prediction(
    source="photo.jpg",
    width=100,
    height=80,
    class_names=("angry", "happy"),
    faces=[FACE, replace(FACE, box=Box(-5, 60, 30, 40))],  # the second one extends beyond the image
    image=open_source(PIXELS),
)
EMPTY = replace(PREDICTION, faces=[])


def test_it_is_a_sequence_of_faces() -> None:
    first, second = PREDICTION
    assert (PREDICTION[0], PREDICTION[-1], PREDICTION[:1], len(PREDICTION)) == (first, second, [first], 2)
    assert isinstance(PREDICTION, Sequence)
    assert first in PREDICTION
    assert not EMPTY


def test_plain_values_and_json() -> None:
    values = PREDICTION.to_dict()
    assert (values["source"], values["width"], values["height"]) == ("photo.jpg", 100, 80)
    assert values["faces"] == [face.to_dict() for face in PREDICTION]
    assert json.loads(PREDICTION.to_json()) == json.loads(json.dumps(values))
    assert "\n" not in PREDICTION.to_json()
    assert PREDICTION.to_json(indent=2).startswith('{\n  "source"')
    unusual = replace(EMPTY, source=os.fsdecode(b"caf\xe9.jpg"))
    assert json.loads(unusual.to_json().encode("ascii"))["source"] == unusual.source


def test_a_data_frame_has_the_rows_of_the_table(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    from ferlab.predict.table import image_rows

    with open_writer(tmp_path / "faces.csv", None, PREDICTION.class_names) as writer:
        for prediction in (PREDICTION, EMPTY):
            writer.write(image_rows(prediction.source, prediction.faces))
    frame = pandas.concat([PREDICTION.to_df(), EMPTY.to_df()], ignore_index=True)
    pandas.testing.assert_frame_equal(frame, pandas.read_csv(tmp_path / "faces.csv"), check_dtype=False)
    assert tuple(EMPTY.to_df().columns) == columns(PREDICTION.class_names)
    assert list(EMPTY.to_df()["status"]) == ["no_face"]


def test_a_missing_pandas_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_pandas(name: str, *rest):
        if name == "pandas":
            raise ImportError
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_pandas)
    with pytest.raises(MissingExtraError, match=r"pip install 'ferlab\[pandas\]'"):
        PREDICTION.to_df()


def test_the_format_of_fer() -> None:
    first, second = PREDICTION.to_fer()
    assert first == {"box": [10, 20, 30, 40], "emotions": PROBABILITIES}
    assert second["box"] == [0, 60, 25, 20]
    assert EMPTY.to_fer() == []


def test_the_format_of_deepface() -> None:
    first, second = PREDICTION.to_deepface()
    assert first["region"] == {"x": 10, "y": 20, "w": 30, "h": 40, "left_eye": (30, 30), "right_eye": (15, 30)}
    assert {name: second["region"][name] for name in "xywh"} == {"x": 0, "y": 60, "w": 25, "h": 20}
    assert first["dominant_emotion"] == "happy"
    assert sum(first["emotion"].values()) == pytest.approx(100)
    assert json.loads(json.dumps(PREDICTION.to_deepface()))[1]["face_confidence"] == 0.9
    without_landmarks = replace(PREDICTION, faces=[replace(FACE, landmarks=None)])
    assert without_landmarks.to_deepface()[0]["region"]["left_eye"] is None


def test_the_plot_has_the_size_of_the_original(tmp_path: Path) -> None:
    """A large JPEG is decoded at reduced size for the prediction, but not for the plot."""
    (tmp_path / "large.jpg").write_bytes(encoded(np.full((2000, 3000), 128, np.uint8), ".jpg"))
    prediction = replace(PREDICTION, image=open_source(tmp_path / "large.jpg"))
    assert prediction.plot().shape == (2000, 3000, 3)
    (tmp_path / "large.jpg").unlink()
    with pytest.raises(ImageError, match="does not exist"):
        prediction.plot()


def test_the_plot_draws_on_a_copy() -> None:
    plot = PREDICTION.plot()
    assert plot.dtype == np.uint8
    assert PIXELS.min() == PIXELS.max() == 128
    assert (plot[25:50, 10] != 128).any(axis=1).all()  # the left edge of the first box
    assert (plot[25:40, 18:30] == 128).all()  # inside it
    np.testing.assert_array_equal(EMPTY.plot(), PIXELS)


def test_the_label_of_a_face_at_the_right_edge_is_whole() -> None:
    pixels = np.full((100, 400, 3), 128, np.uint8)
    changed = []
    for x in (100, 390):
        face = replace(FACE, box=Box(x, 50, 1, 1))
        plot = replace(PREDICTION, faces=[face], image=open_source(pixels)).plot()
        changed.append((plot[:46] != 128).any(axis=2).sum())
    assert changed[0] == changed[1] > 100


def test_the_plot_of_a_bgr_array_is_rgb() -> None:
    blue = np.zeros((80, 100, 3), np.uint8)
    blue[..., 0] = 255
    plot = replace(EMPTY, image=open_source(blue), channels="bgr").plot()
    assert plot[0, 0].tolist() == [0, 0, 255]


def test_the_plot_is_saved(tmp_path: Path) -> None:
    assert PREDICTION.save(tmp_path / "deep" / "a.png") == tmp_path / "deep" / "a.png"
    np.testing.assert_array_equal(read_image(tmp_path / "deep" / "a.png").pixels, PREDICTION.plot())
    assert PREDICTION.save(str(tmp_path / "b.tiff")) == tmp_path / "b.tiff.jpg"
    with pytest.raises(OutputError):
        PREDICTION.save(tmp_path / "b.tiff.jpg" / "c.png")


def test_it_can_be_pickled() -> None:
    copy = pickle.loads(pickle.dumps(PREDICTION))
    assert copy == PREDICTION
    np.testing.assert_array_equal(copy.plot(), PREDICTION.plot())
