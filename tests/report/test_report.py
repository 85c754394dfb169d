"""Test the report on run folders that are written without training a model."""

import json
import os
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ferlab import Dataset, Split
from ferlab.comparison.compare_runs import compare_runs
from ferlab.comparison.results import read_comparison
from ferlab.emotions import Target
from ferlab.errors import RunError
from ferlab.report import write_report
from ferlab.report.contents import gather
from ferlab.run_arrays import ClassMaps, Predictions
from ferlab.runs import RunFolder
from tests.comparisons import write_run

RECIPES = {"fair_newmodel": 0.7, "fair_mobilenetv2": 0.6, "study_newmodel": 0.5}
HEADINGS = (
    "Summary", "Learning curves", "Cost of accuracy", "Confusion matrices", "Predictions on random test images",
    "Most confident mistakes", "Deviations from good practice", "Reproduce the runs",
)  # fmt: skip
VOID = {"meta", "img", "link", "br", "hr", "input"}
NUM_CURVES, NUM_COSTS, NUM_CLASS_CHARTS, NUM_CALIBRATION = 2, 3, 1, 2  # charts that every report has


@pytest.fixture(scope="module")
def folder(demo: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison of three recipes with two seeds each, with its report."""
    base = tmp_path_factory.mktemp("report")
    runs = [
        write_run(base / "elsewhere" / f"{recipe}-{seed}", demo, recipe, seed, accuracy)
        for recipe, accuracy in RECIPES.items()
        for seed in (0, 1)
    ]
    compare_runs(runs, base / "out")
    write_report(base / "out")
    return base / "out"


class Outline(HTMLParser):
    """Checks that elements close in order, and collects addresses, ids and images without a description."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.without_text: list[str] = []
        self.ids: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.addresses += [values[key] or "" for key in ("src", "href") if key in values]
        self.ids += [values["id"] or ""] if "id" in values else []
        if (tag == "img" and not values.get("alt")) or (values.get("role") == "img" and not values.get("aria-label")):
            self.without_text.append(str(values))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def charts_of(page: str) -> str:
    return re.search(r"window\.charts = (\{.*?\});</script>", page, re.DOTALL)[1]


def test_html_is_self_contained_and_describes_its_images(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert len(page) < 5e6
    outline = Outline(page)
    assert not outline.open
    assert not outline.without_text
    assert all(address.startswith(("#", "data:")) for address in outline.addresses), "the report needs the network"
    charts = json.loads(charts_of(page))
    runs, recipes = 2 * len(RECIPES), len(RECIPES)
    assert len(charts) == NUM_CURVES + 2 * runs + NUM_COSTS + NUM_CLASS_CHARTS + recipes + NUM_CALIBRATION
    assert set(charts) <= set(outline.ids)
    assert all(chart["description"] for chart in charts.values())


def test_links_within_the_page_have_targets_and_ids_are_unique(folder: Path) -> None:
    outline = Outline((folder / "report.html").read_text())
    links = {address[1:] for address in outline.addresses if address.startswith("#")}
    assert {"ranking", "predictions", "deviations"} <= links
    assert links <= set(outline.ids)
    assert len(set(outline.ids)) == len(outline.ids)


def test_selection_on_the_test_split_is_marked_wherever_a_name_is_shown(small: Dataset, tmp_path: Path) -> None:
    study = write_run(tmp_path / "study", small, "study_newmodel", 0, 0.6, selected_on=("validation", "test"))
    fair = write_run(tmp_path / "fair", small, "fair_newmodel", 0, 0.6)
    comparison = compare_runs([study, fair], tmp_path / "out")
    page, text = write_report(tmp_path / "out").read_text(), (tmp_path / "out" / "report.md").read_text()
    charts = charts_of(page)
    assert "study_newmodel\\u2020" in charts
    assert not re.search(r'"study_newmodel"', charts)
    assert "fair_newmodel\\u2020" not in charts
    assert "study_newmodel†" in text
    for form in (page, text):
        assert "† The recipe was also selected on the test split" in form
        assert "validation, test" in form
    assert comparison.row("study_newmodel").selected_on == ("validation", "test")


def test_a_report_names_the_target(small: Dataset, tmp_path: Path) -> None:
    """In the title, the summary and the commands that reproduce the runs."""
    run = write_run(tmp_path / "run", replace(small, target=Target.FERPLUS), "fernet_s", 0, 0.6)
    comparison = compare_runs([run], tmp_path / "out")
    write_report(tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    assert "# Comparison on demo, target ferplus" in text
    assert "of demo with the target ferplus and ranked" in comparison.summary[0]
    assert "--data demo --ferplus fer2013new.csv --target ferplus --out" in text


def test_commands_read_the_data_in_the_same_way(small: Dataset, tmp_path: Path) -> None:
    notes = (
        "faces: the largest face in each image was cropped, found with YuNet",
        "excluded: 3 images listed in my list.txt",
    )
    run = write_run(tmp_path / "run", replace(small, notes=notes), "fernet_s", 0, 0.6)
    compare_runs([run], tmp_path / "out")
    write_report(tmp_path / "out")
    assert "--data demo --faces --exclude 'my list.txt' --out" in (tmp_path / "out" / "report.md").read_text()
    environment = json.loads((run / "environment.json").read_text())
    environment |= {"device": "2 x NVIDIA H100", "skipped": [{"name": "a.jpg", "reason": "it is empty"}]}
    (run / "environment.json").write_text(json.dumps(environment))
    write_report(tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    assert "--data demo --skip-bad --faces" in text
    assert "--seed 0 --devices all --set" in text


def test_html_and_markdown_have_the_same_content(folder: Path) -> None:
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    comparison = read_comparison(folder)
    deviation = comparison.entries[-2].deviations[0]
    commands = ["--seed 1 --set epochs=4", "ferlab train study_newmodel --data demo --out runs/study_newmodel-seed0"]
    fingerprint = comparison.dataset.splits["test"].fingerprint
    for part in (*commands, fingerprint, "a machine", deviation, *comparison.summary, *comparison.findings):
        assert part in text
        assert part.replace("'", "&#39;").replace(">", "&gt;") in page
    for heading in HEADINGS:
        assert heading in text
        assert heading in page


def test_images_of_the_markdown_report_are_files(folder: Path) -> None:
    images = re.findall(r"\]\((report-files/[^)]+)\)", (folder / "report.md").read_text())
    charts = NUM_CURVES + 12 + NUM_COSTS + NUM_CLASS_CHARTS + 3 + NUM_CALIBRATION
    assert len(images) == charts + 12 + 3 * 8
    assert all((folder / image).stat().st_size > 100 for image in images)


def test_all_models_predict_the_same_random_images(folder: Path) -> None:
    examples = gather(folder).examples
    assert [prediction.recipe for prediction in examples[0].predictions] == list(RECIPES)
    assert len({example.name for example in examples}) == 12
    for example in examples:
        for prediction in example.predictions:
            assert prediction.correct == (prediction.predicted == example.label)
            assert sum(prediction.probabilities) == pytest.approx(1, abs=1e-5)


def test_mistakes_are_incorrect_predictions(folder: Path) -> None:
    mistakes = gather(folder).mistakes
    assert list(mistakes) == list(RECIPES)
    assert not any(example.predictions[0].correct for examples in mistakes.values() for example in examples)


def test_report_without_images(demo: Dataset, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", demo, "fair_newmodel", 0, 0.6)
    compare_runs([run], tmp_path / "out")
    page = write_report(tmp_path / "out", images=False).read_text()
    assert "data:image" not in page
    assert "Predictions on random" not in page
    assert "Where the models look" not in page
    assert not list((tmp_path / "out" / "report-files").glob("*.png"))


def test_report_without_images_removes_those_of_an_earlier_report(demo: Dataset, tmp_path: Path) -> None:
    compare_runs([write_run(tmp_path / "run", demo, "fair_newmodel", 0, 0.6)], tmp_path / "out")
    for images in (True, False):
        write_report(tmp_path / "out", images=images)
        assert bool(list((tmp_path / "out" / "report-files").glob("*.png"))) is images


def test_mean_maps_are_shown_and_described(tmp_path: Path, small: Dataset) -> None:
    """A report without images of the dataset includes them."""
    runs = [write_run(tmp_path / recipe, small, recipe, 0, 0.6) for recipe in ("fair_newmodel", "study_newmodel")]
    maps = np.zeros((7, 6, 6), np.float32)
    maps[3, 4] = 0.5  # happy: the fifth row of six
    RunFolder(runs[0]).write_explanations(
        ClassMaps(
            maps=maps,
            images=np.full(7, 20),
            split=np.array("validation"),
            layer=np.array("relu"),
            rank_correlation=np.array(0.04),
        )
    )
    compare_runs(runs, tmp_path / "out")
    page = write_report(tmp_path / "out", images=False).read_text()
    text = (tmp_path / "out" / "report.md").read_text()
    described = ("happy upper 0 %, middle 0 %, lower 100 %", "sad nowhere", "untrained networks: 0.04")
    for part in ("Where the models look", *described):
        assert part in page
        assert part in text
    assert len(re.findall(r"Where \w+ looks for each class", text)) == 1, "the other run has no maps"
    outline = Outline(page)
    assert not outline.open
    assert not outline.without_text
    assert (tmp_path / "out" / "report-files" / "explanation-fair_newmodel.svg").stat().st_size > 1000


def test_what_a_killed_process_left_behind_is_removed(tmp_path: Path, small: Dataset) -> None:
    compare_runs([write_run(tmp_path / "run", small, "fair_newmodel", 0, 0.6)], tmp_path / "out")
    (tmp_path / "out" / "report-files").mkdir()
    killed = [tmp_path / "out" / place / ".ferlab-00000000-1-12345678" for place in ("", "report-files")]
    for path in killed:
        path.touch()
        os.utime(path, (0, 0))
    write_report(tmp_path / "out")
    assert not [path for path in killed if path.exists()]


def test_mean_maps_of_another_version_are_refused(tmp_path: Path, small: Dataset) -> None:
    run = write_run(tmp_path / "run", small, "fair_newmodel", 0, 0.6)
    compare_runs([run], tmp_path / "out")
    np.savez(run / "explanations.npz", maps=np.zeros((7, 6, 6)))
    with pytest.raises(RunError, match=r"explanations\.npz was written by another version"):
        write_report(tmp_path / "out")


def test_class_names_with_markup_are_escaped(tmp_path: Path, demo: Dataset) -> None:
    names = tuple(f"</script><b>{number}" for number in range(7))
    run = write_run(tmp_path / "run", replace(demo, class_names=names), "fair_newmodel", 0, 0.6)
    compare_runs([run], tmp_path / "out")
    page = write_report(tmp_path / "out").read_text()
    assert "</script><b>" not in page
    assert not Outline(page).open


def test_folder_names_with_markup_keep_tables_and_files_intact(demo: Dataset, tmp_path: Path) -> None:
    """Names that give the same file name have a file each, and names with a bar stay within their cells."""
    runs = [
        write_run(tmp_path / name, demo, "fair_newmodel", 0, 0.6, epochs=epochs)
        for name, epochs in (("lr | 0.1", 4), ("lr - 0.1", 5))
    ]
    compare_runs(runs, tmp_path / "out")
    write_report(tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        columns = [len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()]
        assert len(columns) > 2
        assert len(set(columns)) == 1, table
    assert "fair_newmodel (lr \\| 0.1)" in text
    assert len(list((tmp_path / "out" / "report-files").glob("confusion-*"))) == 2


def test_folder_without_a_comparison_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"comparison\.json does not exist"):
        write_report(tmp_path)


def test_comparison_of_schema_1_is_compared_again(small: Dataset, tmp_path: Path) -> None:
    """Its entries do not name their groups and architectures; its run folders can still be compared."""
    (tmp_path / "comparison.json").write_text('{"schema": 1, "entries": [], "ranking": []}')
    with pytest.raises(
        RunError, match="written by an earlier version of ferlab. Compare its runs again: `ferlab report"
    ):
        write_report(tmp_path)
    compare_runs([write_run(tmp_path / "runs" / "a", small, "fair_newmodel", 0, 0.6)], tmp_path)
    assert write_report(tmp_path).is_file()


def test_mistakes_with_almost_equal_probabilities(tmp_path: Path, demo: Dataset) -> None:
    """Mistakes are chosen after rounding to float32, so that the report finds the images that were kept."""
    run = RunFolder(write_run(tmp_path / "run", demo, "fair_newmodel", 0, 0.6))
    part = demo.take(Split.TEST)
    incorrect = np.full((len(part), 7), 0.05) + 0.65 * np.eye(7)[(part.labels + 1) % 7]
    run.write_predictions("test", Predictions.on(part, incorrect + 1e-12 * np.arange(len(part))[:, None]))
    compare_runs([run.path], tmp_path / "out")
    assert write_report(tmp_path / "out").is_file()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("environment.json", '{"schema": 1, "seed": 0}', r"environment\.json: ferlab: field required"),
        ("config.json", '{"schema": 1, "recipe": {}}', r"config\.json was written by another version of ferlab"),
        ("config.json", "[]", "does not contain a JSON object"),
        ("history.jsonl", "{", r"history\.jsonl cannot be read"),
        ("history.jsonl", '{"epoch": 1}', r"history\.jsonl: loss: field required"),
        (
            "result.json",
            '{"schema": 1, "status": "interrupted", "recipe": "x", "seed": 0}',
            "not contain a finished run",
        ),
        ("predictions.npz", "", r"predictions\.npz cannot be read"),
    ],
)
def test_damaged_or_unfinished_runs_are_refused(
    demo: Dataset, tmp_path: Path, name: str, content: str, message: str
) -> None:
    run = write_run(tmp_path / "run", demo, "fair_newmodel", 0, 0.6)
    (run / name).write_text(content)
    with pytest.raises(RunError, match=message):
        compare_runs([run], tmp_path / "out")


def test_runs_without_predictions_are_refused(demo: Dataset, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", demo, "fair_newmodel", 0, 0.6)
    (run / "predictions.npz").unlink()
    with pytest.raises(RunError, match="has no predictions on the test split. Run `ferlab evaluate` on it first."):
        compare_runs([run], tmp_path / "out")


def test_report_of_a_comparison_whose_runs_were_moved_with_it(folder: Path, tmp_path: Path) -> None:
    """Run folders are named relative to the comparison."""
    shutil.copytree(folder.parent, tmp_path / "moved")
    assert write_report(tmp_path / "moved" / "out").is_file()
