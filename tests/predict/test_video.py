"""Prediction on videos: which frames are processed, face numbers, and complete output files."""

import itertools
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from ferlab import Dataset, Predictor
from ferlab.emotions import EMOTIONS as CLASSES
from ferlab.errors import OutputError, VideoError
from ferlab.predict import camera
from ferlab.predict.video import FrameFaces, VideoOutputs, frame_rows, predict_video, write_video
from ferlab.predict.video_file import VideoFile
from ferlab.predict.video_input import open_video
from ferlab.predict.video_writer import VideoWriter
from tests.predict.conftest import VIDEO_FPS
from tests.predict.test_table import rows_of
from tests.scenes import scene
from tests.videos import write_video_file


def test_faces_keep_their_numbers(haar_predictor: Predictor, video: Path) -> None:
    with VideoFile(video) as opened:
        results = list(predict_video(haar_predictor, opened))
    numbers = [set(result.faces) for result in results]
    assert all(1 in present for present in numbers)
    assert set().union(*numbers) == {1, 2}
    assert sum(2 in present for present in numbers) == pytest.approx(VIDEO_FPS, abs=2)
    lefts = [result.faces[1].box.x for result in results]
    assert lefts[-1] - lefts[0] == pytest.approx(5 * 29, abs=20)


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({"every": 10}, [0, 1, 2]),
        ({"fps": 2.0}, [0, 0.5, 1, 1.5, 2, 2.5]),
        ({"seconds": 0.35}, [0, 0.1, 0.2, 0.3]),
        ({"fps": 4.0}, [0, 0.3, 0.5, 0.8, 1, 1.3, 1.5, 1.8, 2, 2.3, 2.5, 2.8]),
        ({"fps": 100.0, "seconds": 0.2}, [0, 0.1]),
    ],
)
def test_options_select_the_frames(haar_predictor: Predictor, video: Path, options: dict, times: list[float]) -> None:
    with VideoFile(video) as opened:
        results = list(predict_video(haar_predictor, opened, **options))
    np.testing.assert_allclose([result.frame.seconds for result in results], times, atol=1e-3)


def write(
    predictor: Predictor, video: Path, outs: list[Path], frames: Iterator[FrameFaces] | None = None, **options: Any
) -> Counter[str]:
    """Write the results of a video."""
    with VideoFile(video) as opened, VideoOutputs(outs, predictor.artifact.class_names) as outputs:
        return write_video(opened, frames or predict_video(predictor, opened), outputs, **options)


def test_tables_and_an_annotated_video_are_written(haar_predictor: Predictor, video: Path, tmp_path: Path) -> None:
    outs = [tmp_path / name for name in ("rows.csv", "rows.jsonl", "annotated.mp4")]
    seen: list = []
    with VideoFile(video) as opened, VideoOutputs(outs, haar_predictor.artifact.class_names) as outputs:
        frames = predict_video(haar_predictor, opened, every=3)
        counts = write_video(opened, frames, outputs, min_confidence=1, on_rows=seen.extend)
    rows = rows_of(outs[0])
    assert counts["frames"] == 10
    assert counts["uncertain"] == len(rows) == len(seen) == len(outs[1].read_text().splitlines())
    assert [row["time_s"] for row in rows if row["face"] == "1"] == [str(round(0.3 * n, 4)) for n in range(10)]
    with VideoFile(outs[2]) as annotated, VideoFile(video) as plain:
        pairs = list(zip(annotated.frames(), itertools.islice(plain.frames(), 0, None, 3), strict=True))
        assert annotated.duration == pytest.approx(3, abs=0.1)
    for copy, original in pairs:
        assert copy.seconds == pytest.approx(original.seconds, abs=1e-3)
        assert np.abs(copy.pixels.astype(int) - original.pixels).max() > 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotated.mp4", "rows.csv", "rows.jsonl"]


def test_the_last_frame_of_an_annotated_video_lasts_as_long_as_in_the_original(
    haar_predictor: Predictor, tmp_path: Path
) -> None:
    images = [Image.new("RGB", (64, 48), color) for color in ("red", "blue")]
    images[0].save(tmp_path / "slow.gif", save_all=True, append_images=images[1:], duration=[500, 2000])
    with open_video(str(tmp_path / "slow.gif")) as opened, VideoOutputs([tmp_path / "a.mp4"], CLASSES) as outputs:
        write_video(opened, predict_video(haar_predictor, opened), outputs)
    with VideoFile(tmp_path / "a.mp4") as annotated:
        assert annotated.duration == pytest.approx(2.5, abs=1e-3)


def test_a_stop_time_limits_the_annotated_video(haar_predictor: Predictor, video: Path, tmp_path: Path) -> None:
    with VideoFile(video) as opened, VideoOutputs([tmp_path / "a.mp4"], CLASSES) as outputs:
        write_video(opened, predict_video(haar_predictor, opened, seconds=1.0), outputs)
    with VideoFile(tmp_path / "a.mp4") as annotated:
        assert annotated.duration == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", ["taken.csv", "taken.mp4", "taken"])
