"""Video files: frame times, orientation, the stream that is read, and damaged input."""

import itertools
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ferlab.errors import VideoError
from ferlab.predict.video_file import FrameClock, VideoFile, orient
from ferlab.predict.video_input import open_video
from ferlab.predict.video_source import Frame
from tests.predict.conftest import VIDEO_FPS
from tests.videos import RATE, add_stream, encode, noise, set_display_matrix, write_video_file, write_wide_video


def frames_of(path: Path) -> list[Frame]:
    with VideoFile(path) as opened:
        return list(opened.frames())


def test_frames_have_numbers_and_times(video: Path) -> None:
    with VideoFile(video) as opened:
        frames = list(opened.frames())
        assert opened.duration == pytest.approx(3, abs=0.15)
    assert [frame.number for frame in frames] == list(range(30))
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(30) / VIDEO_FPS, atol=1e-3)
    np.testing.assert_allclose([frame.duration for frame in frames[:-1]], 1 / VIDEO_FPS, atol=1e-3)
    assert frames[0].pixels.shape == (400, 600, 3)


def test_a_joined_recording_goes_on_where_the_first_one_ends(tmp_path: Path) -> None:
    """As in a file to which a camera appended after a restart."""
    parts = [write_video_file(tmp_path / f"{number}.ts", noise(number)).read_bytes() for number in (4, 10, 6)]
    (tmp_path / "joined.ts").write_bytes(b"".join(parts))
    seconds = [frame.seconds for frame in frames_of(tmp_path / "joined.ts")]
    np.testing.assert_allclose(seconds, np.arange(20) / RATE, atol=1e-3)


def test_times_that_jump_back_a_little_are_held() -> None:
    """Some recorders swap the times of frames."""
    clock = FrameClock(interval=0.1)
    assert [clock.seconds(time) for time in (5.0, 5.2, 5.1, 5.3)] == pytest.approx([0, 0.2, 0.2, 0.3])


def test_frames_without_times_follow_at_the_frame_rate(tmp_path: Path) -> None:
    path = write_video_file(tmp_path / "raw.h264", noise(10))
    np.testing.assert_allclose([frame.seconds for frame in frames_of(path)], np.arange(10) / RATE, atol=1e-6)


def test_pixels_become_square(tmp_path: Path) -> None:
    """As on DVDs: 720x576 pixels that are displayed 1024 wide."""
    import av

    with av.open(str(tmp_path / "wide.mp4"), "w") as container:
        stream = add_stream(container, np.zeros((576, 720, 3)))
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)
        encode(container, stream, [np.zeros((576, 720, 3), np.uint8)])
    [frame] = frames_of(tmp_path / "wide.mp4")
    assert frame.pixels.shape == (576, 1024, 3)


ORIENTATIONS = list(itertools.product((1, -1), (1, -1), (False, True)))


