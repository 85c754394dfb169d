"""What the commands print on standard output, for people."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ferlab.audit import REASONS, AuditSummary
from ferlab.formatting import duration, percent
from ferlab.recipes import get_recipe
from ferlab.recipes.model_stats import costs_of, estimate_seconds, image_passes

MEANS = {
    "equal": "mean with equal weights",
    "scores": "mean with these weights",
    "cross_validated": "weights chosen on other images",
}
FULL_TRAINING = 28709  # images in FER2013's Training split


def print_ranking(comparison: Mapping[str, Any]) -> None:
    """A comparison: who is ahead, and the findings."""
    columns = ("95 % interval", "not told apart from", "selected on")
    table = Table("", "recipe", f"{comparison['ranked_on']} accuracy", *columns, box=None)
    for row in comparison["ranking"]:
        accuracy = f"{100 * row['accuracy']:.2f} %"
        ties, selected_on = escape(", ".join(row["tied_with"])), row["selected_on"] or ""
        table.add_row(str(row["rank"]), escape(row["recipe"]), accuracy, _range(row["interval"]), ties, selected_on)
    _print(table)
    for sentence in comparison["findings"]:
        print(f"- {sentence}")


def print_metrics(metrics: Mapping[str, Any]) -> None:
    """The scores of one model on one split."""
    print(_accuracy_line("accuracy", metrics))
    if metrics["split"] in (metrics["selected_on"] or "").split("+"):
        print(f"a little too high: the model was selected on {metrics['selected_on']}")
    if metrics["leak_free"]:
        print(_accuracy_line("without images that have a copy in training", metrics["leak_free"]))
    if metrics["leak_free_reason"]:
        print(f"{'to be doubted' if metrics['leak_free'] else 'leaks not counted'}: {metrics['leak_free_reason']}")
    print(
        f"balanced accuracy {percent(metrics['balanced_accuracy'])} %, top 2 {percent(metrics['top2_accuracy'])} %, "
        f"macro F1 {metrics['macro_f1']:.4f}"
    )
    print(
        f"log loss {metrics['log_loss']:.4f}, Brier score {metrics['brier_score']:.4f}, "
        f"expected calibration error {metrics['expected_calibration_error']:.4f}"
    )
    if calibrated := metrics["calibrated"]:
        print(
            f"with the temperature {calibrated['temperature']:.2f} fitted on validation: log loss "
            f"{calibrated['log_loss']:.4f}, Brier score {calibrated['brier_score']:.4f}, expected calibration error "
            f"{calibrated['expected_calibration_error']:.4f}"
        )
    for line in _asked_for(metrics):
        print(line)
    table = Table("class", "precision", "recall", "f1", "images", box=None)
    for name, row in metrics["per_class"].items():
        scores = ["" if row[key] is None else f"{row[key]:.3f}" for key in ("precision", "recall", "f1")]
        table.add_row(escape(name), *scores, f"{row['images']:,}")
    _print(table)


def _asked_for(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Lines on what only some evaluations have."""
    if tta := metrics.get("tta"):
        cost = f"{tta['views']} views, {tta['seconds_ratio']:.0f} times the time"
        yield _accuracy_line(f"mean answer to {cost}", tta)
    if kept := metrics.get("abstained"):
        share = f"{percent(kept['coverage'], 1)} % of the images answered"
        yield _accuracy_line(f"from a probability of {kept['threshold']:g} on, {share}", kept)
    for name, row in (metrics["agreement"] or {}).items():
        yield f"FER+ voters, {name}: accuracy {percent(row['accuracy'])} % on {row['images']:,} images"
    if by_group := metrics.get("by_group"):
        yield from (_accuracy_line(name, row) for name, row in by_group["groups"].items())
        if gap := by_group["largest_gap"]:
            yield (
                f"largest gap: {gap['higher']} above {gap['lower']} by {100 * gap['difference']:.2f} points "
                f"(95 %: {_range(gap['interval'])})"
            )


def _accuracy_line(name: str, row: Mapping[str, Any]) -> str:
    if not row["images"]:
        return f"{name}: no images"
    return (
        f"{name}: {percent(row['accuracy'])} % (95 %: {_range(row['accuracy_interval'])}) on {row['images']:,} images"
    )


def _range(interval: Sequence[float]) -> str:
    return " - ".join(percent(bound, 1) for bound in interval)


