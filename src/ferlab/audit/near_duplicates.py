"""Pictures that are there twice: equal pixel by pixel, mirrored, or nearly equal.

Near copies are searched among small versions of 12x12 pixels by an inverted index (faiss,
https://arxiv.org/abs/1702.08734), whose cost grows nearly in line with the number of images; then all pixels decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from ferlab.data.copies import group_copies
from ferlab.errors import MissingExtraError

SIDE = 12  # pixels of the small versions
CANDIDATE = 0.90  # correlation of the small versions from which a pair is looked at
THRESHOLD = 0.60  # correlation of the details from which it counts
SHOWN = 0.50  # and from which it is found at all, so that a reader sees what lies below
LARGEST_SHIFT = 3  # pixels, between two cuts of one photograph
DETAIL = 3.0  # pixels: standard deviation of the blur whose result is taken off, so that only details are compared
FLAT = 5.0  # gray levels: pictures of a smaller standard deviation resemble anything, and are left to `pictures`
LIST_SIZE = 256  # images in one list of the index, on average
PROBES = 8  # lists searched for each image
CHUNK = 4096  # pairs verified at once


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Near copies: positions `first < second`, their `similarity` 0..1, and whether one is `mirrored`; each `(M,)`."""

    first: np.ndarray
    second: np.ndarray
    similarity: np.ndarray
    mirrored: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def where(self, mask: np.ndarray) -> "Pairs":
        """The pairs for which `mask` `(M,)` is true."""
        return Pairs(
            first=self.first[mask],
            second=self.second[mask],
            similarity=self.similarity[mask],
            mirrored=self.mirrored[mask],
        )


def near_copies(images: np.ndarray) -> Pairs:
    """Finds pictures that show the same photograph, cut, scaled or marked a little differently.

    The similarity of two pictures is the correlation of their details, that is of what remains after a strong blur has
    been taken off, at the best shift of up to three pixels. Pictures equal pixel by pixel are no pair here.

    Args:
        images: `(N, 48, 48)` uint8.

    Returns:
        The pairs whose similarity reaches `SHOWN`, most similar first. Those from `THRESHOLD` on count.

    Raises:
        MissingExtraError: if faiss is not installed.
    """
    _, alone = np.unique(group_copies(images), return_index=True)  # one of each group is searched for
    alone = np.array([index for index in alone if cv2.meanStdDev(images[index])[1][0, 0] >= FLAT], np.int64)
    pairs = _candidates(images[alone]) if len(alone) > 1 else [(alone[:0], alone[:0], False)]
    found = [_verified(images, alone[first], alone[second], flip) for first, second, flip in pairs]
    first, second, similarity, mirrored = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.argsort(-similarity, kind="stable")
    return Pairs(first=first[order], second=second[order], similarity=similarity[order], mirrored=mirrored[order])


def _candidates(images: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
    """Pairs of positions whose small versions correlate, first as they are, then with the second one mirrored."""
    try:
        import faiss
    except ImportError:
        raise MissingExtraError("audit", "faiss-cpu") from None
    vectors = _small(images)
    lists = max(1, len(images) // LIST_SIZE)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(SIDE * SIDE), SIDE * SIDE, lists, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = PROBES
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid, index.cp.niter = 1, 64, 8
    index.train(vectors)
    index.add(vectors)
    for flip in (False, True):
        queries = vectors.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(vectors.shape) if flip else vectors
        limits, _, found = index.range_search(np.ascontiguousarray(queries), CANDIDATE)
        asked = np.repeat(np.arange(len(images)), np.diff(limits).astype(np.int64))
        ordered = asked < found
        yield asked[ordered], found[ordered], flip


def _small(images: np.ndarray) -> np.ndarray:
    """Small versions of mean 0 and length 1, so that their products are correlations: `(N, 144)` float32."""
    vectors = np.empty((len(images), SIDE, SIDE), np.float32)
    for image, small in zip(images, vectors, strict=True):
        small[:] = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return _normalized(vectors).reshape(len(images), SIDE * SIDE)


def _verified(
    images: np.ndarray, first: np.ndarray, second: np.ndarray, flip: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The pairs whose details agree, with their similarity and whether they are mirrored."""
    similarity = np.empty(len(first))
    for start in range(0, len(first), CHUNK):
        part = slice(start, start + CHUNK)
        others = images[second[part]]
        similarity[part] = detail_correlation(images[first[part]], others[:, :, ::-1] if flip else others)
    kept = similarity >= SHOWN
    return first[kept], second[kept], similarity[kept], np.full(int(kept.sum()), flip)


def detail_correlation(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Correlation of the details of pairs of pictures, at their best shift.

    Args:
        images: `(M, H, W)` uint8.
        others: `(M, H, W)` uint8.

    Returns:
        `(M,)` float32, -1..1.
    """
    spectrum = np.fft.rfft2(_details(images)) * np.conj(np.fft.rfft2(_details(others)))
    by_shift = np.fft.irfft2(spectrum, s=images.shape[1:])  # (M, H, W), a product for each circular shift
    reach = np.arange(-LARGEST_SHIFT, LARGEST_SHIFT + 1)
    return by_shift[:, reach[:, None], reach].max(axis=(1, 2))


def _details(images: np.ndarray) -> np.ndarray:
    details = np.empty(images.shape, np.float32)
    for image, detail in zip(images, details, strict=True):
        gray = np.ascontiguousarray(image).astype(np.float32)
        detail[:] = gray - cv2.GaussianBlur(gray, (0, 0), DETAIL)
    return _normalized(details)


def _normalized(pictures: np.ndarray) -> np.ndarray:
    """Pictures of mean 0 and Euclidean length 1; those of one gray become 0."""
    centered = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    return centered / np.maximum(np.sqrt((centered**2).sum(axis=(1, 2), keepdims=True)), 1e-3)
