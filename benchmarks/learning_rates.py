"""Search the learning rate of recipes, each in the same way.

    python benchmarks/learning_rates.py fair_newmodel fair_vgg16 --data fer2013.zip --out rates

Each rate is tried in one short training of the whole recipe, and judged by its PublicTest accuracy after the last
epoch. The search starts with the two middle rates of a fixed list and moves toward the better one until the accuracy
falls, so that the chosen rate has a worse neighbor on either side, or is at the end of the list. Trials that
`--out` holds already are not repeated. Writes `rates.json`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import ferlab
from ferlab.data import load_dataset
from ferlab.errors import TrainingError

RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
FIRST = (2, 3)  # positions in RATES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=224, help="per epoch; 2 epochs of 224 steps of 64 are one pass")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a recipe field")
    options = parser.parse_args()
    dataset = load_dataset(options.data)
    found = {}
    for recipe in options.recipes:
        accuracies = search(recipe, dataset, options)
        best = max(accuracies, key=accuracies.__getitem__)
        found[recipe] = {"best": best, "accuracies": dict(sorted(accuracies.items()))}
        print(recipe, json.dumps(found[recipe]), flush=True)
        (options.out / "rates.json").write_text(json.dumps(found, indent=1) + "\n")


def search(recipe: str, dataset: ferlab.Dataset, options: argparse.Namespace) -> dict[float, float]:
    """The accuracies by rate."""
    accuracies = {RATES[position]: trial(recipe, RATES[position], dataset, options) for position in FIRST}
    step = 1 if accuracies[RATES[FIRST[1]]] >= accuracies[RATES[FIRST[0]]] else -1
    position = FIRST[step > 0]
    while 0 <= position + step < len(RATES):
        accuracies[RATES[position + step]] = trial(recipe, RATES[position + step], dataset, options)
        if accuracies[RATES[position + step]] < accuracies[RATES[position]]:
            break
        position += step
    return accuracies


def trial(recipe: str, rate: float, dataset: ferlab.Dataset, options: argparse.Namespace) -> float:
    out = options.out / f"{recipe}-{rate:g}"
    changes: dict[str, Any] = {"learning_rate": rate, "epochs": options.epochs, "steps_per_epoch": options.steps}
    changes |= dict(text.split("=", 1) for text in options.set)
    try:
        run = ferlab.train(recipe, dataset, out, seed=options.seed, resume=True, **changes)
    except TrainingError:  # the rate is far too high
        return 0.0
    accuracy = run.history()[-1]["val_accuracy"]
    print(f"{recipe} {rate:g}: {100 * accuracy:.2f} %, {run.result()['seconds']:.0f} s", flush=True)
    return accuracy


if __name__ == "__main__":
    main()
