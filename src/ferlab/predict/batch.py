"""Many pictures: found, decoded and searched in threads, and classified together."""

import glob
import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ferlab.errors import FerlabError, ImageError, OutputError
from ferlab.predict.annotate import write_annotated
from ferlab.predict.predictor import Found, Predictor
from ferlab.predict.results import Face
from ferlab.predict.table import RowWriter, error_row, image_rows

SUFFIXES = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".jxl", ".png", ".ppm", ".tif", ".tiff", ".webp")
AHEAD = 16  # pictures in work for each thread
TOGETHER = 32  # pictures whose faces are classified in one go


def list_images(paths: Sequence[str | Path], *, recursive: bool = False, drawn: Path | None = None) -> dict[Path, Path]:
    """Finds the pictures that are meant.

    Args:
        paths: files, whatever their names; folders, of which files with a picture's suffix are taken; and patterns such
            as `photos/*.jpg`.
        recursive: look into folders in folders too.
        drawn: a folder in them to leave out, where copies with faces drawn in are written.

    Returns:
        The files, each once, in the order of their names within a folder or pattern; and for each its path below the
        folder that was named, or its name, by which something made of it may be called.

    Raises:
        ImageError: if a path does not exist, or there is no picture at all.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        try:
            found |= _meant(path, "**/*" if recursive else "*", drawn)
        except OSError as error:  # such as a name that is too long
            raise ImageError(f"{path}: {error.strerror}.") from None
    if not found:
        hint = "" if recursive else " Look into folders in folders too by --recursive."
        raise ImageError(f"There are no pictures in {', '.join(map(str, paths))}.{hint}")
    return _told_apart(found)


def _meant(path: Path, pattern: str, drawn: Path | None) -> dict[Path, Path]:
    if path.is_dir():
        files = sorted(file for file in path.glob(pattern) if _is_picture(file))
        if drawn and path.resolve() in drawn.resolve().parents:
            files = [file for file in files if drawn.resolve() not in file.resolve().parents]
        return {file: file.relative_to(path) for file in files}
    if path.exists():
        return {path: Path(path.name)}
    if matches := sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207  # Path's takes no absolute one
        return {Path(match): Path(Path(match).name) for match in matches if Path(match).is_file()}
    raise ImageError(f"{path} does not exist. Name pictures, folders of them, or a pattern such as '*.jpg'.")


def _told_apart(places: Mapping[Path, Path]) -> dict[Path, Path]:
    """Gives files whose places are the same a number: `a.jpg`, `a-2.jpg`."""
    apart, taken = dict(places), set[Path]()
    for file, place in places.items():
        number = 2
        while apart[file] in taken:
            apart[file] = place.with_stem(f"{place.stem}-{number}")
            number += 1
        taken.add(apart[file])
    return apart


def write_predictions(
    predictor: Predictor,
    files: Mapping[Path, Path],
    writer: RowWriter,
    *,
    min_confidence: float = 0.0,
    annotate: Path | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Counter[str]:
    """Writes the rows of many pictures, as they are made.

    Args:
        predictor: finds and classifies.
        files: what `list_images` gives; those that the table has already are left out.
        writer: of the table.
        min_confidence: 0..1; faces below it get the status `uncertain`.
        annotate: a folder for copies of the pictures with their faces drawn in.
        advance: is told of each picture.

    Returns:
        How many rows there are of each status: `ok`, `uncertain`, `no_face` and `error`.

    Raises:
        DetectorError: if the detector cannot be had.
        OutputError: if a file cannot be written, or a copy would lie among the pictures.
    """
    counts: Counter[str] = Counter()
    if annotate:
        _refuse_to_overwrite(files, annotate)
    for file, found in predict_files(predictor, [file for file in files if str(file) not in writer.done]):
        if isinstance(found, FerlabError):
            rows = [error_row(str(file), str(found))]
        else:
            rows = image_rows(str(file), found, min_confidence)
            if annotate:
                _draw(file, found, annotate / files[file])
        writer.write(rows)
        counts.update(row["status"] for row in rows)
        advance(1)
    return counts


def _refuse_to_overwrite(files: Mapping[Path, Path], annotate: Path) -> None:
    folders = {file.resolve().parent for file in files}
    if same := folders & {(annotate / place).resolve().parent for place in files.values()}:
        raise OutputError(f"{min(same)} holds the pictures themselves. Choose another folder for --annotate.")


def _draw(file: Path, faces: list[Face], target: Path) -> None:
    try:
        write_annotated(file, faces, target)
    except (ImageError, MemoryError) as error:  # it was found, in a smaller copy, but cannot be had in its own size
        logging.getLogger("ferlab").warning("%s: not drawn (%s).", file, error or "not enough memory")


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def predict_files(
    predictor: Predictor, files: Iterable[Path], *, threads: int | None = None
) -> Iterator[tuple[Path, list[Face] | FerlabError]]:
    """Tells the emotions of all faces in many pictures. However many they are, few are in memory at a time.

    Args:
        predictor: finds and classifies.
        files: the pictures.
        threads: that read pictures and look for faces; None for one for each core.

    Yields:
        In the order of `files`: the file, and its faces, or the error that says why it cannot be read.

    Raises:
        DetectorError: if the detector cannot be had.
    """
    predictor.detector  # noqa: B018  # what is wrong with it is told once, not for each picture
    remaining, threads = iter(files), threads or os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as executor:
        waiting: deque[tuple[Path, Future[Found]]] = deque()
        for file in remaining:
            waiting.append((file, executor.submit(predictor.find, file)))
            if len(waiting) >= max(AHEAD * threads, TOGETHER):
                yield from _classified(predictor, [waiting.popleft() for _ in range(TOGETHER)])
        while waiting:
            yield from _classified(predictor, [waiting.popleft() for _ in range(min(TOGETHER, len(waiting)))])


def _classified(
    predictor: Predictor, jobs: list[tuple[Path, Future[Found]]]
) -> Iterator[tuple[Path, list[Face] | FerlabError]]:
    found: list[tuple[Path, Found | FerlabError]] = [(file, _result(job)) for file, job in jobs]
    faces = iter(predictor.classify_found([item for _, item in found if isinstance(item, Found)]))
    for file, item in found:
        yield file, next(faces) if isinstance(item, Found) else item


def _result(job: "Future[Found]") -> Found | FerlabError:
    try:
        return job.result()
    except ImageError as error:
        return error
    except MemoryError:
        return ImageError("there is not enough memory to read it")
    except FerlabError:
        raise
    except Exception as error:  # such as OpenCV's, of sides that it cannot take
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return ImageError(f"it cannot be searched for faces: {reason}")
