"""The generated blocks of the documentation: tables from recipes and from measured results.

A block is a function that returns Markdown. `BLOCKS` lists them by the names that pages use.
"""

import ast
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import binomtest
from typer.testing import CliRunner

from ferlab.cli import app
from ferlab.comparison.compare import DEFAULT_RECIPES
from ferlab.comparison.leaderboard import Leaderboard
from ferlab.comparison.results import Comparison, Entry, RankedRecipe
from ferlab.data import Split
from ferlab.data.fer2013 import SPLIT_SIZES
from ferlab.evaluation.robustness import CORRUPTIONS, Robustness
from ferlab.formatting import listed
from ferlab.json_files import parse, read_result
from ferlab.predict import Artifact
from ferlab.recipes import get_recipe, recipe_groups
from ferlab.recipes.model_stats import image_passes, load_model_stats
from ferlab.results import Epoch

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
SOURCE = ROOT / "src" / "ferlab"
SPLIT_TITLES = {"validation": "PublicTest", "test": "PrivateTest"}
FULL_TRAINING = SPLIT_SIZES[Split.TRAIN]


def read(path: Path) -> dict[str, Any]:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format a Markdown table."""
    lines = [f"| {' | '.join(str(cell) for cell in row)} |\n" for row in (header, *rows)]
    return "".join([lines[0], "|---" * len(header) + "|\n", *lines[1:]])


def percent(share: float, digits: int = 1) -> str:
    """Format a share 0..1 in percent, without the sign."""
    return f"{100 * share:.{digits}f}"


def interval(bounds: Sequence[float]) -> str:
    """Format an interval of shares in percent."""
    return f"{percent(bounds[0])} – {percent(bounds[1])}"


def split_titles(splits: Sequence[str]) -> str:
    """Format the splits of `selected_on` by their FER2013 names."""
    return " and ".join(SPLIT_TITLES[name] for name in splits) or "–"


def data_info() -> str:
    """The output of `ferlab data info demo`."""
    printed = CliRunner().invoke(app, ["data", "info", "demo"], env={"COLUMNS": "100", "NO_COLOR": "1"})
    lines = [line.rstrip() for line in printed.stdout.splitlines()]
    return "\n".join(["```text", *filter(None, lines), "```", ""])


def source_tree() -> str:
    """Every source file with the first line of its docstring, by layer, from the top layer to the bottom one."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    return "\n".join(line for layer in layers for name in layer.split(" : ") for line in _part_lines(name)) + "\n"


def _part_lines(name: str) -> list[str]:
    """A list item for one module, or for one package with an item for each of its modules."""
    if not (SOURCE / name).is_dir():
        return [f"- `{name}.py`: {_first_line(SOURCE / f'{name}.py')}"]
    modules = [path for path in sorted((SOURCE / name).glob("*.py")) if path.name != "__init__.py"]
    items = [f"    - `{path.name}`: {_first_line(path)}" for path in modules]
    return [f"- **`{name}/`**: {_first_line(SOURCE / name / '__init__.py')}", *items]


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


# ---------------------------------------------------------------------------- comparisons


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A published comparison, with the histories of its runs and notes on single recipes."""

    comparison: Comparison
    histories: dict[str, tuple[Epoch, ...]]
    environment: dict[str, Any]
    notes: dict[str, str]


def publications() -> list[Publication]:
    """The published comparisons."""
    return [_publication(path) for path in sorted(RESULTS.glob("*.json"))]


def _publication(path: Path) -> Publication:
    stored = read(path)
    histories = {run: tuple(Epoch(**epoch) for epoch in epochs) for run, epochs in stored["histories"].items()}
    comparison = parse(Comparison, stored, path)
    return Publication(
        comparison=comparison, histories=histories, environment=stored["environment"], notes=stored["notes"]
    )


def twins() -> str:
    """The study's recipes beside their fair twins, the findings, and the recipes without a result."""
    parts, measured = [], set()
    for published in publications():
        rows = [row for row in published.comparison.ranking if not row.is_baseline]
        rows.sort(key=lambda row: (get_recipe(row.recipe).architecture, row.group != "study"))
        measured |= {row.recipe for row in rows}
        sentences = "".join(f"- {sentence}\n" for sentence in published.comparison.findings)
        parts += [_ranking_table(published, rows), sentences]
    missing = [f"`{name}`" for name in recipe_names() if name not in measured]
    return "\n".join([*parts, f"Not compared yet: {', '.join(missing)}.\n"])


