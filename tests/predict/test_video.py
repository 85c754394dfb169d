"""Prediction on videos: which frames are processed, face numbers, and complete output files."""

import csv
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ferlab.predict.video_io import VideoFile, VideoWriter, open_video

from ferlab import Predictor
from ferlab.errors import OutputError, VideoError
from ferlab.predict import video_io
from ferlab.predict.video import FrameFaces, frame_rows, predict_video, write_video
from tests.predict.conftest import VIDEO_FPS


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


def test_tables_and_an_annotated_video_are_written(haar_predictor: Predictor, video: Path, tmp_path: Path) -> None:
    outs = [tmp_path / name for name in ("rows.csv", "rows.jsonl", "annotated.mp4")]
    seen: list = []
    with VideoFile(video) as opened:
        frames = predict_video(haar_predictor, opened, every=3)
        counts = write_video(haar_predictor, opened, outs, frames, min_confidence=1, on_rows=seen.extend)
    with open(outs[0], newline="") as file:
        rows = list(csv.DictReader(file))
    assert counts["frames"] == 10
    assert counts["uncertain"] == len(rows) == len(seen) == len(outs[1].read_text().splitlines())
    assert [row["time_s"] for row in rows if row["face"] == "1"] == [str(round(0.3 * n, 4)) for n in range(10)]
    with VideoFile(outs[2]) as annotated, VideoFile(video) as plain:
        pairs = list(zip(annotated.frames(), itertools.islice(plain.frames(), 0, None, 3), strict=True))
    for copy, original in pairs:
        assert copy.seconds == pytest.approx(original.seconds, abs=1e-3)
        assert np.abs(copy.pixels.astype(int) - original.pixels).max() > 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotated.mp4", "rows.csv", "rows.jsonl"]


def test_an_existing_file_is_not_overwritten(haar_predictor: Predictor, video: Path, tmp_path: Path) -> None:
    before = video.read_bytes()
    with (
        VideoFile(video) as opened,
        pytest.raises(OutputError, match=r"video\.mp4 already exists\. Choose another --out\.$"),
    ):
        write_video(haar_predictor, opened, [tmp_path / "rows.csv", video], predict_video(haar_predictor, opened))
    assert video.read_bytes() == before
    assert list(tmp_path.iterdir()) == []


def first_frames(predictor: Predictor, video: Path, error: BaseException) -> Iterator[FrameFaces]:
    """Yield five frames, then raise an error."""
    with VideoFile(video) as opened:
        yield from itertools.islice(predict_video(predictor, opened), 5)
    raise error


def test_an_error_leaves_no_video(haar_predictor: Predictor, video: Path, tmp_path: Path) -> None:
    frames = first_frames(haar_predictor, video, VideoError("the camera is gone"))
    with VideoFile(video) as opened, pytest.raises(VideoError, match="the camera is gone"):
        write_video(haar_predictor, opened, [tmp_path / "annotated.mp4"], frames)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_completes_all_files(haar_predictor: Predictor, video: Path, tmp_path: Path) -> None:
    outs = [tmp_path / name for name in ("rows.parquet", "annotated.mp4")]
    with VideoFile(video) as opened:
        counts = write_video(haar_predictor, opened, outs, first_frames(haar_predictor, video, KeyboardInterrupt()))
    assert (counts["frames"], counts["interrupted"]) == (5, 1)
    import pyarrow.parquet

    assert pyarrow.parquet.read_table(outs[0]).column("frame").to_pylist() == list(range(5))
    with VideoFile(outs[1]) as annotated:
        assert len(list(annotated.frames())) == 5


def test_an_unknown_output_format_is_reported_first(haar_predictor: Predictor, video: Path, tmp_path: Path) -> None:
    frames = first_frames(haar_predictor, video, VideoError("no frame may be processed"))
    with (
        VideoFile(video) as opened,
        pytest.raises(OutputError, match=r"annotated\.avi: the suffix.*\.parquet or \.mp4"),
    ):
        write_video(haar_predictor, opened, [tmp_path / "annotated.avi"], frames)


def test_a_frame_without_a_face_has_one_row(haar_predictor: Predictor, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "empty.mp4") as writer:
        writer.write(np.full((100, 76, 3), 128, np.uint8), 0)
    with VideoFile(tmp_path / "empty.mp4") as opened:
        [result] = predict_video(haar_predictor, opened)
    assert frame_rows("a.mp4", result) == [{"source": "a.mp4", "status": "no_face", "frame": 0, "time_s": 0.0}]


def test_a_camera_is_stopped_after_a_time(haar_predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(video_io.CAMERAS, sys.platform, ("lavfi", "testsrc=size=64x48:rate=25,realtime"))
    with open_video("0") as opened:
        results = list(predict_video(haar_predictor, opened, seconds=0.4))
    assert 1 <= len(results) <= 11
    assert results[-1].frame.seconds < 0.4
