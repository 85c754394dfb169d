"""Measure training throughput on a GPU: ferlab's training loop compared with bare steps on data in device memory.

The difference to 100 % is the fraction of time in which the device waits for augmentation, data transfer, the check of
the loss after each step, and Keras. The benchmark uses JAX, the backend for GPUs.

    KERAS_BACKEND=jax python benchmarks/device_throughput.py --recipe fernet_l --data fer2013.zip
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import report

from ferlab import Split, load_dataset
from ferlab.backend import resolve_policy, start_keras
from ferlab.recipes import Recipe, get_recipe
from ferlab.training.batches import Batch, BatchStream
from ferlab.training.targets import image_targets, image_weights

WARMUP_STEPS = 5


def main() -> None:
    """Parse the arguments and measure both alternately."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="demo", help="a ferlab source (default: demo)")
    parser.add_argument("--recipe", default="fernet_l", help="default: fernet_l")
    parser.add_argument("--batch-size", type=int, help="default: the recipe's")
    parser.add_argument("--steps", type=int, default=200, help="measured steps (default: 200)")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions (default: 3)")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    start_keras("jax")
    changes = {"batch_size": arguments.batch_size} if arguments.batch_size else {}
    recipe = get_recipe(arguments.recipe).changed(changes)
    batches = stream_of(recipe, arguments.data)
    sides = {"ferlab": ferlab_side, "on the device": device_side}
    rates: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(arguments.repeats):
        for name, side in sides.items():
            rates[name].append(recipe.batch_size * arguments.steps / side(recipe, batches, arguments.steps))
    medians = {name: float(np.median(values)) for name, values in rates.items()}
    medians["batch preparation, one thread"] = preparation_rate(batches, arguments.steps)
    ratios = {"ferlab / on the device": medians["ferlab"] / medians["on the device"]}
    report("device_throughput", medians, "images/s", ratios, arguments.json)


def stream_of(recipe: Recipe, source: str) -> BatchStream:
    """Create the training batches as `ferlab train` does."""
    training = load_dataset(source).require(Split.TRAIN).take(Split.TRAIN)
    return BatchStream(
        training.images,
        image_targets(recipe, training),
        image_weights(recipe, training),
        batch_size=recipe.batch_size,
        augmentation=recipe.augmentation,
        seed=0,
        mixup=recipe.mixup,
    )


def compiled(recipe: Recipe, num_classes: int) -> Any:
    """Build and compile the model as `ferlab train` does."""
    import keras

    from ferlab.backend import jit_setting
    from ferlab.models import build_trainable
    from ferlab.training.train import make_optimizer

    keras.utils.clear_session()
    keras.config.set_dtype_policy(resolve_policy(recipe.policy))
    model = build_trainable(recipe.architecture, num_classes, **recipe.model)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(make_optimizer(recipe, 1000), loss, weighted_metrics=["accuracy"], jit_compile=jit_setting())
    model.optimizer.build(model.trainable_variables)
    return model


def full_batches(batches: BatchStream) -> Any:
    """Yield full batches only; another size would trigger a compilation."""
    return (batch for batch in batches.iterate(0) if len(batch[1]) == batches.batch_size)


def ferlab_side(recipe: Recipe, batches: BatchStream, steps: int) -> float:
    """Return the seconds of `fit`, with the loss read after each step as in `ferlab train`."""
    import keras

    times: list[float] = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            float(logs["loss"])
            times.append(time.perf_counter())

    model = compiled(recipe, batches.targets.shape[1])
    model.fit(full_batches(batches), steps_per_epoch=WARMUP_STEPS + steps, callbacks=[Clock()], verbose=0)
    return times[-1] - times[WARMUP_STEPS - 1]


def device_side(recipe: Recipe, batches: BatchStream, steps: int) -> float:
    """Return the seconds of bare steps on one batch in device memory."""
    import jax

    model = compiled(recipe, batches.targets.shape[1])

    def loss_of(weights: Any, others: Any, images: Any, targets: Any) -> Any:
        logits, others = model.stateless_call(weights, others, images, training=True)
        return model.loss(targets, logits), others

    @jax.jit
    def step(state: Any, images: Any, targets: Any) -> Any:
        weights, others, memory = state
        (_, others), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights, others, images, targets)
        weights, memory = model.optimizer.stateless_apply(memory, gradients, weights)
        return weights, others, memory

    kinds = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
    state: Any = tuple([variable.value for variable in variables] for variables in kinds)
    batch: Batch = next(full_batches(batches))
    images, targets = jax.device_put(batch[0]), jax.device_put(batch[1])
    for number in range(WARMUP_STEPS + steps):
        if number == WARMUP_STEPS:
            jax.block_until_ready(state)
            started = time.perf_counter()
        state = step(state, images, targets)
    jax.block_until_ready(state)
    return time.perf_counter() - started


def preparation_rate(batches: BatchStream, steps: int) -> float:
    """Return the images per second of batch preparation in one thread."""
    started = time.perf_counter()
    for number in range(steps):
        batches.batch(number)
    return batches.batch_size * steps / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
