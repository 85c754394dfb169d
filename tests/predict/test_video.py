"""Films and cameras: times, faces that keep their numbers, files that end well."""

import csv
import itertools
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ferlab import Dataset, Predictor
from ferlab.errors import OutputError, VideoError
from ferlab.predict import video_io as films
from ferlab.predict.results import Box, Face
from ferlab.predict.tracking import Tracker
from ferlab.predict.video import frame_rows, predict_video, write_video
from ferlab.predict.video_io import Camera, VideoFile, VideoWriter, open_video
from tests.artifacts import linear_artifact
from tests.scenes import scene

RATE = 10  # frames a second


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    path = tmp_path_factory.mktemp("model") / "linear.onnx"
    linear_artifact(path)
    return Predictor(path, "haar")


@pytest.fixture(scope="module")
def film(demo: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds: a face moves to the right, a second one is there in the middle second."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with VideoWriter(path) as writer:
        for number in range(3 * RATE):
            second = [(100, 20, 250)] if RATE <= number < 2 * RATE else []
            picture = scene(demo, (180, 200 + 5 * number, 60), *second)
            writer.write(np.stack([picture] * 3, axis=2), number / RATE)
    return path


def test_frames_come_with_their_times(film: Path) -> None:
    with VideoFile(film) as opened:
        frames = list(opened.frames())
        assert opened.duration == pytest.approx(3, abs=0.15)
    assert [frame.number for frame in frames] == list(range(30))
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(30) / RATE, atol=1e-3)
    assert frames[0].pixels.shape == (400, 600, 3)


def test_faces_keep_their_numbers(predictor: Predictor, film: Path) -> None:
    with VideoFile(film) as opened:
        found = list(predict_video(predictor, opened))
    numbers = [set(frame.faces) for frame in found]
    assert all(1 in some for some in numbers)
    assert {2} | {1} == set().union(*numbers)
    assert sum(2 in some for some in numbers) == pytest.approx(RATE, abs=2)
    lefts = [frame.faces[1].box.x for frame in found]
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
def test_which_frames_are_looked_at(predictor: Predictor, film: Path, options: dict, times: list[float]) -> None:
    with VideoFile(film) as opened:
        found = list(predict_video(predictor, opened, **options))
    np.testing.assert_allclose([frame.frame.seconds for frame in found], times, atol=1e-3)


def test_rows_and_a_drawn_film(predictor: Predictor, film: Path, tmp_path: Path) -> None:
    outs = [tmp_path / name for name in ("rows.csv", "rows.jsonl", "drawn.mp4")]
    seen = []
    with VideoFile(film) as opened:
        counts = write_video(
            predictor, opened, outs, predict_video(predictor, opened, every=3), min_confidence=1, watch=seen.extend
        )
    with open(outs[0], newline="") as file:
        rows = list(csv.DictReader(file))
    assert counts["frames"] == 10
    assert counts["uncertain"] == len(rows) == len(seen) == len(outs[1].read_text().splitlines())
    assert [row["time_s"] for row in rows if row["face"] == "1"] == [str(round(0.3 * n, 4)) for n in range(10)]
    with VideoFile(outs[2]) as drawn, VideoFile(film) as plain:
        pairs = list(zip(drawn.frames(), itertools.islice(plain.frames(), 0, None, 3), strict=True))
    for copy, original in pairs:
        assert copy.seconds == pytest.approx(original.seconds, abs=1e-3)
        assert np.abs(copy.pixels.astype(int) - original.pixels).max() > 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawn.mp4", "rows.csv", "rows.jsonl"]


def test_films_are_not_overwritten(predictor: Predictor, film: Path, tmp_path: Path) -> None:
    before = film.read_bytes()
    with (
        VideoFile(film) as opened,
        pytest.raises(OutputError, match=r"film\.mp4 is already there\. Choose another --out\.$"),
    ):
        write_video(predictor, opened, [tmp_path / "rows.csv", film], predict_video(predictor, opened))
    assert film.read_bytes() == before
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_no_film(predictor: Predictor, film: Path, tmp_path: Path) -> None:
    def failing():
        with VideoFile(film) as opened:
            yield from itertools.islice(predict_video(predictor, opened), 5)
        raise VideoError("the camera is gone")

    with VideoFile(film) as opened, pytest.raises(VideoError, match="the camera is gone"):
        write_video(predictor, opened, [tmp_path / "drawn.mp4"], failing())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are POSIX's")