def print_robustness(result: Mapping[str, Any]) -> None:
    """The accuracy of one model under each corruption, in percent; column 0 is the clean pictures."""
    table = Table("corruption", *map(str, range(6)), "strengths 1 to 5", box=None)
    for name, row in result["corruptions"].items():
        shares = [result["clean_accuracy"], *row["accuracies"]]
        strengths = ", ".join(f"{strength:g}" for strength in row["strengths"])
        table.add_row(name.replace("_", " "), *(percent(share, 1) for share in shares), f"{strengths} {row['unit']}")
    _print(table)
    clean, score = percent(result["clean_accuracy"]), "–" if result["score"] is None else f"{result['score']:.3f}"
    print(f"\nclean accuracy {clean} % on {result['images']:,} images")
    print(f"score {score}: the mean accuracy over all corruptions and strengths, divided by the clean accuracy")


def print_explanation(result: Mapping[str, Any]) -> None:
    """Where a model sees each class, as `ferlab explain --json` prints it."""
    title = "probability, %" if "image" in result else "images"
    table = Table("class", title, "upper third, %", "middle, %", "lower, %", box=None)
    for name, row in result["classes"].items():
        shares = [percent(share, 0) for share in row["by_height"] or (None, None, None)]
        table.add_row(
            escape(name), percent(row["probability"], 1) if "image" in result else f"{row['images']}", *shares
        )
    _print(table)
    found = result["sanity"]["rank_correlation"]
    print(f"\nrank correlation with untrained networks: {'–' if found is None else f'{found:.2f}'}")
    print(result["sanity"]["meaning"])


def print_parity(result: Mapping[str, Any]) -> None:
    """What an export wrote, and how it compares with the Keras model."""
    print(f"{result['file']}: {result['bytes'] / 1e6:.2f} MB ({result['quantize']}), compared on validation images")
    columns = ("largest difference", "other class, %", "accuracy, %", "Keras, %", "p50, ms", "Keras, ms")
    table = Table("batches of", "images", *columns, box=None)
    for row in [*result["batches"], result]:
        shares = [percent(row[key]) for key in ("changed", "accuracy", "keras_accuracy")]
        times = [f"{row[key]:.2f}" if key in row else "–" for key in ("milliseconds", "keras_milliseconds")]
        batch_size = str(row.get("batch_size", "any size"))
        table.add_row(batch_size, f"{row['images']:,}", f"{row['largest_difference']:.2g}", *shares, *times)
    _print(table)


def print_ensemble(result: Mapping[str, Any]) -> None:
    """What an ensemble is made of, how good it is, and how its file compares with the Keras models."""
    table = Table("on validation images", "seed", "weight", "accuracy, %", "log loss", box=None)
    for member in result["members"]:
        table.add_row(escape(member["run"]), str(member["seed"]), f"{member['weight']:.3f}", *_both(member["scores"]))
    for name in ("equal", "scores", "cross_validated"):
        table.add_row(MEANS[name], "", "", *_both(result[name]))
    _print(table)
    print_parity(result | result["parity"])


def _both(scores: Mapping[str, float]) -> tuple[str, str]:
    return percent(scores["accuracy"]), f"{scores['log_loss']:.4f}"


def print_benchmark(result: Mapping[str, Any]) -> None:
    """How fast models answer, a block of lines for each number of threads and batch size."""
    machine = result["machine"]
    load = "" if machine["load"] is None else f", load {machine['load']:g} when it began"
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    print(f"{machine['cpu']}, {machine['cores']} cores{load}\n{versions}\n")
    table = Table("threads", "batch size", "model", "p50, ms", "p99, ms", "faces/s", "times the first", box=None)
    for row in result["rows"]:
        times = (f"{row[key]:.2f}" for key in ("p50_ms", "p99_ms"))
        rates = (f"{row['faces_per_second']:,.0f}", f"{row['ratio']:.2f}")
        table.add_row(str(row["threads"]), str(row["batch_size"]), escape(row["model"]), *times, *rates)
    _print(table)


def print_splits(class_names: tuple[str, ...], splits: Mapping[str, Any]) -> None:
    """The splits of a data set, as in `Dataset.summary`."""
    table = Table("split", "images", *map(escape, class_names), "fingerprint", box=None)
    for name, split in splits.items():
        counts = [f"{count:,}" for count in split["classes"].values()]
        table.add_row(name, f"{split['images']:,}", *counts, split["fingerprint"][:12])
    _print(table)


