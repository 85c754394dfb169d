"""YuNet, the default face detector, on ONNX Runtime."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ferlab.errors import DetectorError
from ferlab.images.detection import Detection, Detector, best_boxes, without_overlaps
from ferlab.images.upright import is_upright, turned_upright
from ferlab.onnx_session import open_session

MODEL_VARIABLE = "FERLAB_DETECTOR_MODEL"
YUNET_URL = (
    "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2026may.onnx"
)
YUNET_SHA256 = "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0"
DOWNLOAD_TIMEOUT = 10  # seconds

STRIDES = (8, 16, 32)  # pixels per cell of the three feature maps
OUTPUTS = [f"{name}_{stride}" for stride in STRIDES for name in ("cls", "obj", "bbox", "kps")]
LANDMARKS = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")


class YuNet(Detector):
    """YuNet, the face detector of OpenCV's model zoo. It finds frontal and averted faces, at any angle.

    Upright faces get the boxes, landmarks and scores of OpenCV's `FaceDetectorYN`. Faces with a low score are also
    searched in turned copies; see `ferlab.images.upright`.

    Args:
        model: the file `face_detection_yunet_*.onnx`. If None, use the file that the environment variable
            `FERLAB_DETECTOR_MODEL` names, or else download the model once to the user's cache.
        threads: number of CPU threads per call; 0 for all cores.

    Raises:
        DetectorError: if the file is missing, cannot be downloaded, or is not a YuNet model.

    Reference:
        https://doi.org/10.1007/s11633-023-1423-y
    """

    name = "yunet"
    SCORE_THRESHOLD = 0.6  # finds 98 of 100 tight FER2013 crops, and no face in images without one
    CANDIDATE_SCORE = 0.15  # of faces that may lie on their side; a lower one costs time in images without faces
    MAX_TURNED = 64  # candidates that are searched in turned copies, the largest ones; each takes about 10 ms
    ONE_THREAD = 160 * 160  # pixels, up to which waking a second thread costs more than it saves

    def __init__(self, model: str | Path | None = None, *, threads: int = 0) -> None:
        path = yunet_file(model)
        try:
            self._session = open_session(path.read_bytes(), threads)
            self._session_of_one_thread = open_session(path.read_bytes(), 1)
            self._detect(np.zeros((64, 64, 3), np.uint8))  # a different network fails only when it runs
        except Exception as error:  # the exceptions of ONNX Runtime have no other common base class
            raise DetectorError(f"{path} is not a YuNet face detector that ONNX Runtime can load.") from error

    def _confirm(self, image: np.ndarray, detections: list[Detection]) -> list[Detection]:
        """Find the upright turn of each candidate, and keep the faces that reach the threshold."""
        unsure = [index for index, face in enumerate(detections) if not is_upright(face)]
        unsure.sort(key=lambda index: -detections[index].box[2] * detections[index].box[3])
        searched = set(unsure[: self.MAX_TURNED])
        upright = [
            turned_upright(image, face, self._detect) if index in searched else face
            for index, face in enumerate(detections)
        ]
        return without_overlaps([face for face in upright if (face.score or 0.0) >= self.SCORE_THRESHOLD])

    def _detect(self, image: np.ndarray) -> list[Detection]:
        """Detect candidates, with landmarks as if they were upright."""
        planes = _planes(image)
        session = self._session if planes[0, 0].size > self.ONE_THREAD else self._session_of_one_thread
        outputs = session.run(OUTPUTS, {"input": planes})
        levels = [
            _decode(outputs[4 * level : 4 * level + 4], stride, planes.shape[3] // stride, self.CANDIDATE_SCORE)
            for level, stride in enumerate(STRIDES)
        ]
        rows = np.concatenate(levels)
        return [_detection(rows[index].tolist()) for index in best_boxes(rows[:, :4], rows[:, 14])]


def _planes(image: np.ndarray) -> np.ndarray:
    """Convert an image to the input of the network: `(1, 3, H, W)` float32, BGR, padded with zeros."""
    height, width = (-(-side // STRIDES[-1]) * STRIDES[-1] for side in image.shape[:2])
    planes = np.zeros((1, 3, height, width), np.float32)
    planes[0, :, : image.shape[0], : image.shape[1]] = image.transpose(2, 0, 1)[::-1]
    return planes


def _decode(outputs: Sequence[np.ndarray], stride: int, columns: int, min_score: float) -> np.ndarray:
    """Decode one feature map.

    Args:
        outputs: `cls (1, A, 1)`, `obj (1, A, 1)`, `bbox (1, A, 4)`, `kps (1, A, 10)` for A cells, row by row.
        stride: pixels per cell.
        columns: cells per row.
        min_score: detections with a lower score are left out.

    Returns:
        `(N, 15)`: box (4), landmarks (10), score (1), in pixels.
    """
    class_score, object_score, box, points = (output[0] for output in outputs)
    scores = np.sqrt(class_score[:, 0].clip(0, 1) * object_score[:, 0].clip(0, 1))
    chosen = np.flatnonzero(scores >= min_score)
    if not len(chosen):
        return np.empty((0, 15))
    cells = np.stack([chosen % columns, chosen // columns], axis=1)
    sides = np.exp(box[chosen, 2:])
    corners = cells + box[chosen, :2] - sides / 2
    landmarks = points[chosen] + np.tile(cells, 5)
    return np.hstack([stride * corners, stride * sides, stride * landmarks, scores[chosen, None]])


def _detection(row: list[float]) -> Detection:
    """Convert a row of `_decode`."""
    points = dict(zip(LANDMARKS, zip(row[4:14:2], row[5:14:2], strict=True), strict=True))
    return Detection(box=(row[0], row[1], row[2], row[3]), score=row[14], landmarks=points)


def yunet_file(model: str | Path | None = None) -> Path:
    """Return the path of the YuNet model file, and download the file if needed.

    Args:
        model: the file; if None, the file that `FERLAB_DETECTOR_MODEL` names, or else the one in the user's cache.

    Raises:
        DetectorError: if the given file does not exist, or the download fails.
    """
    import platformdirs

    if given := model or os.environ.get(MODEL_VARIABLE):
        if not Path(given).is_file():
            raise DetectorError(f"The YuNet model file {given} does not exist.")
        return Path(given)
    path = platformdirs.user_cache_path("ferlab") / YUNET_URL.rsplit("/", 1)[1]
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != YUNET_SHA256:
        _download(path)
    return path


def _download(path: Path) -> None:
    """Download YuNet and verify its SHA-256."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(
            YUNET_URL,
            known_hash=f"sha256:{YUNET_SHA256}",
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(timeout=DOWNLOAD_TIMEOUT),
        )
    except OSError as error:
        raise _download_error(f"could not be downloaded from {YUNET_URL} ({type(error).__name__}).") from None
    except ValueError:  # pooch: the hash does not match
        raise _download_error(f"was refused: the SHA-256 of {YUNET_URL} is not the expected one.") from None


def _download_error(reason: str) -> DetectorError:
    return DetectorError(
        f"The face detector YuNet {reason} Download it on another machine and pass the file with --detector-model or "
        f"${MODEL_VARIABLE}."
    )
