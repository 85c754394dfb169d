"""Images per second of a training on a GPU: ferlab as it trains, against the same steps on images that lie there.

What is missing to 100 % is the share of time that the device waits: for pictures to be changed and brought to it, for
losses to be looked at after each step, and for Keras. JAX alone, as on GPUs.

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

UNCOUNTED = 5  # steps at the beginning


def main() -> None:
    """Parses the arguments, and measures both sides in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="demo", help="a ferlab source (default: demo)")
    parser.add_argument("--recipe", default="fernet_l", help="default: fernet_l")
    parser.add_argument("--batch-size", type=int, help="default: the recipe's")
    parser.add_argument("--steps", type=int, default=200, help="counted steps (default: 200)")
    parser.add_argument("--repeats", type=int, default=3, help="turns (default: 3)")
    parser.add_argument("--json", type=Path, help="write the result here as well")
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
    medians["making batches, one thread"] = batches_alone(batches, arguments.steps)
    ratios = {"ferlab / on the device": medians["ferlab"] / medians["on the device"]}
    report("device_throughput", medians, "images/s", ratios, arguments.json)


def stream_of(recipe: Recipe, source: str) -> BatchStream:
    """The training batches, as `ferlab train` makes them."""
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
    """The recipe's model, as `ferlab train` compiles it."""
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


def whole_batches(batches: BatchStream) -> Any:
    """Those of full size: another one would be compiled for itself."""
    return (batch for batch in batches.iterate(0) if len(batch[1]) == batches.batch_size)


def ferlab_side(recipe: Recipe, batches: BatchStream, steps: int) -> float:
    """Seconds of `fit`, with the loss looked at after each step as `ferlab train` does."""
    import keras

    moments: list[float] = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            float(logs["loss"])
            moments.append(time.perf_counter())

    model = compiled(recipe, batches.targets.shape[1])
    model.fit(whole_batches(batches), steps_per_epoch=UNCOUNTED + steps, callbacks=[Clock()], verbose=0)
    return moments[-1] - moments[UNCOUNTED - 1]


def device_side(recipe: Recipe, batches: BatchStream, steps: int) -> float:
    """Seconds of the bare steps on one batch that stays on the device."""
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
    batch: Batch = next(whole_batches(batches))
    images, targets = jax.device_put(batch[0]), jax.device_put(batch[1])
    for number in range(UNCOUNTED + steps):
        if number == UNCOUNTED:
            jax.block_until_ready(state)
            started = time.perf_counter()
        state = step(state, images, targets)
    jax.block_until_ready(state)
    return time.perf_counter() - started


def batches_alone(batches: BatchStream, steps: int) -> float:
    """Images per second of the thread that makes batches."""
    started = time.perf_counter()
    for number in range(steps):
        batches.batch(number)
    return batches.batch_size * steps / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
