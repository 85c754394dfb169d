"""The stream of training batches: a function of seed and step alone, so that a resumed run sees the same ones."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np

from ferlab.recipes.augmentation import Augmentation, augment

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]

ORDER, CHANGES, VALIDATION, MIXING = 0, 1, 2, 3  # which random numbers are meant, as part of their seed
AHEAD = 4  # batches made in advance


class BatchStream:
    """Endless training batches, reshuffled after each pass over the images.

    An epoch of fewer steps than a pass goes on, in the next one, where it stopped, as `ImageDataGenerator` does.

    Args:
        images: `(N, 48, 48)` uint8, or features `(N, F)` float32, which are left as they are.
        targets: `(N, K)` float32, the probabilities that the images are to get.
        weights: `(N,)` float32, their weights in the loss.
        batch_size: images per batch; the last batch of a pass may be smaller.
        augmentation: random changes.
        seed: of the order and of the changes.
        mixup: parameter of the Beta distribution from which a batch's mixing weight is drawn; 0 for none.
        clean_from: the step from which on images are at most mirrored, and not mixed.
        teacher: from images `(B, 48, 48, 1)` float32 to probabilities `(B, K)`; what to learn besides the labels.
        distillation: share of the teacher's probabilities in the targets.
    """

    def __init__(
        self,
        images: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray,
        *,
        batch_size: int,
        augmentation: Augmentation,
        seed: int,
        mixup: float = 0.0,
        clean_from: float = math.inf,
        teacher: Callable[[np.ndarray], np.ndarray] | None = None,
        distillation: float = 0.0,
    ) -> None:
        self.images, self.targets, self.weights = images, targets, weights
        self.mixup, self.clean_from = mixup, clean_from
        self.teacher, self.distillation = teacher, distillation
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.seed = seed
        self.steps_per_pass = -(-len(images) // batch_size)
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    def indices(self, step: int) -> np.ndarray:
        """Which images the batch of a step, counted from 0 over all epochs, is made of."""
        passes, position = divmod(step, self.steps_per_pass)
        if self._order[0] != passes:
            generator = np.random.default_rng([self.seed, ORDER, passes])
            self._order = (passes, generator.permutation(len(self.images)))
        return self._order[1][position * self.batch_size : (position + 1) * self.batch_size]

    def iterate(self, first_step: int) -> Iterator[Batch]:
        """Yields the batches from a step on, each made ahead in a thread."""
        with ThreadPoolExecutor(1) as executor:
            queue = deque(executor.submit(self.batch, step) for step in range(first_step, first_step + AHEAD))
            for step in count(first_step + AHEAD):
                yield queue.popleft().result()
                queue.append(executor.submit(self.batch, step))

    def batch(self, step: int) -> Batch:
        """What a step learns from.

        Returns:
            Inputs `(B, 48, 48, 1)` float32, 0..255 (or features); the probabilities `(B, K)` float32 that they are to
            get; and weights `(B,)` float32.
        """
        indices = self.indices(step)
        inputs, targets, weights = self.inputs(step), self.targets[indices], self.weights[indices]
        if self.mixup and step < self.clean_from:
            inputs, targets, weights = self._mixed(inputs, targets, weights, step)
        if self.teacher:
            targets = (1 - self.distillation) * targets + self.distillation * self.teacher(inputs)
        return inputs, targets, weights

    def inputs(self, step: int) -> np.ndarray:
        """The images of a step, `(B, 48, 48, 1)` float32, 0..255, changed but not mixed; or its features `(B, F)`."""
        inputs = self.images[self.indices(step)]
        if inputs.ndim == 2:
            return inputs
        generator = np.random.default_rng([self.seed, CHANGES, step])
        augmentation = self.augmentation if step < self.clean_from else Augmentation(flip=self.augmentation.flip)
        return as_input(augment(inputs, augmentation, generator))

    def _mixed(self, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, step: int) -> Batch:
        """Mixes each input, its target and its weight with another's of the batch (https://arxiv.org/abs/1710.09412).

        The loss is the mixed one of both images, each by its own weight.
        """
        share = np.float32(np.random.default_rng([self.seed, MIXING, step]).beta(self.mixup, self.mixup))

        def mix(values: np.ndarray) -> np.ndarray:
            return share * values + (1 - share) * values[::-1]

        mixed_weights = mix(weights)
        return mix(inputs), mix(weights[:, None] * targets) / mixed_weights[:, None], mixed_weights


def as_input(images: np.ndarray) -> np.ndarray:
    """Turns `(N, 48, 48)` uint8 into the input of a model, `(N, 48, 48, 1)` float32, 0..255."""
    return images[..., None].astype(np.float32)
