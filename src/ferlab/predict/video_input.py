"""Open videos of all kinds."""

from contextlib import suppress
from pathlib import Path

from ferlab.predict.camera import Camera
from ferlab.predict.image_sequence import (
    DEFAULT_RATE,
    NUMBER,
    AnimatedImage,
    ImageSequence,
    frames_in_folder,
    frames_matching,
    is_animated_format,
)
from ferlab.predict.video_file import VideoFile
from ferlab.predict.video_source import VideoSource


def open_video(source: str, *, frame_rate: float = DEFAULT_RATE) -> VideoSource:
    """Open a video file, a stream, images as a video, or a camera.

    Args:
        source: a file or URL in any format that FFmpeg reads; an animated GIF, PNG, WebP or AVIF; a folder of images,
            or a pattern such as `frame_%04d.png`; or a camera number such as `0`.
        frame_rate: frames per second of images.

    Raises:
        MissingExtraError: if PyAV is required and not installed.
        VideoError: if the source cannot be opened.
    """
    path, exists = Path(source), False
    with suppress(OSError):  # such as a name that is too long
        exists = path.exists()
    if exists and path.is_dir():
        return ImageSequence(source, frames_in_folder(path), frame_rate)
    if exists and path.is_file() and is_animated_format(path):
        return AnimatedImage(path)
    if not exists and source.isdecimal():
        return Camera(int(source))
    if not exists and "://" not in source and NUMBER.search(path.name):
        return ImageSequence(source, frames_matching(source), frame_rate)
    return VideoFile(source)