def _ranking_table(published: Publication, rows: list[RankedRecipe]) -> str:
    title = SPLIT_TITLES[published.comparison.ranked_on]
    header = ["recipe", "parameters", f"{title}, %", "95 % interval", "seeds", "image passes", "selected on"]
    return table(header, [_ranking_row(published, row) for row in rows])


def _ranking_row(published: Publication, row: RankedRecipe) -> list[object]:
    entry = published.comparison.scored(row.recipe)[0]
    note = published.notes.get(row.recipe)
    name = f"{row.recipe} ({note})" if note else row.recipe
    numbers = [f"{entry.parameters:,}", percent(row.accuracy, 2), interval(row.interval)]
    return [name, *numbers, row.seeds, f"{entry.image_passes:,}", split_titles(row.selected_on)]


def reproduction() -> str:
    """The commands that repeat the published runs, and the versions behind them."""
    parts = []
    for published in publications():
        commands = "".join(f"{_train_command(entry)}\n" for entry in published.comparison.entries if entry.run)
        environment = published.environment
        versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
        notes = [f"- `{recipe}`: {note}.\n" for recipe, note in published.notes.items()]
        parts += [
            f"```bash\n{commands}```\n",
            f"Versions: Python {environment['python']}, {versions}. Numeric policy: {environment['policy']}.\n"
            f"Device: {environment['device']}, {environment['cores']} cores.\n",
            *(["Notes:\n", "".join(notes)] if notes else []),
        ]
    return "\n".join(parts)


def _train_command(entry: Entry) -> str:
    """The command of one published run. It sets the number of epochs where the recipe has another one today."""
    recipe = get_recipe(entry.recipe)
    changed = entry.epochs != recipe.epochs and not recipe.early_stopping.patience
    setting = f" --set epochs={entry.epochs}" if changed else ""
    out = f"runs/{entry.recipe}-seed{entry.seed}"
    return f"ferlab train {entry.recipe} --data fer2013.zip \\\n    --seed {entry.seed} --out {out}{setting}"


# ---------------------------------------------------------------------------- recipes


def notebooks() -> str:
    """The study's four notebooks, as its recipes record them."""
    header = ["recipe", "input, pixels", "trained layers", "parameters (trained)", "optimizer, learning rate", "epochs"]
    header += ["share of Training per epoch", "best accuracy, %"]
    return table(header, [_notebook_row(name) for name in recipe_groups()["study"]])


def _notebook_row(name: str) -> list[object]:
    recipe, stats = get_recipe(name), load_model_stats()[name]
    trained = "all" if recipe.model.get("trainable_backbone", True) else "the layers after the backbone"
    share = image_passes(recipe, FULL_TRAINING) / recipe.epochs / FULL_TRAINING
    return [
        name,
        recipe.model.get("input_size", 48),
        trained,
        f"{stats.parameters:,} ({stats.trainable_parameters:,})",
        f"{recipe.optimizer}, {recipe.learning_rate:g}",
        recipe.epochs,
        f"{percent(share, 0)} %",
        percent(recipe.expected_accuracy or 0, 2),
    ]


def deviations() -> str:
    """The study's deviations from good practice, each with the recipes that have it."""
    recipes: dict[str, list[str]] = {}
    for name in recipe_groups()["study"]:
        for deviation in get_recipe(name).deviations:
            recipes.setdefault(deviation, []).append(f"`{name}`")
    return "".join(f"- {deviation}: {', '.join(names)}\n" for deviation, names in recipes.items())


def recipe_names() -> list[str]:
    return [name for group in recipe_groups().values() for name in group]


# ---------------------------------------------------------------------------- the model in the package


def model_scores() -> dict[str, dict[str, Any]]:
    """The scores of the model in the package, by split."""
    folder = RESULTS / "models"
    return {"validation": read(folder / "fernet_s.json"), "test": read(folder / "fernet_s-private_test.json")}