def print_audit(summary: AuditSummary) -> None:
    """Print the counts of an audit."""
    exact, near = summary.exact_duplicates, summary.near_duplicates
    print(
        f"{summary.images:,} images: {exact.surplus:,} exact copies in {exact.groups:,} groups of identical images, "
        f"{exact.conflicting_groups:,} groups with conflicting labels"
    )
    for pair, copies in exact.across.items():
        if copies is not None:
            first, second = pair.split("-")
            share = copies / summary.splits[second]["images"]
            print(
                f"{second}: {copies:,} images ({100 * share:.1f} %) have an exact copy in {first}, "
                f"{near.across[pair]:,} more have a near copy"
            )
    table = Table("reason", "images", "meaning", box=None)
    for reason, meaning in REASONS.items():
        table.add_row(reason, f"{summary.suspicions[reason]:,}", meaning)
    _print(table)
    if summary.label_errors and (voters := summary.label_errors.voters):
        print(
            f"Of the {voters.top} labels that the model disputes most, FER+ annotators prefer another label for "
            f"{voters.label_outvoted} ({100 * voters.label_outvoted_share_of_all:.0f} % of all labels)."
        )


def print_models(rows: list[dict[str, Any]]) -> None:
    """The architectures, with their options and their sizes in each recipe."""
    for row in rows:
        print(f"{row['model']}: {row['summary']}")
        print("    options: " + ", ".join(f"{key}={value!r}" for key, value in row["options"].items()))
        for recipe in row["recipes"]:
            costs = costs_of(get_recipe(recipe))
            print(f"    {recipe}: {costs.parameters:,} parameters, {costs.multiply_adds / 1e6:,.0f} M multiply-adds")


def print_recipes(rows: list[dict[str, Any]]) -> None:
    """The recipes, a line each, as in `recipe_row`."""
    table = Table("recipe", "parameters", "multiply-adds", "accuracy", "time here", "summary", box=None)
    for row in rows:
        accuracy = "" if row["expected_accuracy"] is None else f"{100 * row['expected_accuracy']:.1f} %"
        table.add_row(
            row["recipe"],
            f"{row['parameters']:,}",
            f"{row['multiply_adds'] / 1e6:,.0f} M",
            accuracy,
            duration(row["expected_seconds"]),
            row["summary"],
        )
    _print(table)
    print("\nferlab recipes NAME shows one of them; ferlab train NAME --data SOURCE --out DIR trains it.")


def recipe_row(name: str) -> dict[str, Any]:
    """What a list of recipes says of one of them."""
    recipe = get_recipe(name)
    costs = costs_of(recipe)
    return {
        "recipe": name,
        "group": recipe.group,
        "model": recipe.architecture,
        "summary": recipe.summary,
        "parameters": costs.parameters,
        "trainable_parameters": costs.trainable_parameters,
        "multiply_adds": costs.multiply_adds,
        "image_passes": image_passes(recipe, FULL_TRAINING),
        "expected_accuracy": recipe.expected_accuracy,
        "expected_source": recipe.expected_source,
        "expected_seconds": round(estimate_seconds(recipe, FULL_TRAINING)),
        "command": f"ferlab train {name} --data fer2013.zip --out runs/{name}",
    }


def print_recipe(name: str) -> None:
    """One recipe, with all its fields."""
    row, fields, costs = recipe_row(name), get_recipe(name).as_dict(), costs_of(get_recipe(name))
    print(f"{name}: {row['summary']}")
    print(f"    {costs.parameters:,} parameters, {costs.trainable_parameters:,} of them trained")
    print(f"    {costs.multiply_adds:,} multiply-adds an image, {row['image_passes']:,} image passes")
    print(f"    about {duration(row['expected_seconds'])} on this machine")
    if row["expected_accuracy"]:
        print(f"    accuracy to expect: {100 * row['expected_accuracy']:.1f} % ({row['expected_source']})")
    for departure in fields["departures"]:
        print(f"    departs from good practice: {departure}")
    print(f"    {row['command']}\n")
    for key, value in fields.items():
        if key not in ("name", "group", "summary", "departures"):
            print(f"    {key} = {json.dumps(value)}")


def _print(table: Table) -> None:
    """Never cut off to the width of a pipe."""
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=400)).print(table)
