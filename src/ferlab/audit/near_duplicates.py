"""Find near copies: images that show the same photo, cropped, scaled or retouched slightly differently.

Candidates are found among thumbnails of 12x12 pixels with an inverted index (faiss, https://arxiv.org/abs/1702.08734),
whose cost is nearly linear in the number of images. They are then verified with all pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from ferlab.data.copies import group_copies
from ferlab.errors import DataError, MissingExtraError

SIDE = 12  # pixels; width and height of the thumbnails
CANDIDATE = 0.90  # smallest correlation of the thumbnails of a candidate pair
THRESHOLD = 0.60  # smallest correlation of the details of a near copy
SHOWN = 0.50  # smallest correlation of the pairs returned, to show pairs just below the threshold
LARGEST_SHIFT = 3  # pixels, between two crops of the same photo
DETAIL = 3.0  # pixels; standard deviation of the Gaussian blur that is subtracted to leave only details
FLAT = 5.0  # gray levels; images with a smaller standard deviation correlate with anything and are not compared
LIST_SIZE = 256  # mean number of images per list of the index
PROBES = 8  # lists searched per image
BLOCK = 1024  # images searched at a time
MAX_CANDIDATES = 500_000  # pairs; FER2013 has 20,000, and a second of comparing is enough for about 10,000
CHUNK = 4096  # pairs verified at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Pairs of near copies: indices `first < second`, `similarity` 0..1, and whether one is `mirrored`; each `(M,)`."""

    first: np.ndarray
    second: np.ndarray
    similarity: np.ndarray
    mirrored: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def where(self, mask: np.ndarray) -> "Pairs":
        """Return the pairs for which `mask` `(M,)` is true."""
        return Pairs(
            first=self.first[mask],
            second=self.second[mask],
            similarity=self.similarity[mask],
            mirrored=self.mirrored[mask],
        )


def near_copies(images: np.ndarray) -> Pairs:
    """Find images that show the same photo, cropped, scaled or retouched slightly differently.

    The similarity of two images is the correlation of their details at the best shift of up to three pixels. The
    details are the image minus a Gaussian blur. Exact copies are not returned.

    Args:
        images: grayscale images, `(N, 48, 48)` uint8.

    Returns:
        The pairs with a similarity of at least `SHOWN`, most similar first. Near copies are those of at least
        `THRESHOLD`.

    Raises:
        DataError: if too many images look alike.
        MissingExtraError: if faiss is not installed.
    """
    _, distinct = np.unique(group_copies(images), return_index=True)
    distinct = np.array([index for index in distinct if cv2.meanStdDev(images[index])[1][0, 0] >= FLAT], np.int64)
    pairs = _candidates(images[distinct]) if len(distinct) > 1 else [(distinct[:0], distinct[:0], False)]
    found = [_verified(images, distinct[first], distinct[second], flip) for first, second, flip in pairs]
    first, second, similarity, mirrored = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.argsort(-similarity, kind="stable")
    _, firsts = np.unique(np.stack([first, second])[:, order], axis=1, return_index=True)
    order = order[np.sort(firsts)]  # a symmetric face is also found mirrored
    return Pairs(first=first[order], second=second[order], similarity=similarity[order], mirrored=mirrored[order])


def _candidates(images: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
    """Yield candidate pairs: first as they are, then with the second image mirrored."""
    try:
        import faiss
    except ImportError:
        raise MissingExtraError("audit", "faiss-cpu") from None
    vectors = _thumbnails(images)
    lists = max(1, len(images) // LIST_SIZE)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(SIDE * SIDE), SIDE * SIDE, lists, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = PROBES
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid, index.cp.niter = 1, 64, 8
    index.train(vectors)
    index.add(vectors)
    total = 0
    for flip in (False, True):
        queries = vectors.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(vectors.shape) if flip else vectors
        for start in range(0, len(images), BLOCK):
            block = np.ascontiguousarray(queries[start : start + BLOCK])
            limits, _, found = index.range_search(block, CANDIDATE)
            query = start + np.repeat(np.arange(len(block)), np.diff(limits).astype(np.int64))
            ordered = query < found
            total += int(ordered.sum())
            if total > MAX_CANDIDATES:
                raise DataError(
                    f"More than {MAX_CANDIDATES:,} pairs of images look alike, as the frames of one video do: too many "
                    "to compare. Audit fewer of them, such as every tenth frame."
                )
            yield query[ordered], found[ordered], flip


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """Scale images to thumbnails of mean 0 and length 1, whose products are correlations: `(N, 144)` float32."""
    vectors = np.empty((len(images), SIDE, SIDE), np.float32)
    for image, thumbnail in zip(images, vectors, strict=True):
        thumbnail[:] = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return _normalized(vectors).reshape(len(images), SIDE * SIDE)


def _verified(
    images: np.ndarray, first: np.ndarray, second: np.ndarray, flip: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs whose details correlate, with their similarity and whether they are mirrored."""
    similarity = np.empty(len(first))
    for start in range(0, len(first), CHUNK):
        part = slice(start, start + CHUNK)
        others = images[second[part]]
        similarity[part] = detail_correlation(images[first[part]], others[:, :, ::-1] if flip else others)
    kept = similarity >= SHOWN
    return first[kept], second[kept], similarity[kept], np.full(int(kept.sum()), flip)


def detail_correlation(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute the correlation of the details of pairs of images at their best shift.

    Args:
        images: first image of each pair, `(M, H, W)` uint8.
        others: second image of each pair, `(M, H, W)` uint8.

    Returns:
        Correlations, `(M,)` float32, -1..1.
    """
    spectrum = np.fft.rfft2(_details(images)) * np.conj(np.fft.rfft2(_details(others)))
    by_shift = np.fft.irfft2(spectrum, s=images.shape[1:])  # (M, H, W), the product at each circular shift
    reach = np.arange(-LARGEST_SHIFT, LARGEST_SHIFT + 1)
    return by_shift[:, reach[:, None], reach].max(axis=(1, 2))


def _details(images: np.ndarray) -> np.ndarray:
    details = np.empty(images.shape, np.float32)
    for image, detail in zip(images, details, strict=True):
        gray = np.ascontiguousarray(image).astype(np.float32)
        detail[:] = gray - cv2.GaussianBlur(gray, (0, 0), DETAIL)
    return _normalized(details)


def _normalized(images: np.ndarray) -> np.ndarray:
    """Scale images to mean 0 and Euclidean length 1; uniform images become 0."""
    centered = images - images.mean(axis=(1, 2), keepdims=True)
    return centered / np.maximum(np.sqrt((centered**2).sum(axis=(1, 2), keepdims=True)), 1e-3)
