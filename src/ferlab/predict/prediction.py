"""`Prediction`: the faces of one image, with their emotions."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ferlab.errors import MissingExtraError
from ferlab.images.decode import Channels, read_image
from ferlab.images.sources import ImageSource
from ferlab.predict.annotate import annotate_image, write_image
from ferlab.predict.results import Face
from ferlab.predict.table import columns, image_rows

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, kw_only=True)
class Prediction(Sequence[Face]):
    """The faces of one image. It is a sequence of them: `for face in prediction`, `prediction[0]`, `len(prediction)`.

    Args:
        source: the path or URL of the image, or a description such as `the image`.
        width: width of the upright image in pixels.
        height: its height.
        class_names: the classes of the model.
        faces: the faces, largest first.
        image: the image itself, not a copy. `plot` and `save` decode it again, so that many predictions need little
            memory.
        channels: the channel order of the image if it is an array.

    Example:
        >>> from ferlab import Predictor
        >>> prediction = Predictor(detector="none").predict(np.zeros((48, 64, 3), np.uint8))
        >>> prediction.width, prediction.height, len(prediction)
        (64, 48, 1)
        >>> prediction.plot().shape
        (48, 64, 3)
    """

    source: str
    width: int
    height: int
    class_names: tuple[str, ...]
    faces: list[Face]
    image: ImageSource = field(repr=False, compare=False)
    channels: Channels = field(default="rgb", repr=False, compare=False)

    @overload
    def __getitem__(self, index: int) -> Face: ...
    @overload
    def __getitem__(self, index: slice) -> list[Face]: ...
    def __getitem__(self, index: int | slice) -> Face | list[Face]:
        return self.faces[index]

    def __len__(self) -> int:
        return len(self.faces)

    def __iter__(self) -> Iterator[Face]:
        return iter(self.faces)

    def plot(self) -> np.ndarray:
        """Draw the faces on a copy of the image.

        Returns:
            `(height, width, 3)` uint8, RGB.

        Raises:
            ImageError: if the image cannot be read any more.
        """
        pixels = read_image(self.image, channels=self.channels).pixels
        return annotate_image(pixels, dict(enumerate(self.faces, start=1)))

    def save(self, path: str | Path) -> Path:
        """Write a copy of the image with its faces drawn on it.

        Args:
            path: the output file. JPEG, PNG and WebP keep their format. Other files become a JPEG, with `.jpg` appended
                to the name. Images that are too large for their format become a PNG, with `.png` appended.

        Returns:
            The file that was written.

        Raises:
            ImageError: if the image cannot be read any more.
            OutputError: if the file cannot be written.
        """
        return write_image(self.plot(), Path(path))

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain Python values: `source`, `width`, `height`, and `faces` as in `Face.to_dict`."""
        faces = [face.to_dict() for face in self.faces]
        return {"source": self.source, "width": self.width, "height": self.height, "faces": faces}

    def to_json(self, indent: int | None = None) -> str:
        """Convert to JSON text with the values of `to_dict`, in ASCII, on one line or indented."""
        return json.dumps(self.to_dict(), indent=indent)

    def to_df(self) -> "DataFrame":
        """Convert to a pandas data frame with the columns of the prediction table.

        It has one row per face, or a single row with the status `no_face`.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError:
            raise MissingExtraError("pandas", "pandas") from None
        return DataFrame(image_rows(self.source, self.faces), columns=list(columns(self.class_names)))

    def to_fer(self) -> list[dict[str, Any]]:
        """Convert to the result of `FER().detect_emotions` in the package `fer`. The boxes lie inside the image."""
        return [
            {"box": list(face.box.inside(self.width, self.height)), "emotions": dict(face.probabilities)}
            for face in self.faces
        ]

    def to_deepface(self) -> list[dict[str, Any]]:
        """Convert to the result of `DeepFace.analyze(..., actions=["emotion"])`.

        Probabilities are in percent, and the regions lie inside the image.
        """
        return [self._to_deepface(face) for face in self.faces]

    def _to_deepface(self, face: Face) -> dict[str, Any]:
        box = face.box.inside(self.width, self.height)
        eyes = {
            name: tuple(round(value) for value in face.landmarks[name]) if face.landmarks else None
            for name in ("left_eye", "right_eye")
        }
        return {
            "emotion": {name: 100 * probability for name, probability in face.probabilities.items()},
            "dominant_emotion": face.emotion,
            "region": {"x": box.x, "y": box.y, "w": box.width, "h": box.height, **eyes},
            "face_confidence": face.detection_score,
        }
