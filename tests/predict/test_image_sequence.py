"""Animated images, and images as the frames of a video."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferlab.errors import ImageError, VideoError
from ferlab.images.decode import read_image
from ferlab.predict.image_sequence import ImageSequence
from ferlab.predict.video_input import open_video
from ferlab.predict.video_source import Frame

COLORS = ("red", "green", "blue", "white")
DURATIONS = (100, 200, 300, 400)  # milliseconds


def animation(path: Path, **options: object) -> Path:
    """Write four frames, each of one color."""
    first, *others = (Image.new("RGB", (64, 48), color) for color in COLORS)
    options = {"duration": DURATIONS, "loop": 0} | options
    first.save(path, save_all=True, append_images=others, **options)
    return path


def frames_of(source: str | Path, **options: float) -> list[Frame]:
    with open_video(str(source), **options) as opened:
        return list(opened.frames())


def colors_of(frames: list[Frame]) -> list[str]:
    """Return the closest color of each frame."""
    known = np.array([(255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255)])
    return [COLORS[np.abs(known - frame.pixels.mean(axis=(0, 1))).sum(axis=1).argmin()] for frame in frames]


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".avif"])
def test_animated_images_are_videos(suffix: str, tmp_path: Path) -> None:
    path = animation(tmp_path / f"moving{suffix}")
    with pytest.raises(ImageError, match="animated; use `ferlab video` instead"):
        read_image(path)
    frames = frames_of(path)
    assert colors_of(frames) == list(COLORS)
    np.testing.assert_allclose([frame.seconds for frame in frames], [0, 0.1, 0.3, 0.6], atol=1e-6)
    np.testing.assert_allclose([frame.duration for frame in frames], [0.1, 0.2, 0.3, 0.4], atol=1e-6)


def test_the_format_is_not_guessed_from_the_name(tmp_path: Path) -> None:
    assert len(frames_of(animation(tmp_path / "moving.webp").rename(tmp_path / "moving.gif"))) == 4


def test_frames_without_a_duration_last_as_long_as_in_browsers(tmp_path: Path) -> None:
    frames = frames_of(animation(tmp_path / "fast.gif", duration=0))
    assert [frame.seconds for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_the_default_image_of_a_png_is_not_a_frame(tmp_path: Path) -> None:
    frames = frames_of(animation(tmp_path / "moving.png", default_image=True))
    assert colors_of(frames) == list(COLORS[1:])


def test_transparent_frames_are_white(tmp_path: Path) -> None:
    first, second = (Image.new("RGBA", (64, 48), (255, 0, 0, alpha)) for alpha in (0, 255))
    first.save(tmp_path / "transparent.webp", save_all=True, append_images=[second], duration=100, lossless=True)
    assert colors_of(frames_of(tmp_path / "transparent.webp")) == ["white", "red"]


def test_a_still_image_is_one_frame(tmp_path: Path) -> None:
    for suffix in (".png", ".webp", ".jpg"):
        Image.new("RGB", (64, 48), "blue").save(tmp_path / f"still{suffix}")
        assert colors_of(frames_of(tmp_path / f"still{suffix}")) == ["blue"]


def test_a_damaged_animation_yields_the_frames_before_the_damage(tmp_path: Path) -> None:
    path = animation(tmp_path / "cut.png")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    frames = open_video(str(path)).frames()
    assert colors_of([next(frames)]) == ["red"]
    with pytest.raises(VideoError, match=r"cut\.png: frame \d cannot be read"):
        list(frames)


def sequence(folder: Path, numbers: list[int]) -> None:
    for number, color in zip(numbers, COLORS, strict=False):
        Image.new("RGB", (64, 48), color).save(folder / f"frame_{number}.png")


def test_a_folder_of_images_is_a_video(tmp_path: Path) -> None:
    sequence(tmp_path, [8, 9, 10, 11])
    (tmp_path / "notes.txt").write_text("not an image")
    frames = frames_of(tmp_path, frame_rate=5)
    assert colors_of(frames) == list(COLORS)
    assert [frame.seconds for frame in frames] == pytest.approx([0, 0.2, 0.4, 0.6])
    assert open_video(str(tmp_path), frame_rate=5).duration == pytest.approx(0.8)


def test_a_pattern_selects_numbered_images(tmp_path: Path) -> None:
    sequence(tmp_path, [1, 2, 3])
    Image.new("RGB", (64, 48), "white").save(tmp_path / "frame_x.png")
    Image.new("RGB", (64, 48), "white").save(tmp_path / "other_4.png")
    assert colors_of(frames_of(tmp_path / "frame_%d.png")) == list(COLORS[:3])
    with pytest.raises(VideoError, match=r"No file matches .*frame_%04d\.png"):
        open_video(str(tmp_path / "frame_%04d.png"))
    (tmp_path / "frame_1.png").rename(tmp_path / "frame_0001.png")
    assert colors_of(frames_of(tmp_path / "frame_%04d.png")) == ["red"]


def test_an_unreadable_image_is_counted_and_keeps_its_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sequence(tmp_path, [1, 2, 3])
    (tmp_path / "frame_2.png").write_bytes(b"not an image")
    with open_video(str(tmp_path), frame_rate=10) as opened:
        frames = list(opened.frames())
        assert opened.corrupt_packets == 1
    assert [(frame.number, frame.seconds) for frame in frames] == [(0, 0.0), (2, 0.2)]
    assert "frame_2.png: not an image" in caplog.text


def test_a_sequence_without_a_readable_image_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not an image")
    with pytest.raises(VideoError, match="no frame can be decoded"):
        list(ImageSequence("frames", [tmp_path / "a.png"]).frames())
