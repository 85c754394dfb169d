"""The stream of training batches. It depends on seed and step only, so a resumed run sees the same batches."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np

from ferlab.recipes.augmentation import Augmentation, augment

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]

ORDER, AUGMENTATION, VALIDATION, MIXUP = 0, 1, 2, 3  # part of the seed: what the random numbers are for
PREFETCH = 4  # batches prepared in advance


def steps_per_pass(num_images: int, batch_size: int, devices: int) -> int:
    """Return the number of batches of one pass over the images, without those that cannot be divided among devices."""
    return -(-(num_images - num_images % devices) // batch_size)


class BatchStream:
    """An infinite stream of training batches, reshuffled after each pass over the images.

    If an epoch has fewer steps than a pass, the next epoch continues the pass, as Keras's `ImageDataGenerator` does.

    Args:
        images: `(N, 48, 48)` uint8, or features `(N, F)` float32, which are not augmented.
        targets: target probabilities `(N, K)` float32.
        weights: sample weights `(N,)` float32.
        batch_size: images per batch; the last batch of a pass may be smaller.
        augmentation: random changes.
        seed: seed of the order, the augmentation and mixup.
        devices: number of devices that each batch is divided among. `batch_size` must be a multiple of it, and the last
            images of a pass that cannot be divided are left out.
        mixup: parameter of the Beta distribution of each batch's mixing weight; 0 disables mixup.
        clean_from: the first step on images that are only flipped, without mixup.
        teacher: a function from images `(B, 48, 48, 1)` float32 to probabilities `(B, K)`.
        distillation: weight of the teacher's probabilities in the targets.
        teacher_views: number of passes after which the same batches come again, so that the teacher predicts each of
            them once; 0 for new batches in every pass.
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
        devices: int = 1,
        mixup: float = 0.0,
        clean_from: float = math.inf,
        teacher: Callable[[np.ndarray], np.ndarray] | None = None,
        distillation: float = 0.0,
        teacher_views: int = 0,
    ) -> None:
        self.images, self.targets, self.weights = images, targets, weights
        self.mixup, self.clean_from = mixup, clean_from
        self.teacher, self.distillation = teacher, distillation
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.seed = seed
        self.images_per_pass = len(images) - len(images) % devices
        self.steps_per_pass = steps_per_pass(len(images), batch_size, devices)
        self.period = teacher_views * self.steps_per_pass
        self._taught: dict[tuple[bool, int], np.ndarray] = {}
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    def indices(self, step: int) -> np.ndarray:
        """Return the indices of the images of a step. Steps are counted from 0 over all epochs."""
        passes, position = divmod(self._repeated(step), self.steps_per_pass)
        if self._order[0] != passes:
            generator = np.random.default_rng([self.seed, ORDER, passes])
            self._order = (passes, generator.permutation(len(self.images))[: self.images_per_pass])
        return self._order[1][position * self.batch_size : (position + 1) * self.batch_size]

    def iterate(self, first_step: int) -> Iterator[Batch]:
        """Yield the batches from a step on, prepared in a background thread."""
        with ThreadPoolExecutor(1) as executor:
            queue = deque(executor.submit(self.batch, step) for step in range(first_step, first_step + PREFETCH))
            for step in count(first_step + PREFETCH):
                yield queue.popleft().result()
                queue.append(executor.submit(self.batch, step))

    def batch(self, step: int) -> Batch:
        """Return the batch of a step.

        Returns:
            Inputs `(B, 48, 48, 1)` float32, 0..255, or features `(B, F)`; target probabilities `(B, K)` float32; and
            sample weights `(B,)` float32.
        """
        indices = self.indices(step)
        inputs, targets, weights = self.inputs(step), self.targets[indices], self.weights[indices]
        if self.mixup and step < self.clean_from:
            inputs, targets, weights = self._mix(inputs, targets, weights, step)
        if self.teacher:
            targets = (1 - self.distillation) * targets + self.distillation * self._teach(inputs, step)
        return inputs, targets, weights

    def inputs(self, step: int) -> np.ndarray:
        """Return the augmented images of a step before mixup, `(B, 48, 48, 1)` float32; or features `(B, F)`."""
        inputs = self.images[self.indices(step)]
        if inputs.ndim == 2:
            return inputs
        generator = np.random.default_rng([self.seed, AUGMENTATION, self._repeated(step)])
        augmentation = self.augmentation if step < self.clean_from else Augmentation(flip=self.augmentation.flip)
        return to_model_input(augment(inputs, augmentation, generator))

    def _repeated(self, step: int) -> int:
        """Return the first step with the batch of this one."""
        return step % self.period if self.period else step

    def _teach(self, inputs: np.ndarray, step: int) -> np.ndarray:
        """Return the teacher's probabilities of a batch, `(B, K)`; those of repeated batches are kept in float16."""
        assert self.teacher is not None
        if not self.period:
            return self.teacher(inputs)
        batch = (step >= self.clean_from, self._repeated(step))
        if batch not in self._taught:
            self._taught[batch] = self.teacher(inputs).astype(np.float16)
        return self._taught[batch].astype(np.float32)

    def _mix(self, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, step: int) -> Batch:
        """Apply mixup (https://arxiv.org/abs/1710.09412): mix each example with another one of the batch.

        The targets and weights make the loss the mix of both examples' weighted losses.
        """
        share = np.float32(np.random.default_rng([self.seed, MIXUP, self._repeated(step)]).beta(self.mixup, self.mixup))

        def mix(values: np.ndarray) -> np.ndarray:
            return share * values + (1 - share) * values[::-1]

        mixed_weights = mix(weights)
        return mix(inputs), mix(weights[:, None] * targets) / mixed_weights[:, None], mixed_weights


def to_model_input(images: np.ndarray) -> np.ndarray:
    """Convert images `(N, 48, 48)` uint8 to the input of a model, `(N, 48, 48, 1)` float32, 0..255."""
    return images[..., None].astype(np.float32)