def test_an_existing_output_is_not_overwritten(haar_predictor: Predictor, tmp_path: Path, name: str) -> None:
    file = tmp_path / name / "file" if name == "taken" else tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("content")
    with pytest.raises(OutputError, match=rf"{name} (already exists|is not empty)\. Choose another --out\.$"):
        VideoOutputs([tmp_path / "rows.csv", tmp_path / name], CLASSES)
    assert file.read_text() == "content"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def first_frames(predictor: Predictor, video: Path, error: BaseException) -> Iterator[FrameFaces]:
    """Yield five frames, then raise an error."""
    with VideoFile(video) as opened:
        yield from itertools.islice(predict_video(predictor, opened), 5)
    raise error


def test_a_failure_leaves_no_video(haar_predictor: Predictor, video: Path, tmp_path: Path) -> None:
    frames = first_frames(haar_predictor, video, OutputError("the disk is full"))
    with pytest.raises(OutputError, match="the disk is full"):
        write(haar_predictor, video, [tmp_path / "annotated.mp4"], frames)
    assert list(tmp_path.iterdir()) == []


def test_a_video_that_ends_with_an_error_keeps_its_frames(
    haar_predictor: Predictor, video: Path, tmp_path: Path
) -> None:
    outs = [tmp_path / name for name in ("rows.csv", "annotated.mp4")]
    frames = first_frames(haar_predictor, video, VideoError("the camera is gone"))
    with VideoFile(video) as opened, VideoOutputs(outs, CLASSES) as outputs:
        assert write_video(opened, frames, outputs)["frames"] == 5
    assert [str(error) for error in outputs.errors] == ["the camera is gone"]
    *rows, last = rows_of(outs[0])
    assert {row["frame"] for row in rows} == set("01234")
    assert (last["source"], last["status"], last["reason"]) == (str(video), "error", "the camera is gone")
    with VideoFile(outs[1]) as annotated:
        assert len(list(annotated.frames())) == 5


def test_a_video_without_any_frame_is_an_error_and_leaves_no_files(video: Path, tmp_path: Path) -> None:
    outs = [tmp_path / name for name in ("rows.csv", "annotated.mp4")]
    with (
        VideoFile(video) as opened,
        pytest.raises(VideoError, match="damaged"),
        VideoOutputs(outs, CLASSES) as outputs,
    ):
        write_video(opened, failing(VideoError("damaged")), outputs)
    assert list(tmp_path.iterdir()) == []


def failing(error: Exception) -> Iterator[FrameFaces]:
    raise error
    yield


def test_ctrl_c_completes_all_files(haar_predictor: Predictor, video: Path, tmp_path: Path) -> None:
    outs = [tmp_path / name for name in ("rows.parquet", "annotated.mp4")]
    counts = write(haar_predictor, video, outs, first_frames(haar_predictor, video, KeyboardInterrupt()))
    assert (counts["frames"], counts["interrupted"]) == (5, 1)
    import pyarrow.parquet

    assert pyarrow.parquet.read_table(outs[0]).column("frame").to_pylist() == list(range(5))
    with VideoFile(outs[1]) as annotated:
        assert len(list(annotated.frames())) == 5


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (f"http://127.0.0.1/talk.ts?signature={'a' * 300}", "talk.ts.mp4"),
        (f"{'ä' * 150}.mkv", f"{'ä' * 100}.mp4"),
        (".", "photos.mp4"),
    ],
)
def test_annotated_videos_are_named_after_their_sources(
    source: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path / "photos")
    [copy] = VideoOutputs([tmp_path / "annotated"], CLASSES).open_copies(source)
    assert copy.path == tmp_path / "annotated" / name


def test_an_unknown_output_format_is_reported_first(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"annotated\.avi: the suffix.*\.parquet, \.mp4, or the name of a folder"):
        VideoOutputs([tmp_path / "annotated.avi"], CLASSES)


def test_a_face_keeps_its_number_when_the_stream_changes_its_size(
    demo: Dataset, haar_predictor: Predictor, tmp_path: Path
) -> None:
    large = np.stack([scene(demo, (180, 200, 60))] * 3, axis=2)
    parts = [
        write_video_file(tmp_path / f"{number}.ts", [image] * 5)
        for number, image in enumerate([large, cv2.resize(large, (300, 200))])
    ]
    (tmp_path / "sizes.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    with VideoFile(tmp_path / "sizes.ts") as opened, VideoOutputs([tmp_path / "a.mp4"], CLASSES) as outputs:
        results = list(predict_video(haar_predictor, opened))
        write_video(opened, iter(results), outputs)
    assert [list(result.faces) for result in results] == [[1]] * 10
    with VideoFile(tmp_path / "a.mp4") as annotated:
        first, *_, last = annotated.frames()
    assert first.pixels.shape == last.pixels.shape == (400, 600, 3)
    assert np.abs(first.pixels.astype(int) - last.pixels).mean() < 10


def test_a_frame_without_a_face_has_one_row(haar_predictor: Predictor, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "empty.mp4") as writer:
        writer.write(np.full((100, 76, 3), 128, np.uint8), 0)
    with VideoFile(tmp_path / "empty.mp4") as opened:
        [result] = predict_video(haar_predictor, opened)
    assert frame_rows("a.mp4", result) == [{"source": "a.mp4", "status": "no_face", "frame": 0, "time_s": 0.0}]


def test_a_camera_is_stopped_after_a_time(haar_predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(camera.DEVICES, sys.platform, ("lavfi", "testsrc=size=64x48:rate=25,realtime"))
    with open_video("0") as opened:
        results = list(predict_video(haar_predictor, opened, seconds=0.4))
    assert 1 <= len(results) <= 11
    assert results[-1].frame.seconds < 0.4
