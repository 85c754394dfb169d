"""Teachers: trained networks whose probabilities another network learns besides the labels.

They see the very images that the student sees, changed and mixed alike (https://arxiv.org/abs/2106.05237).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ferlab.data import Dataset
from ferlab.errors import RunError
from ferlab.metrics import log_softmax
from ferlab.models import build_model, load_model
from ferlab.protocol import check_origin
from ferlab.runs import RunFolder


def load_teacher(paths: tuple[str, ...], dataset: Dataset) -> Callable[[np.ndarray], np.ndarray]:
    """The mean answer of trained networks.

    Args:
        paths: their run folders.
        dataset: what the student is trained on: only what its training images taught may teach it.

    Returns:
        A function from images `(B, 48, 48, 1)` float32, 0..255, to probabilities `(B, K)` float32. It runs in the
        numeric policy in force.

    Raises:
        ProtocolError: if one was selected on the test split.
        RunError: if a folder holds no trained model, or one of other training images or classes.
    """

    networks = []
    for path in paths:
        run = RunFolder(Path(path))
        if not run.model_file.is_file():
            raise RunError(f"The teacher {path} holds no trained model (model.keras). Train it first.")
        taught = run.dataset()
        known = (tuple(taught["class_names"]), taught["splits"]["train"]["fingerprint"])
        if known != (dataset.class_names, dataset.summary()["train"]["fingerprint"]):
            raise RunError(f"The teacher {path} learnt other images or classes than those of {dataset.source}.")
        check_origin("teacher", run.path, str((run.result() or {}).get("selected_on")))
        recipe = run.recipe()
        options = dict(recipe.model) | ({"weights": "none"} if "weights" in recipe.model else {})
        network = build_model(recipe.architecture, len(dataset.class_names), **options)
        network.set_weights(load_model(run.model_file).get_weights())
        networks.append(network)

    def teach(images: np.ndarray) -> np.ndarray:
        answers = [np.exp(log_softmax(network.predict_on_batch(images))) for network in networks]
        return np.stack(answers).mean(axis=0, dtype=np.float32)

    return teach
