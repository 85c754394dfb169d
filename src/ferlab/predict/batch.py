"""Predict on many images: decode files and detect faces in threads, classify faces in batches."""

import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ferlab.errors import FerlabError, ImageError, OutputError
from ferlab.files import remove_abandoned
from ferlab.images.listing import possible_copies
from ferlab.images.sources import ImageSource, SupportsRead
from ferlab.predict.prediction import Prediction
from ferlab.predict.predictor import DetectedFaces, Predictor
from ferlab.predict.table import Row, error_row, image_rows
from ferlab.predict.table_files import RowWriter

BATCH = 32  # images whose faces are classified together
QUEUE_PER_THREAD = 16  # images that are decoded ahead, while a batch is classified

# A file, a URL, an image with a name, or an object that reads the bytes of an image in the thread that decodes it.
NamedImage = TypeVar("NamedImage", bound=Path | str | ImageSource | SupportsRead)


def write_predictions(
    predictor: Predictor,
    images: Mapping[NamedImage, Path],
    writer: RowWriter,
    *,
    min_confidence: float = 0.0,
    annotate: Path | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Counter[str]:
    """Predict on many images, and write the rows as they become available.

    Args:
        predictor: the predictor.
        images: the result of `list_images`, or images with a relative path for their annotated copies. Those that the
            table already contains are skipped.
        writer: the output table.
        min_confidence: threshold, 0..1; faces below it get the status `uncertain`.
        annotate: output folder for annotated images.
        advance: called with 1 after each image.

    Returns:
        The number of rows with each status: `ok`, `uncertain`, `no_face` and `error`.

    Raises:
        DetectorError: if the detector is not available.
        OutputError: if a file cannot be written, an annotated image would be written to a folder of the images, or it
            would replace a file.
    """
    counts: Counter[str] = Counter()
    waiting = [image for image in images if str(image) not in writer.done]
    if annotate:
        _check_annotation_folders(images, annotate)
        _check_no_copies([images[image] for image in waiting], annotate, writer.started)
        remove_abandoned(annotate)
    for image, result in predict_files(predictor, waiting):
        if annotate and isinstance(result, Prediction):
            _annotate(result, annotate / images[image])
        rows = outcome_rows(str(image), result, min_confidence)
        writer.write(rows)
        counts.update(row["status"] for row in rows)
        advance(1)
    return counts


def outcome_rows(source: str, result: Prediction | FerlabError, min_confidence: float = 0.0) -> list[Row]:
    """Return the rows of an image from its result of `predict_files`: see `image_rows` and `error_row`."""
    if isinstance(result, FerlabError):
        return [error_row(source, str(result))]
    return image_rows(source, result.faces, min_confidence)


def _check_no_copies(targets: Iterable[Path], annotate: Path, started: float) -> None:
    """Reject annotated copies that would replace files. Those since the start of a resumed job are its own."""
    for target in targets:
        for copy in map(annotate.joinpath, possible_copies(target)):
            if copy.exists() and copy.stat().st_mtime < started:
                raise OutputError(f"{copy} already exists. Remove it, or choose another folder for --annotate.")


def _check_annotation_folders(images: Mapping[NamedImage, Path], annotate: Path) -> None:
    sources = {image.resolve().parent for image in images if isinstance(image, Path)}
    if shared := sources & {(annotate / target).resolve().parent for target in images.values()}:
        raise OutputError(f"{min(shared)} contains the original images. Choose another folder for --annotate.")


def _annotate(prediction: Prediction, target: Path) -> None:
    try:
        prediction.save(target)
    except (ImageError, MemoryError) as error:  # the prediction may have used a smaller copy of the image
        reason = error or "not enough memory"
        logging.getLogger("ferlab").warning("%s: not annotated (%s).", prediction.source, reason)


def predict_files(
    predictor: Predictor, images: Iterable[NamedImage], *, threads: int | None = None
) -> Iterator[tuple[NamedImage, Prediction | FerlabError]]:
    """Predict the emotions of all faces in many images. Memory use does not depend on the number of images.

    Args:
        predictor: the predictor.
        images: the image files, URLs, or objects that read one; these are taken ahead of the results.
        threads: number of threads that decode images and detect faces; None for one per CPU core.

    Yields:
        Each image, in the order of `images`, with its prediction or the error that occurred.

    Raises:
        DetectorError: if the detector is not available.
    """
    predictor.detector  # noqa: B018  # report a missing detector once, not once per image
    threads = threads or os.cpu_count() or 1
    executor = ThreadPoolExecutor(threads)
    try:
        queue: deque[tuple[NamedImage, Future[DetectedFaces]]] = deque()
        for image in images:
            queue.append((image, executor.submit(predictor.detect, image)))
            if len(queue) >= BATCH + QUEUE_PER_THREAD * threads:
                yield from _classify(predictor, [queue.popleft() for _ in range(BATCH)])
        while queue:
            yield from _classify(predictor, [queue.popleft() for _ in range(min(BATCH, len(queue)))])
    finally:
        executor.shutdown(cancel_futures=True)  # after Ctrl-C, do not read what is queued


def _classify(
    predictor: Predictor, jobs: list[tuple[NamedImage, Future[DetectedFaces]]]
) -> Iterator[tuple[NamedImage, Prediction | FerlabError]]:
    results: list[tuple[NamedImage, DetectedFaces | FerlabError]] = [(image, _result(job)) for image, job in jobs]
    predictions = iter(predictor.classify_detected([item for _, item in results if isinstance(item, DetectedFaces)]))
    for image, item in results:
        yield image, next(predictions) if isinstance(item, DetectedFaces) else item


def _result(job: "Future[DetectedFaces]") -> DetectedFaces | FerlabError:
    """Return the detected faces, or an error that concerns this image only."""
    try:
        return job.result()
    except ImageError as error:
        return error
    except MemoryError:
        return ImageError("not enough memory to read the image")
    except FerlabError:
        raise
    except Exception as error:  # such as an OpenCV error for extreme image sizes
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return ImageError(f"face detection failed: {reason}")
