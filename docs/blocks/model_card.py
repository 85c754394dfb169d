"""Blocks of the model cards: one set for each network in the package, and tables that compare them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import binomtest

from blocks.common import RESULTS, interval, percent, read, table
from ferlab.emotions import Target
from ferlab.evaluation.robustness import Robustness
from ferlab.formatting import listed
from ferlab.json_files import read_result
from ferlab.predict import Artifact
from ferlab.predict.packaged import DEFAULT_MODEL, NETWORKS, NetworkCard
from ferlab.recipes.model_stats import ModelStats, load_model_stats

FOLDER = RESULTS / "models"
TARGETS = {Target.FER2013: "FER2013's labels", Target.FERPLUS: "FER+ votes"}
SPLITS = {"PrivateTest": "private_test.json", "PublicTest": "public_test.json"}


def card_blocks() -> dict[str, Callable[[], str]]:
    """The blocks of each network's card, as `<network>-<block>`."""
    blocks = {
        "accuracy": accuracy,
        "classes": classes,
        "confusions": confusions,
        "facts": facts,
        "robustness": robustness_table,
    }
    return {f"{card.name}-{name}": partial(block, card) for card in NETWORKS for name, block in blocks.items()}


def networks() -> str:
    """The networks in the package side by side: size, accuracy on their own target, and faces of other sources."""
    web = web_faces()
    rows = [
        [
            f"[`{card.name}`]({card.name}.md)",
            TARGETS[card.target],
            f"{card.file.stat().st_size / 1e6:.1f}",
            f"{_stats(card).multiply_adds / 1e6:.0f}",
            percent(_scores(card)["PublicTest"]["accuracy"]),
            f"{measured_robustness(card).score:.3f}",
            percent(web[card.name]["natural_mix"]),
            percent(web[card.name]["mean_of_five"]),
        ]
        for card in NETWORKS
    ]
    header = ["network", "learned", "MB", "multiply-adds per face, millions", "PublicTest, own labels, %", "robustness"]
    return table([*header, "web faces: natural mix, %", "mean of five recalls, %"], rows)


def network_names() -> str:
    """What each network in the package is."""
    names = [f"`{card.name}`{' (default)' if card.name == DEFAULT_MODEL else ''}" for card in NETWORKS]
    return table(["name", "what it is"], [[name, card.summary] for name, card in zip(names, NETWORKS, strict=True)])


def web_faces() -> dict[str, dict[str, Any]]:
    """What `benchmarks/other_faces.py` measured of each network in the package."""
    rows = {row["model"]: row for row in read(RESULTS / "benchmarks" / "other_faces.json")["rows"]}
    for card in NETWORKS:  # the file in the package must be the one that was measured
        assert rows[card.name]["accuracy"] == Artifact(card.file).metadata["accuracy"]["validation"], card.name
    return rows


def web_recalls() -> str:
    """Of 100 web faces of each class, how many each network recognizes."""
    web = web_faces()
    names = list(next(iter(web.values()))["recalls"])
    images = next(iter(web.values()))["images"]
    rows = [[name, images[name], *(percent(web[card.name]["recalls"][name]) for card in NETWORKS)] for name in names]
    return table(["class", "faces", *(f"`{card.name}`, %" for card in NETWORKS)], rows)


def facts(card: NetworkCard) -> str:
    """The metadata of a network."""
    artifact = Artifact(card.file)
    metadata, stats = artifact.metadata, _stats(card)
    rows = {
        "recipe": f"`{metadata['name']}`, seed {metadata['protocol']['seed']}",
        "learned": TARGETS[card.target],
        "classes": ", ".join(artifact.class_names),
        "parameters": f"{stats.parameters:,}",
        "multiply-adds per face": f"{stats.multiply_adds:,}",
        "file": f"{artifact.path.stat().st_size / 1e6:.2f} MB",
        "SHA-256, with zeros in place of this hash": f"`{metadata['sha256']}`",
        "temperature": f"{metadata['temperature']:.3f}",
        "Training": f"fingerprint `{metadata['fingerprints']['train']}`",
        "PublicTest": f"fingerprint `{metadata['fingerprints']['validation']}`",
    }
    return table(["", ""], rows.items())


def _stats(card: NetworkCard) -> ModelStats:
    return load_model_stats()[Artifact(card.file).metadata["name"]]


def _scores(card: NetworkCard) -> dict[str, dict[str, Any]]:
    """The scores of a network by test split. Those on PrivateTest may not be there yet."""
    files = {split: FOLDER / card.name / name for split, name in SPLITS.items()}
    return {split: read(path) for split, path in files.items() if path.exists()}


