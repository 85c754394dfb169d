"""The worker of a prediction: its tables have the rows of the local engine for all kinds of inputs."""

from pathlib import Path

import fsspec
import pyarrow
import pyarrow.parquet
import pytest

from ferlab import Dataset, Predictor
from ferlab.distributed.inputs import list_shards
from ferlab.distributed.predict import _existing_job, predict_images
from ferlab.distributed.shards import ShardedJob, find_job, finished_shards, start_job
from ferlab.distributed.storage import Storage
from ferlab.distributed.worker import PredictorCopy, Worker
from ferlab.errors import ClusterError, DataError, OutputError
from ferlab.images.listing import list_images
from ferlab.predict.batch import write_predictions
from ferlab.predict.table_files import open_writer
from tests.artifacts import linear_artifact
from tests.scenes import encoded, scene


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    linear_artifact(tmp_path / "linear.onnx")
    return Predictor(tmp_path / "linear.onnx", "haar")


@pytest.fixture
def photos(demo: Dataset, tmp_path: Path) -> Path:
    """Images with two faces, one and none, a broken file, and a file whose name is not UTF-8."""
    folder = tmp_path / "photos"
    folder.mkdir()
    one = scene(demo, (200, 100, 100))
    for name, content in {
        b"a.png": encoded(scene(demo, (110, 40, 30), (220, 320, 100))),
        b"b.jpg": encoded(one, ".jpg"),
        b"c.png": encoded(scene(demo)),
        b"d.jpg": b"not an image",
        b"e.webp": encoded(one, ".webp"),
        b"f\xff.jpg": b"",
    }.items():
        with open(bytes(folder) + b"/" + name, "wb") as file:
            file.write(content)
    return folder


def start(tmp_path: Path, sources: list[str], predictor: Predictor, shard_size: int = 2) -> tuple[ShardedJob, Worker]:
    """Start a job in the folder `out`, and a worker for it."""
    storage = Storage(str(tmp_path / "out"))
    job = start_job(storage, {"model": "a"}, list_shards(sources, shard_size), shard_size, tmp_path)
    copy = PredictorCopy.of(predictor)
    predictor.artifact.path.rename(tmp_path / "elsewhere.onnx")  # another machine does not have it
    worker = Worker(copy, threads=1, storage=storage, folder=tmp_path, samples=job.samples, min_confidence=0.5)
    worker.check()
    return job, worker


def test_a_folder_gives_the_rows_of_the_local_table(photos: Path, predictor: Predictor, tmp_path: Path) -> None:
    job, worker = start(tmp_path, [str(photos)], predictor)
    results = [worker.predict(shard) for shard in range(job.shards)]
    assert [result.images for result in results] == [job.size(shard) for shard in range(job.shards)] == [2, 2, 2]
    assert finished_shards(worker.storage) == {0, 1, 2}
    with open_writer(tmp_path / "local.parquet", None, predictor.artifact.class_names) as writer:
        counts = write_predictions(predictor, list_images([photos]), writer, min_confidence=0.5)
    assert pyarrow.parquet.read_table(tmp_path / "out").equals(pyarrow.parquet.read_table(tmp_path / "local.parquet"))
    assert sum((result.statuses for result in results), start=type(counts)()) == counts


def test_bytes_urls_and_paths_give_the_same_faces(
    photos: Path, predictor: Predictor, tmp_path: Path, http_folder: tuple[Path, str]
) -> None:
    served, url = http_folder
    contents = [(photos / name).read_bytes() for name in ("a.png", "d.jpg", "b.jpg")]
    for number, content in enumerate(contents):
        (served / f"{number}.jpg").write_bytes(content)
    pyarrow.parquet.write_table(pyarrow.table({"image": [*contents, None]}), tmp_path / "t.parquet", row_group_size=2)
    structs = [{"bytes": content, "path": "x"} for content in contents]
    pyarrow.parquet.write_table(pyarrow.table({"image": structs}), tmp_path / "hugging-face.parquet")
    places = [f"photos/{name}" for name in ("a.png", "d.jpg", "b.jpg")]
    places += [f"file://{photos}/{name}" for name in ("a.png", "d.jpg", "b.jpg")]
    places += [f"{url}/{number}.jpg" for number in (0, 1, 2)]
    (tmp_path / "list.txt").write_text("\n".join(places))
    sources = [str(tmp_path / name) for name in ("t.parquet", "hugging-face.parquet", "list.txt")]
    predictor.allow_urls = True
    job, worker = start(tmp_path, sources, predictor, shard_size=3)
    for shard in range(job.shards):
        worker.predict(shard)
    rows = pyarrow.parquet.read_table(tmp_path / "out").to_pylist()
    empty = rows.pop(4)
    assert (empty["source"], empty["status"]) == (f"{tmp_path}/t.parquet#3", "error")
    kinds = [[{**row, "source": None, "reason": None} for row in rows[start : start + 4]] for start in range(0, 20, 4)]
    assert len(rows) == 20 and [row["status"] for row in kinds[0]].count("error") == 1
    assert kinds[1:] == kinds[:1] * 4
    assert rows[14]["source"] == f"{photos}/d.jpg" and "not an image" in rows[14]["reason"]