def model_facts() -> str:
    """The metadata of the model in the package."""
    artifact = Artifact()
    facts, stats = artifact.metadata, load_model_stats()[artifact.metadata["name"]]
    rows = {
        "recipe": f"`{facts['name']}`, seed {facts['protocol']['seed']}",
        "classes": ", ".join(artifact.class_names),
        "parameters": f"{stats.parameters:,}",
        "multiply-adds per face": f"{stats.multiply_adds:,}",
        "file": f"{artifact.path.stat().st_size / 1e6:.2f} MB, SHA-256 `{facts['sha256']}`",
        "temperature": f"{facts['temperature']:.3f}",
        "Training": f"fingerprint `{facts['fingerprints']['train']}`",
        "PublicTest": f"fingerprint `{facts['fingerprints']['validation']}`",
    }
    return table(["", ""], rows.items())


def peers() -> str:
    """The model in the package beside published models, on the same images."""
    public, private = model_scores().values()
    own = load_model_stats()[Artifact().metadata["name"]].parameters
    rows = [["**ferlab** (in the package)", f"{own:,}", percent(private["accuracy"]), percent(public["accuracy"])]]
    for model in read(RESULTS / "models" / "peers.json")["models"]:
        scores = [percent(model["private_test"]), percent(model["public_test"])]
        rows.append([model["name"], f"{model['parameters']:,}", *scores])
    return table(["model", "parameters", "PrivateTest, %", "PublicTest, %"], rows)


def model_accuracy() -> str:
    """The scores of the model in the package on both test splits."""
    measures = {
        "images": lambda scores: f"{scores['images']:,}",
        "accuracy, %": lambda scores: percent(scores["accuracy"], 2),
        "95 % interval": lambda scores: interval(scores["accuracy_interval"]),
        "accuracy without copies of training images, %": lambda scores: percent(scores["leak_free"]["accuracy"], 2),
        "accuracy over ten views, %": lambda scores: percent(scores["tta"]["accuracy"], 2),
        "balanced accuracy, %": lambda scores: percent(scores["balanced_accuracy"], 2),
        "macro F1": lambda scores: f"{scores['macro_f1']:.3f}",
        "log loss": lambda scores: f"{scores['log_loss']:.3f}",
        "expected calibration error": lambda scores: f"{scores['expected_calibration_error']:.3f}",
    }
    public, private = model_scores().values()
    rows = [[name, measure(private), measure(public)] for name, measure in measures.items()]
    return table(["", "PrivateTest", "PublicTest"], rows)


def model_classes() -> str:
    """Recall and precision of each class, of the model in the package."""
    public, private = model_scores().values()
    confusion = public["confusion"]
    rows = []
    for number, (name, counts) in enumerate(zip(public["class_names"], confusion, strict=True)):
        predicted = sum(row[number] for row in confusion)
        public_cells = [_share(counts[number], sum(counts)), _share(counts[number], predicted)]
        own = private["per_class"][name]
        rows.append([name, percent(own["recall"]), percent(own["precision"]), *public_cells])
    header = ["class", "PrivateTest: recall, %", "precision, %", "PublicTest: recall, %", "precision, %"]
    return table(header, rows)


def _share(part: int, whole: int) -> str:
    """A share with its 95 % interval, in percent."""
    bounds = binomtest(part, whole).proportion_ci(method="wilson")
    return f"{percent(part / whole)} ({interval([bounds.low, bounds.high])})"


def model_confusions() -> str:
    """The five most frequent confusions of the model in the package, on PublicTest."""
    scores = model_scores()["validation"]
    names, counts = scores["class_names"], scores["confusion"]
    pairs = [
        (counts[true][predicted] / sum(counts[true]), names[true], names[predicted])
        for true in range(len(names))
        for predicted in range(len(names))
        if true != predicted
    ]
    pairs.sort(reverse=True)
    return "".join(f"- {percent(share, 0)} % of {true} is predicted as {other}.\n" for share, true, other in pairs[:5])


