"""The stream of training batches: a function of seed and step alone, so that a resumed run sees the same ones."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np

from ferlab.augment import Augmentation, augment

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]

ORDER, CHANGES, VALIDATION = 0, 1, 2  # which random numbers are meant, as part of their seed
AHEAD = 4  # batches made in advance


class BatchStream:
    """Endless training batches, reshuffled after each pass over the images.

    An epoch of fewer steps than a pass goes on, in the next one, where it stopped, as `ImageDataGenerator` does.

    Args:
        images: `(N, 48, 48)` uint8, or features `(N, F)` float32, which are left as they are.
        labels: `(N,)` int64.
        batch_size: images per batch; the last batch of a pass may be smaller.
        augmentation: random changes.
        seed: of the order and of the changes.
        class_weights: `(K,)` weight of each class in the loss.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        batch_size: int,
        augmentation: Augmentation,
        seed: int,
        class_weights: np.ndarray,
    ) -> None:
        self.images = images
        self.labels = labels
        self.weights = class_weights[labels].astype(np.float32)
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.seed = seed
        self.steps_per_pass = -(-len(labels) // batch_size)
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    def indices(self, step: int) -> np.ndarray:
        """Which images the batch of a step, counted from 0 over all epochs, is made of."""
        passes, position = divmod(step, self.steps_per_pass)
        if self._order[0] != passes:
            generator = np.random.default_rng([self.seed, ORDER, passes])
            self._order = (passes, generator.permutation(len(self.labels)))
        return self._order[1][position * self.batch_size : (position + 1) * self.batch_size]

    def iterate(self, first_step: int) -> Iterator[Batch]:
        """Yields the batches from a step on, each made ahead in a thread."""
        with ThreadPoolExecutor(1) as executor:
            queue = deque(executor.submit(self.batch, step) for step in range(first_step, first_step + AHEAD))
            for step in count(first_step + AHEAD):
                yield queue.popleft().result()
                queue.append(executor.submit(self.batch, step))

    def batch(self, step: int) -> Batch:
        """Inputs `(B, 48, 48, 1)` float32, 0..255 (or features), labels `(B,)` and weights `(B,)` of a step."""
        indices = self.indices(step)
        inputs = self.images[indices]
        if inputs.ndim == 3:
            generator = np.random.default_rng([self.seed, CHANGES, step])
            inputs = as_input(augment(inputs, self.augmentation, generator))
        return inputs, self.labels[indices], self.weights[indices]


def as_input(images: np.ndarray) -> np.ndarray:
    """Turns `(N, 48, 48)` uint8 into the input of a model, `(N, 48, 48, 1)` float32, 0..255."""
    return images[..., None].astype(np.float32)
