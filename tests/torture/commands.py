"""The commands under attack. A new one is a small class: how to prepare its inputs, and its arguments."""

import os
import shutil
import sys
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path

import numpy as np

from ferlab import Dataset, load_dataset
from tests.artifacts import linear_artifact
from tests.scenes import encoded, scene

NUM_PHOTOS = 24
NUM_FACES = 10  # of each class, for fine-tuning
TRAINING = ("epochs=3", "steps_per_epoch=2", "batch_size=16", "early_stopping.patience=0")

PLUGIN = Path(__file__).with_name("tortured.py")


class Command(ABC):
    """A command that can be resumed: killed at any moment and resumed, its output is that of an undisturbed one.

    Args:
        inputs: the folder of its inputs.
    """

    name: str
    uses_keras = False

    def __init__(self, inputs: Path) -> None:
        self.inputs = inputs

    @abstractmethod
    def prepare(self) -> None:
        """Write the inputs. It is called in a child process."""

    @abstractmethod
    def arguments(self, out: Path) -> list[str]:
        """Return the arguments of `ferlab`.

        Args:
            out: the folder of everything that the command writes.
        """

    def run(self, out: Path) -> None:
        """Run the command in this process, as `ferlab` does. It ends with SystemExit."""
        from ferlab.cli import main

        os.environ["XDG_CACHE_HOME"] = f"{self.inputs / 'cache'}"
        sys.argv = ["ferlab", *self.arguments(out)]
        main()


class Train(Command):
    """`ferlab train`, with everything that a checkpoint has to restore: dropout, augmentation and averaged weights."""

    name = "train"
    uses_keras = True

    def prepare(self) -> None:
        write_table(self.inputs / "fer2013.csv", small_dataset())

    def arguments(self, out: Path) -> list[str]:
        changes = [f"--set={change}" for change in TRAINING]
        return ["train", "tortured", *self._common(), *changes, "--seed", "5", "--out", f"{out / 'run'}"]

    def _common(self) -> list[str]:
        return ["--data", f"{self.inputs / 'fer2013.csv'}", "--plugin", f"{PLUGIN}", "--resume", "--quiet"]


class Compare(Train):
    """`ferlab compare` with two seeds of one recipe, the baselines, the mean heat maps and the report."""

    name = "compare"

    def arguments(self, out: Path) -> list[str]:
        changes = [f"--set={change}" for change in TRAINING]
        return ["compare", "tortured", *self._common(), *changes, "--seeds", "2", "--out", f"{out / 'comparison'}"]


class Sweep(Train):
    """`ferlab sweep` with two trials."""

    name = "sweep"

    def prepare(self) -> None:
        super().prepare()
        (self.inputs / "space.toml").write_text("learning_rate = { min = 1e-4, max = 1e-2, log = true }\n")

    def arguments(self, out: Path) -> list[str]:
        changes = [f"--set={change}" for change in TRAINING]
        search = ["--space", f"{self.inputs / 'space.toml'}", "--trials", "2", "--out", f"{out / 'sweep'}"]
        return ["sweep", "tortured", *self._common(), *changes, *search]


class Finetune(Command):
    """`ferlab finetune` on synthetic faces of two classes: two trainings, an artifact and the verdict."""

    name = "finetune"
    uses_keras = True

    def prepare(self) -> None:
        demo = load_dataset("demo")
        for name in ("happy", "sad"):
            (self.inputs / "faces" / name).mkdir(parents=True)
            for number in np.flatnonzero(demo.labels == demo.class_names.index(name))[:NUM_FACES]:
                (self.inputs / "faces" / name / f"{number}.png").write_bytes(encoded(demo.images[number]))

    def arguments(self, out: Path) -> list[str]:
        return ["finetune", f"{self.inputs / 'faces'}", "--crops", "--resume", "--quiet", "--out", f"{out / 'tuned'}"]


class Predict(Command):
    """`ferlab predict` on a folder with faces, empty images and unreadable files, with annotated copies."""

    name = "predict"
    suffix = "csv"

    def prepare(self) -> None:
        (self.inputs / "photos").mkdir()
        linear_artifact(self.inputs / "linear.onnx")
        demo = load_dataset("demo")
        for number in range(NUM_PHOTOS):
            faces = [(90, 20, 40), (80, 150, 60)][: number % 3]
            content = encoded(scene(demo, *faces, size=(200, 260)), ".jpg") if number % 7 else b"not an image"
            (self.inputs / "photos" / f"{number:02}.jpg").write_bytes(content)

    def arguments(self, out: Path) -> list[str]:
        table, annotated = out / f"faces.{self.suffix}", out / "annotated"
        model = ["--model", f"{self.inputs / 'linear.onnx'}", "--detector", "haar"]
        written = ["--out", f"{table}", "--annotate", f"{annotated}"]
        return ["predict", f"{self.inputs / 'photos'}", *model, *written, "--resume", "--quiet"]


class PredictParquet(Predict):
    """`ferlab predict` with a Parquet table, which is written at the end."""

    name = "predict-parquet"
    suffix = "parquet"


COMMANDS: tuple[type[Command], ...] = (Predict, PredictParquet, Train, Compare, Sweep, Finetune)


@cache
def small_dataset() -> Dataset:
    """Return a tenth of the demo data: 224 images of all classes and splits."""
    demo = load_dataset("demo")
    return demo.where(np.arange(len(demo)) % 10 == 0)


def write_table(path: Path, data: Dataset) -> None:
    """Write a dataset in the format of fer2013.csv."""
    usages = ("Training", "PublicTest", "PrivateTest")
    rows = [
        f"{label},{' '.join(map(str, image.ravel()))},{usages[split]}\n"
        for image, label, split in zip(data.images, data.labels, data.splits, strict=True)
    ]
    path.write_text("emotion,pixels,Usage\n" + "".join(rows))


def empty(folder: Path) -> Path:
    """Remove a folder with its content and create it again."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
