"""The modules of the page against the Python code that they mirror, on the same numbers."""

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
import pytest

from ferlab.emotions import COLORS, EMOTIONS
from ferlab.images.crop import crop_face
from ferlab.images.detection import Detection, best_boxes, resize
from ferlab.images.yunet import LANDMARKS
from ferlab.predict.results import Box, Face
from ferlab.predict.table import columns, image_rows
from ferlab.predict.table_files import CsvWriter
from ferlab.predict.tracking import Tracker
from ferlab.serve.static_page import PAGE

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(not NODE, reason="Node.js is not installed")
RANDOM = np.random.default_rng(0)


RunModule = Callable[..., Any]


@pytest.fixture(scope="module")
def run_module(tmp_path_factory: pytest.TempPathFactory) -> RunModule:
    """A function that evaluates an expression of JavaScript in Node.js.

    Its arguments are a module of the page, whose exports are the properties of `module` in the expression; the
    expression; and its variables. Arrays become images of the page, and images become arrays.
    """
    folder = shutil.copytree(PAGE, tmp_path_factory.mktemp("modules"), dirs_exist_ok=True)
    (folder / "package.json").write_text('{"type": "module"}')  # how Node.js reads the .js files

    def run(name: str, expression: str, **values: Any) -> Any:
        code = f"""
            import {{ readFileSync }} from "node:fs";
            const fromJson = (key, value) =>
              value?.channels ? {{ ...value, data: Uint8ClampedArray.from(value.data) }} : value;
            const toJson = (key, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
            const module = await import({json.dumps((folder / name).as_uri())});
            const {{ {", ".join(values)} }} = JSON.parse(readFileSync(0), fromJson);
            console.log(JSON.stringify({expression}, toJson));
        """
        given = {key: to_image(value) if isinstance(value, np.ndarray) else value for key, value in values.items()}
        command = [str(NODE), "--input-type=module", "--eval", code]
        done = subprocess.run(
            command, input=json.dumps(given), capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        return from_image(result) if isinstance(result, dict) and "channels" in result else result

    return run


def to_image(array: np.ndarray) -> dict[str, Any]:
    channels = array.shape[2] if array.ndim == 3 else 1
    size = {"width": array.shape[1], "height": array.shape[0], "channels": channels}
    return size | {"data": array.ravel().tolist()}


def from_image(image: dict[str, Any]) -> np.ndarray:
    shape = (image["height"], image["width"], image["channels"])
    return np.array(image["data"], np.uint8).reshape(shape).squeeze()


def smooth(height: int, width: int, channels: int = 4) -> np.ndarray:
    """Return an image with the frequencies of a photograph, and an opaque alpha."""
    coarse = RANDOM.integers(0, 256, (height // 6, width // 6, channels)).astype(np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)
    image[..., 3:] = 255
    return image.squeeze()


@pytest.mark.parametrize("factor", [0.7, 0.4, 0.13, 1.9])
def test_images_are_resized_as_by_opencv(factor: float, run_module: RunModule) -> None:
    image = smooth(150, 203)
    resized = run_module("pipeline/detection.js", "module.resize(image, factor)", image=image, factor=factor)
    np.testing.assert_allclose(resized.astype(int), resize(image, factor), atol=1 if factor > 1 else 0)


@pytest.mark.parametrize("turn", [0, 3.3, 90, 225])
def test_images_are_warped_as_by_opencv(turn: float, run_module: RunModule) -> None:
    """OpenCV rounds some coordinates differently, in one pixel of a thousand."""
    image, center = smooth(120, 170), (80.3, 55.7)
    matrix = cv2.getRotationMatrix2D(center, turn, 0.8)
    code = "module.warpAffine(image, module.rotationMatrix(center, turn, 0.8), 128, 110, outside)"
    for outside, border in ((None, {"borderMode": cv2.BORDER_REPLICATE}), (128, {"borderValue": (128,) * 4})):
        used = code if outside else code.replace("outside", "undefined")
        warped = run_module("pipeline/resampling.js", used, image=image, center=center, turn=turn, outside=outside)
        difference = np.abs(warped.astype(int) - cv2.warpAffine(image, matrix, (128, 110), **border))
        assert difference.max() <= 2
        assert (difference > 0).mean() < 0.001


@pytest.mark.parametrize("box", [(40.2, 30.7, 90.5, 120.1), (-20.0, 100.0, 60.0, 50.0), (5.0, 5.0, 20.0, 24.0)])
def test_faces_are_cropped_as_in_python(box: tuple[float, float, float, float], run_module: RunModule) -> None:
    image, margin = smooth(200, 240), 0.1
    points = [(60.0, 70.0), (110.0, 61.0), (85.0, 90.0), (70.0, 120.0), (100.0, 122.0)]
    detection = Detection(box=box, landmarks=dict(zip(LANDMARKS, points, strict=True)))
    face = {"box": box, "landmarks": points}
    crop = run_module("pipeline/crop.js", "module.cropFace(image, face, margin)", image=image, face=face, margin=margin)
    expected = crop_face(np.ascontiguousarray(image[..., :3]), detection, margin)
    np.testing.assert_allclose(crop.astype(int), expected, atol=1)


def test_overlapping_boxes_are_dropped_as_by_opencv(run_module: RunModule) -> None:
    boxes = np.hstack([RANDOM.uniform(-10, 200, (60, 2)), RANDOM.uniform(20, 80, (60, 2))])
    scores = RANDOM.uniform(0.1, 1, 60)
    detections = [{"box": box, "score": score} for box, score in zip(boxes.tolist(), scores.tolist(), strict=True)]
    kept = run_module("pipeline/detection.js", "module.withoutOverlaps(detections)", detections=detections)
    expected = best_boxes(boxes, scores)
    assert 2 < len(expected) < 50
    assert kept == [detections[index] for index in expected]


def moving_faces(frames: int) -> Iterator[list[Face]]:
    """Yield the faces of a video: two move, one is hidden for a while, and a fourth appears."""
    for frame in range(frames):
        boxes = [Box(10 + 3 * frame, 20, 40, 50), Box(200 - 4 * frame, 30, 60, 60)]
        boxes += [Box(100, 150, 30, 30)] * (not 3 < frame < 15) + [Box(180, 160, 50, 40)] * (frame > 8)
        yield [face(box) for box in boxes]


def face(box: Box, **changes: Any) -> Face:
    # None is below 0.0001, which Python and JavaScript write differently.
    probabilities = dict(zip(EMOTIONS, RANDOM.dirichlet(np.full(7, 20.0)).tolist(), strict=True))
    best = max(probabilities, key=lambda name: probabilities[name])
    fields = {"emotion": best, "confidence": probabilities[best], "detection_score": 0.9, "landmarks": None}
    return Face(box=box, probabilities=probabilities, **fields | changes)


@pytest.mark.parametrize("window", [0.0, 0.5])
def test_faces_are_tracked_as_in_python(window: float, run_module: RunModule) -> None:
    tracker, video = Tracker(window), list(moving_faces(20))
    expected = [tracker.update(faces, frame / 8) for frame, faces in enumerate(video)]
    frames = [[asdict(one) | {"box": list(one.box)} for one in faces] for faces in video]
    tracked = run_module(
        "pipeline/tracking.js",
        "((tracker) => frames.map((faces, frame) => tracker.update(faces, frame / 8)))(new module.Tracker(smooth))",
        frames=frames,
        smooth=window,
    )
    assert max(max(numbered) for numbered in expected) == 5  # the hidden face gets a new number
    for faces, numbered in zip(tracked, expected, strict=True):
        assert [one["track"] for one in faces] == list(numbered)
        for one, same in zip(faces, numbered.values(), strict=True):
            assert one["emotion"] == same.emotion
            assert one["probabilities"] == pytest.approx(same.probabilities, abs=1e-12)


def test_emotions_have_the_colors_of_the_package(run_module: RunModule) -> None:
    names = [*COLORS, "contempt"]
    assert run_module("emotions.js", "names.map(module.colorOf)", names=names) == [*COLORS.values(), "#56B4E9"]


@pytest.mark.parametrize(("status", "error"), [(413, "Send less."), (401, None)])
def test_a_photo_that_the_server_refuses_is_one_error(status: int, error: str | None, run_module: RunModule) -> None:
    """Later photos are still sent. Without a valid token, none is."""
    answer = "{ ok: path.endsWith('model'), status, json: async () => ({ error: 'Send less.' }) }"
    setup = (
        "globalThis.location = { host: 'x' }, globalThis.document = { baseURI: 'http://x/' }, "
        f"globalThis.fetch = async ({{ pathname: path }}) => ({answer})"
    )
    found = run_module(
        "server.js",
        f"await ({setup}, module.openAnalyzer()).then((analyzer) => analyzer.photo(new Blob(['x'])))"
        ".catch((reason) => reason.name)",
        status=status,
    )
    assert found == ({"faces": [], "error": error} if error else "TokenError")


def test_the_table_has_the_form_of_the_prediction_table(run_module: RunModule) -> None:
    """The columns, the status of uncertain faces, and names that a spreadsheet would take for formulas."""
    photos = [
        (
            "=1+1.jpg",
            [face(Box(1, 2, 30, 40), confidence=0.3), face(Box(-5, 9, 8, 7), confidence=0.5, detection_score=None)],
        ),
        ('a "b", c.png', []),
    ]
    text = run_module(
        "table.js",
        "((table) => (photos.forEach(([name, faces]) => table.add(name, { faces })), table.csv(0.4)))"
        "(new module.Table(names))",
        names=EMOTIONS,
        photos=[(name, [asdict(one) | {"box": list(one.box)} for one in faces]) for name, faces in photos],
    )
    rows = [CsvWriter._guarded(row) for name, faces in photos for row in image_rows(name, faces, 0.4)]
    expected = [{name: "" if row.get(name) is None else str(row[name]) for name in columns(EMOTIONS)} for row in rows]
    assert list(csv.DictReader(io.StringIO(text))) == expected
    assert {row["status"] for row in expected} >= {"uncertain", "no_face"}


def test_boxes_of_smaller_copies_are_in_pixels_of_the_video(run_module: RunModule) -> None:
    text = run_module(
        "table.js",
        "((table) => (table.add('a.mp4', { faces, frame: 3, seconds: 0.5 }, 3), table.csv(0)))"
        "(new module.Table(names))",
        names=EMOTIONS,
        faces=[asdict(face(Box(1, 2, 30, 40))) | {"box": [1, 2, 30, 40], "track": 7}],
    )
    [row] = csv.DictReader(io.StringIO(text))
    assert [row[name] for name in ("frame", "face", "x", "y", "width", "height")] == ["3", "7", "3", "6", "90", "120"]
