"""Findings: sentences derived from the numbers of a comparison.

Each finding is one function of the comparison and the histories of its runs that yields sentences, or none. A model
that is not clearly better than chance is called under-trained, and other findings ignore it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from ferlab.comparison.baselines import MAJORITY, PIXELS
from ferlab.comparison.results import Comparison, Difference, Entry, RankedRecipe
from ferlab.emotions import EMOTIONS, Target
from ferlab.formatting import count, counted, duration, listed
from ferlab.results import Epoch

Histories = Mapping[str, Sequence[Epoch]]  # by run folder

OVERFITTING_RISE = 0.10  # relative rise of the validation loss above its minimum that counts
STEADY_RISE = 0.03  # or a smaller one, if every epoch is worse than the one before
STEADY_EPOCHS = 3  # at least
OVERFITTING_FALL = 0.02  # or fall of the validation accuracy below its maximum
IMPROVEMENT = 0.005  # rise of the validation accuracy over the last quarter of the epochs that calls for more epochs
SIMPLE = "newmodel"  # the study's own network, which it preferred to the known architectures
KNOWN = ("mobilenetv2", "resnet50", "vgg16")


def findings(comparison: Comparison, histories: Histories) -> list[str]:
    """Derive all findings, in the order of a report."""
    kinds = (
        failed, other_training_images, other_networks, winner, under_trained, below_pixels, selected_on_test,
        study_against_fair, study_conclusion, overfitting, still_improving, stopped_early, cost_of_accuracy,
    )  # fmt: skip
    return [sentence for kind in kinds for sentence in kind(comparison, histories)]


def summarize(comparison: Comparison) -> list[str]:
    """Summarize a comparison in five sentences: the setting, the winner, the study's
    conclusion, the cost of accuracy, and how far to trust the numbers."""
    leads = list(winner(comparison, {}))
    conclusions = list(study_conclusion(comparison, {})) or list(study_against_fair(comparison, {}))
    costs = list(cost_of_accuracy(comparison, {}))
    return [
        _setting(comparison),
        leads[0] if leads else "Fewer than two models are clearly better than chance, so there is no winner.",
        conclusions[0] if conclusions else "This comparison does not test the study's conclusion.",
        costs[0] if costs else "This comparison does not show what a point of accuracy costs.",
        _trust(comparison),
    ]


def failed(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Find runs without a result."""
    for entry in comparison.entries:
        if entry.status in ("failed", "interrupted"):
            reason = f": {entry.reason}" if entry.reason else ""
            verb = "failed" if entry.status == "failed" else "was interrupted"
            yield f"{entry.name} {verb}{reason}".rstrip(".") + "."


