"""The synthetic faces are reproducible, and neither trivial nor impossible to classify."""

import numpy as np

from ferlab import Dataset, Split
from ferlab.comparison.baselines import baseline_entries
from ferlab.data import demo as rendering


def test_the_same_seed_gives_the_same_faces(demo: Dataset) -> None:
    np.testing.assert_array_equal(rendering.load().images, demo.images)
    assert rendering.load(seed=1).fingerprints["train"] != demo.fingerprints["train"]


def test_every_split_has_every_class(demo: Dataset) -> None:
    assert [len(demo.take(split)) for split in Split] == [1400, 420, 420]
    for split in Split:
        assert min(demo.take(split).class_counts().values()) > 0


def test_all_faces_are_distinct(demo: Dataset) -> None:
    assert len({image.tobytes() for image in demo.images}) == len(demo)


def test_pixels_alone_are_informative_but_not_sufficient(demo: Dataset) -> None:
    majority, pixels = (entry.test.accuracy for entry in baseline_entries(demo))
    assert majority + 0.1 < pixels < 0.7
