"""Fine-tuning: better than the network as it was and than training from scratch, divided by persons, and resumable."""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

from ferlab import Dataset, Split, explain, finetune, train
from ferlab.backend import start_keras
from ferlab.cli import app
from ferlab.data.demo import render_random_face
from ferlab.emotions import EMOTIONS
from ferlab.errors import ArtifactError, DataError, FerlabError
from ferlab.evaluation.metrics import softmax
from ferlab.evaluation.paired import mcnemar_p_value, sign_test_p_value
from ferlab.evaluation.trained_model import open_model
from ferlab.export.parity import TOLERANCES, Tolerance
from ferlab.finetuning.finetune import FineTuning, _check_start, _overlap_notes, _verdict
from ferlab.finetuning.photos import read_photos
from ferlab.predict import Artifact
from ferlab.runs import RunFolder
from tests.artifacts import linear_artifact
from tests.finetuning.faces import other_style, write_style

CLASSES = ("happy", "sad", "surprise")
PHOTOS_PER_CLASS = 20


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty faces of another style in each of three classes."""
    return write_style(tmp_path_factory.mktemp("photos"), PHOTOS_PER_CLASS, CLASSES)


@pytest.fixture(scope="module")
def others() -> tuple[np.ndarray, np.ndarray]:
    """More faces of that style, which no training sees, and their labels."""
    generator = np.random.default_rng(1)
    labels = np.repeat(np.arange(len(CLASSES)), 40)
    return np.array([other_style(CLASSES[label], generator) for label in labels]), labels


@pytest.fixture(scope="module")
def tuned(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> FineTuning:
    """A network in the package, fine-tuned on the photos. (The default one recognizes all of them as it is.)"""
    return finetune(photos, tmp_path_factory.mktemp("tuned"), model="fer2013", crops=True)


def test_it_beats_the_network_as_it_was_and_training_from_scratch(
    photos: Path, others: tuple[np.ndarray, np.ndarray], tuned: FineTuning, tmp_path: Path
) -> None:
    images, labels = others
    artifact = Artifact(tuned.artifact)
    assert artifact.class_names == CLASSES
    accuracy = np.mean(artifact.probabilities(images).argmax(axis=1) == labels)
    before = Artifact("fer2013").probabilities(images)[:, [EMOTIONS.index(name) for name in CLASSES]]
    dataset = read_photos(photos, crops=True).dataset
    scratch = train("fernet_s_quick", dataset, tmp_path / "scratch", epochs=30, batch_size=16)
    from_scratch = open_model(scratch.path)(images)
    assert accuracy > np.mean(before.argmax(axis=1) == labels) + 0.1
    assert accuracy > np.mean(from_scratch.argmax(axis=1) == labels) + 0.1
    assert tuned.photos == {"train": 36, "validation": 12, "test": 12}
    assert tuned.accuracy_before is not None and tuned.difference is not None and tuned.p_value is not None
    assert tuned.accuracy_interval[0] < 1
    assert tuned.verdict
    assert has_8_bits(artifact.path), "as the network it started from"


def has_8_bits(file: Path) -> bool:
    start_keras()
    from ferlab.finetuning.onnx_network import has_8_bit_weights

    return has_8_bit_weights(file)


def test_predictions_that_8_bits_would_change_keep_32(
    photos: Path, tuned: FineTuning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "tuned"
    shutil.copytree(Path(tuned.artifact).parent, out)
    monkeypatch.setitem(TOLERANCES, "int8", Tolerance(max_difference=0.0, changed=0.0, accuracy_loss=0.0))
    again = finetune(photos, out, model="fer2013", crops=True, resume=True)
    assert not has_8_bits(Path(again.artifact))
    assert again.notes[:-1] == tuned.notes and "the file has 32 bits" in again.notes[-1]


def test_a_finished_fine_tuning_is_resumed_without_training_again(
    photos: Path, tuned: FineTuning, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only with --resume, and only on the same photos."""
    out = Path(tuned.artifact).parent
    history = (out / "all_layers" / "history.jsonl").read_bytes()
    with pytest.raises(FerlabError, match="already contains a run"):
        finetune(photos, out, model="fer2013", crops=True)
    command = ["finetune", str(photos), "--from", "fer2013", "--out", str(out), "--crops", "--resume", "--quiet"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert tuned.verdict in result.stdout and "fer2013 as it was" in result.stdout
    assert (out / "all_layers" / "history.jsonl").read_bytes() == history
    assert Artifact(tuned.artifact).metadata["protocol"]["started_from"] == "fer2013"
    recipe = RunFolder(out / "all_layers").recipe()
    changed = recipe.changed({"architecture": "fer2013 of another version"})
    assert recipe.architecture.startswith("fer2013 "), "with the hash of the file"
    assert changed.training_fields() != recipe.training_fields(), "it would not be resumed from another network"


def test_the_network_of_an_artifact_is_read_back_into_keras() -> None:
    """In 8 bits up to the rounding of activations, which changes few predictions."""
    start_keras()
    from ferlab.finetuning.onnx_network import read_network
    from ferlab.models import predict_logits

    generator = np.random.default_rng(0)
    faces = np.array([render_random_face(emotion, generator) for emotion in EMOTIONS * 8])
    artifact = Artifact("fer2013")
    expected, found = artifact.probabilities(faces), softmax(predict_logits(read_network(artifact.path), faces))
    assert np.mean(expected.argmax(axis=1) == found.argmax(axis=1)) > 0.9
    assert np.abs(expected - found).mean() < 0.02


def test_a_network_that_cannot_be_trained_is_refused(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(FerlabError, match="'other'|other does not exist"):
        finetune(photos, tmp_path / "out", model="other", crops=True)
    linear_artifact(tmp_path / "linear.onnx")
    with pytest.raises(FerlabError):
        finetune(photos, tmp_path / "out", model=tmp_path / "linear.onnx", crops=True)
    assert not (tmp_path / "out").exists()


def write_persons(folder: Path, persons: int, each: int) -> Path:
    """Write faces as <class>/<person>/<number>.png; each person has all classes."""
    generator = np.random.default_rng(0)
    for emotion in CLASSES:
        for person in range(persons):
            target = folder / emotion / f"person{person}"
            target.mkdir(parents=True)
            for number in range(each):
                cv2.imwrite(str(target / f"{number}.png"), other_style(emotion, generator))
    return folder


def test_no_person_and_no_copy_is_in_two_parts(tmp_path: Path) -> None:
    """Persons come from folders or from a table; a mirrored copy is a copy."""
    folder = write_persons(tmp_path / "persons", persons=6, each=2)
    found = read_photos(folder, crops=True, person_folders=True)
    assert (found.num_persons, len(found.dataset), found.dataset.class_names) == (6, 36, CLASSES)
    persons = np.array([Path(name).parent.name for name in found.dataset.names])
    for split in Split:
        assert found.dataset.has(split)
        inside = found.dataset.splits == split
        assert not set(persons[inside]) & set(persons[~inside])
    shutil.copy(next(folder.glob("happy/*/*.png")), folder / "happy" / "loose.png")
    with pytest.raises(DataError, match=r"happy/loose.png.*not in a class folder such as .*<class>/<person>"):
        read_photos(folder, crops=True, person_folders=True)
    flat = write_style(tmp_path / "flat", 8, CLASSES)
    first = cv2.imread(str(flat / "happy" / "000.png"))
    for number in range(8, 14):
        cv2.imwrite(str(flat / "happy" / f"{number:03d}.png"), first[:, :: -1 if number % 2 else 1])
    copies = read_photos(flat, crops=True)
    same = [name in {f"happy/{number:03d}.png" for number in (0, *range(8, 14))} for name in copies.dataset.names]
    assert len(set(copies.dataset.splits[np.array(same)])) == 1
    table = {str(name): "anna" for name in copies.dataset.names if "/001" in name or "/002" in name}
    named = read_photos(flat, crops=True, persons=table)
    assert named.num_persons == 1
    assert (
        len(
            {int(split) for name, split in zip(named.dataset.names, named.dataset.splits, strict=True) if name in table}
        )
        == 1
    )


def test_photos_that_cannot_be_divided_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="class 'happy' has 4 different photos or persons, but at least 5"):
        read_photos(write_style(tmp_path / "few", 4, CLASSES), crops=True)
    write_style(tmp_path / "given" / "train", 5, CLASSES)
    write_style(tmp_path / "given" / "test", 5, CLASSES)  # the same faces
    write_style(tmp_path / "given" / "val", 5, CLASSES, seed=1)
    with pytest.raises(DataError, match="the train and test folders share copies or persons"):
        read_photos(tmp_path / "given", crops=True)


def test_own_classes_start_without_a_comparison() -> None:
    assert "does not know all of these classes" in _verdict(None, None, None, 10, 10)
    assert _verdict(0.2, (-0.1, 0.5), 0.3, 10, 10).startswith("10 test photos are too few to tell")
    assert _verdict(0.2, (-0.1, 0.5), 0.3, 10, 3).startswith(
        "10 test photos, of 3 persons or different photos, are too"
    )
    assert _verdict(0.6, None, 1.0, 10, 1).startswith("All test photos are of one person, too few to tell")
    assert _verdict(0.2, (0.1, 0.3), 0.01, 100, 100).startswith("Fine-tuning made the network better")
    assert _verdict(-0.2, (-0.3, -0.1), 0.01, 100, 100).startswith("Fine-tuning made the network worse")


def test_heat_maps_of_the_result_are_compared_with_those_of_untrained_networks(tuned: FineTuning) -> None:
    images = np.stack([render_random_face(name, np.random.default_rng(seed)) for seed, name in enumerate(CLASSES)])
    explained = explain(Path(tuned.artifact).parent / tuned.stage, images)
    assert explained.rank_correlation is not None


def test_a_person_is_one_piece_of_evidence() -> None:
    """Twelve photos of one person prove nothing; six persons that all gain do."""
    gains = np.ones(12)
    assert sign_test_p_value(gains, np.zeros(12, int)) == 1
    assert sign_test_p_value(gains, np.repeat(np.arange(6), 2)) == pytest.approx(2 * 0.5**6)
    one, two = np.arange(12) < 9, np.arange(12) % 2 == 0
    photos = np.arange(12)
    assert sign_test_p_value(one.astype(float) - two, photos) == pytest.approx(mcnemar_p_value(one, two, photos))


def test_a_network_that_learned_these_photos_in_another_division_is_refused(photos: Path, tuned: FineTuning) -> None:
    """Of a file, only a note can say so: it does not tell which photos it has learned."""
    start_keras()
    from ferlab.finetuning.start import open_start

    found = read_photos(photos, crops=True).dataset
    fewer = found.where(np.arange(len(found)) > 0)
    run = open_start(Path(tuned.artifact).parent / tuned.stage)
    _check_start(run, found)
    with pytest.raises(DataError, match="was trained on some of its (validation|test) images"):
        _check_start(run, _divided_again(fewer))
    file = open_start(tuned.artifact)
    assert _overlap_notes(file, found) == _overlap_notes(open_start("fast"), found) == ()
    for start in (file, run):
        assert "has learned other photos" in _overlap_notes(start, _divided_again(fewer))[0]


def _divided_again(dataset: Dataset) -> Dataset:
    """Exchange training and test photos."""
    return replace(dataset, splits=np.choose(dataset.splits, [Split.TEST, Split.VALIDATION, Split.TRAIN]))


def test_skipped_photos_may_be_in_the_table_of_persons_and_leave_no_split_empty(tmp_path: Path) -> None:
    folder = write_style(tmp_path / "photos", 6, CLASSES)
    (folder / "happy" / "bad.png").write_bytes(b"not an image")
    found = read_photos(folder, crops=True, skip_bad=True, persons={"happy/bad.png": "anna", "happy/000.png": "anna"})
    assert (found.num_persons, len(found.dataset)) == (1, 18)
    for name in ("train", "val"):
        write_style(tmp_path / "given" / name, 5, CLASSES, seed=len(name))
    for emotion in CLASSES:
        (tmp_path / "given" / "test" / emotion).mkdir(parents=True)
        (tmp_path / "given" / "test" / emotion / "bad.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match="no photo of the test folder can be used"):
        read_photos(tmp_path / "given", crops=True, skip_bad=True)


def test_networks_that_would_be_misread_are_refused(tmp_path: Path) -> None:
    start_keras()
    from ferlab.finetuning.onnx_network import read_network

    kernel = helper.make_tensor("kernel", TensorProto.FLOAT, (7, 1, 3, 3), np.ones(63, np.float32))
    nodes = [
        helper.make_node("Transpose", ["images"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "kernel"], ["maps"], dilations=[2, 2]),
        helper.make_node("ReduceMean", ["maps"], ["logits"], axes=[2, 3], keepdims=0),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("images", ["N", 48, 48, 1]), ("probabilities", ["N", 7]))
    ]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], [kernel])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "dilated.onnx")
    with pytest.raises(ArtifactError, match="dilated.onnx has a dilated Conv"):
        read_network(tmp_path / "dilated.onnx")
    nodes[1].ClearField("attribute")
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], [kernel])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "headless.onnx")
    with pytest.raises(ArtifactError, match="headless.onnx has no dense layer"):
        read_network(tmp_path / "headless.onnx")