def other_training_images(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Find runs that were not trained on the same images."""
    recipes: dict[str, str] = {}
    for entry in comparison.entries:
        if entry.trained_on:
            recipes.setdefault(entry.trained_on, entry.recipe)
    if len(recipes) > 1:
        yield f"{listed(list(recipes.values()))} were not trained on the same images."


def other_networks(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Find runs that started from another network or were distilled from some."""
    names = listed(list(dict.fromkeys(entry.recipe for entry in comparison.entries if entry.learned_from)))
    if names:
        yield (
            f"Networks trained earlier contributed to {names}, as the start of the training or as teachers. Image "
            "passes and training times do not include those of such networks."
        )


def winner(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Find the best model, and whether it is significantly better."""
    rows = _trained_rows(comparison)
    if len(rows) < 2:
        return
    first, second = rows[0], rows[1]
    difference = comparison.difference(first.recipe, second.recipe)
    leads = f"{first.recipe} has the highest {comparison.ranked_on} accuracy, {_percent(first.accuracy)}"
    ties = [row.recipe for row in rows[2:] if not comparison.difference(first.recipe, row.recipe).significant]
    are = "are" if len(ties) > 1 else "is"
    if difference.significant:
        but = f"; {listed(ties)} {are} not significantly different from it" if ties else ""
        yield f"{leads}, {_points(difference)} above {second.recipe}{_one_seed(difference)}{but}."
    elif difference.difference == 0:
        also = f"; {listed(ties)} {are} not significantly different from them" if ties else ""
        shared = f"share the highest {comparison.ranked_on} accuracy, {_percent(first.accuracy)}"
        yield f"{first.recipe} and {second.recipe} {shared}{also}."
    else:
        yield (
            f"{leads}, but it is not significantly different from {listed([second.recipe, *ties])}: {second.recipe} is "
            f"only {_points(difference)} behind."
        )


def under_trained(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Find models that are still near chance."""
    rows = [row for row in comparison.ranking if not row.is_baseline and _near_chance(row, comparison)]
    if not rows:
        return
    names = listed([f"{row.recipe} ({_percent(row.accuracy)})" for row in rows])
    are, accuracy = ("is", "its accuracy is") if len(rows) == 1 else ("are", "their accuracies are")
    yield (
        f"{names} {are} under-trained: {accuracy} not clearly above that of always predicting the most frequent class. "
        "No conclusions are drawn from such runs."
    )


def below_pixels(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Find networks that are worse than a linear model of the pixels."""
    pixels = comparison.row(PIXELS)
    for row in _trained_rows(comparison):
        if pixels and row.accuracy < pixels.accuracy:
            yield (
                f"{row.recipe} ({_percent(row.accuracy)}) is worse than logistic regression on pixels "
                f"({_percent(pixels.accuracy)})."
            )


def selected_on_test(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Find test accuracies of models that were selected on the test split."""
    for row in comparison.ranking:
        if comparison.ranked_on == "test" and "test" in row.selected_on:
            yield f"{row.recipe} was also selected on the test split, so its test accuracy is too high."


def study_against_fair(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Compare the study's recipe of each architecture with the fair one."""
    rows = _trained_rows(comparison)
    for study in (row for row in rows if row.group == "study"):
        architecture = _architecture(comparison, study)
        for fair in (row for row in rows if row.group == "fair" and _architecture(comparison, row) == architecture):
            difference = comparison.difference(fair.recipe, study.recipe)
            doubt = _one_seed(difference) if difference.significant else ", not significant"
            yield (
                f"{fair.recipe} scores {100 * difference.difference:+.1f} points against {study.recipe}, the study's "
                f"own recipe ({_interval(difference)}{doubt})."
            )


def study_conclusion(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Test the study's conclusion that simple models suit FER2013 better than known architectures."""
    rows = [row for row in _trained_rows(comparison) if row.group == "fair"]
    simple = next((row for row in rows if _architecture(comparison, row) == SIMPLE), None)
    known = next((row for row in rows if _architecture(comparison, row) in KNOWN), None)
    if not simple or not known:
        return
    difference = comparison.difference(simple.recipe, known.recipe)
    claim = "The study concluded that simple models suit FER2013 better than known architectures"
    other = "on the labels of FER+" if comparison.dataset.target == Target.FERPLUS else "on other data"
    where = "here" if _has_labels_of_the_study(comparison) else f"here, {other}"
    if len({_passes(comparison, row) for row in (simple, known)}) > 1:
        yield (
            f"{claim}. This comparison does not test it, because {simple.recipe} and {known.recipe} saw different "
            "numbers of training images."
        )
    elif not difference.significant:
        yield f"{claim}. This comparison neither confirms nor refutes it: {_versus(simple, known, difference)}."
    elif difference.difference > 0:
        yield f"{claim}. Under the fair recipes this holds {where}: {_versus(simple, known, difference)}."
    else:
        yield f"{claim}. Under the fair recipes this does not hold {where}: {_versus(simple, known, difference)}."


def overfitting(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Find runs whose training loss keeps falling while validation gets worse, and from which epoch."""
    for entry, history in _trained_runs(comparison, histories):
        lowest = min(range(len(history)), key=lambda index: history[index].val_loss)
        highest = max(range(len(history)), key=lambda index: history[index].val_accuracy)
        last, best = history[-1], history[highest]
        losses = [epoch.val_loss for epoch in history[lowest:]]
        steady = len(losses) > STEADY_EPOCHS and losses == sorted(losses)
        rises = losses[-1] > (1 + (STEADY_RISE if steady else OVERFITTING_RISE)) * losses[0]
        falls = last.val_accuracy < best.val_accuracy - OVERFITTING_FALL
        if rises and last.loss < history[lowest].loss:
            yield (
                f"{entry.name} overfits from epoch {lowest + 2}: its training loss keeps falling while its validation "
                f"loss rises from {history[lowest].val_loss:.3f} to {last.val_loss:.3f}."
            )
        elif falls and last.accuracy > best.accuracy and highest < len(history) - 2:
            yield (
                f"{entry.name} overfits from epoch {highest + 2}: its training accuracy keeps rising while its "
                f"validation accuracy falls from {_percent(best.val_accuracy)} to {_percent(last.val_accuracy)}."
            )


def still_improving(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Find runs that ended before their validation accuracy had leveled off."""
    for entry, history in _trained_runs(comparison, histories):
        quarter = max(1, len(history) // 4)
        accuracies = [epoch.val_accuracy for epoch in history]
        gain = accuracies[-1] - max(accuracies[:-quarter])
        if entry.status == "completed" and accuracies[-1] == max(accuracies) and gain > IMPROVEMENT:
            last = "epoch" if quarter == 1 else counted(quarter, "epoch")
            yield (
                f"{entry.name} was still improving when its training ended, by {100 * gain:.1f} points over the last "
                f"{last}: a longer training may change its rank."
            )


def stopped_early(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Find runs that ended before their last epoch."""
    for entry in comparison.entries:
        if entry.status == "stopped early":
            yield f"{entry.name} stopped after {counted(entry.epochs or 0, 'epoch')}: {entry.reason}."


def cost_of_accuracy(comparison: Comparison, histories: Histories) -> Iterator[str]:
    """Compute the cost of a point of accuracy, from each model to the next larger one that is significantly better."""
    rows = sorted(_trained_rows(comparison), key=lambda row: _costs(comparison, row)["parameters"])
    if len(rows) < 2:
        return
    base = rows[0]
    for row in rows[1:]:
        difference = comparison.difference(row.recipe, base.recipe)
        if difference.significant and difference.difference > 0:
            yield _price(comparison, base, row, 100 * difference.difference)
            base = row
        elif _never_cheaper(comparison, row, base):
            than = "less" if difference.significant else "not significantly more"
            yield (
                f"{row.recipe} is {than} accurate than {base.recipe}, and costs at least as much by every measure "
                "(parameters, multiply-adds, training time)."
            )


def _price(comparison: Comparison, base: RankedRecipe, row: RankedRecipe, points: float) -> str:
    cheap, expensive = _costs(comparison, base), _costs(comparison, row)
    per_point = {key: (expensive[key] - cheap[key]) / points for key in cheap}
    words = [
        *_more(per_point["parameters"], count, "fewer", "parameters"),
        *_more(per_point["multiply_adds"], count, "fewer", "multiply-adds per image"),
        *_more(per_point["seconds"], duration, "less", "training"),
    ]
    return (
        f"{row.recipe} is {points:.1f} points more accurate than {base.recipe}; each point costs "
        f"{listed(words) or 'nothing more'}."
    )


def _more(amount: float, write: Callable[[float], str], less: str, what: str) -> list[str]:
    """Write an amount in words, unless it is zero."""
    return [f"{write(abs(amount))} {'more' if amount > 0 else less} {what}"] if abs(amount) >= 0.5 else []


def _never_cheaper(comparison: Comparison, row: RankedRecipe, base: RankedRecipe) -> bool:
    """Return whether a larger model costs at least as much as another one by every measure."""
    one, other = _costs(comparison, row), _costs(comparison, base)
    return one["parameters"] > other["parameters"] and all(one[key] >= other[key] for key in one)


def _costs(comparison: Comparison, row: RankedRecipe) -> dict[str, float]:
    """Return the parameters, multiply-adds per image, and mean seconds of training over seeds."""
    entries = comparison.scored(row.recipe)
    return {
        "parameters": entries[0].parameters or 0,
        "multiply_adds": entries[0].multiply_adds or 0,
        "seconds": float(np.mean([entry.seconds or 0 for entry in entries])),
    }


def _setting(comparison: Comparison) -> str:
    rows = [row for row in comparison.ranking if not row.is_baseline]
    ranked_on, training = comparison.ranked_on, comparison.dataset.splits["train"].images
    scored = next(metrics.images for entry in comparison.entries if (metrics := entry.metrics(ranked_on)))
    images = "training images" if list(other_training_images(comparison, {})) else f"{training:,} training images"
    seeds = sorted({row.seeds for row in rows}) or [0]
    many = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    target = f" with the target {comparison.dataset.target}" if comparison.dataset.target else ""
    verb = "was" if len(rows) == 1 else "were"
    return (
        f"{counted(len(rows), 'recipe')} with {many} seed{'s' * (seeds[-1] != 1)} each {verb} trained on the {images} "
        f"of {comparison.dataset.source}{target} and ranked by accuracy on its {scored:,} {ranked_on} images."
    )


def _trust(comparison: Comparison) -> str:
    if comparison.ranked_on == "validation":
        return (
            "The best epochs were selected on the same images that rank the models, so all accuracies are slightly too "
            "high, especially those of noisy training runs."
        )
    flagged = list(selected_on_test(comparison, {}))
    return " ".join(flagged[:1]) or (
        "The best epochs were selected on validation images, and the test images were scored once."
    )


def _trained_rows(comparison: Comparison) -> list[RankedRecipe]:
    """Return the ranked models that are not under-trained."""
    return [row for row in comparison.ranking if not row.is_baseline and not _near_chance(row, comparison)]


def _trained_runs(comparison: Comparison, histories: Histories) -> Iterator[tuple[Entry, Sequence[Epoch]]]:
    trained = {row.recipe for row in _trained_rows(comparison)}
    for entry in comparison.entries:
        history = histories.get(entry.run or "", ())
        if entry.recipe in trained and len(history) >= 3:
            yield entry, history


def _near_chance(row: RankedRecipe, comparison: Comparison) -> bool:
    majority = comparison.row(MAJORITY)
    return majority is not None and row.interval[0] <= majority.interval[1]


def _architecture(comparison: Comparison, row: RankedRecipe) -> str:
    return next(entry.architecture for entry in comparison.entries if entry.recipe == row.recipe)


def _passes(comparison: Comparison, row: RankedRecipe) -> int | None:
    return next(entry.image_passes for entry in comparison.entries if entry.recipe == row.recipe)


def _has_labels_of_the_study(comparison: Comparison) -> bool:
    data = comparison.dataset  # earlier versions recorded no target
    return data.source != "demo" and data.class_names == EMOTIONS and data.target in (None, Target.FER2013)


def _one_seed(difference: Difference) -> str:
    """Say what the interval leaves out if one of the two recipes has a single seed."""
    return "" if difference.seeds else "; with one seed, the noise between trainings is not included"


def _versus(simple: RankedRecipe, known: RankedRecipe, difference: Difference) -> str:
    return (
        f"{simple.recipe} scores {_percent(simple.accuracy)}, {known.recipe} {_percent(known.accuracy)} "
        f"({_interval(difference)}{_one_seed(difference)})"
    )


def _points(difference: Difference) -> str:
    return f"{100 * abs(difference.difference):.1f} points ({_interval(difference)})"


def _interval(difference: Difference) -> str:
    low, high = (100 * bound for bound in difference.interval)
    return f"95 % interval of the difference {low:+.1f} to {high:+.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