def test_a_table_that_shrinks_or_breaks_gives_error_rows(photos: Path, predictor: Predictor, tmp_path: Path) -> None:
    table, content = tmp_path / "t.parquet", (photos / "b.jpg").read_bytes()
    pyarrow.parquet.write_table(pyarrow.table({"image": [content] * 4}), table)
    _, worker = start(tmp_path, [str(table)], predictor, shard_size=3)
    pyarrow.parquet.write_table(pyarrow.table({"image": [content] * 2}), table)
    assert worker.predict(0).statuses == {"ok": 2, "error": 1}
    table.write_bytes(b"PAR1")
    assert worker.predict(1).statuses == {"error": 1}
    assert [row["source"] for row in pyarrow.parquet.read_table(tmp_path / "out").to_pylist()] == [
        f"{table}#{n}" for n in range(4)
    ]


def test_a_node_that_does_not_see_the_inputs_says_so(photos: Path, predictor: Predictor, tmp_path: Path) -> None:
    _, worker = start(tmp_path, [str(photos)], predictor)
    (photos / "a.png").unlink()
    with pytest.raises(ClusterError, match=r"does not see .*a\.png\. Use storage that all nodes see"):
        worker.check()
    worker.storage = Storage(str(tmp_path / "other"))
    with pytest.raises(ClusterError, match=r"does not see .*_job\.json"):
        worker.check()


def test_a_job_is_resumed_with_its_own_settings_only(photos: Path, predictor: Predictor, tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "out"))
    assert find_job(storage, {"model": "a"}) is None
    job, _ = start(tmp_path, [str(photos)], predictor)
    assert find_job(storage, {"model": "a"}) == job
    with pytest.raises(OutputError, match="other settings .model: a, now b"):
        find_job(storage, {"model": "b"})
    (tmp_path / "out" / "_job.json").write_text("{")
    with pytest.raises(OutputError, match="cannot be read"):
        find_job(storage, {"model": "a"})


def test_missing_credentials_are_one_error_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def open(self, *arguments: object) -> None:
            raise RuntimeError("Unable to locate credentials")

    monkeypatch.setattr("ferlab.distributed.inputs.open_file_system", lambda url: (Refusing(), url))
    (tmp_path / "list.txt").write_text("s3://bucket/a.jpg\ns3://bucket/b.jpg\n")
    shards = list_shards([str(tmp_path / "list.txt")], 10)
    with pytest.raises(DataError, match=r"s3://bucket/a.jpg cannot be read: Unable to locate credentials"):
        start_job(Storage(str(tmp_path / "out")), {}, shards, 10, tmp_path)


def test_remote_storage_is_written_and_listed(photos: Path) -> None:
    storage = Storage("memory://bucket/out")
    assert storage.names() == []
    storage.write("part-000003.parquet", b"x")
    storage.write("_inputs/000003.json", b"{}")
    assert storage.read("part-000003.parquet") == b"x"
    assert finished_shards(storage) == {3}
    with pytest.raises(FileNotFoundError):
        storage.read("_job.json")


def test_a_worker_keeps_the_limits_of_the_predictor(
    photos: Path, predictor: Predictor, tmp_path: Path, http_folder: tuple[Path, str]
) -> None:
    """URLs are not downloaded unless they are allowed, and large images are refused."""
    served, url = http_folder
    (served / "a.png").write_bytes((photos / "a.png").read_bytes())
    (tmp_path / "list.txt").write_text(f"{url}/a.png\n{photos}/a.png\n")
    predictor.max_pixels = 100
    _, worker = start(tmp_path, [str(tmp_path / "list.txt")], predictor)
    worker.predict(0)
    reasons = [row["reason"] for row in pyarrow.parquet.read_table(tmp_path / "out").to_pylist()]
    assert "not downloaded" in reasons[0]
    assert "pixels" in reasons[1]


def test_storage_that_shows_partial_files_is_written_under_another_name_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(f"local://{tmp_path}/out")
    for content in (b"first", b"second"):
        storage.write("part-000000.parquet", content)
    assert storage.read("part-000000.parquet") == b"second"
    assert storage.names() == ["part-000000.parquet"]

    def killed(*arguments: object, **named: object) -> None:
        raise OSError("killed")

    monkeypatch.setattr(type(fsspec.filesystem("local")), "mv", killed)
    with pytest.raises(OutputError, match="part-000001.parquet cannot be written: killed"):
        storage.write("part-000001.parquet", b"third")
    assert finished_shards(storage) == {0}


def test_parts_of_a_job_that_is_gone_are_not_taken_for_finished(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "part-000000.parquet").write_bytes(b"of another job")
    for resume, hint in ((True, "_job.json is missing"), (False, "Resume it with --resume")):
        with pytest.raises(OutputError, match=f"already contains part-000000.parquet. {hint}"):
            predict_images([str(tmp_path)], str(tmp_path / "out"), predictor, resume=resume)


def test_a_job_is_resumed_if_its_first_image_is_gone(photos: Path, predictor: Predictor, tmp_path: Path) -> None:
    job, worker = start(tmp_path, [str(photos)], predictor)
    assert job.samples
    Path(job.samples[0]).unlink()
    resumed = _existing_job(worker.storage, job.settings, tmp_path, resume=True)
    assert resumed and resumed.samples == []
