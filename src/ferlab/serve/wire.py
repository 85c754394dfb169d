"""The JSON of the service, as types that also describe it in OpenAPI."""

from pydantic import BaseModel, ConfigDict, Field

from ferlab.images.yunet import LANDMARKS
from ferlab.predict.prediction import Prediction
from ferlab.predict.results import Box, Face

SCHEMA = 1
Point = tuple[float, float]


class FaceResult(BaseModel):
    """A face."""

    box: Box = Field(description="Left, top, width and height in pixels; it may extend beyond the image.")
    detection_score: float | None = Field(description="Confidence of the detector, 0..1; null if it reports none.")
    emotion: str | None = Field(description="The most probable class; null below `min_confidence`.")
    confidence: float = Field(description="The probability of the most probable class, 0..1.")
    probabilities: dict[str, float] = Field(description="The probability of each class, 0..1.")
    landmarks: list[Point] | None = Field(
        description="x and y of right eye, left eye, nose, right and left corner of the mouth, from the person's point "
        "of view; null if the detector reports none."
    )


class TrackedFace(FaceResult):
    """A face in a stream."""

    track: int = Field(description="Number of the face, which it keeps while it is visible.")


class ImageResult(BaseModel):
    """An image with its faces, or the reason why it cannot be read."""

    source: str = Field(description="File name, or `image N`.")
    width: int | None = Field(default=None, description="Width of the upright image in pixels.")
    height: int | None = Field(default=None, description="Its height.")
    faces: list[FaceResult] = Field(default_factory=list, description="Largest first.")
    error: str | None = Field(default=None, description="Why the image cannot be read; null if it can.")


class Versioned(BaseModel):
    """JSON with the version of its form."""

    model_config = ConfigDict(serialize_by_alias=True)
    version: int = Field(default=SCHEMA, alias="schema", description="Version of this form.")


class PredictResponse(Versioned):
    """The answer of `POST /v1/predict`."""

    model: str = Field(description="Name of the model.")
    results: list[ImageResult] = Field(description="One per image, in the order of the request.")
    ms: float = Field(description="Milliseconds from the received request to the answer.")


class FrameResponse(Versioned):
    """A message of `WS /v1/stream`."""

    frame: int = Field(description="Index of the frame among all received ones, from 0.")
    width: int | None = Field(default=None, description="Width of the upright frame in pixels.")
    height: int | None = Field(default=None, description="Its height.")
    faces: list[TrackedFace] = Field(default_factory=list, description="With probabilities smoothed per track.")
    dropped: int = Field(description="Frames that were dropped so far, because newer ones had arrived.")
    ms: float = Field(description="Milliseconds from the received frame to the answer.")
    error: str | None = Field(default=None, description="Why the frame cannot be read; null if it can.")


class ModelResponse(Versioned):
    """The answer of `GET /v1/model`."""

    name: str
    class_names: list[str]
    min_confidence: float = Field(description="Below this confidence, show a face as not sure.")
    accuracy: dict[str, float | None] = Field(description="Share of right classes by split of FER2013, 0..1.")
    intended_use: str
    limits: list[str]
    license: dict[str, str] = Field(description="Licenses of code, weights and data.")


class ErrorResponse(BaseModel):
    """Every answer that is not a result."""

    error: str = Field(description="One line that says what to do.")


class PredictBody(BaseModel):
    """The JSON that `POST /v1/predict` accepts, for its documentation. `uploads.py` checks it within limits."""

    model_config = ConfigDict(extra="forbid")
    images: list[str] = Field(description="Image files, each as base64 text.", min_length=1)


def face_result(face: Face, min_confidence: float) -> FaceResult:
    """Convert a face. Its emotion is left blank below the threshold, as in the prediction table."""
    return FaceResult(
        box=face.box,
        detection_score=face.detection_score,
        emotion=face.emotion if face.confidence >= min_confidence else None,
        confidence=face.confidence,
        probabilities=face.probabilities,
        landmarks=[face.landmarks[name] for name in LANDMARKS] if face.landmarks else None,
    )


def image_result(source: str, result: Prediction | str, min_confidence: float) -> ImageResult:
    """Convert a prediction, or the reason why there is none."""
    if isinstance(result, str):
        return ImageResult(source=source, error=result)
    faces = [face_result(face, min_confidence) for face in result.faces]
    return ImageResult(source=source, width=result.width, height=result.height, faces=faces)
