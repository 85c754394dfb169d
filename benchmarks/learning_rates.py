"""Search the learning rate of recipes, with the same procedure for each.

    python benchmarks/learning_rates.py fair_newmodel fair_vgg16 --data fer2013.zip --out rates

Each rate is tried in one short training with all other fields of the recipe, and scored by PublicTest accuracy after
the last epoch. The search starts with the two middle rates of a fixed grid and moves toward the better one until the
accuracy drops. So the chosen rate has a worse neighbor on both sides, or is at the end of the grid. Trials that are
already in `--out` are not repeated. Writes `rates.json`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import ferlab
from ferlab.data import load_dataset
from ferlab.errors import TrainingError

RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
START = (2, 3)  # positions in RATES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument(
        "--steps", type=int, default=224, help="steps per epoch; 2 epochs of 224 steps of 64 images are one pass"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a recipe field")
    options = parser.parse_args()
    dataset = load_dataset(options.data)
    results = {}
    for recipe in options.recipes:
        accuracies = search(recipe, dataset, options)
        best = max(accuracies, key=accuracies.__getitem__)
        results[recipe] = {"best": best, "accuracies": dict(sorted(accuracies.items()))}
        print(recipe, json.dumps(results[recipe]), flush=True)
        (options.out / "rates.json").write_text(json.dumps(results, indent=1) + "\n")


def search(recipe: str, dataset: ferlab.Dataset, options: argparse.Namespace) -> dict[float, float]:
    """Search the learning rate of a recipe. Returns the accuracy of each rate tried."""
    accuracies = {RATES[position]: trial(recipe, RATES[position], dataset, options) for position in START}
    step = 1 if accuracies[RATES[START[1]]] >= accuracies[RATES[START[0]]] else -1
    position = START[step > 0]
    while 0 <= position + step < len(RATES):
        accuracies[RATES[position + step]] = trial(recipe, RATES[position + step], dataset, options)
        if accuracies[RATES[position + step]] < accuracies[RATES[position]]:
            break
        position += step
    return accuracies


def trial(recipe: str, rate: float, dataset: ferlab.Dataset, options: argparse.Namespace) -> float:
    """Train once. Returns the accuracy, or 0 if the loss diverged."""
    out = options.out / f"{recipe}-{rate:g}"
    changes: dict[str, Any] = {"learning_rate": rate, "epochs": options.epochs, "steps_per_epoch": options.steps}
    changes |= dict(text.split("=", 1) for text in options.set)
    try:
        run = ferlab.train(recipe, dataset, out, seed=options.seed, resume=True, **changes)
    except TrainingError:  # the rate is too high
        return 0.0
    result = run.result()
    if result is None or not result.finished:
        raise KeyboardInterrupt
    accuracy = run.history()[-1].val_accuracy
    print(f"{recipe} {rate:g}: {100 * accuracy:.2f} %, {result.seconds or 0:.0f} s", flush=True)
    return accuracy


if __name__ == "__main__":
    main()
