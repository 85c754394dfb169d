"""Videos, streams, animated images and image sequences."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ferlab
from ferlab.errors import VideoError
from ferlab.predict import video_file
from ferlab.predict.video import VideoOutputs, predict_video, write_video
from ferlab.predict.video_file import VideoFile
from ferlab.predict.video_input import open_video
from tests.inputs.case import InputCase
from tests.videos import (
    add_stream,
    encode,
    http,
    noise,
    raw,
    rtsp,
    serve,
    set_display_matrix,
    silence,
    write_video_file,
)

NUM_FRAMES = 6
COLORS = ("red", "green", "blue", "white")


def count_rows(source: str | Path, **options: float) -> int:
    """Predict on a video without a face detector. Returns the number of faces: one per frame."""
    predictor = ferlab.Predictor(detector="none")
    with open_video(str(source), **options) as opened:
        return sum(len(result.faces) for result in predict_video(predictor, opened))


def check_format(suffix: str, codec: str, folder: Path, *, pixel_format: str = "yuv420p") -> None:
    path = write_video_file(folder / f"video{suffix}", noise(NUM_FRAMES), codec=codec, pixel_format=pixel_format)
    assert count_rows(path) == NUM_FRAMES


def check_animation(suffix: str, folder: Path) -> None:
    first, *others = (Image.new("RGB", (64, 48), color) for color in COLORS)
    first.save(folder / f"moving{suffix}", save_all=True, append_images=others, duration=100)
    assert count_rows(folder / f"moving{suffix}") == len(COLORS)


def check_folder(folder: Path) -> None:
    for number, color in enumerate(COLORS, start=8):
        Image.new("RGB", (64, 48), color).save(folder / f"{number}.png")
    with open_video(str(folder), frame_rate=10) as opened:
        means = [frame.pixels.mean(axis=(0, 1)).round().tolist() for frame in opened.frames()]
    assert means == [[255, 0, 0], [0, 128, 0], [0, 0, 255], [255, 255, 255]]


def check_pattern(folder: Path) -> None:
    for number in range(3):
        Image.new("RGB", (64, 48)).save(folder / f"frame_{number:04d}.png")
    assert count_rows(folder / "frame_%04d.png", frame_rate=10) == 3


def check_orientations(folder: Path) -> None:
    """The upper left quarter of the stored video is white."""
    image = np.zeros((160, 320, 3), np.uint8)
    image[:80, :160] = 255
    predictor = ferlab.Predictor(detector="none")
    for name, matrix in {"turned": (0, 1, -1, 0), "mirrored": (-1, 0, 0, 1)}.items():
        path = write_video_file(folder / f"{name}.mp4", [image])
        set_display_matrix(path, matrix)
        outs = [folder / f"{name} copy.mp4"]
        with VideoFile(path) as opened, VideoOutputs(outs, predictor.artifact.class_names) as outputs:
            write_video(opened, predict_video(predictor, opened), outputs)
        for file in (path, *outs):
            with VideoFile(file) as opened:
                [frame] = opened.frames()
            left, right = np.hsplit(frame.pixels[: frame.pixels.shape[0] // 2], 2)
            assert right.mean() > 200 > 50 > left.mean()


def check_cover(folder: Path) -> None:
    import av
    from av.stream import Disposition

    with av.open(str(folder / "cover.mkv"), "w") as container:
        cover = add_stream(container, np.zeros((300, 200, 3)), "mjpeg", "yuvj420p")
        cover.disposition = Disposition.default
        stream = add_stream(container, np.zeros((120, 160, 3)))
        encode(container, cover, noise(1, (300, 200)))
        encode(container, stream, noise(NUM_FRAMES))
    assert count_rows(folder / "cover.mkv") == NUM_FRAMES


def check_sizes(folder: Path) -> None:
    parts = [write_video_file(folder / f"{side}.ts", noise(5, (side, side))).read_bytes() for side in (64, 128)]
    (folder / "sizes.ts").write_bytes(b"".join(parts))
    with VideoFile(folder / "sizes.ts") as opened:
        assert [frame.pixels.shape[0] for frame in opened.frames()] == [64] * 5 + [128] * 5


def check_stream(protocol: str, suffix: str, answer: Callable, folder: Path) -> None:
    """Read a stream that falls silent after its last frame."""
    image = np.zeros((48, 64, 3), np.uint8)
    content = write_video_file(folder / f"stream{suffix}", [image + number for number in range(60)]).read_bytes()
    with pytest.MonkeyPatch.context() as patch, serve(answer(content)) as port:
        patch.setattr(video_file, "TIMEOUT", 2.0)
        number = 0
        with VideoFile(f"{protocol}://127.0.0.1:{port}/stream") as opened, pytest.raises(VideoError, match="no data"):
            for _ in opened.frames():
                number += 1
    assert number >= 59


def check_silence(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, serve(silence) as port:
        patch.setattr(video_file, "TIMEOUT", 0.5)
        for protocol in ("http", "rtsp", "tcp"):
            with pytest.raises(VideoError, match=r"sent no data for 0\.5 seconds"):
                VideoFile(f"{protocol}://127.0.0.1:{port}/stream")


def check_error(write: Callable[[Path], object], message: str, folder: Path) -> None:
    write(folder / "input")
    with pytest.raises(VideoError, match=message):
        count_rows(folder / "input")


def write_sound(path: Path) -> None:
    import av

    with av.open(str(path), "w", format="adts") as container:
        stream = container.add_stream("aac", rate=16_000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 16_000
        container.mux(stream.encode(samples))
        container.mux(stream.encode(None))


def check_cut_off(folder: Path) -> None:
    path = write_video_file(folder / "cut.mp4", noise(50), movflags="faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with VideoFile(path) as opened:
        assert 20 < len(list(opened.frames())) < 30
        assert opened.corrupt_packets == 1


def check_several(folder: Path) -> None:
    predictor = ferlab.Predictor(detector="none")
    sources = [str(write_video_file(folder / name, noise(3))) for name in ("a.mp4", "b.mkv")]
    with VideoOutputs([folder / "faces.csv", folder / "annotated"], predictor.artifact.class_names, 2) as outputs:
        for source in sources:
            with open_video(source) as opened:
                write_video(opened, predict_video(predictor, opened), outputs)
    assert len((folder / "faces.csv").read_text().splitlines()) == 1 + 2 * 3
    assert sorted(path.name for path in (folder / "annotated").iterdir()) == ["a.mp4", "b.mkv.mp4"]


def check_odd_name(folder: Path) -> None:
    path = write_video_file(folder / "video.mp4", noise(NUM_FRAMES))
    shutil.copyfile(path, folder / "100 %d été.mp4")
    assert count_rows(folder / "100 %d été.mp4") == NUM_FRAMES


VIDEOS, MOVING, STREAMS = "Video files", "Animated images and image sequences", "Streams and cameras"
CASES = [
    *(
        InputCase(group=VIDEOS, input=f"{name} (`{suffix}`)", result="Every frame is processed.", check=check)
        for name, suffix, check in (
            ("MP4, H.264", ".mp4", partial(check_format, ".mp4", "libx264")),
            ("MP4, H.265, 10 bits", ".mp4", partial(check_format, ".mp4", "libx265", pixel_format="yuv420p10le")),
            ("QuickTime", ".mov", partial(check_format, ".mov", "libx264")),
            ("Matroska", ".mkv", partial(check_format, ".mkv", "libx264")),
            ("WebM, VP9", ".webm", partial(check_format, ".webm", "libvpx-vp9")),
            ("MPEG transport stream", ".ts", partial(check_format, ".ts", "libx264")),
            ("AVI, MPEG-4", ".avi", partial(check_format, ".avi", "mpeg4")),
            ("AVI, Motion JPEG", ".avi", partial(check_format, ".avi", "mjpeg", pixel_format="yuvj420p")),
            ("Raw H.264 without times", ".h264", partial(check_format, ".h264", "libx264")),
        )
    ),
    InputCase(
        group=VIDEOS,
        input="A display matrix that turns or mirrors the video, as phones write it",
        result="Frames are turned and mirrored accordingly, also in annotated copies.",
        check=check_orientations,
    ),
    InputCase(
        group=VIDEOS,
        input="A cover image before the video",
        result="The video is read, not the cover.",
        check=check_cover,
    ),
    InputCase(
        group=VIDEOS,
        input="A size that changes midway",
        result="Faces keep their numbers. The annotated copy keeps the first size.",
        check=check_sizes,
    ),
    InputCase(
        group=VIDEOS,
        input="Several videos",
        result="One table; one annotated copy per video in a folder.",
        check=check_several,
    ),
    InputCase(
        group=VIDEOS, input="A name with `%d` and accents", result="Every frame is processed.", check=check_odd_name
    ),
    InputCase(
        group=VIDEOS,
        input="A file that was cut off",
        result="The frames before the cut are processed, with a warning.",
        check=check_cut_off,
    ),
    InputCase(
        group=VIDEOS,
        input="Sound without a video",
        result="Error: no video stream.",
        check=partial(check_error, write_sound, "has no video stream"),
    ),
    InputCase(
        group=VIDEOS,
        input="A file of another kind",
        result="Error: invalid data.",
        check=partial(check_error, lambda path: path.write_text("not a video"), "Invalid data"),
    ),
    *(
        InputCase(
            group=MOVING,
            input=f"Animated {name} (`{suffix}`)",
            result="`ferlab video` processes every frame.",
            check=partial(check_animation, suffix),
        )
        for name, suffix in (("GIF", ".gif"), ("PNG", ".png"), ("WebP", ".webp"), ("AVIF", ".avif"))
    ),
    InputCase(
        group=MOVING,
        input="A folder of images",
        result="`ferlab video` takes them as frames, in the order of the numbers in their names.",
        check=check_folder,
    ),
    InputCase(
        group=MOVING,
        input="A pattern such as `frame_%04d.png`",
        result="`ferlab video` takes the matching images as frames.",
        check=check_pattern,
    ),
    *(
        InputCase(
            group=STREAMS,
            input=f"`{protocol}://`",
            result="Every frame is processed. After 30 seconds without data, the stream ends with an error.",
            check=partial(check_stream, protocol, suffix, answer),
        )
        for protocol, suffix, answer in (("http", ".ts", http), ("tcp", ".ts", raw), ("rtsp", ".h264", rtsp))
    ),
    InputCase(
        group=STREAMS,
        input="A server that never answers",
        result="Error after 30 seconds. Ctrl-C is heard at any time.",
        check=check_silence,
    ),
]
