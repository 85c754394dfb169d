"""Blocks of the model card."""

from typing import Any

from scipy.stats import binomtest

from blocks.common import RESULTS, interval, percent, read, table
from ferlab.predict import Artifact
from ferlab.recipes.model_stats import load_model_stats


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
