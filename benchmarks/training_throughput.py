"""Measure training throughput of `newmodel`: ferlab compared with the original study's pipeline.

The study's pipeline is `ImageDataGenerator(horizontal_flip=True).flow_from_directory` on JPEG files and `fit` of the
same network in float32. ferlab's is the recipe `study_newmodel` as `ferlab train` runs it: batches from memory, flipped
by OpenCV, dtype policy `auto`. Both train for the same number of steps of 64 images, alternately and in separate
processes. The first steps, in which graphs are built, are not counted.

    python benchmarks/training_throughput.py --data fer2013.zip --json throughput.json
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import report
from study_pipeline import BATCH_SIZE, compiled_model, flipped_batches, write_jpegs

from ferlab import Split, load_dataset

WARMUP_STEPS = 5
MAX_IMAGES = 6400  # approximate number of images written as files


def main() -> None:
    """Parse the arguments and measure both pipelines alternately."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="demo", help="a ferlab source (default: demo)")
    parser.add_argument("--steps", type=int, default=40, help="measured steps of 64 images (default: 40)")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions (default: 3)")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    parser.add_argument("--side", choices=("study", "ferlab"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(SIDES[arguments.side](arguments))
        return
    with tempfile.TemporaryDirectory() as folder:
        training = load_dataset(arguments.data).require(Split.TRAIN)
        chosen = slice(None, None, max(1, len(training) // MAX_IMAGES))
        write_jpegs(training.images[chosen], training.labels[chosen], training.class_names, Path(folder))
        rates: dict[str, list[float]] = {"study": [], "ferlab": []}
        for _ in range(arguments.repeats):
            for side in rates:
                rates[side].append(measure(side, arguments, folder))
    medians = {side: statistics.median(values) for side, values in rates.items()}
    ratios = {"ferlab / study": medians["ferlab"] / medians["study"]}
    report("training_throughput", medians, "images/s", ratios, arguments.json)


def measure(side: str, arguments: argparse.Namespace, folder: str) -> float:
    """Measure one pipeline in a separate process, so that policies and thread pools do not interfere."""
    command = [sys.executable, __file__, "--side", side, "--folder", folder, "--data", arguments.data]
    command += ["--steps", str(arguments.steps)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return float(finished.stdout.splitlines()[-1])


def timed_fit(model: Any, batches: Any, steps: int) -> float:
    """Return images per second over the measured steps of one `fit`."""
    import keras

    times: list[float] = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            times.append(time.perf_counter())

    model.fit(batches, steps_per_epoch=WARMUP_STEPS + steps, epochs=1, callbacks=[Clock()], verbose=0, shuffle=False)
    return BATCH_SIZE * steps / (times[-1] - times[WARMUP_STEPS - 1])


def study_side(arguments: argparse.Namespace) -> float:
    """Measure the study's pipeline, as in its notebook."""
    return timed_fit(compiled_model(), endless(flipped_batches(arguments.folder)), arguments.steps)


def endless(batches: Any) -> Any:
    """Yield full batches only, so that every step has the same number of images."""
    while True:
        images, labels = next(batches)
        if len(images) == BATCH_SIZE:
            yield images, labels


def ferlab_side(arguments: argparse.Namespace) -> float:
    """Measure the recipe `study_newmodel`, as `ferlab train` runs it."""
    from ferlab.backend import jit_setting, resolve_policy, start_keras
    from ferlab.models import build_trainable
    from ferlab.recipes import get_recipe
    from ferlab.training.batches import BatchStream
    from ferlab.training.fused import fuse_batch_normalization
    from ferlab.training.targets import image_targets, image_weights
    from ferlab.training.train import make_optimizer

    start_keras()
    import keras

    recipe = get_recipe("study_newmodel")
    keras.config.set_dtype_policy(resolve_policy(recipe.policy))
    training = load_dataset(arguments.data).take(Split.TRAIN)
    stream = BatchStream(
        training.images,
        image_targets(recipe, training),
        image_weights(recipe, training),
        batch_size=recipe.batch_size,
        augmentation=recipe.augmentation,
        seed=0,
    )
    model = fuse_batch_normalization(build_trainable(recipe.architecture, **recipe.model))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(make_optimizer(recipe, 1), loss, weighted_metrics=["accuracy"], jit_compile=jit_setting())
    full_batches = (batch for batch in stream.iterate(0) if len(batch[1]) == BATCH_SIZE)
    return timed_fit(model, full_batches, arguments.steps)


SIDES = {"study": study_side, "ferlab": ferlab_side}

if __name__ == "__main__":
    main()
