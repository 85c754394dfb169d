"""`Predictor`: detect faces and predict their emotions."""

import functools
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

import ferlab
from ferlab.errors import DetectorError, ImageError
from ferlab.images.crop import CROP_SIDE, crop_face, resize_crop
from ferlab.images.decode import MAX_PIXELS, Channels, read_image
from ferlab.images.detection import SEARCH_SIZE, Detection, Detector
from ferlab.images.detectors import open_detector
from ferlab.images.find import find_faces
from ferlab.images.pixel_budget import PixelBudget
from ferlab.images.sources import AnyImage, ImageSource, SupportsArray, as_array, is_one_image, open_source
from ferlab.images.yunet import YuNet, yunet_file
from ferlab.predict.artifact import Artifact
from ferlab.predict.class_prior import prior_factors, reweight
from ferlab.predict.packaged import DEFAULT_MODEL
from ferlab.predict.prediction import Prediction
from ferlab.predict.results import Box, Classification, Face

HASH_LENGTH = 12  # hexadecimal digits that identify a file in `settings`


@dataclass(frozen=True, kw_only=True)
class DetectedFaces:
    """The faces of one image, cropped and not yet classified.

    Args:
        image: the image.
        channels: its channel order if it is an array.
        size: its width and height in pixels.
        detections: the F faces, in pixels of the original image.
        crops: `(F, 48, 48)` uint8.
    """

    image: ImageSource
    channels: Channels
    size: tuple[int, int]
    detections: list[Detection]
    crops: np.ndarray