def test_a_full_disk_is_told_and_leaves_no_film(tmp_path: Path) -> None:
    code = f"""
import resource
from pathlib import Path
import numpy as np
from ferlab.errors import OutputError
from ferlab.predict.video_io import VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
noise = np.random.default_rng(0)
try:
    with VideoWriter(Path({str(tmp_path / "noise.mp4")!r})) as writer:
        for number in range(200):
            writer.write(noise.integers(0, 256, (200, 200, 3), dtype=np.uint8), number / 10)
except OutputError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "noise.mp4 cannot be written: File too large. Free space" in told
    assert list(tmp_path.iterdir()) == []


def test_times_never_fall(film: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """As at a joint of two recordings."""
    with VideoFile(film) as opened:
        pictures = list(opened._pictures())
        monkeypatch.setattr(opened, "_pictures", lambda: iter([*pictures[:10], *pictures[:5]]))
        seconds = [found.frame.seconds for found in predict_video(predictor, opened, smooth=0.001)]
    np.testing.assert_allclose(seconds, [*np.arange(10) / RATE, *[0.9] * 5], atol=1e-3)


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    """As on DVDs: 720x576 pixels that are shown as wide as 1024."""
    import av

    with av.open(str(tmp_path / "wide.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((576, 720, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    with VideoFile(tmp_path / "wide.mp4") as film:
        [frame] = film.frames()
    assert frame.pixels.shape == (576, 1024, 3)


def test_ctrl_c_ends_all_files_well(predictor: Predictor, film: Path, tmp_path: Path) -> None:
    outs = [tmp_path / name for name in ("rows.parquet", "drawn.mp4")]

    def interrupted():
        with VideoFile(film) as opened:
            yield from itertools.islice(predict_video(predictor, opened), 5)
        raise KeyboardInterrupt

    with VideoFile(film) as opened:
        counts = write_video(predictor, opened, outs, interrupted())
    assert (counts["frames"], counts["interrupted"]) == (5, 1)
    import pyarrow.parquet

    assert pyarrow.parquet.read_table(outs[0]).column("frame").to_pylist() == list(range(5))
    with VideoFile(outs[1]) as drawn:
        assert len(list(drawn.frames())) == 5


def test_a_form_that_is_not_known_is_told_before_the_work(predictor: Predictor, film: Path, tmp_path: Path) -> None:
    with VideoFile(film) as opened, pytest.raises(OutputError, match=r"drawn\.avi: which form.*\.parquet or \.mp4"):
        write_video(predictor, opened, [tmp_path / "drawn.avi"], predict_video(predictor, opened))


def test_a_frame_without_a_face_is_a_row(predictor: Predictor, demo: Dataset, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "empty.mp4") as writer:
        writer.write(np.full((101, 77, 3), 128, np.uint8), 0)  # H.264 takes even sizes alone
    with VideoFile(tmp_path / "empty.mp4") as film:
        [found] = predict_video(predictor, film)
    assert found.frame.pixels.shape == (100, 76, 3)
    assert frame_rows("a.mp4", found) == [{"source": "a.mp4", "status": "no_face", "frame": 0, "time_s": 0.0}]


def test_films_that_cannot_be_read(tmp_path: Path, film: Path) -> None:
    (tmp_path / "text.mp4").write_text("no film")
    for source, message in (
        (tmp_path / "none.mp4", r"none\.mp4 does not exist"),
        (tmp_path / "text.mp4", r"text\.mp4: Invalid data"),
        (tmp_path, "Is a directory"),
        ("²", "² does not exist"),
        ("a" * 300, "does not exist"),
    ):
        with pytest.raises(VideoError, match=message):
            open_video(str(source))
    with pytest.raises(OutputError, match="cannot be made"), VideoWriter(tmp_path / "text.mp4" / "x.mp4"):
        pass


@pytest.mark.parametrize("share", [0.3, 1])
def test_damaged_films(film: Path, tmp_path: Path, share: float) -> None:
    """What can be decoded is; where that is nothing, it is an error."""
    content = bytearray(film.read_bytes())
    start, end = content.index(b"mdat") + 4, content.rindex(b"moov")
    start = end - round(share * (end - start))
    content[start:end] = bytes(end - start)
    (tmp_path / "damaged.mp4").write_bytes(content)
    with VideoFile(tmp_path / "damaged.mp4") as opened:
        if share == 1:
            with pytest.raises(VideoError, match="none of its pictures can be decoded"):
                list(opened.frames())
        else:
            assert 0 < len(list(opened.frames())) <= 30
        assert opened.broken


def test_a_camera_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VideoError, match=r"Camera 93 cannot be opened .*plugged in"):
        open_video("93")


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg's test picture takes the place of the device; it comes as fast as it is read, as from a fast camera."""
    monkeypatch.setitem(films.CAMERAS, films.sys.platform, ("lavfi", "testsrc=size=64x48:rate=25,realtime"))