def peers() -> str:
    """The network that learned FER2013's labels beside published models, on the same images."""
    [card] = [card for card in NETWORKS if card.target == Target.FER2013]
    scores = _scores(card)
    own = [percent(scores[split]["accuracy"]) for split in SPLITS]
    rows = [[f"**ferlab** (`{card.name}`)", f"{_stats(card).parameters:,}", *own]]
    for model in read(FOLDER / "peers.json")["models"]:
        shares = [percent(model["private_test"]), percent(model["public_test"])]
        rows.append([model["name"], f"{model['parameters']:,}", *shares])
    return table(["model", "parameters", "PrivateTest, %", "PublicTest, %"], rows)


def accuracy(card: NetworkCard) -> str:
    """The scores of a network on the test splits that were scored."""
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
    splits = _scores(card)
    rows = [[name, *(measure(scores) for scores in splits.values())] for name, measure in measures.items()]
    return table(["", *splits], rows)


def classes(card: NetworkCard) -> str:
    """Recall and precision of each class."""
    splits = _scores(card)
    private, public = splits.get("PrivateTest"), splits["PublicTest"]
    rows = []
    for number, (name, counts) in enumerate(zip(public["class_names"], public["confusion"], strict=True)):
        predicted = sum(row[number] for row in public["confusion"])
        cells = [_share(counts[number], sum(counts)), _share(counts[number], predicted)]
        held_back = (
            [percent(private["per_class"][name][measure]) for measure in ("recall", "precision")] if private else []
        )
        rows.append([name, *held_back, *cells])
    header = [f"{split}: {measure}, %" for split in splits for measure in ("recall", "precision")]
    return table(["class", *header], rows)


def _share(part: int, whole: int) -> str:
    """A share with its 95 % interval, in percent."""
    bounds = binomtest(part, whole).proportion_ci(method="wilson")
    return f"{percent(part / whole)} ({interval([bounds.low, bounds.high])})"


def confusions(card: NetworkCard) -> str:
    """The five most frequent confusions on PublicTest."""
    scores = _scores(card)["PublicTest"]
    names, counts = scores["class_names"], scores["confusion"]
    pairs = [
        (counts[true][predicted] / sum(counts[true]), names[true], names[predicted])
        for true in range(len(names))
        for predicted in range(len(names))
        if true != predicted
    ]
    pairs.sort(reverse=True)
    return "".join(f"- {percent(share, 0)} % of {true} is predicted as {other}.\n" for share, true, other in pairs[:5])


def measured_robustness(card: NetworkCard) -> Robustness:
    """The robustness of a network, as `ferlab robustness` wrote it."""
    return read_result(Robustness, FOLDER / card.name / "robustness.json")


def robustness_table(card: NetworkCard) -> str:
    """The robustness of a network."""
    result = measured_robustness(card)
    clean = result.clean_accuracy
    assert clean == Artifact(card.file).metadata["accuracy"][result.split], "measured on another file"
    worst = sorted(result.corruptions, key=lambda name: sum(result.corruptions[name].accuracies))[:3]
    introduction = (
        f"On the {result.images:,} images of PublicTest with {TARGETS[card.target]}. Clean accuracy: "
        f"{percent(clean, 2)} %. Score: {result.score:.3f}. The largest losses come from "
        f"{listed([name.replace('_', ' ') for name in worst])}.\n"
    )
    rows = [
        [name.replace("_", " "), *(percent(share) for share in (clean, *row.accuracies))]
        for name, row in result.corruptions.items()
    ]
    return f"{introduction}\n{table(['accuracy, %', 'clean', '1', '2', '3', '4', '5'], rows)}"


def kept_accuracy() -> str:
    """The share of its clean accuracy that each network keeps under each corruption."""
    results = [measured_robustness(card) for card in NETWORKS]
    rows = [
        [name.replace("_", " "), *(f"{_kept(result, name):.3f}" for result in results)]
        for name in results[0].corruptions
    ]
    rows.append(["**score**", *(f"**{result.score:.3f}**" for result in results)])
    return table(["corruption", *(f"`{card.name}`" for card in NETWORKS)], rows)


def _kept(result: Robustness, corruption: str) -> float:
    return float(np.mean(result.corruptions[corruption].accuracies)) / result.clean_accuracy


def other_faces() -> str:
    """Scores on held-back faces from other sources, each model with the face crop that suits it best."""
    rows = []
    for model in read(FOLDER / "other_faces.json")["models"]:
        crop, best = max(model["crops"].items(), key=lambda item: item[1]["natural_mix"])
        recall = [percent(best["recall"][name]) for name in ("neutral", "happy", "surprise")]
        scores = [percent(share) for share in (model["ck_accuracy"], best["natural_mix"], best["balanced_five"])]
        rows.append([model["name"], crop, *scores, *recall])
    header = ["model", "face crop", "CK+, %", "web faces, natural mix, %", "mean of five recalls, %"]
    return table([*header, "recall of neutral, %", "happy, %", "surprise, %"], rows)
