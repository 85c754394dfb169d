"""Predict on many images: list files, decode them and detect faces in threads, classify faces in batches."""

import glob
import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ferlab.errors import FerlabError, ImageError, OutputError
from ferlab.images.sources import ImageSource
from ferlab.predict.prediction import Prediction
from ferlab.predict.predictor import DetectedFaces, Predictor
from ferlab.predict.table import RowWriter, error_row, image_rows

SUFFIXES = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".jxl", ".png", ".ppm", ".tif", ".tiff", ".webp")
QUEUE_PER_THREAD = 16  # images that are decoded ahead of the classification
BATCH = 32  # images whose faces are classified together

NamedImage = TypeVar("NamedImage", bound=Path | str | ImageSource)  # a file, a URL, or an image with a name


def list_images(
    paths: Sequence[str | Path], *, recursive: bool = False, exclude: Path | None = None
) -> dict[Path, Path]:
    """List the image files that paths refer to.

    Args:
        paths: files with any name; folders, of which only files with an image suffix are listed; and patterns such as
            `photos/*.jpg`.
        recursive: whether to search subfolders.
        exclude: a subfolder to leave out, such as the output folder of annotated images.

    Returns:
        Each file once, sorted within a folder or pattern, with a relative path for files derived from it: its path
        below the folder, or its name. The relative paths are unique.

    Raises:
        ImageError: if a path does not exist, or no images are found.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        try:
            found |= _list_path(path, "**/*" if recursive else "*", exclude)
        except OSError as error:  # such as a name that is too long
            raise ImageError(f"{path}: {error.strerror}.") from None
    if not found:
        hint = "" if recursive else " Use --recursive to search subfolders."
        raise ImageError(f"No images found in {', '.join(map(str, paths))}.{hint}")
    return _make_unique(found)


def _list_path(path: Path, pattern: str, exclude: Path | None) -> dict[Path, Path]:
    if path.is_dir():
        files = sorted(file for file in path.glob(pattern) if _is_image(file))
        if exclude and path.resolve() in exclude.resolve().parents:
            files = [file for file in files if exclude.resolve() not in file.resolve().parents]
        return {file: file.relative_to(path) for file in files}
    if path.exists():
        return {path: Path(path.name)}
    if matches := sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207  # Path.glob takes no absolute pattern
        return {Path(match): Path(Path(match).name) for match in matches if Path(match).is_file()}
    raise ImageError(f"{path} does not exist. Pass images, folders of images, or a pattern such as '*.jpg'.")


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def _make_unique(targets: Mapping[Path, Path]) -> dict[Path, Path]:
    """Number relative paths that occur more than once: `a.jpg`, `a-2.jpg`."""
    unique, taken = dict(targets), set[Path]()
    for file, target in targets.items():
        number = 2
        while unique[file] in taken:
            unique[file] = target.with_stem(f"{target.stem}-{number}")
            number += 1
        taken.add(unique[file])
    return unique


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
        OutputError: if a file cannot be written, or an annotated image would be written to a folder of the images.
    """
    counts: Counter[str] = Counter()
    if annotate:
        _check_annotation_folders(images, annotate)
    for image, result in predict_files(predictor, [image for image in images if str(image) not in writer.done]):
        if isinstance(result, FerlabError):
            rows = [error_row(str(image), str(result))]
        else:
            rows = image_rows(str(image), result.faces, min_confidence)
            if annotate:
                _annotate(result, annotate / images[image])
        writer.write(rows)
        counts.update(row["status"] for row in rows)
        advance(1)
    return counts


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
        images: the image files or URLs.
        threads: number of threads that decode images and detect faces; None for one per CPU core.

    Yields:
        Each image, in the order of `images`, with its prediction or the error that occurred.

    Raises:
        DetectorError: if the detector is not available.
    """
    predictor.detector  # noqa: B018  # report a missing detector once, not once per image
    threads = threads or os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as executor:
        queue: deque[tuple[NamedImage, Future[DetectedFaces]]] = deque()
        for image in images:
            queue.append((image, executor.submit(predictor.detect, image)))
            if len(queue) >= max(QUEUE_PER_THREAD * threads, BATCH):
                yield from _classify(predictor, [queue.popleft() for _ in range(BATCH)])
        while queue:
            yield from _classify(predictor, [queue.popleft() for _ in range(min(BATCH, len(queue)))])


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
