"""Contact sheets: a look at a data set in one picture."""

from pathlib import Path

import cv2
import numpy as np

from ferlab.data.dataset import IMAGE_SIZE, Dataset
from ferlab.errors import DataError

COLUMNS = 16
LABEL_WIDTH = 96  # pixels


def write_sheet(dataset: Dataset, path: Path) -> None:
    """Writes a PNG with a row of images for each class, evenly spread over the data set.

    Raises:
        DataError: if the file cannot be written.
    """
    sheet = np.concatenate([_row(dataset, label) for label in range(len(dataset.class_names))])
    content = cv2.imencode(".png", sheet)[1].tobytes()
    try:
        path.write_bytes(content)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}. Choose another --sheet.") from None


def _row(dataset: Dataset, label: int) -> np.ndarray:
    """The name of a class and some of its images, `(48, W)` uint8."""
    row = np.full((IMAGE_SIZE, LABEL_WIDTH + COLUMNS * IMAGE_SIZE), 255, np.uint8)
    cv2.putText(row, dataset.class_names[label][:10], (6, 29), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0, 1, cv2.LINE_AA)
    members = np.flatnonzero(dataset.labels == label)
    chosen = members[np.linspace(0, len(members) - 1, min(COLUMNS, len(members))).astype(int)] if len(members) else []
    for column, index in enumerate(chosen):
        left = LABEL_WIDTH + column * IMAGE_SIZE
        row[:, left : left + IMAGE_SIZE] = dataset.images[index]
    return row
