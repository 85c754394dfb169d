"""Findings: sentences worked out from the numbers of a comparison, each by one function that may also stay silent.

A finding takes the comparison and the histories of its runs, and yields sentences. A model that has not clearly left
the level of guessing is called under-trained, and no other finding speaks of it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ferlab.emotions import EMOTIONS
from ferlab.formatting import count, duration, listed

Comparison = Mapping[str, Any]
Histories = Mapping[str, list[dict[str, float]]]  # run -> one dictionary per epoch
Row = Mapping[str, Any]

MAJORITY = "baseline_majority"
OVERFITTING_RISE = 0.10  # relative rise of the validation loss above its minimum that counts
STEADY_RISE = 0.03  # or a smaller one, if each epoch is worse than the one before
STEADY_EPOCHS = 3  # that many at least
OVERFITTING_FALL = 0.02  # or fall of the validation accuracy below its maximum
IMPROVEMENT = 0.005  # rise of the validation accuracy over the last quarter of the epochs that calls for more of them
SIMPLE = "newmodel"  # the study's own network, against which it held the known architectures
KNOWN = ("mobilenetv2", "resnet50", "vgg16")


def findings(comparison: Comparison, histories: Histories) -> list[str]:
    """All findings of a comparison, in the order in which a reader wants them."""
    kinds = (
        failed, other_training_images, winner, under_trained, below_pixels, selected_on_test, study_against_fair,
        study_conclusion, overfitting, still_improving, stopped_early, cost_of_accuracy,
    )  # fmt: skip
    return [sentence for kind in kinds for sentence in kind(comparison, histories)]


def summary(comparison: Comparison) -> list[str]:
    """A comparison in five sentences: what was done, who wins, the study's question, the price, how far to trust it.

    Args:
        comparison: as in comparison.json.
    """
    leads = list(winner(comparison, {}))
    answers = list(study_conclusion(comparison, {})) or list(study_against_fair(comparison, {}))
    prices = list(cost_of_accuracy(comparison, {}))
    return [
        _what_was_done(comparison),
        leads[0] if leads else "Fewer than two models have clearly left the level of guessing, so there is no winner.",
        answers[0] if answers else "It does not test what the study concluded.",
        prices[0] if prices else "Nothing can be said yet of what a point of accuracy costs.",
        _how_far_to_trust(comparison),
    ]


def failed(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Runs that gave no result, and why."""
    for entry in comparison["entries"]:
        if entry["status"] in ("failed", "interrupted"):
            reason = f": {entry['reason']}" if entry["reason"] else ""
            verb = "failed" if entry["status"] == "failed" else "was interrupted"
            yield f"{_run_name(entry)} {verb}{reason}".rstrip(".") + "."


