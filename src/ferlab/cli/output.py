"""Print the results of commands on standard output, for people to read."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ferlab.audit import REASONS, AuditSummary
from ferlab.comparison.leaderboard import Leaderboard
from ferlab.comparison.results import Comparison
from ferlab.data import Split
from ferlab.data.fer2013 import SPLIT_SIZES
from ferlab.evaluation.robustness import Robustness
from ferlab.explanation.explain import ExplanationSummary
from ferlab.export import Agreement, Parity
from ferlab.export.ensemble import Ensemble, Scores
from ferlab.export.latency import Benchmark
from ferlab.finetuning import FineTuning
from ferlab.formatting import percent, printable, short
from ferlab.recipes import get_recipe
from ferlab.recipes.model_stats import image_passes, model_stats
from ferlab.results import AccuracyEstimate, Calibration, DatasetSummary, Evaluation, Metrics
from ferlab.search.results import Sweep

WIDTH_OF_A_PIPE = 400  # characters
SHOWN_TRIALS = 10
FERPLUS_GROUPS = {
    "unanimous": "label with all FER+ votes",
    "majority": "label with the most FER+ votes",
    "outvoted": "label with fewer FER+ votes than another",
    "nobody": "label without FER+ votes",
}


def print_paths(**paths: Path | None) -> None:
    """Print where each result was written, after an empty line; None for results that were not."""
    written = [f"{label}: {path}" for label, path in paths.items() if path]
    if written:
        print("\n" + "\n".join(written))


def print_ranking(comparison: Comparison) -> None:
    """Print the ranking of a comparison, and its findings."""
    columns = ("95 % interval", "not significantly different from", "selected on")
    table = Table("", "recipe", f"{comparison.ranked_on} accuracy", *columns, box=None)
    for row in comparison.ranking:
        accuracy, ties = f"{100 * row.accuracy:.2f} %", printable(", ".join(row.tied_with))
        table.add_row(
            str(row.rank), printable(row.recipe), accuracy, _range(row.interval), ties, ", ".join(row.selected_on)
        )
    _print(table)
    for sentence in comparison.findings:
        print(f"- {sentence}")


def print_leaderboard(board: Leaderboard) -> None:
    """Print a leaderboard."""
    columns = ("95 % interval", "not significantly different from", "without copies", "macro F1", "selected on")
    table = Table("", "system", f"{board.split} accuracy", *columns, box=None)
    for row in board.standings:
        ties, selected_on = printable(", ".join(row.tied_with)), ", ".join(row.selected_on) or "unknown"
        leak_free = "" if row.leak_free_accuracy is None else f"{percent(row.leak_free_accuracy)} %"
        table.add_row(
            str(row.rank), printable(row.name), f"{percent(row.accuracy)} %", _range(row.interval), ties, leak_free,
            f"{row.macro_f1:.3f}", selected_on,
        )  # fmt: skip
    _print(table)


def print_sweep(sweep: Sweep) -> None:
    """Print the best trials of a sweep."""
    table = Table("trial", "validation accuracy", *(printable(field) for field in sweep.space), box=None)
    for trial in sweep.ranked()[:SHOWN_TRIALS]:
        values = [printable(short(trial.changes[field])) for field in sweep.space]
        table.add_row(str(trial.number), f"{percent(trial.accuracy)} %", *values)
    _print(table)
    print(f"\n{sweep.describe()}")


def print_metrics(evaluation: Evaluation) -> None:
    """Print the metrics of one model on one split."""
    for line in _metrics_lines(evaluation):
        print(line)
    table = Table("class", "precision", "recall", "f1", "images", box=None)
    for name, row in evaluation.per_class.items():
        scores = ["" if score is None else f"{score:.3f}" for score in (row.precision, row.recall, row.f1)]
        table.add_row(printable(name), *scores, f"{row.images:,}")
    _print(table)


def _selection_lines(result: Evaluation | Robustness) -> Iterator[str]:
    """Say whether the scores are on images that the model was selected on."""
    splits = " and ".join(result.selected_on or ())
    if result.selected_here:
        yield f"slightly too high: the model was selected on {splits}"
    elif result.selected_here is None and result.selected_on:
        yield f"perhaps slightly too high: the model was selected on {splits} images, and these may be among them"


def _metrics_lines(evaluation: Evaluation) -> Iterator[str]:
    yield from _target_lines(evaluation)
    yield _accuracy_line("accuracy", evaluation)
    yield from _selection_lines(evaluation)
    if evaluation.leak_free:
        yield _accuracy_line("without images that have a copy in the training split", evaluation.leak_free)
    if evaluation.leak_free_reason:
        kind = "incomplete" if evaluation.leak_free else "copies not searched"
        yield f"{kind}: {evaluation.leak_free_reason}"
    yield f"balanced accuracy {percent(evaluation.balanced_accuracy)} %, macro F1 {evaluation.macro_f1:.4f}"
    if evaluation.probabilities_reason:
        yield f"no log loss, calibration or top-2 accuracy: {evaluation.probabilities_reason}"
    else:
        yield f"top-2 accuracy {percent(evaluation.top2_accuracy)} %, {_calibration_text(evaluation)}"
    if evaluation.calibrated:
        temperature = evaluation.calibrated.temperature
        yield f"with temperature {temperature:.2f}, fitted on validation: {_calibration_text(evaluation.calibrated)}"
    yield from _optional_lines(evaluation)


def _target_lines(result: Evaluation | Robustness) -> Iterator[str]:
    """Say which target was scored, and whether the model learned another one."""
    if result.target:
        other = result.learned and result.learned != result.target
        yield f"target {result.target}{f'; the model learned {result.learned}' if other else ''}"


def _calibration_text(scores: Metrics | Calibration) -> str:
    return (
        f"log loss {scores.log_loss:.4f}, Brier score {scores.brier_score:.4f}, "
        f"expected calibration error {scores.expected_calibration_error:.4f}"
    )


def _optional_lines(evaluation: Evaluation) -> Iterator[str]:
    """Describe the optional parts of an evaluation."""
    if tta := evaluation.tta:
        cost = f"{tta.views} views, {tta.seconds_ratio:.0f} times as slow"
        yield _accuracy_line(f"test-time augmentation ({cost})", tta)
    if kept := evaluation.abstained:
        share = f"{percent(kept.coverage, 1)} % of the images"
        yield _accuracy_line(f"confidence of {kept.threshold:g} or more, {share}", kept)
    for name, row in (evaluation.agreement or {}).items():
        yield f"{FERPLUS_GROUPS[name]}: accuracy {percent(row.accuracy)} % on {row.images:,} images"
    if other := evaluation.against:
        yield (
            f"against {other.other} ({percent(other.other_accuracy)} %): {100 * other.difference:+.2f} points "
            f"(95 %: {_points(other.interval)}), McNemar's p = {other.p_value:.2g}"
        )
    if by_group := evaluation.by_group:
        yield from (_accuracy_line(name, row) for name, row in by_group.groups.items())
        if gap := by_group.largest_gap:
            yield (
                f"largest gap: {gap.higher} above {gap.lower} by {100 * gap.difference:.2f} points "
                f"(95 %: {_points(gap.interval)})"
            )


def _accuracy_line(name: str, row: Metrics | AccuracyEstimate) -> str:
    if not row.accuracy_interval:
        return f"{name}: no images"
    return f"{name}: {percent(row.accuracy)} % (95 %: {_range(row.accuracy_interval)}) on {row.images:,} images"


def _points(interval: Sequence[float]) -> str:
    return " to ".join(f"{100 * bound:+.2f}" for bound in interval)


def _range(interval: Sequence[float]) -> str:
    return " - ".join(percent(bound, 1) for bound in interval)


def print_finetuning(result: FineTuning) -> None:
    """Print what a fine-tuning shows, and where its model is."""
    for note in result.notes:
        print(note)
    counts = ", ".join(f"{count:,} {split}" for split, count in result.photos.items())
    print(f"photos: {counts}{f', of {result.persons:,} persons' if result.persons else ''}")
    if result.skipped:
        print(f"skipped {result.skipped:,} photos")
    interval = f"95 %: {_range(result.accuracy_interval)}"
    print(f"accuracy on the test photos: {percent(result.accuracy)} % ({interval}), kept: {result.stage}")
    if result.accuracy_before is not None:
        before = percent(result.accuracy_before)
        print(f"{result.started_from} as it was: {before} %, p = {result.p_value:.2g} (sign test)")
    print(result.verdict)
    print(f"\nModel: {result.artifact}")


def print_robustness(result: Robustness) -> None:
    """Print the accuracy of one model under each corruption, in percent; column 0 is the clean images."""
    table = Table("corruption", *map(str, range(6)), "strengths 1 to 5", box=None)
    for name, row in result.corruptions.items():
        shares = [result.clean_accuracy, *row.accuracies]
        strengths = ", ".join(f"{strength:g}" for strength in row.strengths)
        table.add_row(name.replace("_", " "), *(percent(share, 1) for share in shares), f"{strengths} {row.unit}")
    _print(table)
    print("\n".join(["", *_target_lines(result)]))
    clean, score = percent(result.clean_accuracy), "–" if result.score is None else f"{result.score:.3f}"
    print("\n".join([f"clean accuracy {clean} % on {result.images:,} images", *_selection_lines(result)]))
    print(f"score {score}: the mean accuracy over all corruptions and strengths, divided by the clean accuracy")


def print_explanation(summary: ExplanationSummary) -> None:
    """Print where the map of each class lies, and the result of the sanity check."""
    rows = summary.classes.items()
    sizes = [str(row.images) if row.probability is None else percent(row.probability, 1) for _, row in rows]
    size_title = "images" if all(row.probability is None for _, row in rows) else "probability (%)"
    table = Table("class", size_title, "upper third (%)", "middle third (%)", "lower third (%)", box=None)
    for (name, row), size in zip(rows, sizes, strict=True):
        table.add_row(printable(name), size, *(percent(share, 0) for share in row.by_height or (None, None, None)))
    _print(table)
    found = summary.rank_correlation
    print(f"\nrank correlation with untrained networks: {'–' if found is None else f'{found:z.2f}'}")
    print("Near 0, the maps reflect what the model learned; near 1, only the architecture and the image.")


def print_parity(parity: Parity, out: Path, quantize: str) -> None:
    """Print how far the predictions of an exported file deviate from those of the Keras model."""
    size = out.stat().st_size / 1e6
    print(f"{out}: {size:.2f} MB (quantize: {quantize}), compared with Keras on validation images")
    columns = ("max difference", "changed (%)", "accuracy (%)", "Keras (%)", "p50 (ms)", "Keras p50 (ms)")
    table = Table("batch size", "images", *columns, box=None)
    for row in parity.batches:
        table.add_row(str(row.batch_size), *_agreement(row), f"{row.p50_ms:.2f}", f"{row.keras_p50_ms:.2f}")
    table.add_row("all", *_agreement(parity), "–", "–")
    _print(table)


def _agreement(row: Agreement) -> tuple[str, ...]:
    shares = (percent(share) for share in (row.changed, row.accuracy, row.keras_accuracy))
    return f"{row.images:,}", f"{row.max_difference:.2g}", *shares


def print_ensemble(made: Ensemble, out: Path, quantize: str) -> None:
    """Print the members and scores of an ensemble, and how its file compares with Keras."""
    table = Table("validation images", "seed", "weight", "accuracy (%)", "log loss", box=None)
    for member in made.members:
        table.add_row(printable(member.run), str(member.seed), f"{member.weight:.3f}", *_both(member.scores))
    table.add_row("equal weights", "", "", *_both(made.equal_weights))
    table.add_row("these weights", "", "", *_both(made.scores))
    table.add_row("these weights, cross-validated", "", "", *_both(made.cross_validated))
    _print(table)
    print_parity(made.parity, out, quantize)


def _both(scores: Scores) -> tuple[str, str]:
    return percent(scores.accuracy), f"{scores.log_loss:.4f}"


def print_benchmark(result: Benchmark) -> None:
    """Print latency and throughput, one row for each number of threads, batch size and model."""
    machine = result.machine
    load = "" if machine.load is None else f", load {machine.load:g} at start"
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    print(f"{machine.cpu}, {machine.cores} cores{load}\n{versions}\n")
    table = Table("threads", "batch size", "model", "p50 (ms)", "p99 (ms)", "faces/s", "ratio", box=None)
    for row in result.rows:
        figures = (f"{row.p50_ms:.2f}", f"{row.p99_ms:.2f}", f"{row.faces_per_second:,.0f}", f"{row.ratio:.2f}")
        table.add_row(str(row.threads), str(row.batch_size), printable(row.model), *figures)
    _print(table)


def print_splits(data: DatasetSummary) -> None:
    """Print the splits of a dataset."""
    table = Table("split", "images", *map(printable, data.class_names), "fingerprint", box=None)
    for name, split in data.splits.items():
        counts = [f"{count:,}" for count in split.classes.values()]
        table.add_row(name, f"{split.images:,}", *counts, split.fingerprint[:12])
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
            share = copies / summary.splits[second].images
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
            f"{voters.label_outvoted} ({100 * voters.label_outvoted_share_of_all:.0f} % of all checked labels)."
        )


def print_models(rows: list[dict[str, Any]]) -> None:
    """Print the architectures, their options, and the model statistics of their recipes."""
    for row in rows:
        print(f"{row['model']}: {row['summary']}")
        print("    options: " + ", ".join(f"{key}={value!r}" for key, value in row["options"].items()))
        for recipe in row["recipes"]:
            stats = model_stats(get_recipe(recipe))
            print(f"    {recipe}: {stats.parameters:,} parameters, {stats.multiply_adds / 1e6:,.0f} M multiply-adds")


def print_recipes(rows: list[dict[str, Any]]) -> None:
    """Print a table of recipes, one row of `recipe_row` each."""
    table = Table("recipe", "parameters", "multiply-adds", "image passes", "expected accuracy", "summary", box=None)
    for row in rows:
        accuracy = "" if row["expected_accuracy"] is None else f"{100 * row['expected_accuracy']:.1f} %"
        multiply_adds = f"{row['multiply_adds'] / 1e6:,.0f} M"
        table.add_row(
            row["recipe"],
            f"{row['parameters']:,}",
            multiply_adds,
            f"{row['image_passes']:,}",
            accuracy,
            printable(row["summary"]),
        )
    _print(table)
    print("\nShow one recipe: ferlab recipes NAME\nTrain it: ferlab train NAME --data SOURCE --out DIR")


def recipe_row(name: str) -> dict[str, Any]:
    """Summarize a recipe as JSON values."""
    recipe = get_recipe(name)
    return {
        "recipe": name,
        "group": recipe.group,
        "model": recipe.architecture,
        "summary": recipe.summary,
        **vars(model_stats(recipe)),
        "image_passes": image_passes(recipe, SPLIT_SIZES[Split.TRAIN]),
        "expected_accuracy": recipe.expected_accuracy,
        "expected_source": recipe.expected_source,
        "command": f"ferlab train {name} --data fer2013.zip --out runs/{name}",
    }


def print_recipe(name: str) -> None:
    """Print one recipe with all its fields."""
    row, recipe = recipe_row(name), get_recipe(name)
    print(f"{name}: {recipe.summary}")
    print(f"    {row['parameters']:,} parameters, {row['trainable_parameters']:,} trainable")
    print(f"    {row['multiply_adds']:,} multiply-adds per image, {row['image_passes']:,} image passes")
    if recipe.expected_accuracy:
        print(f"    expected accuracy: {100 * recipe.expected_accuracy:.1f} % ({recipe.expected_source})")
    for deviation in recipe.deviations:
        print(f"    deviates from good practice: {deviation}")
    print(f"    {row['command']}\n")
    for key, value in recipe.training_fields().items():
        print(f"    {key} = {json.dumps(value)}")


def _print(table: Table) -> None:
    """Print a table, never cut to the width of a pipe."""
    width = None if sys.stdout.isatty() else WIDTH_OF_A_PIPE
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)