def other_faces() -> str:
    """Scores on faces from other sources, each model with the face crop that suits it best."""
    rows = []
    for model in read(RESULTS / "models" / "other_faces.json")["models"]:
        crop, best = max(model["crops"].items(), key=lambda item: item[1]["natural_mix"])
        recall = [percent(best["recall"][name]) for name in ("neutral", "happy", "surprise")]
        scores = [percent(share) for share in (model["ck_accuracy"], best["natural_mix"], best["balanced_five"])]
        rows.append([model["name"], crop, *scores, *recall])
    header = ["model", "face crop", "CK+, %", "web faces, natural mix, %", "mean of five recalls, %"]
    return table([*header, "recall of neutral, %", "happy, %", "surprise, %"], rows)


# ---------------------------------------------------------------------------- the leaderboard


def measured_leaderboard() -> Leaderboard:
    """The leaderboard of all systems whose predictions are in `results/public_predictions/`."""
    return read_result(Leaderboard, RESULTS / "public_predictions" / "leaderboard.json")


def about_systems() -> dict[str, dict[str, Any]]:
    """What each system of the leaderboard is, and its multiply-adds per image."""
    return read(RESULTS / "public_predictions" / "systems.json")


def leaderboard() -> str:
    """The leaderboard, and what each system is."""
    header = ["", "system", "accuracy, %", "95 % interval", "not significantly different from"]
    header += ["without copies, %", "balanced accuracy, %", "macro F1"]
    standings = measured_leaderboard().standings
    rows = [
        [
            row.rank,
            row.name,
            percent(row.accuracy),
            interval(row.interval),
            ", ".join(row.tied_with) or "–",
            "–" if row.leak_free_accuracy is None else percent(row.leak_free_accuracy),
            percent(row.balanced_accuracy),
            f"{row.macro_f1:.3f}",
        ]
        for row in standings
    ]
    about = about_systems()
    systems = "".join(f"- **{row.name}**: {about[row.name]['about']}.\n" for row in standings)
    return f"{table(header, rows)}\n{systems}"


