"""Read animated images, and numbered images that are the frames of a video."""

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ferlab.errors import ImageError, VideoError
from ferlab.images.decode import ANIMATED_FORMATS, read_image
from ferlab.images.listing import is_hidden, is_image
from ferlab.limits import MAX_PIXELS
from ferlab.predict.video_source import Frame, VideoSource

DEFAULT_RATE = 25.0  # frames per second of an image sequence, as in FFmpeg
NUMBER = re.compile(r"%(0\d+)?d")  # in a pattern such as `frame_%04d.png`
MIN_DURATION, DEFAULT_DURATION = 0.011, 0.1  # seconds; browsers show a frame of 10 ms or less for 100 ms


class ImageSequence(VideoSource):
    """Images as the frames of a video, at a constant rate. Images that cannot be read are counted and left out.

    Args:
        name: the name of the sequence.
        files: the images, in order.
        rate: frames per second.
    """

    def __init__(self, name: str, files: Sequence[Path], rate: float = DEFAULT_RATE) -> None:
        self.name, self.files, self.rate = name, tuple(files), rate
        self.duration = len(self.files) / rate

    def _frames(self) -> Iterator[Frame]:
        for number, file in enumerate(self.files):
            try:
                pixels = read_image(file).pixels
            except ImageError as error:
                self.corrupt_packets += 1
                logging.getLogger("ferlab").warning("%s", error)
            else:
                yield _frame(number, number / self.rate, 1 / self.rate, pixels)


class AnimatedImage(VideoSource):
    """A GIF, PNG, WebP or AVIF file, read with Pillow: FFmpeg does not read all of them.

    Args:
        path: the file.

    Raises:
        VideoError: if it has too many pixels.
    """

    def __init__(self, path: str | Path) -> None:
        from PIL import Image

        self.name, self.path = str(path), Path(path)
        with Image.open(self.path, formats=ANIMATED_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise VideoError(f"{path}: {image.width}x{image.height} pixels exceed the limit of {MAX_PIXELS:,}.")

    def _frames(self) -> Iterator[Frame]:
        from PIL import Image

        seconds, index = 0.0, 0
        with Image.open(self.path, formats=ANIMATED_FORMATS) as image:
            first = int(image.info.get("default_image", False))  # a PNG for programs that show no animation
            try:
                for index in range(getattr(image, "n_frames", 1) - first):
                    image.seek(first + index)
                    image.load()  # some formats state the duration only then
                    duration = image.info.get("duration", 0) / 1000
                    duration = duration if duration >= MIN_DURATION else DEFAULT_DURATION
                    yield _frame(index, seconds, duration, read_image(image.copy()).pixels)
                    seconds += duration
            except Exception as error:  # on damaged files, decoders raise any kind of exception
                raise VideoError(
                    f"{self.name}: frame {index} cannot be read ({error or type(error).__name__}). The file is damaged."
                ) from None


def _frame(number: int, seconds: float, duration: float, pixels: np.ndarray) -> Frame:
    return Frame(number=number, seconds=seconds, duration=duration, load=lambda: pixels)


def is_animated_format(path: Path) -> bool:
    """Return whether a file has a format that can be animated."""
    from PIL import Image

    try:
        Image.open(path, formats=ANIMATED_FORMATS).close()
    except Exception:  # on other files, decoders raise any kind of exception
        return False
    return True


def frames_in_folder(folder: Path) -> list[Path]:
    """List the images in a folder by name, with numbers in numeric order.

    Raises:
        VideoError: if there are none.
    """
    files = [file for file in folder.iterdir() if is_image(file) and not is_hidden(file.name)]
    if not files:
        raise VideoError(f"{folder} contains no images. Pass videos, or a folder of images that are the frames of one.")
    return sorted(files, key=_numeric_order)


def frames_matching(pattern: str) -> list[Path]:
    """List the images whose names match a pattern such as `frame_%04d.png`, in numeric order.

    Raises:
        VideoError: if there are none.
    """
    path = Path(pattern)
    before, width, after = NUMBER.split(path.name, maxsplit=1)
    name = re.compile(rf"{re.escape(before)}\d{{{int(width or 1)},}}{re.escape(after)}")
    files = [file for file in path.parent.glob("*") if name.fullmatch(file.name)]
    if not files:
        raise VideoError(f"No file matches {pattern}. Check the folder, and the number of digits.")
    return sorted(files, key=_numeric_order)


def _numeric_order(file: Path) -> list[tuple[int, str]]:
    """Sort `frame_10` after `frame_9`."""
    return [(int(text), "") if text.isdecimal() else (-1, text) for text in re.split(r"(\d+)", file.name)]
