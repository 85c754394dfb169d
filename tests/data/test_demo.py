"""The synthetic faces: always the same ones, neither trivial nor hopeless."""

import numpy as np

from ferlab import Dataset, Split
from ferlab.comparison.baselines import baseline_entries
from ferlab.data import demo as drawing


def test_the_same_seed_draws_the_same_faces(demo: Dataset) -> None:
    np.testing.assert_array_equal(drawing.load().images, demo.images)
    assert drawing.load(seed=1).fingerprints["train"] != demo.fingerprints["train"]


def test_splits_and_classes(demo: Dataset) -> None:
    assert [len(demo.take(split)) for split in Split] == [1400, 420, 420]
    for split in Split:
        assert min(demo.take(split).class_counts().values()) > 0


def test_no_face_is_drawn_twice(demo: Dataset) -> None:
    assert len({image.tobytes() for image in demo.images}) == len(demo)


def test_pixels_tell_something_and_not_everything(demo: Dataset) -> None:
    majority, pixels = (entry["test"]["accuracy"] for entry in baseline_entries(demo))
    assert majority + 0.1 < pixels < 0.7
