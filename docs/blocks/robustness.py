"""Blocks about robustness."""

from blocks.common import RESULTS, SPLIT_TITLES, percent, table
from ferlab.evaluation.robustness import CORRUPTIONS, Robustness
from ferlab.formatting import listed
from ferlab.json_files import read_result
from ferlab.predict import Artifact


def corruptions() -> str:
    """Each corruption, by the first line of its function's docstring, and its strengths."""
    lines = []
    for name, corruption in CORRUPTIONS.items():
        meaning = (corruption.apply.__doc__ or "").strip().splitlines()[0]
        strengths = ", ".join(f"{strength:g}" for strength in corruption.strengths)
        lines.append(f"- **{name.replace('_', ' ')}**: {meaning} Strengths: {strengths} ({corruption.unit}).\n")
    return "".join(lines)


def measured_robustness() -> Robustness:
    """The robustness of the model in the package, as `ferlab robustness` wrote it."""
    return read_result(Robustness, RESULTS / "robustness" / "fernet_s.json")


def robustness_table() -> str:
    """The robustness of the model in the package, and whether that model is still the one in the package."""
    result = measured_robustness()
    clean = result.clean_accuracy
    current = Artifact().metadata["accuracy"].get(result.split) == clean
    model = "the model in the package" if current else "**an earlier model than the one in the package**"
    worst = sorted(result.corruptions, key=lambda name: sum(result.corruptions[name].accuracies))[:3]
    introduction = (
        f"Measured on {model}, on the {result.images:,} images of {SPLIT_TITLES[result.split]}. Clean accuracy: "
        f"{percent(clean, 2)} %. Score: {result.score:.3f}. The largest losses come from "
        f"{listed([name.replace('_', ' ') for name in worst])}.\n"
    )
    rows = [
        [name.replace("_", " "), *(percent(share) for share in (clean, *row.accuracies))]
        for name, row in result.corruptions.items()
    ]
    return f"{introduction}\n{table(['accuracy, %', 'clean', '1', '2', '3', '4', '5'], rows)}"
