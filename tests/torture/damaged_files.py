"""Read damaged files of every kind that ferlab reads. Images are in `images.py`."""

import gzip
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ferlab import Dataset, Split, load_dataset
from ferlab.errors import FerlabError
from ferlab.run_arrays import ClassMaps
from ferlab.runs import RunFolder
from tests.torture import damage
from tests.torture.attack import ReadingAttack
from tests.torture.commands import PLUGIN, small_dataset, write_table
from tests.torture.damage import Damage, one_of
from tests.torture.outcomes import Outcome, Report

NUM_CLASSES = 7
TRAINED = {"epochs": 2, "steps_per_epoch": 1, "batch_size": 8, "policy": "float32"}
JSON = one_of(damage.damage_bytes, damage.damage_json)
JSON_LINES = one_of(damage.damage_bytes, damage.damage_json_line)
ARRAYS = one_of(damage.damage_array, damage.damage_member)


@dataclass(frozen=True, kw_only=True)
class FileKind:
    """A kind of file, with the damage that is done to it and the code that reads it.

    Args:
        name: name of the attack.
        file: the file, within the folder of valid files.
        damage: the damage.
        read: reads the file. The folder around it is that of the valid file.
        exact: whether a checksum protects the file: what is read is then the undamaged content, or nothing.
        uses_keras: whether it is read with Keras.
    """

    name: str
    file: str
    damage: Damage
    read: Callable[[Path], Any]
    exact: bool = False
    uses_keras: bool = False


class DamagedFile(ReadingAttack):
    """Read one kind of damaged file.

    Args:
        folder: the folder of the attack.
        seed: the seed of the campaign.
        kind: the kind of file.
    """

    planned = 1_000

    def __init__(self, folder: Path, seed: int, kind: FileKind) -> None:
        super().__init__(folder, seed)
        self.kind, self.name, self.uses_keras = kind, kind.name, kind.uses_keras

    @property
    def valid(self) -> Path:
        """The valid file."""
        return self.folder.parent / ("trained" if self.kind.uses_keras else "valid") / self.kind.file

    def prepare(self) -> None:
        """Write the valid files, which all kinds share."""
        root = self.folder.parent / ("trained" if self.kind.uses_keras else "valid")
        if not root.exists():
            root.mkdir()
            self.in_child(lambda: (write_trained_run if self.kind.uses_keras else write_valid_files)(root), "inputs")

    @cached_property
    def expected(self) -> str:
        """The digest of what is read from the valid file."""
        return digest(self.kind.read(self.valid))

    def read(self, number: int) -> Report:
        """Damage the file and read it."""
        expected = self.expected  # first: reading the valid file may fill a cache
        folder = self.place(number) / self.valid.parent.name
        shutil.copytree(self.valid.parent, folder)
        path = folder / self.valid.name
        path.write_bytes(self.kind.damage(self.valid.read_bytes(), self.generator(number)))
        try:
            found = digest(self.kind.read(path))
        except FerlabError as error:
            clear = path.name.removesuffix(".job.json") in str(error)
            return Report(
                outcome=Outcome.REFUSED if clear else Outcome.CRASHED, note=f"{type(error).__name__}: {error}"
            )
        if self.kind.exact and found != expected:
            return Report(outcome=Outcome.WRONG, note="other content was read without an error")
        return Report(outcome=Outcome.SURVIVED)


