"""`Worker`: predicts shards, in a process of a Ray cluster."""

import io
import platform
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ferlab.distributed.images import check_readable, open_images
from ferlab.distributed.shards import JOB_FILE, part_file, read_shard
from ferlab.distributed.storage import Storage
from ferlab.errors import ClusterError, FerlabError
from ferlab.images.yunet import YuNet, yunet_file
from ferlab.predict.batch import outcome_rows, predict_files
from ferlab.predict.predictor import Predictor
from ferlab.predict.table import Row, columns
from ferlab.predict.table_files import import_pyarrow, write_parquet


@dataclass(frozen=True, kw_only=True)
class PredictorCopy:
    """A predictor with the content of its files, to open it on a machine that does not have them.

    Args:
        model_name: name of the model file.
        model: its content.
        detector: name of the detector.
        detector_model: content of its model file, if it has one.
        search_size, max_faces, class_prior, allow_urls, max_pixels: as in `Predictor`.
    """

    model_name: str
    model: bytes
    detector: str
    detector_model: bytes | None
    search_size: int
    max_faces: int | None
    class_prior: Mapping[str, float] | None
    allow_urls: bool
    max_pixels: int

    @classmethod
    def of(cls, predictor: Predictor) -> "PredictorCopy":
        """Copy a predictor."""
        detector, path = predictor.detector.name, predictor.artifact.path
        return cls(
            model_name=path.name,
            model=path.read_bytes(),
            detector=detector,
            detector_model=yunet_file(predictor.detector_model).read_bytes() if detector == YuNet.name else None,
            search_size=predictor.search_size,
            max_faces=predictor.max_faces,
            class_prior=predictor.class_prior,
            allow_urls=predictor.allow_urls,
            max_pixels=predictor.max_pixels,
        )

    def open(self, threads: int) -> Predictor:
        """Open the predictor. Its files are needed only while they are loaded."""
        with tempfile.TemporaryDirectory(prefix="ferlab-") as name:
            model, detector_model = Path(name) / self.model_name, Path(name) / "detector.onnx"
            model.write_bytes(self.model)
            if self.detector_model:
                detector_model.write_bytes(self.detector_model)
            predictor = Predictor(
                model,
                self.detector,
                detector_model=detector_model if self.detector_model else None,
                search_size=self.search_size,
                threads=threads,
                max_faces=self.max_faces,
                class_prior=self.class_prior,
                allow_urls=self.allow_urls,
                max_pixels=self.max_pixels,
            )
            predictor.detector  # noqa: B018  # opened while its file exists
        return predictor


@dataclass(frozen=True, kw_only=True)
class ShardResult:
    """What came of a shard.

    Args:
        images: number of images.
        statuses: number of rows with each status.
    """

    images: int
    statuses: Counter[str]


class Worker:
    """Predicts shards with one predictor, and writes their tables.

    Args:
        predictor: the predictor.
        threads: number of CPU threads.
        storage: the output folder, as its location is seen from this node.
        folder: where relative paths of images begin.
        samples: inputs that this node must be able to read.
        min_confidence: threshold, 0..1; faces below it get the status `uncertain`.
    """

    def __init__(
        self,
        predictor: PredictorCopy,
        *,
        threads: int,
        storage: Storage,
        folder: Path,
        samples: list[str],
        min_confidence: float,
    ) -> None:
        self.threads, self.storage, self.folder = threads, storage, folder
        self.samples, self.min_confidence = samples, min_confidence
        self.predictor = predictor.open(threads)

    def check(self) -> None:
        """Check that this node has what the job needs: its packages, the inputs and the output folder.

        Raises:
            ClusterError: if it does not.
        """
        name = f"{self.storage.location}/{JOB_FILE}"
        try:
            import_pyarrow()
            self.storage.read(JOB_FILE)
            for name in self.samples:
                check_readable(name, self.folder)
        except FileNotFoundError:
            raise ClusterError(
                f"The node {platform.node()} does not see {name}. Use storage that all nodes see under the same name, "
                "such as a shared folder or an object store."
            ) from None
        except FerlabError as error:
            raise ClusterError(f"The node {platform.node()}: {error}") from None

    def predict(self, shard: int) -> ShardResult:
        """Predict the images of a shard, and write its table atomically.

        Args:
            shard: number of the shard.

        Raises:
            OutputError: if the table cannot be written.
        """
        images = read_shard(self.storage, shard)
        statuses: Counter[str] = Counter()

        def rows() -> Iterator[Row]:
            opened = open_images(images, self.folder, allow_urls=self.predictor.allow_urls)
            for image, result in predict_files(self.predictor, opened, threads=self.threads):
                found = outcome_rows(str(image), result, self.min_confidence)
                statuses.update(row["status"] for row in found)
                yield from found

        table = io.BytesIO()
        write_parquet(table, columns(self.predictor.artifact.class_names), rows())
        self.storage.write(part_file(shard), table.getvalue())
        return ShardResult(images=len(images), statuses=statuses)