# ---------------------------------------------------------------------------- accuracy against cost


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A system and its accuracy on PublicTest."""

    name: str
    about: str
    multiply_adds: int
    accuracy: float
    interval: Sequence[float]


def measured_systems() -> list[Measured]:
    """The systems of the leaderboard and the fair recipes of the published comparisons, best first."""
    about = about_systems()
    systems = [
        Measured(
            name=row.name.removesuffix("-seed0"),
            **about[row.name],
            accuracy=row.accuracy,
            interval=row.interval,
        )
        for row in measured_leaderboard().standings
    ]
    for published in publications():
        names = {system.name for system in systems}
        rows = [row for row in published.comparison.ranking if row.group == "fair" and row.recipe not in names]
        systems += [_measured(published.comparison, row) for row in rows]
    return sorted(systems, key=lambda system: -system.accuracy)


def _measured(comparison: Comparison, row: RankedRecipe) -> Measured:
    return Measured(
        name=row.recipe,
        about=get_recipe(row.recipe).summary,
        multiply_adds=comparison.scored(row.recipe)[0].multiply_adds or 0,
        accuracy=row.accuracy,
        interval=row.interval,
    )


def answer() -> str:
    """The best system, and accuracy and cost of every system measured on PublicTest."""
    best, second, *_ = systems = measured_systems()
    names = {system.name for system in systems}
    missing = [f"`{name}`" for name in DEFAULT_RECIPES if name not in names]
    open_part = f" Not measured yet: {listed(missing)}." if missing else ""
    sentence = (
        f"Of {len(systems)} networks measured so far, **{best.name}** is the best: {percent(best.accuracy)} % on "
        f"PublicTest (95 % interval {interval(best.interval)}), {100 * (best.accuracy - second.accuracy):.1f} points "
        f"more than {second.name}, for {best.multiply_adds / second.multiply_adds:.2g} times its multiply-adds."
        f"{open_part}"
    )
    rows = [
        [
            system.name,
            system.about,
            f"{system.multiply_adds / 1e6:,.0f}",
            percent(system.accuracy),
            interval(system.interval),
        ]
        for system in systems
    ]
    header = ["network", "", "multiply-adds per image, millions", "PublicTest, %", "95 % interval"]
    chart = "![Accuracy on PublicTest against multiply-adds per image](docs/accuracy-by-cost.svg)"
    return f"{sentence}\n\n{chart}\n\n{table(header, rows)}"


# ---------------------------------------------------------------------------- robustness


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


def search_size() -> str:
    """The share of faces found by face size and search size, and the time per photo."""
    rows = read(RESULTS / "benchmarks" / "search_size.json")["rows"]
    found: dict[int, dict[int, float]] = {}
    for name, value in rows.items():
        if match := re.fullmatch(r"faces of (\d+) pixels, search size (\d+): found, %", name):
            found.setdefault(int(match[1]), {})[int(match[2])] = value
    sizes = list(next(iter(found.values())))
    lines = [[f"{side} pixels", *(f"{shares[size]:.0f} %" for size in sizes)] for side, shares in found.items()]
    times = ["time", *(f"{rows[f'search size {size}: processor time, ms']:.0f} ms" for size in sizes)]
    return table(["face", *(f"`--search-size {size}`" for size in sizes)], [*lines, times])


def turned_faces() -> str:
    """Faces found, and emotions that are right, by the angle of the face."""
    rows = read(RESULTS / "benchmarks" / "turned_faces.json")["rows"]
    angles = sorted({int(name.split()[0]) for name in rows})
    columns = [f"{detector}, {what}" for what in ("found", "correct") for detector in ("OpenCV", "ferlab")]
    lines = [[f"{angle}°", *(f"{rows[f'{angle} degrees: {name}']:.1f} %" for name in columns)] for angle in angles]
    header = ["turned by", "found: `FaceDetectorYN`", "found: ferlab", "emotion: `FaceDetectorYN`", "emotion: ferlab"]
    return table(header, lines)


def prediction_speed() -> str:
    """Throughput and latency of prediction, against an older version, Keras and OpenCV."""
    measured = read(RESULTS / "benchmarks" / "predict.json")
    rows, ratios = measured["rows"], measured["ratios"]
    lines = []
    for what, side, other in (("photos", "old", "before"), ("frames", "old", "before"), ("photos", "Keras", "Keras")):
        name = f"{what} per second"
        ours, theirs, ratio = rows[f"{name}: ferlab"], rows[f"{name}: {side}"], ratios[f"{name}: ferlab / {side}"]
        lines.append([name, f"{ours:.1f}", f"{other}: {theirs:.1f}", f"{ratio:.1f}"])
    name = "one photograph, new process"
    ours, theirs, ratio = rows[f"{name}: ferlab, s"], rows[f"{name}: Keras, s"], ratios[f"{name}: Keras / ferlab"]
    lines.append([name, f"{ours:.2f} s", f"Keras: {theirs:.1f} s", f"{ratio:.1f}"])
    name = "640x446 array"
    ours, theirs = rows[f"{name}, ms: predict"], rows[f"{name}, ms: FaceDetectorYN"]
    ratio = 1 / ratios[f"{name}: predict / FaceDetectorYN"]
    lines.append([name, f"{ours:.1f} ms", f"`FaceDetectorYN.detect` alone: {theirs:.1f} ms", f"{ratio:.1f}"])
    return table(["", "ferlab", "compared to", "times as fast"], lines)


def prediction_stages() -> str:
    """Processor time per photograph of each stage of prediction, before and now."""
    rows = read(RESULTS / "benchmarks" / "predict.json")["rows"]
    stages = ("decode", "detect", "crop", "classify")
    cells = [[stage, *(f"{rows[f'{stage}, ms: {side}']:.1f} ms" for side in ("old", "ferlab"))] for stage in stages]
    return table(["stage", "before", "now"], cells)


# ---------------------------------------------------------------------------- the torture campaign

OUTCOMES = ("survived", "refused", "lost", "wrong", "crashed")


def torture() -> str:
    """The outcomes of the stored campaign, by attack, and its failures."""
    from tests.torture.campaign import attacks as all_attacks

    stored = read(RESULTS / "torture" / "campaign.json")
    attacks, machine = stored["attacks"], stored["machine"]
    total = {name: sum(attack[name] for attack in attacks) for name in ("attempts", *OUTCOMES, "seconds")}
    unfinished = [attack["attack"] for attack in attacks if attack["attempts"] < attack["planned"]]
    counts = listed([f"{total[name]:,} {name}" for name in OUTCOMES])
    sentences = [
        f"Of {total['attempts']:,} attempts (seed {stored['seed']}): {counts}. "
        f"The attacks took {total['seconds'] / 60:,.0f} minutes in total, on {machine['cores']} cores "
        f"({machine['cpu']})."
    ]
    sentences += [stored["note"]] if "note" in stored else []
    if unfinished:
        sentences.append(f"With fewer attempts than planned, because their time was up: {listed(unfinished)}.")
    if missing := [name for name in all_attacks() if name not in {attack["attack"] for attack in attacks}]:
        sentences.append(f"Not run to their end: {listed(missing)}.")
    rows = [
        [
            attack["attack"],
            f"{attack['attempts']:,} of {attack['planned']:,}",
            *(f"{attack[name]:,}" for name in OUTCOMES),
            f"{attack['peak_megabytes']:,}",
            f"{attack['seconds']:,}",
        ]
        for attack in attacks
    ]
    failures = "".join(
        f"- {item['attack']}, attempt {item['index']}: {item['outcome']}: {item['note']}\n"
        for item in stored["failures"]
    )
    header = ["attack", "attempts", *OUTCOMES, "peak memory, MB", "time, s"]
    return "\n".join(["\n\n".join(sentences) + "\n", table(header, rows), *([failures] if failures else [])])


def service_load() -> str:
    """The service under a mixed load and under streams: speed, latency, lost requests and memory."""
    rows = read(RESULTS / "benchmarks" / "serve_load.json")["rows"]
    lines = []
    for part, work in (("mixed", "requests"), ("soak", "requests"), ("streams", "frames")):
        measured = {name.removeprefix(f"{part}: "): value for name, value in rows.items() if name.startswith(part)}
        if not measured:  # the soak is optional
            continue
        done = measured["requests per s" if work == "requests" else "frames analyzed per s"]
        latency = "photos" if work == "requests" else "frames"
        memory = (measured["memory at 10-20 % of the time, MB"], measured["memory in the last 10 %, MB"])
        lines.append(
            [
                f"{part}, {measured['seconds']:.0f} s",
                f"{done:.1f} {work}",
                *(f"{measured[f'{latency} {quantile}, ms']:,.0f} ms" for quantile in ("p50", "p99")),
                f"{measured['lost']:.0f}",
                f"{memory[0]:.0f} → {memory[1]:.0f} MB",
            ]
        )
    return table(["load", "per second", "p50", "p99", "lost", "memory, early → late"], lines)


def service_throughput() -> str:
    """Throughput of the service against `Predictor` in a loop."""
    measured = read(RESULTS / "benchmarks" / "serve_load.json")
    lines = [
        [
            name,
            *(
                f"{measured['rows'][f'throughput: {side}, {what}']:.1f}"
                for what in ("photos per s", "processor ms per photo")
            ),
        ]
        for name, side in (("`ferlab serve`, 16 clients", "service"), ("`Predictor.predict` in a loop", "loop"))
    ]
    return table(["", "photos per second", "processor ms per photo"], lines)


BLOCKS: dict[str, Callable[[], str]] = {
    "answer": answer,
    "corruptions": corruptions,
    "data-info": data_info,
    "deviations": deviations,
    "leaderboard": leaderboard,
    "model-accuracy": model_accuracy,
    "model-classes": model_classes,
    "model-confusions": model_confusions,
    "model-facts": model_facts,
    "notebooks": notebooks,
    "other-faces": other_faces,
    "peers": peers,
    "prediction-speed": prediction_speed,
    "prediction-stages": prediction_stages,
    "reproduction": reproduction,
    "robustness": robustness_table,
    "search-size": search_size,
    "service-load": service_load,
    "service-throughput": service_throughput,
    "source-tree": source_tree,
    "torture": torture,
    "turned-faces": turned_faces,
    "twins": twins,
}