class Predictor:
    """Detects faces and predicts their emotions, without Keras.

    Args:
        model: the name of a network in the package, or an artifact file; see `ferlab.predict.packaged`.
        detector: `auto`, `yunet`, `haar`, or `none` if each image is one face; see `ferlab.images.open_detector`.
        detector_model: the YuNet model file; if None, it is downloaded once.
        search_size: longer side, in pixels, of the copy in which faces are searched; more than 640 for group photos.
        threads: number of CPU threads per call; 0 for all cores.
        max_faces: return at most this many faces of each image, the largest ones; None for all.
        class_prior: expected share of each class among your faces, by name, if these differ from the training images;
            see `ferlab.predict.class_prior`.
        allow_urls: whether `predict` downloads images from URLs. Do not allow it for strings from people you do not
            trust: they could make this computer connect to any host that it reaches.
        max_pixels: refuse image files with more pixels than this, before they are decoded.

    A predictor can be shared by threads, and pickled for other processes, which load the model again.

    Raises:
        ArtifactError: if the model file is not a valid artifact, or `class_prior` does not fit it.
        DetectorError: if `max_faces` is less than 1.

    Example:
        >>> predictor = Predictor(detector="none")
        >>> [face] = predictor.predict(np.zeros((48, 48), np.uint8))
        >>> round(sum(face.probabilities.values()), 3)
        1.0
        >>> face.box
        Box(x=0, y=0, width=48, height=48)
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        detector: str = "auto",
        *,
        detector_model: str | Path | None = None,
        search_size: int = SEARCH_SIZE,
        threads: int = 0,
        max_faces: int | None = None,
        class_prior: Mapping[str, float] | None = None,
        allow_urls: bool = False,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if max_faces is not None and max_faces < 1:
            raise DetectorError(f"max_faces must be at least 1, or None for all faces, got {max_faces}.")
        self.artifact = Artifact(model, threads=threads)
        self.detector_model, self.search_size, self.threads = detector_model, search_size, threads
        self.max_faces, self.allow_urls, self.max_pixels = max_faces, allow_urls, max_pixels
        self.class_prior = None if class_prior is None else dict(class_prior)
        self._factors = None if class_prior is None else self._prior_factors(class_prior)
        self._detector_name = detector
        self._detector: Detector | None = None
        self._lock = threading.Lock()
        self._budget = PixelBudget()

    def with_detector(self, detector: str) -> "Predictor":
        """Return a predictor with another face detector, which shares the model and the limit of memory."""
        other = object.__new__(type(self))
        other.__dict__ |= self.__dict__
        other._detector_name, other._detector, other._lock = detector, None, threading.Lock()
        return other

    def _prior_factors(self, class_prior: Mapping[str, float]) -> np.ndarray:
        shares = self.artifact.metadata["class_shares"]
        return prior_factors(self.artifact.path.name, self.artifact.class_names, shares, class_prior)

    def _probabilities(self, crops: np.ndarray) -> np.ndarray:
        """Predict the probabilities `(F, K)` of face crops `(F, 48, 48)` uint8."""
        return reweight(self.artifact.probabilities(crops), self._factors)

    @property
    def detector(self) -> Detector:
        """The face detector, opened on first use.

        Raises:
            DetectorError: if the detector is not available.
            UnknownNameError: if no detector has this name.
        """
        with self._lock:
            if self._detector is None:
                self._detector = open_detector(self._detector_name, self.detector_model, threads=self.threads)
                self._detector_name = self._detector.name
        return self._detector

    def __reduce__(self) -> tuple[Callable[[], "Predictor"], tuple[()]]:
        names = ("detector_model", "search_size", "threads", "max_faces", "class_prior", "allow_urls", "max_pixels")
        options = {name: getattr(self, name) for name in names}
        return functools.partial(type(self), self.artifact.path, self._detector_name, **options), ()

    @property
    def settings(self) -> dict[str, str | int | None]:
        """Everything besides the images that determines the predictions, as plain values.

        Raises:
            DetectorError: if the detector is not available. It is opened, so that `auto` is resolved.
        """
        metadata, detector = self.artifact.metadata, self.detector.name
        if detector == YuNet.name:
            content = yunet_file(self.detector_model).read_bytes()
            detector = f"{detector} {hashlib.sha256(content).hexdigest()[:HASH_LENGTH]}"
        return {
            "ferlab": ferlab.__version__,
            "model": f"{self.artifact.name} {metadata['sha256'][:HASH_LENGTH]}",
            "detector": detector,
            "search_size": self.search_size,
            "max_faces": self.max_faces,
            "max_pixels": self.max_pixels,
            "class_prior": ", ".join(f"{name} {share:g}" for name, share in (self.class_prior or {}).items()) or None,
        }

    @overload  # a string is also a collection of strings, but the first signature wins
    def predict(  # type: ignore[overload-overlap]
        self, source: AnyImage, *, channels: Channels = ..., stream: Literal[False] = ...
    ) -> Prediction: ...
    @overload
    def predict(
        self, source: Iterable[AnyImage], *, channels: Channels = ..., stream: Literal[False] = ...
    ) -> list[Prediction]: ...
    @overload
    def predict(
        self, source: AnyImage | Iterable[AnyImage], *, channels: Channels = ..., stream: Literal[True]
    ) -> Iterator[Prediction]: ...
    def predict(
        self, source: Any, *, channels: Channels = "rgb", stream: bool = False
    ) -> Prediction | list[Prediction] | Iterator[Prediction]:
        """Predict the emotions of all faces in an image, or in each of several images.

        Args:
            source: an image of any kind that `ferlab.images.open_source` accepts, or a list or other collection of
                them. The faces of all images in a list are classified together, which is faster than one call each.
                One array is always one image.
            channels: channel order of an array: `rgb`, or `bgr` as in OpenCV.
            stream: whether to yield each prediction as soon as its image has been read from `source`, instead of
                returning all of them.

        Returns:
            One prediction for one image; a list for a collection of images; an iterator with `stream`. The faces of a
            prediction are sorted, largest first; there may be none.

        Raises:
            DetectorError: if the detector is not available.
            ImageError: if an image cannot be read. Use `ferlab.predict.batch.predict_files` to get such errors for each
                image instead.
        """
        if stream:
            return self._stream(self._opened(source), channels)
        images = [self.detect(image, channels=channels) for image in self._opened(source)]
        predictions = self.classify_detected(images)
        return predictions[0] if is_one_image(source) else predictions

    def _opened(self, source: Any) -> Iterator[ImageSource]:
        """Yield the images of `source`, which is one image or a collection."""
        if is_one_image(source):
            yield open_source(source, allow_urls=self.allow_urls)
            return
        for index, image in enumerate(source):
            yield open_source(image, name=f"images[{index}]", allow_urls=self.allow_urls)

    def _stream(self, images: Iterator[ImageSource], channels: Channels) -> Iterator[Prediction]:
        for image in images:
            yield from self.classify_detected([self.detect(image, channels=channels)])

    def classify(self, crops: Iterable[SupportsArray]) -> list[Classification]:
        """Predict the emotions of face crops.

        Args:
            crops: a list of arrays or tensors of any size: gray `(H, W)` or `(H, W, 1)`, or RGB `(H, W, 3)`, with
                values as in `ferlab.images.as_array`. One call with many crops is faster than many calls.

        Returns:
            One classification per crop.

        Raises:
            ImageError: if an array has another shape, dtype or range, or is given in place of a list.
        """
        if hasattr(crops, "__array__"):
            raise ImageError(f"Crops must be a list, got one {type(crops).__name__}. Pass [crop], or list(crops).")
        faces = np.array([resize_crop(as_array(crop)) for crop in crops], np.uint8).reshape(-1, CROP_SIDE, CROP_SIDE)
        return [Classification(**self._classification(row)) for row in self._probabilities(faces)]

    def detect(self, image: "AnyImage | ImageSource", *, channels: Channels = "rgb") -> DetectedFaces:
        """Detect and crop the faces in one image, without classifying them. This method is thread-safe.

        The errors are those of `predict`.
        """
        with self._budget.reservation() as reserve:
            return self._detect(open_source(image, allow_urls=self.allow_urls), channels, reserve)

    def _detect(self, source: ImageSource, channels: Channels, reserve: Callable[[int], None]) -> DetectedFaces:
        read = functools.partial(read_image, source, channels=channels, reserve=reserve, max_pixels=self.max_pixels)
        decoded, detections = find_faces(lambda side: read(sufficient_side=side), self.detector, self.search_size)
        detections = detections[: self.max_faces]
        if self.detector.whole_image:
            crops = [resize_crop(decoded.pixels) for _ in detections]
        else:
            margin = float(self.artifact.metadata["crop_margin"])
            crops = [crop_face(decoded.pixels, detection, margin) for detection in detections]
        return DetectedFaces(
            image=source,
            channels=channels,
            size=decoded.size,
            detections=[detection.scaled(1 / decoded.scale) for detection in detections],
            crops=np.stack(crops) if crops else np.empty((0, CROP_SIDE, CROP_SIDE), np.uint8),
        )

    def classify_detected(self, images: Sequence[DetectedFaces]) -> list[Prediction]:
        """Classify the faces of several images in one batch.

        Args:
            images: the result of `detect` for each image.

        Returns:
            The prediction for each image, in the same order.
        """
        if not images:
            return []
        rows = iter(self._probabilities(np.concatenate([image.crops for image in images])))
        return [self._prediction(image, rows) for image in images]

    def _prediction(self, image: DetectedFaces, rows: Iterator[np.ndarray]) -> Prediction:
        """Return the prediction for an image, taking the probabilities of its faces from `rows`."""
        return Prediction(
            source=image.image.name,
            width=image.size[0],
            height=image.size[1],
            class_names=self.artifact.class_names,
            faces=[self._face(detection, next(rows)) for detection in image.detections],
            image=image.image,
            channels=image.channels,
        )

    def _classification(self, probabilities: np.ndarray) -> dict[str, Any]:
        """Return the fields of a `Classification` for probabilities `(K,)`."""
        names = self.artifact.class_names
        return {
            "emotion": names[int(probabilities.argmax())],
            "confidence": float(probabilities.max()),
            "probabilities": dict(zip(names, probabilities.tolist(), strict=True)),
        }

    def _face(self, detection: Detection, probabilities: np.ndarray) -> Face:
        return Face(
            **self._classification(probabilities),
            box=Box(*(round(value) for value in detection.box)),
            detection_score=detection.score,
            landmarks=detection.landmarks,
        )