def test_a_slow_reader_gets_the_newest_frame(camera: None) -> None:
    with Camera(0) as opened:
        frames = opened.frames()
        first = next(frames)
        films.time.sleep(0.5)
        next(frames)
        later = next(frames)
        assert opened.dropped > 5
    assert later.seconds - first.seconds > 0.4
    assert later.number - first.number > 10
    assert later.pixels.shape == (48, 64, 3)
    assert not opened._thread.is_alive()


def test_a_camera_is_stopped_after_some_seconds(camera: None, predictor: Predictor) -> None:
    with open_video("0") as opened:
        found = list(predict_video(predictor, opened, seconds=0.4))
    assert 1 <= len(found) <= 11
    assert found[-1].frame.seconds < 0.4


def test_a_camera_that_stops_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(films.CAMERAS, films.sys.platform, ("lavfi", "testsrc=size=64x48:rate=25:duration=0.2"))
    camera = Camera(0)
    monkeypatch.setattr(camera._newest, "put", lambda frame: 1 / 0)
    with camera as opened, pytest.raises(VideoError, match="camera 0 stopped: division by zero"):
        list(opened.frames())


# Tracking, by hand.


def face(x: int, happy: float = 0.5) -> Face:
    shares = {"happy": happy, "sad": 1 - happy}
    emotion = max(shares, key=shares.__getitem__)
    return Face(
        emotion=emotion,
        confidence=shares[emotion],
        probabilities=shares,
        box=Box(x, 0, 100, 100),
        detection_score=None,
        landmarks=None,
    )


def test_numbers_follow_the_largest_overlap() -> None:
    tracker = Tracker()
    assert list(tracker.update([face(0), face(300)], 0.0)) == [1, 2]
    assert {number: one.box.x for number, one in tracker.update([face(310), face(20), face(600)], 0.1).items()} == {
        2: 310, 1: 20, 3: 600,
    }  # fmt: skip


def test_a_face_may_be_gone_for_a_second() -> None:
    tracker = Tracker()
    tracker.update([face(0)], 0.0)
    tracker.update([], 0.5)
    assert list(tracker.update([face(0)], 1.0)) == [1]
    assert list(tracker.update([face(0)], 2.1)) == [2]


def test_smoothing_forgets_by_half_in_its_time_constant() -> None:
    tracker = Tracker(smooth=1 / np.log(2))
    tracker.update([face(0, happy=1.0)], 0.0)
    [smoothed] = tracker.update([face(0, happy=0.0)], 1.0).values()
    assert smoothed.probabilities["happy"] == pytest.approx(0.5)
    [smoothed] = tracker.update([face(0, happy=0.0)], 2.0).values()
    assert smoothed.probabilities == pytest.approx({"happy": 0.25, "sad": 0.75})
    assert (smoothed.emotion, smoothed.confidence) == ("sad", pytest.approx(0.75))
    [plain] = Tracker().update([face(0, happy=0.3)], 0.0).values()
    assert plain.probabilities["happy"] == 0.3