def other_training_images(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Runs that did not learn from the same images."""
    recipes: dict[str, str] = {}
    for entry in comparison["entries"]:
        if entry.get("trained_on"):
            recipes.setdefault(entry["trained_on"], entry["recipe"])
    if len(recipes) > 1:
        yield f"{listed(list(recipes.values()))} were not trained on the same images."


def winner(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Which model is ahead, and whether by more than the noise."""
    rows = _trained_rows(comparison)
    if len(rows) < 2:
        return
    first, second = rows[0], rows[1]
    difference = _difference(comparison, first["recipe"], second["recipe"])
    leads = f"{first['recipe']} has the highest {comparison['ranked_on']} accuracy, {_percent(first)}"
    others = [row["recipe"] for row in rows[2:] if not _sure(_difference(comparison, first["recipe"], row["recipe"]))]
    are = "are" if len(others) > 1 else "is"
    if _sure(difference):
        but = f"; {listed(others)} {are} not clearly behind" if others else ""
        yield f"{leads}, {_points(difference)} above {second['recipe']}{_one_seed(difference)}{but}."
    elif difference["difference"] == 0:
        also = f" and {listed(others)} {are} not clearly behind" if others else ""
        shared = f"share the highest {comparison['ranked_on']} accuracy, {_percent(first)}"
        yield f"{first['recipe']} and {second['recipe']} {shared}{also}."
    else:
        nor = f", nor {are} {listed(others)} clearly behind" if others else ""
        yield (
            f"{leads}, but {second['recipe']} is only {_points(difference)} behind{nor}: this comparison does not "
            "tell them apart."
        )


def under_trained(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Models still near chance, in one sentence."""
    rows = [row for row in comparison["ranking"] if not _is_baseline(row) and _near_chance(row, comparison)]
    names = listed([f"{row['recipe']} ({_percent(row)})" for row in rows])
    if len(rows) == 1:
        yield (
            f"{names} is under-trained: its accuracy is not clearly above that of always naming the commonest class. "
            "Nothing is concluded from it."
        )
    elif rows:
        yield (
            f"{names} are under-trained: their accuracies are not clearly above that of always naming the commonest "
            "class. Nothing is concluded from them."
        )


def below_pixels(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Networks that a linear model on pixels beats."""
    pixels = _row(comparison, "baseline_pixels")
    for row in _trained_rows(comparison):
        if pixels and row["accuracy"] < pixels["accuracy"]:
            yield f"{row['recipe']} ({_percent(row)}) is below logistic regression on pixels ({_percent(pixels)})."


def selected_on_test(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Scores on images that also chose the best epoch, where others were scored on unseen ones."""
    ranked_on = comparison["ranked_on"]
    flagged = [row["recipe"] for row in comparison["ranking"] if ranked_on in (row["selected_on"] or "").split("+")]
    for recipe in flagged if ranked_on == "test" else []:
        yield f"{recipe} chose the best epoch on the test split as well, which makes its test accuracy too high."


def study_against_fair(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """What the fair recipe changes for the same architecture."""
    for row in _trained_rows(comparison):
        if not row["recipe"].startswith("study_"):
            continue
        name = row["recipe"].removeprefix("study_")
        for twin in (f"fair_{name}", f"fair_{name}_imagenet"):
            if twin in _names(comparison):
                difference = _difference(comparison, twin, row["recipe"])
                doubt = _one_seed(difference) if _sure(difference) else ", which may be noise"
                yield (
                    f"{twin} scores {100 * difference['difference']:+.1f} points against {row['recipe']}, the study's "
                    f"own recipe ({_interval(difference)}){doubt}."
                )


def study_conclusion(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Whether "simple models suit FER2013 better than known architectures", the study's conclusion, holds here."""
    rows = [row for row in _trained_rows(comparison) if row["recipe"].startswith("fair_")]
    simple = next((row for row in rows if row["recipe"] == f"fair_{SIMPLE}"), None)
    known = next((row for row in rows if _architecture(comparison, row) in KNOWN), None)
    if not simple or not known:
        return
    difference = _difference(comparison, simple["recipe"], known["recipe"])
    claim = "The study concluded that simple models suit FER2013 better than known architectures"
    here = "here" if _may_be_fer2013(comparison) else "here, on other data"
    if len({_passes(comparison, row) for row in (simple, known)}) > 1:
        yield (
            f"{claim}; this comparison does not test it, for {simple['recipe']} and {known['recipe']} saw different "
            "numbers of training images."
        )
    elif not _sure(difference):
        yield f"{claim}; this comparison neither confirms nor refutes it: {_versus(simple, known, difference)}."
    elif difference["difference"] > 0:
        yield f"{claim}, and under the fair recipes this holds {here}: {_versus(simple, known, difference)}."
    else:
        yield f"{claim}; under the fair recipes this does not hold {here}: {_versus(simple, known, difference)}."


def overfitting(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Runs whose training goes on improving while validation falls, and from which epoch on."""
    for entry, history in _trained_runs(comparison, histories):
        lowest = min(range(len(history)), key=lambda index: history[index]["val_loss"])
        highest = max(range(len(history)), key=lambda index: history[index]["val_accuracy"])
        last, best = history[-1], history[highest]
        losses = [epoch["val_loss"] for epoch in history[lowest:]]
        steady = len(losses) > STEADY_EPOCHS and losses == sorted(losses)
        rises = losses[-1] > (1 + (STEADY_RISE if steady else OVERFITTING_RISE)) * losses[0]
        falls = last["val_accuracy"] < best["val_accuracy"] - OVERFITTING_FALL
        if rises and last["loss"] < history[lowest]["loss"]:
            yield (
                f"{_run_name(entry)} overfits from epoch {lowest + 2} on: its training loss goes on falling while its "
                f"validation loss rises from {history[lowest]['val_loss']:.3f} to {last['val_loss']:.3f}."
            )
        elif falls and last["accuracy"] > best["accuracy"] and highest < len(history) - 2:
            yield (
                f"{_run_name(entry)} overfits from epoch {highest + 2} on: its training accuracy goes on rising while "
                f"its validation accuracy falls from {_percent(best, 'val_accuracy')} to "
                f"{_percent(last, 'val_accuracy')}."
            )


def still_improving(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Runs that ended before their validation accuracy had levelled off."""
    for entry, history in _trained_runs(comparison, histories):
        quarter = max(1, len(history) // 4)
        accuracies = [epoch["val_accuracy"] for epoch in history]
        gain = accuracies[-1] - max(accuracies[:-quarter])
        if entry["status"] == "completed" and accuracies[-1] == max(accuracies) and gain > IMPROVEMENT:
            yield (
                f"{_run_name(entry)} was still improving when its training ended, by {100 * gain:.1f} points over "
                f"the last {_epochs(quarter)}: a longer training may change its rank."
            )


def stopped_early(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Runs that ended before their last epoch, and why."""
    for entry in comparison["entries"]:
        if entry["status"] == "stopped early":
            yield f"{_run_name(entry)} stopped after {_epochs(entry['epochs'])}: {entry['reason']}."


def cost_of_accuracy(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """What a point of accuracy costs, from each model that is worth its parameters to the next larger one."""
    rows = sorted(_trained_rows(comparison), key=lambda row: _costs(comparison, row)["parameters"])
    if len(rows) < 2:
        return
    base = rows[0]
    for row in rows[1:]:
        difference = _difference(comparison, row["recipe"], base["recipe"])
        if _sure(difference) and difference["difference"] > 0:
            yield _price(comparison, base, row, 100 * difference["difference"])
            base = row
        elif _never_cheaper(comparison, row, base):
            than = "is less accurate than" if _sure(difference) else "is not clearly more accurate than"
            yield (
                f"{row['recipe']} {than} {base['recipe']}, and costs no less by any measure (parameters, "
                "multiply-adds, training time)."
            )


def _price(comparison: Comparison, base: Row, row: Row, points: float) -> str:
    cheap, dear = _costs(comparison, base), _costs(comparison, row)
    per_point = {key: (dear[key] - cheap[key]) / points for key in cheap}
    words = [
        *_more(per_point["parameters"], count, "fewer", "parameters"),
        *_more(per_point["multiply_adds"], count, "fewer", "multiply-adds an image"),
        *_more(per_point["seconds"], duration, "less", "training"),
    ]
    return (
        f"{row['recipe']} gains {points:.1f} points on {base['recipe']}; each of them costs "
        f"{listed(words) or 'nothing more'}."
    )


def _more(amount: float, write: Callable[[float], str], less: str, what: str) -> list[str]:
    """The amount in words, unless it is none."""
    return [f"{write(abs(amount))} {'more' if amount > 0 else less} {what}"] if abs(amount) >= 0.5 else []


def _never_cheaper(comparison: Comparison, row: Row, base: Row) -> bool:
    """Whether another, larger model costs at least as much by every measure."""
    one, other = _costs(comparison, row), _costs(comparison, base)
    return one["parameters"] > other["parameters"] and all(one[key] >= other[key] for key in one)


def _costs(comparison: Comparison, row: Row) -> dict[str, float]:
    """Parameters, multiply-adds of an image, and seconds of training, the mean over seeds."""
    entries = [entry for entry in comparison["entries"] if entry["recipe"] == row["recipe"] and entry["parameters"]]
    return {
        "parameters": entries[0]["parameters"],
        "multiply_adds": entries[0]["multiply_adds"],
        "seconds": float(np.mean([entry["seconds"] for entry in entries])),
    }


def _what_was_done(comparison: Comparison) -> str:
    rows = [row for row in comparison["ranking"] if not _is_baseline(row)]
    ranked_on, training = comparison["ranked_on"], comparison["dataset"]["splits"]["train"]["images"]
    scored = next(entry[ranked_on]["images"] for entry in comparison["entries"] if entry[ranked_on])
    verb = "was" if len(rows) == 1 else "were"
    images = f"{training:,} training images"
    if list(other_training_images(comparison, {})):
        images = "training images"
    seeds = sorted({row["seeds"] for row in rows}) or [0]
    many = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    recipes = f"{len(rows)} recipe{'s' * (len(rows) != 1)}"
    return (
        f"{recipes} with {many} seed{'s' * (seeds[-1] != 1)} each {verb} trained on the {images} of "
        f"{comparison['dataset']['source']}; accuracy on its {scored:,} {ranked_on} images ranks them."
    )


def _how_far_to_trust(comparison: Comparison) -> str:
    if comparison["ranked_on"] == "validation":
        return (
            "The best epochs were chosen on the images that rank the models here, so all accuracies are a little too "
            "high, those of noisy trainings most."
        )
    flagged = list(selected_on_test(comparison, {}))
    return " ".join(flagged[:1]) or (
        "The best epochs were chosen on validation images, and the test images that rank the models were scored once."
    )


def _trained_rows(comparison: Comparison) -> list[Row]:
    """The ranked models from which something can be concluded."""
    return [row for row in comparison["ranking"] if not _is_baseline(row) and not _near_chance(row, comparison)]


def _trained_runs(comparison: Comparison, histories: Histories) -> Iterator[tuple[Row, list[dict[str, float]]]]:
    trained = {row["recipe"] for row in _trained_rows(comparison)}
    for entry in comparison["entries"]:
        history = histories.get(entry["run"] or "", [])
        if entry["recipe"] in trained and len(history) >= 3:
            yield entry, history


def _is_baseline(row: Row) -> bool:
    return row["recipe"].startswith("baseline_")


def _near_chance(row: Row, comparison: Comparison) -> bool:
    majority = _row(comparison, MAJORITY)
    return majority is not None and row["interval"][0] <= majority["interval"][1]


def _row(comparison: Comparison, recipe: str) -> Row | None:
    return next((row for row in comparison["ranking"] if row["recipe"] == recipe), None)


def _names(comparison: Comparison) -> list[str]:
    return [row["recipe"] for row in _trained_rows(comparison)]


def _architecture(comparison: Comparison, row: Row) -> str:
    return next(entry["model"] for entry in comparison["entries"] if entry["recipe"] == row["recipe"])


def _passes(comparison: Comparison, row: Row) -> int:
    return next(entry["image_passes"] for entry in comparison["entries"] if entry["recipe"] == row["recipe"])


def _difference(comparison: Comparison, first: str, second: str) -> dict[str, Any]:
    """The difference of two recipes, first minus second."""
    for known in comparison["differences"]:
        if (known["first"], known["second"]) == (first, second):
            return dict(known)
        if (known["first"], known["second"]) == (second, first):
            low, high = known["interval"]
            return dict(known) | {"difference": -known["difference"], "interval": [-high, -low]}
    raise KeyError((first, second))


def _sure(difference: Mapping[str, Any]) -> bool:
    """Whether the two are told apart, after Holm's correction for the number of pairs."""
    return bool(difference["distinct"])


def _may_be_fer2013(comparison: Comparison) -> bool:
    described = comparison["dataset"]
    return described["source"] != "demo" and tuple(described["class_names"]) == EMOTIONS


def _one_seed(difference: Mapping[str, Any]) -> str:
    """What an interval leaves out where one of the two recipes has but one seed."""
    return "" if difference["seeds"] else "; with one seed, the noise of training is left out"


def _versus(simple: Row, known: Row, difference: Mapping[str, Any]) -> str:
    return (
        f"{simple['recipe']} scores {_percent(simple)}, {known['recipe']} {_percent(known)} ({_interval(difference)}"
        f"{_one_seed(difference)})"
    )


def _points(difference: Mapping[str, Any]) -> str:
    return f"{100 * abs(difference['difference']):.1f} points ({_interval(difference)})"


def _interval(difference: Mapping[str, Any]) -> str:
    low, high = (100 * bound for bound in difference["interval"])
    return f"95 % interval of the difference {low:+.1f} to {high:+.1f}"


def _percent(row: Mapping[str, Any], key: str = "accuracy") -> str:
    return f"{100 * row[key]:.1f} %"


def _epochs(number: int) -> str:
    return f"{number} epoch{'s' * (number != 1)}"


def _run_name(entry: Row) -> str:
    return f"{entry['recipe']} (seed {entry['seed']})"
