"""Test that typed results survive JSON, that damaged files are explained, and that files of schema 1 are read."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ferlab.comparison.results import Comparison
from ferlab.errors import RunError
from ferlab.evaluation.robustness import CorruptionAccuracies, Robustness
from ferlab.json_files import parse, read_json, read_result, to_json, write_json, write_result
from ferlab.results import (
    AccuracyEstimate,
    AccuracyGap,
    AugmentedMetrics,
    Calibration,
    ClassScores,
    CoveragePoint,
    DatasetSummary,
    Environment,
    Epoch,
    Evaluation,
    GroupAccuracies,
    Metrics,
    ReliabilityBin,
    Result,
    SelectivePrediction,
    Skipped,
    SplitMetrics,
    SplitSummary,
)
from tests.comparisons import comparison, entry

ESTIMATE = AccuracyEstimate(images=2, accuracy=0.5, accuracy_interval=(0.0, 1.0))
METRICS = Metrics(
    images=2,
    accuracy=0.5,
    accuracy_interval=(0.0, 1.0),
    balanced_accuracy=0.5,
    top2_accuracy=1.0,
    macro_f1=0.4,
    log_loss=0.7,
    brier_score=0.5,
    expected_calibration_error=0.1,
    reliability=(ReliabilityBin(confidence=0.6, accuracy=0.5, images=2),),
    risk_coverage=(CoveragePoint(coverage=0.5, accuracy=1.0, threshold=0.6),),
    per_class={
        "sad": ClassScores(precision=0.5, recall=1.0, f1=0.67, images=2),
        "happy": ClassScores(precision=None, recall=None, f1=None, images=0),
    },
    confusion=((1, 1), (0, 0)),
    class_names=("sad", "happy"),
)
SPLIT_METRICS = SplitMetrics(
    **vars(METRICS),
    fingerprint="f",
    leak_free=ESTIMATE,
    leak_free_reason=None,
    agreement={"unanimous": ESTIMATE},
    calibrated=Calibration(temperature=1.2, log_loss=0.6, brier_score=0.4, expected_calibration_error=0.05),
)
EVALUATION = Evaluation(
    **vars(SPLIT_METRICS),
    model="run",
    split="test",
    selected_on=("validation",),
    recorded=True,
    tta=AugmentedMetrics(**vars(METRICS), views=2, seconds_ratio=2.1),
    abstained=SelectivePrediction(**vars(ESTIMATE), threshold=0.8, coverage=0.5),
    by_group=GroupAccuracies(
        groups={"a": ESTIMATE, "b": AccuracyEstimate(images=0, accuracy=None)},
        largest_gap=AccuracyGap(higher="a", lower="b", difference=0.1, interval=(-0.1, 0.3)),
    ),
)
DATASET = DatasetSummary(
    source="demo",
    class_names=("sad", "happy"),
    splits={"train": SplitSummary(images=3, classes={"sad": 1, "happy": 2}, fingerprint="f")},
    notes=("a note",),
)
ENVIRONMENT = Environment(
    ferlab="0.1.0",
    commit=None,
    python="3.12",
    versions={"keras": "3"},
    device="a machine",
    cores=None,
    policy="float32",
    seed=1,
    dataset=DATASET,
    skipped=(Skipped(name="a.png", reason="it is empty"),),
)
RESULT = Result(
    status="completed",
    recipe="fair_newmodel",
    seed=1,
    epochs=2,
    seconds=3.0,
    selected_on=("validation", "test"),
    deviations=("a deviation",),
    validation=SPLIT_METRICS,
    test_reason="not scored yet",
)
EPOCH = Epoch(epoch=1, loss=1.5, accuracy=0.3, val_loss=1.4, val_accuracy=0.35, learning_rate=0.001, seconds=2.0)
ROBUSTNESS = Robustness(
    model="run",
    split="test",
    images=2,
    selected_on=("validation",),
    clean_accuracy=0.6,
    fingerprint="f",
    seed=0,
    score=0.5,
    corruptions={"noise": CorruptionAccuracies(unit="pixels", strengths=(1.0, 2.0), accuracies=(0.4, 0.2))},
)
HISTORY = Path("history.jsonl")
COMPARISON = comparison(entry("fair_a", 0.7), entry("study_b", 0.6, selected_on=("validation", "test")))


@pytest.mark.parametrize(
    "record",
    [EVALUATION, SPLIT_METRICS, DATASET, ENVIRONMENT, RESULT, EPOCH, ROBUSTNESS, COMPARISON],
    ids=lambda record: type(record).__name__,
)
def test_records_survive_json(record: Any, tmp_path: Path) -> None:
    write_result(tmp_path / "record.json", record)
    assert read_result(type(record), tmp_path / "record.json") == record


def test_result_of_a_failed_run_survives_json(tmp_path: Path) -> None:
    failed = Result(status="failed", recipe="fair_newmodel", seed=0, reason="the loss is nan")
    write_result(tmp_path / "result.json", failed)
    assert read_result(Result, tmp_path / "result.json") == failed
    assert not failed.finished


def test_json_begins_with_the_schema_and_holds_plain_values() -> None:
    values = to_json(RESULT)
    assert next(iter(values.items())) == ("schema", 2)
    assert json.loads(json.dumps(values))["selected_on"] == ["validation", "test"]
    assert values["validation"]["per_class"]["happy"] == {"precision": None, "recall": None, "f1": None, "images": 0}


def test_metrics_of_a_result_by_split() -> None:
    assert RESULT.metrics("validation") is SPLIT_METRICS
    assert RESULT.metrics("test") is None
    scored = RESULT.with_metrics("test", SPLIT_METRICS)
    assert (scored.test, scored.test_reason, scored.validation) == (SPLIT_METRICS, None, SPLIT_METRICS)
    assert RESULT.test is None


def test_fingerprints_of_a_dataset() -> None:
    assert DATASET.fingerprints == {"train": "f"}


def damage(record: Any, path: Path, *keys: str, **values: Any) -> Path:
    """Write a record without some keys and with other values, and return the path."""
    content = {key: value for key, value in to_json(record).items() if key not in keys} | values
    write_json(path, content)
    return path


@pytest.mark.parametrize(
    ("kind", "record", "key"),
    [(Result, RESULT, "status"), (Environment, ENVIRONMENT, "dataset"), (Comparison, COMPARISON, "ranking")],
)
def test_missing_keys_are_named_with_their_file(kind: type, record: Any, key: str, tmp_path: Path) -> None:
    path = damage(record, tmp_path / "file.json", key)
    with pytest.raises(RunError, match=f"^{path}: {key}: field required. The file is damaged or incomplete.$"):
        read_result(kind, path)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"seed": "first"}, "seed"),
        ({"status": "done"}, "status"),
        ({"selected_on": None}, "selected_on"),
        ({"deviations": [1]}, r"deviations\.0"),
        ({"validation": {"images": 2}}, r"validation\.accuracy"),
    ],
)
def test_values_of_another_type_are_named_with_their_file(values: dict, key: str, tmp_path: Path) -> None:
    path = damage(RESULT, tmp_path / "result.json", **values)
    with pytest.raises(RunError, match=rf"result\.json: {key}: "):
        read_result(Result, path)


def test_missing_keys_deep_in_a_file_are_named(tmp_path: Path) -> None:
    values = to_json(COMPARISON)
    del values["entries"][1]["architecture"]
    write_json(tmp_path / "comparison.json", values)
    with pytest.raises(RunError, match=r"comparison\.json: entries\.1\.architecture: field required"):
        read_result(Comparison, tmp_path / "comparison.json")


def test_unknown_keys_are_ignored(tmp_path: Path) -> None:
    path = damage(RESULT, tmp_path / "result.json", of_a_later_version=1)
    assert read_result(Result, path) == RESULT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "does not contain a JSON object"),
        ("{}", "has schema None, but this version of ferlab reads 1 to 2. Update ferlab."),
        ('{"schema": 3}', "has schema 3"),
        ('{"schema": "2"}', "has schema 2"),
    ],
)
def test_files_that_are_not_results_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(RunError, match=rf"result\.json {message}"):
        read_json(tmp_path / "result.json")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist. Is .* a ferlab run folder?"):
        read_json(tmp_path / "result.json")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("validation+test", ("validation", "test")),
        ("validation", ("validation",)),
        ("test", ("test",)),
    ],
)
def test_selection_splits_of_schema_1_are_one_text(old: str, new: tuple[str, ...], tmp_path: Path) -> None:
    write_json(
        tmp_path / "result.json",
        {"schema": 1, "status": "completed", "recipe": "a", "seed": 0, "selected_on": old, "departures": ["noisy"]},
    )
    result = read_result(Result, tmp_path / "result.json")
    assert (result.selected_on, result.deviations) == (new, ("noisy",))


def test_renamed_keys_of_schema_1_are_read_at_any_depth(tmp_path: Path) -> None:
    values = to_json(COMPARISON) | {"schema": 1}
    for item in values["entries"]:
        item["departures"] = [*item.pop("deviations"), "noisy"]
        item["selected_on"] = "+".join(item["selected_on"])
    for row in values["ranking"]:
        row["selected_on"] = "+".join(row["selected_on"])
    for pair in values["differences"]:
        pair["distinct"] = pair.pop("significant")
    write_json(tmp_path / "comparison.json", values)
    read = read_result(Comparison, tmp_path / "comparison.json")
    assert read.differences == COMPARISON.differences
    assert read.ranking == COMPARISON.ranking
    assert all(item.deviations == ("noisy",) for item in read.entries)


def test_selection_splits_of_a_model_that_does_not_name_them(tmp_path: Path) -> None:
    unknown = dataclasses.replace(EVALUATION, selected_on=None)
    write_json(tmp_path / "evaluation.json", to_json(unknown) | {"schema": 1})
    assert read_result(Evaluation, tmp_path / "evaluation.json") == unknown


def test_lines_of_a_history_need_no_schema() -> None:
    assert parse(Epoch, dataclasses.asdict(EPOCH), HISTORY) == EPOCH
    with pytest.raises(RunError, match=r"history\.jsonl: seconds: field required"):
        parse(Epoch, {"epoch": 1, "loss": 1.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}, HISTORY)