class DamagedCache(ReadingAttack):
    """Load a dataset whose cached copy is damaged. It must be read from its source again."""

    name = "cache"
    planned = 1_000

    def prepare(self) -> None:
        """Write a table that is read fast, because it is read again whenever its cached copy is damaged."""
        data = small_dataset()
        write_table(self.folder / "fer2013.csv", data.where(np.arange(len(data)) % 20 == 0))

    @cached_property
    def stored(self) -> tuple[str, Path, bytes]:
        """The digest of the dataset, and the path within the cache and content of its cached copy."""
        os.environ["XDG_CACHE_HOME"] = str(self.folder / "cache")
        found = digest(load_dataset(self.folder / "fer2013.csv"))
        (file,) = (self.folder / "cache").rglob("*.npz")
        return found, file.relative_to(self.folder / "cache"), file.read_bytes()

    def read(self, number: int) -> Report:
        """Damage the cached copy and load the dataset."""
        expected, file, content = self.stored
        path = self.place(number) / file
        path.parent.mkdir(parents=True)
        path.write_bytes(damage.damage_bytes(content, self.generator(number)))
        os.environ["XDG_CACHE_HOME"] = str(self.place(number))
        same = digest(load_dataset(self.folder / "fer2013.csv")) == expected
        return Report(outcome=Outcome.SURVIVED if same else Outcome.WRONG)


def digest(value: Any) -> str:
    """Hash what was read: arrays with their values, all else as it is printed."""
    if isinstance(value, Dataset):
        value = {name: getattr(value, name) for name in ("images", "labels", "splits", "names", "class_names")}
    if isinstance(value, Mapping):
        return digest(";".join(f"{key}={digest(item)}" for key, item in value.items()))
    if isinstance(value, np.ndarray):
        value = f"{value.dtype} {value.shape} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    return hashlib.sha256(str(value).encode("utf-8", "backslashreplace")).hexdigest()


# ---------------------------------------------------------------------------- valid files


def write_valid_files(root: Path) -> None:
    """Write a valid file of each kind that needs no Keras."""
    from ferlab.comparison.compare_runs import compare_runs
    from ferlab.emotions import EMOTIONS
    from ferlab.evaluation.predictions import write_predictions
    from tests.artifacts import linear_artifact
    from tests.comparisons import write_run

    for name in ("data", "comparison", "tables", "lists", "predictions", "model"):
        (root / name).mkdir()
    data = small_dataset()
    run = RunFolder(write_run(root / "run", data, "fair_newmodel", 0, 0.6))
    run.write_explanations(
        ClassMaps(
            maps=np.zeros((7, 6, 6), np.float32),
            images=np.full(7, 3),
            split=np.array("validation"),
            layer=np.array("features"),
            rank_correlation=np.array(0.5),
        )
    )
    compare_runs([run.path], root / "comparison")
    write_data(root / "data", data)
    part = data.take(Split.VALIDATION)
    for suffix in ("csv", "npz"):
        write_predictions(root / "predictions" / f"own.{suffix}", part.names, np.full((len(part), 7), 1 / 7), EMOTIONS)
    linear_artifact(root / "model" / "linear.onnx")
    (root / "lists" / "exclude.txt").write_text("".join(f"{name}\n" for name in data.names[:9]))
    groups = "".join(f"{name},{number % 3}\n" for number, name in enumerate(data.names[:9]))
    (root / "lists" / "groups.csv").write_text(f"name,group\n{groups}")
    for suffix in ("csv", "jsonl", "parquet"):
        (root / "tables" / suffix).mkdir()
        write_job(root / "tables" / suffix / f"faces.{suffix}")


