"""`Engine`: answer concurrent requests together. Threads detect faces; the crops of all share one network call."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from ferlab.errors import DetectorError, FerlabError, ImageError
from ferlab.images.sources import ImageSource
from ferlab.predict.prediction import Prediction
from ferlab.predict.predictor import DetectedFaces, Predictor
from ferlab.serve.metrics import Metrics
from ferlab.serve.refusals import Refusal, busy
from ferlab.serve.settings import ServeSettings
from ferlab.serve.uploads import Upload

BATCH_WAIT = 0.002  # seconds to wait for the crops of other images before a network call
OTHER_DETECTORS = ("haar", "none")  # need no download, so they are available beside the default

Detected = tuple[DetectedFaces, "asyncio.Future[Prediction]"]


class Engine:
    """Predicts on the images of concurrent requests.

    A bounded pool of threads decodes images and detects faces, each on one core. The crops of images that are ready at
    about the same time are classified together.

    Args:
        settings: the model and the limits.
        metrics: where work is counted.

    Raises:
        ArtifactError: if the model file is not valid.
        DetectorError: if no detector is available.
    """

    def __init__(self, settings: ServeSettings, metrics: Metrics) -> None:
        self.predictors = _open_predictors(settings)
        self.artifact = self.predictors["auto"].artifact
        self.waiting = 0
        self._settings, self._metrics = settings, metrics
        self._pool = ThreadPoolExecutor(settings.threads, "detect")
        self._classifier = ThreadPoolExecutor(1, "classify")
        self._detected: asyncio.Queue[Detected] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether the queue is full."""
        return self.waiting >= self._settings.max_queue

    def start(self) -> None:
        """Start to answer, in the running event loop."""
        self._task = asyncio.create_task(self._classify_batches())

    def stop(self) -> None:
        """Stop, after all requests have been answered."""
        if self._task:
            self._task.cancel()
        self._pool.shutdown(cancel_futures=True)
        self._classifier.shutdown()

    async def predict(
        self, uploads: Sequence[Upload], *, detector: str = "auto", max_faces: int | None = None
    ) -> list[Prediction | str]:
        """Predict the emotions of all faces in several images.

        Args:
            uploads: the images.
            detector: the name of a detector in `predictors`.
            max_faces: return at most this many faces of each image, the largest ones; None for all.

        Returns:
            For each image the prediction, or one line that says why it cannot be read.

        Raises:
            Refusal: if the queue is full, or the detector is not available.
        """
        if detector not in self.predictors:
            raise Refusal(422, f"This server has no detector '{detector}'. Choose one of {', '.join(self.predictors)}.")
        if self.waiting + len(uploads) > self._settings.max_queue:
            raise busy()
        self._add(len(uploads))
        return await asyncio.gather(*(self._predict(upload, detector, max_faces) for upload in uploads))

    async def _predict(self, upload: Upload, detector: str, max_faces: int | None) -> Prediction | str:
        loop = asyncio.get_running_loop()
        try:
            detected = await loop.run_in_executor(
                self._pool, partial(_detect, self.predictors[detector], upload, max_faces)
            )
            if isinstance(detected, str):
                return detected
            prediction: asyncio.Future[Prediction] = loop.create_future()
            self._detected.put_nowait((detected, prediction))
            return await prediction
        finally:
            self._add(-1)

    def _add(self, images: int) -> None:
        self.waiting += images
        self._metrics.queue.set(self.waiting)

    async def _classify_batches(self) -> None:
        """Classify what is ready, again and again."""
        while True:
            batch = [await self._detected.get()]
            if self.waiting > 1:
                await asyncio.sleep(BATCH_WAIT)
            batch += [self._detected.get_nowait() for _ in range(self._detected.qsize())]
            await self._classify(batch)

    async def _classify(self, batch: list[Detected]) -> None:
        images = [detected for detected, _ in batch]
        self._metrics.batch(sum(len(image.crops) for image in images))
        classify = self.predictors["auto"].classify_detected
        try:
            predictions = await asyncio.get_running_loop().run_in_executor(self._classifier, classify, images)
        except Exception as error:
            for _, future in batch:
                if not future.done():  # its request may have been cancelled
                    future.set_exception(error)
            return
        for (_, future), prediction in zip(batch, predictions, strict=True):
            if not future.done():
                future.set_result(prediction)


def _open_predictors(settings: ServeSettings) -> dict[str, Predictor]:
    """Open the model with each available detector, by its name. `auto` is the default one."""
    default = Predictor(settings.model, threads=1, max_pixels=settings.max_pixels)
    predictors = {"auto": default, default.detector.name: default}
    for name in OTHER_DETECTORS:
        predictor = default.with_detector(name)
        try:
            predictors.setdefault(predictor.detector.name, predictor)
        except DetectorError:  # OpenCV 5 has no Haar cascades
            continue
    return predictors


def _detect(predictor: Predictor, upload: Upload, max_faces: int | None) -> DetectedFaces | str:
    """Decode an image and detect its faces, or return one line that says why this is not possible."""
    if upload.content is None:
        return "not base64; encode the bytes of an image file as base64"
    try:
        detected = predictor.detect(ImageSource(name=upload.name, content=upload.content))
    except ImageError as error:
        return str(error).removeprefix(f"{upload.name}: ")
    except MemoryError:
        return "not enough memory to read the image; send a smaller one"
    except FerlabError:
        raise
    except Exception:  # such as an OpenCV error for extreme image sizes; its message contains a path
        logging.getLogger("ferlab").exception("Face detection failed.")
        return "face detection failed; send the image in another size"
    return replace(detected, detections=detected.detections[:max_faces], crops=detected.crops[:max_faces])
