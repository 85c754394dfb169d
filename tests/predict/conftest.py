"""Fixtures of the video tests."""

from pathlib import Path

import numpy as np
import pytest

from ferlab import Dataset, Predictor
from ferlab.predict.video_writer import VideoWriter
from tests.artifacts import linear_artifact
from tests.scenes import scene

VIDEO_FPS = 10


@pytest.fixture(scope="package")
def haar_predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A predictor with a linear model and the Haar detector."""
    path = tmp_path_factory.mktemp("model") / "linear.onnx"
    linear_artifact(path)
    return Predictor(path, "haar")


@pytest.fixture(scope="package")
def video(demo: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of three seconds: one face moves to the right, a second one is visible in the middle second."""
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    with VideoWriter(path) as writer:
        for number in range(3 * VIDEO_FPS):
            second = [(100, 20, 250)] if VIDEO_FPS <= number < 2 * VIDEO_FPS else []
            image = scene(demo, (180, 200 + 5 * number, 60), *second)
            writer.write(np.stack([image] * 3, axis=2), number / VIDEO_FPS)
    return path
