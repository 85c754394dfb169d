"""The commands of docs/own-images.md, run on small images of three classes, with two epochs instead of six."""

import json
import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from ferlab import Dataset
from ferlab.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "own-images.md"
CLASSES = ("happy", "sad", "surprise")


def commands() -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def write_images(demo: Dataset, folder: Path) -> None:
    """Write 40 synthetic faces of each class as JPEGs of many sizes, every third one in color."""
    generator = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        chosen = np.flatnonzero(demo.labels == demo.class_names.index(name))[:40]
        for number, index in enumerate(chosen):
            width, height = (int(length) for length in generator.integers(90, 200, 2))
            face = cv2.resize(demo.images[index], (min(width, height),) * 2, interpolation=cv2.INTER_CUBIC)
            beside, above = (width - len(face), height - len(face))
            image = cv2.copyMakeBorder(
                face, above // 2, above - above // 2, beside // 2, beside - beside // 2, cv2.BORDER_REPLICATE
            )
            if number % 3 == 0:
                image = cv2.applyColorMap(image, cv2.COLORMAP_BONE)
            cv2.imwrite(str(folder / name / f"{number}.jpg"), image)


@pytest.mark.slow
def test_the_commands_of_the_page_run(demo: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(demo, tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    results = []
    for command in commands():
        program, *words = shlex.split(command.replace("epochs=6", "epochs=2"))
        assert program == "ferlab"
        finished = CliRunner().invoke(app, words, catch_exceptions=False)
        assert finished.exit_code == 0, f"{command}\n{finished.output}"
        results.append(finished)
    info, faces, _, scored, _ = results
    note, sheet_line = info.stderr.splitlines()
    assert note.startswith(
        "validation and test: 15 % each of the images, stratified by class, seed 0, identical images "
    )
    assert sheet_line == "contact sheet: sheet.png"
    assert "faces: the largest face in each image" in faces.stderr
    for sheet in ("sheet.png", "faces.png"):
        assert cv2.imread(str(tmp_path / sheet)).shape[0] == len(CLASSES) * 48

    recorded = json.loads((tmp_path / "runs" / "images" / "environment.json").read_text())["dataset"]
    assert (recorded["class_names"], recorded["notes"]) == (list(CLASSES), [note])
    assert [line.split()[0] for line in scored.stdout.splitlines()[-3:]] == list(CLASSES)
    comparison = json.loads((tmp_path / "comparison-images" / "comparison.json").read_text())
    assert [entry["status"] for entry in comparison["entries"]] == ["completed"] * 4
    assert comparison["dataset"]["class_names"] == list(CLASSES)
    assert all(len(entry["test"]["confusion"]) == 3 for entry in comparison["entries"])
    assert "fair_newmodel" in (tmp_path / "comparison-images" / "report.html").read_text()