def corners(image: np.ndarray) -> list[int]:
    """Return the mean gray values of the four quarters, row by row, rounded to multiples of 60."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    quarters = [image[y : y + height, x : x + width] for y in (0, height) for x in (0, width)]
    return [round(float(quarter.mean()) / 60) for quarter in quarters]


@pytest.mark.parametrize(("across", "down", "transposed"), ORIENTATIONS)
def test_all_orientations_are_displayed_upright(tmp_path: Path, across: int, down: int, transposed: bool) -> None:
    """The display matrix says where the right and the lower edge of the stored image point to."""
    stored = np.repeat(np.array([[0, 60], [120, 180]], np.uint8).repeat(40, 0).repeat(60, 1)[..., None], 3, axis=2)
    path = write_video_file(tmp_path / "turned.mp4", [stored], crf="1")
    set_display_matrix(path, (0, across, down, 0) if transposed else (across, 0, 0, down))
    [frame] = frames_of(path)
    image = np.array([[0, 1], [2, 3]])
    expected = image.T[::across, ::down] if transposed else image[::down, ::across]
    assert frame.pixels.shape == ((120, 80, 3) if transposed else (80, 120, 3))
    assert corners(frame.pixels) == expected.ravel().tolist()


def test_slanted_matrices_are_rounded_to_right_angles() -> None:
    pixels = np.arange(6).reshape(2, 3, 1)
    np.testing.assert_array_equal(orient(pixels, (0.9, 0.4, -0.4, 0.9)), pixels)
    np.testing.assert_array_equal(orient(pixels, (0.4, 0.9, -0.9, 0.4)), np.rot90(pixels, -1))
    np.testing.assert_array_equal(orient(pixels, (0, 0, 0, 0)), pixels)


def test_frames_may_change_their_size(tmp_path: Path) -> None:
    """As in a stream that adapts to the network."""
    parts = [write_video_file(tmp_path / f"{size[0]}.ts", noise(10, size)) for size in ((120, 160), (60, 80))]
    (tmp_path / "sizes.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    shapes = [frame.pixels.shape[:2] for frame in frames_of(tmp_path / "sizes.ts")]
    assert shapes == [(120, 160)] * 10 + [(60, 80)] * 10


def test_transparent_pixels_become_white(tmp_path: Path) -> None:
    image = np.zeros((48, 64, 4), np.uint8)
    image[:, 32:, 3] = 255
    path = write_video_file(tmp_path / "transparent.mov", [image], codec="png", pixel_format="rgba")
    [frame] = frames_of(path)
    assert corners(frame.pixels) == [4, 0, 4, 0]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize("default", [False, True])
def test_a_cover_picture_before_the_video_is_not_read(tmp_path: Path, suffix: str, default: bool) -> None:
    import av
    from av.stream import Disposition

    path = tmp_path / f"cover{suffix}"
    with av.open(str(path), "w") as container:
        cover = add_stream(container, np.zeros((300, 200, 3)), "mjpeg", "yuvj420p")
        if default:
            cover.disposition = Disposition.default
        stream = add_stream(container, np.zeros((120, 160, 3)))
        encode(container, cover, noise(1, (300, 200)))
        encode(container, stream, noise(10))
    assert [frame.pixels.shape for frame in frames_of(path)] == [(120, 160, 3)] * 10


def test_music_with_a_cover_picture_is_not_a_video(tmp_path: Path) -> None:
    import av
    from av.stream import Disposition

    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        cover = add_stream(container, np.zeros((48, 64, 3)), "mjpeg", "yuvj420p")
        cover.disposition = Disposition.attached_pic
        sound = container.add_stream("aac", rate=16_000)
        encode(container, cover, noise(1, (48, 64)))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 16_000
        container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    with pytest.raises(VideoError, match=r"song\.m4a has no video stream, only a cover picture"):
        VideoFile(path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none.mp4", r"none\.mp4 does not exist"),
        ("text.mp4", r"text\.mp4: Invalid data"),
        (".", r"\. contains no images"),
        ("²", "² does not exist"),
        ("a" * 300, "does not exist"),
    ],
)
def test_a_source_that_is_not_a_video_is_an_error(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(VideoError, match=message):
        open_video(source)


def test_a_name_like_an_address_is_a_file(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows allows no colon in file names")
    monkeypatch.chdir(tmp_path)
    Path("10:30.mp4").write_bytes(video.read_bytes())
    assert len(frames_of(Path("10:30.mp4"))) == 30


@pytest.mark.parametrize("share", [0.3, 1])
def test_damaged_videos_are_decoded_as_far_as_possible(video: Path, tmp_path: Path, share: float) -> None:
    content = bytearray(video.read_bytes())
    start, end = content.index(b"mdat") + 4, content.rindex(b"moov")
    start = end - round(share * (end - start))
    content[start:end] = bytes(end - start)
    (tmp_path / "damaged.mp4").write_bytes(content)
    with VideoFile(tmp_path / "damaged.mp4") as opened:
        if share == 1:
            with pytest.raises(VideoError, match="no frame can be decoded"):
                list(opened.frames())
        else:
            assert 0 < len(list(opened.frames())) <= 30
        assert opened.corrupt_packets


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_file_that_was_cut_off_is_reported(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    path = write_video_file(tmp_path / f"cut{suffix}", noise(50), movflags="faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 20 <= len(frames_of(path)) <= 30
    assert "the video ends after 2." in caplog.text
    assert "of 5.0 seconds. The file may be incomplete." in caplog.text


def test_frames_are_read_once(video: Path) -> None:
    with VideoFile(video) as opened:
        assert len(list(opened.frames())) == 30
        with pytest.raises(VideoError, match="already read or closed"):
            next(opened.frames())
    with pytest.raises(VideoError, match="already read or closed"):
        next(opened.frames())


def test_a_file_can_be_closed_at_any_time(video: Path) -> None:
    with VideoFile(video) as opened:
        frames = opened.frames()
        assert next(frames).number == 0
    assert len(list(frames)) < 29  # those that were ready


def test_a_frame_that_a_file_states_to_be_extremely_wide_is_refused(tmp_path: Path) -> None:
    """A file of 2 kB would need gigabytes."""
    path = write_wide_video(tmp_path / "wide.mp4")
    with (
        VideoFile(path) as video,
        pytest.raises(VideoError, match=r"wide.mp4: frame 0 has 128000x960 pixels, more than"),
    ):
        for frame in video.frames():
            assert frame.pixels is None


def test_a_matroska_file_whose_times_begin_late_is_complete(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its duration ends at the absolute time of the last frame."""
    import av

    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        stream = add_stream(container, noise(1)[0])
        for number, image in enumerate(noise(4)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = 50 + number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with VideoFile(path) as video:
        assert len(list(video.frames())) == 4
        assert video.duration == pytest.approx(0.4, abs=0.11)
    assert "incomplete" not in caplog.text
