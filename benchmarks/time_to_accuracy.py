"""Measure training time to 64.6 % on PublicTest: FerNet in ferlab compared with NewModel in the study's pipeline.

64.6 % is the best accuracy that the study reports, for 15 epochs of its NewModel. Both train on the same machine, one
after the other, with nothing else running. The time includes building graphs, reading files and scoring PublicTest
after each epoch.

Curves that are already in the output folder are not measured again.

    python benchmarks/time_to_accuracy.py --data fer2013.zip --out time_to_accuracy
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import describe_machine
from study_pipeline import EPOCHS, compiled_model, flipped_batches, write_jpegs

TARGET = 0.646
Curve = list[dict[str, float]]  # after each epoch: `minutes` since the start, and `accuracy` on PublicTest


def main() -> None:
    """Parse the arguments, measure the missing curves, and write result and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="FER2013, as a ferlab source")
    parser.add_argument("--out", type=Path, required=True, help="output folder for curves, result and plot")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.side:
        SIDES[arguments.side](arguments)
        return
    for side in SIDES:
        if not curve_file(arguments.out, side).exists():
            environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
            subprocess.run([sys.executable, *sys.argv, "--side", side], check=True, env=environment)
    write_result(arguments.out, {side: json.loads(curve_file(arguments.out, side).read_text()) for side in SIDES})


def curve_file(folder: Path, side: str) -> Path:
    """Return the file of a curve."""
    return folder / f"{side}.json"


def study_side(arguments: argparse.Namespace) -> None:
    """Train as the study's notebook does, but with PublicTest only as validation data."""
    import keras

    from ferlab import Split, load_dataset

    dataset = load_dataset(arguments.data)
    curve: Curve = []
    with tempfile.TemporaryDirectory() as folder:
        for split in (Split.TRAIN, Split.VALIDATION):
            part = dataset.require(split)
            write_jpegs(part.images, part.labels, part.class_names, Path(folder) / split.label)
        started = time.perf_counter()

        class Clock(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                curve.append({"minutes": (time.perf_counter() - started) / 60, "accuracy": logs["val_accuracy"]})
                print(f"study: epoch {epoch + 1}/{EPOCHS}, {curve[-1]}", file=sys.stderr)

        plateau = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.1, patience=3, min_lr=1e-5)
        training, validation = (flipped_batches(Path(folder) / name) for name in ("train", "validation"))
        compiled_model().fit(
            training, epochs=EPOCHS, validation_data=validation, callbacks=[plateau, Clock()], verbose=0
        )
    curve_file(arguments.out, "study").write_text(json.dumps(curve))


def ferlab_side(arguments: argparse.Namespace) -> None:
    """Train the recipe `fernet_s_quick`. Startup is measured by the clock; epochs report their own time."""
    started = time.perf_counter()
    import ferlab

    run = ferlab.train(
        "fernet_s_quick",
        ferlab.load_dataset(arguments.data),
        arguments.out / "run",
        quiet=False,
    )
    if run.trained_result().status != "completed":
        sys.exit(f"{run.path} was interrupted, but only complete trainings can be timed. Remove it and start again.")
    total, history = time.perf_counter() - started, run.history()
    elapsed = max(0.0, total - sum(epoch.seconds for epoch in history))
    curve: Curve = []
    for epoch in history:
        elapsed += epoch.seconds
        curve.append({"minutes": elapsed / 60, "accuracy": epoch.val_accuracy})
    curve_file(arguments.out, "ferlab").write_text(json.dumps(curve))


def write_result(folder: Path, curves: dict[str, Curve]) -> None:
    """Print the ratio, and write it with the curves and the plot."""
    reached = next((point["minutes"] for point in curves["ferlab"] if point["accuracy"] >= TARGET), None)
    needed = curves["study"][-1]["minutes"]
    best = max(point["accuracy"] for point in curves["study"])
    print(f"study: {len(curves['study'])} epochs in {needed:.1f} minutes, best {100 * best:.2f} %")
    print(f"ferlab: {100 * TARGET:.1f} % after {reached:.1f} minutes" if reached else "ferlab: not reached")
    ratio = reached and needed / reached
    if ratio:
        print(f"study / ferlab: {ratio:.1f} x")
    result = {"schema": 1, "benchmark": "time_to_accuracy", "target": TARGET, "ratio": ratio, "curves": curves}
    (folder / "result.json").write_text(json.dumps(result | {"machine": vars(describe_machine())}, indent=1) + "\n")
    (folder / "time_to_accuracy.svg").write_text(plot(curves))


def plot(curves: dict[str, Curve]) -> str:
    """Plot both curves as an SVG."""
    import altair as alt
    import vl_convert

    titles = {"study": "NewModel, the study's pipeline", "ferlab": "FerNet s, ferlab"}
    values = [
        {"minutes": point["minutes"], "accuracy": 100 * point["accuracy"], "side": titles[side]}
        for side, curve in curves.items()
        for point in curve
    ]
    lines = (
        alt.Chart(alt.Data(values=values))
        .mark_line(point=True)
        .encode(
            x=alt.X("minutes:Q", title="training time, minutes"),
            y=alt.Y("accuracy:Q", title="PublicTest accuracy, %", scale=alt.Scale(zero=False)),
            color=alt.Color("side:N", title=None, scale=alt.Scale(range=["#D55E00", "#0072B2"])),
        )
    )
    rule = alt.Chart(alt.Data(values=[{"y": 100 * TARGET}])).mark_rule(strokeDash=[4, 4]).encode(y="y:Q")
    return vl_convert.vegalite_to_svg((lines + rule).properties(width=560, height=320).to_json())


SIDES = {"study": study_side, "ferlab": ferlab_side}

if __name__ == "__main__":
    main()