def write_data(folder: Path, data: Dataset) -> None:
    """Write a dataset as a table, compressed, zipped, and as images in a zip, each in a folder of its own."""
    from tests.scenes import encoded

    for name in ("csv", "gz", "zip", "images"):
        (folder / name).mkdir()
    table = folder / "csv" / "fer2013.csv"
    write_table(table, data.where(np.arange(len(data)) % 4 == 0))
    with gzip.open(folder / "gz" / "fer2013.csv.gz", "wb") as file:
        file.write(table.read_bytes())
    with zipfile.ZipFile(folder / "zip" / "fer2013.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(table, "fer2013.csv")
    with zipfile.ZipFile(folder / "images" / "images.zip", "w") as archive:
        for number, (image, label) in enumerate(zip(data.images[:70], data.labels, strict=False)):
            split = ("train", "test")[number % 2]
            archive.writestr(f"{split}/{data.class_names[label]}/{number}.png", encoded(image))


def write_job(table: Path) -> None:
    """Write a complete prediction table, with the settings of its job."""
    from ferlab.predict.job import Job
    from ferlab.predict.table import image_rows
    from ferlab.predict.table_files import open_writer
    from tests.predict.test_results import FACE
    from tests.predict.test_table import CLASSES, SETTINGS

    with open_writer(table, None, CLASSES, Job(table=table, settings=SETTINGS, sources=SOURCES)) as writer:
        for number, source in enumerate(sorted(SOURCES)):
            writer.write(image_rows(source, [FACE] * (number % 3)))


SOURCES = frozenset(f"photo{number:02}.jpg" for number in range(12))


def write_trained_run(root: Path) -> None:
    """Train a tiny network, and keep its checkpoint."""
    import ferlab

    ferlab.load_plugin(PLUGIN)
    ferlab.train("tortured", small_dataset(), root / "run", **TRAINED)


# ---------------------------------------------------------------------------- readers


def _run_json(name: str, read: Callable[[RunFolder], Any]) -> FileKind:
    return FileKind(name=name, file=f"run/{name}", damage=JSON, read=lambda path: read(RunFolder(path.parent)))


def _run_arrays(name: str, read: Callable[[RunFolder], Any]) -> tuple[FileKind, FileKind]:
    """An `.npz` file with damaged bytes, which checksums reveal, and with changed arrays."""
    file = f"run/{name}"

    def reader(path: Path) -> dict[str, np.ndarray] | None:
        found = read(RunFolder(path.parent))
        return vars(found) if found else None

    return (
        FileKind(name=name, file=file, damage=damage.damage_bytes, read=reader, exact=True),
        FileKind(name=f"{name}, arrays", file=file, damage=ARRAYS, read=reader),
    )


def _data(name: str, file: str, kind: Damage = damage.damage_bytes, *, exact: bool = False) -> FileKind:
    return FileKind(
        name=name, file=file, damage=kind, exact=exact, read=lambda path: load_dataset(path, use_cache=False)
    )


def _read_predictions(path: Path) -> np.ndarray:
    from ferlab.evaluation.predictions import read_predictions

    return read_predictions(path).aligned(small_dataset().take(Split.VALIDATION))


def _read_comparison(path: Path) -> Any:
    from ferlab.comparison.results import read_comparison

    return read_comparison(path.parent)


def _read_groups(path: Path) -> Any:
    from ferlab.evaluation.evaluate import read_groups

    return read_groups(path)


def _exclude(path: Path) -> Any:
    from ferlab.data.exclude import exclude_images

    return exclude_images(small_dataset(), path)


def _predict(path: Path) -> np.ndarray:
    from ferlab.predict import Artifact

    return Artifact(path, threads=1).probabilities(np.zeros((2, 48, 48), np.uint8))


def _resume_table(path: Path) -> Any:
    """Resume a job whose table, or settings, were damaged."""
    from ferlab.predict.job import Job
    from ferlab.predict.table_files import open_writer
    from tests.predict.test_table import CLASSES, SETTINGS

    table = path.with_name(path.name.removesuffix(".job.json"))
    job = Job(table=table, settings=SETTINGS, sources=SOURCES, resume=True)
    with open_writer(table, None, CLASSES, job) as writer:
        return sorted(map(str, writer.done))


def _predict_keras(path: Path) -> np.ndarray:
    from ferlab.evaluation.trained_model import open_model

    return open_model(path)(np.zeros((2, 48, 48), np.uint8))


def _restore_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """Restore a checkpoint as a resumed training does."""
    from ferlab.progress import TrainingProgress
    from ferlab.training.callbacks import Selection
    from ferlab.training.checkpoint import Checkpoint, read_variables

    model, recipe = _compiled_model()
    selection = SimpleNamespace(state_names=Selection.state_names)
    Checkpoint(RunFolder(path.parents[1]), [selection], TrainingProgress(recipe, quiet=True)).restore(model)
    return read_variables(model)


@cache
def _compiled_model() -> tuple[Any, Any]:
    import ferlab
    from ferlab.backend import start_keras
    from ferlab.models import build_trainable
    from ferlab.recipes import get_recipe
    from ferlab.training.optimizers import make_optimizer

    start_keras()
    ferlab.load_plugin(PLUGIN)
    recipe = get_recipe("tortured").changed(TRAINED)
    model = build_trainable(recipe.architecture, NUM_CLASSES, **recipe.model)
    model.compile(optimizer=make_optimizer(recipe, TRAINED["steps_per_epoch"]), loss="categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    return model, recipe


def _rehash(content: bytes, generator: np.random.Generator) -> bytes:
    """Damage an artifact and give it the right hash again, as an attacker would."""
    from ferlab.predict.artifact import digest as artifact_digest

    place = content.find(b'"', content.find(b"sha256")) + 1
    stated = content[place : place + 64]
    changed = damage.damage_bytes(content, generator)
    if stated not in changed:
        return changed
    return changed.replace(stated, artifact_digest(changed, stated.decode()).encode())


KINDS: tuple[FileKind, ...] = (
    _run_json("config.json", RunFolder.recipe),
    _run_json("environment.json", RunFolder.dataset),
    _run_json("result.json", RunFolder.result),
    FileKind(
        name="history.jsonl",
        file="run/history.jsonl",
        damage=JSON_LINES,
        read=lambda path: RunFolder(path.parent).history(),
    ),
    *_run_arrays("predictions.npz", lambda run: run.predictions("validation")),
    *_run_arrays("explanations.npz", RunFolder.explanations),
    FileKind(name="comparison.json", file="comparison/comparison.json", damage=JSON, read=_read_comparison),
    FileKind(name="predictions, CSV", file="predictions/own.csv", damage=damage.damage_bytes, read=_read_predictions),
    FileKind(
        name="predictions, npz",
        file="predictions/own.npz",
        damage=damage.damage_bytes,
        read=_read_predictions,
        exact=True,
    ),
    FileKind(name="predictions, npz arrays", file="predictions/own.npz", damage=ARRAYS, read=_read_predictions),
    FileKind(name="exclude list", file="lists/exclude.txt", damage=damage.damage_bytes, read=_exclude),
    FileKind(name="groups", file="lists/groups.csv", damage=damage.damage_bytes, read=_read_groups),
    _data("fer2013.csv", "data/csv/fer2013.csv"),
    _data("fer2013.csv.gz", "data/gz/fer2013.csv.gz", exact=True),
    _data("fer2013.zip", "data/zip/fer2013.zip", exact=True),
    _data("images.zip", "data/images/images.zip", exact=True),
    _data("images.zip, members", "data/images/images.zip", damage.damage_member),
    *(
        FileKind(name=f"table, {suffix}", file=f"tables/{suffix}/faces.{suffix}", damage=kind, read=_resume_table)
        for suffix, kind in (("csv", damage.damage_bytes), ("jsonl", JSON_LINES), ("parquet", damage.damage_bytes))
    ),
    FileKind(name="job.json", file="tables/csv/faces.csv.job.json", damage=JSON, read=_resume_table),
    FileKind(
        name="checkpoint",
        file="run/checkpoint/state.npz",
        damage=damage.damage_bytes,
        read=_restore_checkpoint,
        exact=True,
        uses_keras=True,
    ),
    FileKind(
        name="checkpoint, arrays",
        file="run/checkpoint/state.npz",
        damage=ARRAYS,
        read=_restore_checkpoint,
        uses_keras=True,
    ),
    FileKind(
        name="model.keras",
        file="run/model.keras",
        damage=damage.damage_bytes,
        read=_predict_keras,
        exact=True,
        uses_keras=True,
    ),
    FileKind(
        name="model.keras, members",
        file="run/model.keras",
        damage=damage.damage_member,
        read=_predict_keras,
        uses_keras=True,
    ),
    FileKind(name="artifact", file="model/linear.onnx", damage=damage.damage_bytes, read=_predict, exact=True),
    FileKind(name="artifact with a right hash", file="model/linear.onnx", damage=_rehash, read=_predict),
)
