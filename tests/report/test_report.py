"""The report, from run folders that no network had to be trained for."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ferlab import Dataset, Split
from ferlab.comparison.compare import compare_runs
from ferlab.errors import RunError
from ferlab.report import write_report
from ferlab.runs import RunFolder
from tests.comparisons import write_run

RECIPES = {"fair_newmodel": 0.7, "fair_mobilenetv2": 0.6, "study_newmodel": 0.5}
HEADINGS = (
    "Summary", "Learning curves", "What accuracy costs", "Confusion matrices", "Predictions on random test images",
    "Most confident mistakes", "To repeat it",
)  # fmt: skip
VOID = {"meta", "img", "link", "br", "hr", "input"}


@pytest.fixture(scope="module")
def folder(demo: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    """Checks that elements close in order, and collects texts, addresses and ids."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.without_text: list[str] = []
        self.ids: list[str] = []

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


def test_html_stands_alone_and_has_texts_for_its_pictures(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert len(page) < 5e6
    outline = Outline()
    outline.feed(page)
    assert not outline.open
    assert not outline.without_text
    assert all(address.startswith(("#", "data:")) for address in outline.addresses)
    links = {address[1:] for address in outline.addresses if address.startswith("#")}
    assert links <= set(outline.ids)
    charts = json.loads(re.search(r"window\.charts = (\{.*?\});</script>", page, re.DOTALL)[1])
    # two of all runs, two of each run, three of costs, one of classes, a matrix for each recipe, and two of calibration
    assert len(charts) == 2 + 2 * 6 + 3 + 1 + 3 + 2
    assert set(charts) <= set(outline.ids)
    assert all(chart["description"] for chart in charts.values())


def test_selection_on_the_test_split_is_marked_wherever_a_name_is_shown(small: Dataset, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / recipe, small, recipe, 0, 0.6) for recipe in ("study_newmodel", "fair_newmodel")]
    result = RunFolder(runs[0]).result() | {"selected_on": "validation+test"}
    RunFolder(runs[0]).write("result", {key: value for key, value in result.items() if key != "schema"})
    comparison = compare_runs(runs, tmp_path / "out")
    page, text = write_report(tmp_path / "out").read_text(), (tmp_path / "out" / "report.md").read_text()
    charts = re.search(r"window\.charts = (\{.*?\});</script>", page, re.DOTALL)[1]
    assert "study_newmodel\\u2020" in charts
    assert not re.search(r'"study_newmodel"', charts)
    assert "fair_newmodel\\u2020" not in charts
    assert "study_newmodel†" in text
    assert "† chose its best epoch on the test split" in page
    assert {row["recipe"]: row["selected_on"] for row in comparison["ranking"]}["study_newmodel"] == "validation+test"
    assert ",validation+test," in (tmp_path / "out" / "comparison.csv").read_text()


def test_a_run_that_learned_votes_is_repeated_with_them(small: Dataset, tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "run", small, "fernet_s", 0, 0.6))
    run.write("config", {"recipe": run.recipe().changed({"votes": 0.5}).as_dict(), "seed": 0})
    compare_runs([run.path], tmp_path / "out")
    write_report(tmp_path / "out")
    assert "--ferplus fer2013new.csv --set epochs=4 --set votes=0.5" in (tmp_path / "out" / "report.md").read_text()


def test_both_forms_say_the_same(folder: Path) -> None:
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    comparison = json.loads((folder / "comparison.json").read_text())
    deviation = comparison["entries"][-2]["deviations"][0]
    commands = ["--seed 1 --set epochs=4", "ferlab train study_newmodel --data demo --out runs/study_newmodel-seed0"]
    fingerprint = comparison["dataset"]["splits"]["test"]["fingerprint"]
    for said in (*commands, fingerprint, "a machine", deviation, *comparison["findings"]):
        assert said in text
        assert said.replace("'", "&#39;").replace(">", "&gt;") in page
    for heading in HEADINGS:
        assert heading in text
        assert heading in page
    pictures = re.findall(r"\]\((report-files/[^)]+)\)", text)
    assert len(pictures) == 2 + 12 + 3 + 1 + 3 + 2 + 12 + 3 * 8
    assert all((folder / picture).stat().st_size > 100 for picture in pictures)


def test_examples_are_the_same_for_all_models_and_mistakes_are_mistakes(folder: Path) -> None:
    from ferlab.report.contents import gather

    contents = gather(folder)
    assert [answer.recipe for answer in contents.examples[0].answers] == list(RECIPES)
    assert len({example.name for example in contents.examples}) == 12
    for example in contents.examples:
        for answer in example.answers:
            assert answer.right == (answer.predicted == example.true)
            assert sum(answer.probabilities) == pytest.approx(1, abs=1e-5)
    assert list(contents.mistakes) == list(RECIPES)
    assert not any(example.answers[0].right for shown in contents.mistakes.values() for example in shown)


def test_without_pictures(folder: Path, tmp_path: Path, demo: Dataset) -> None:
    run = write_run(tmp_path / "run", demo, "fair_newmodel", 0, 0.6)
    compare_runs([run], tmp_path / "out")
    page = write_report(tmp_path / "out", pictures=False).read_text()
    assert "data:image" not in page
    assert "Predictions on random" not in page
    assert not list((tmp_path / "out" / "report-files").glob("*.png"))


def test_maps_that_a_run_holds_are_shown_with_their_texts(tmp_path: Path, small: Dataset) -> None:
    """They are no pictures of the data, so they stay in a report without those."""
    runs = [write_run(tmp_path / recipe, small, recipe, 0, 0.6) for recipe in ("fair_newmodel", "study_newmodel")]
    maps = np.zeros((7, 6, 6), np.float32)
    maps[3, 4] = 0.5  # happy: the fifth row of six
    RunFolder(runs[0]).write_explanations(maps, np.full(7, 20), "validation", "relu", 0.04)
    compare_runs(runs, tmp_path / "out")
    page = write_report(tmp_path / "out", pictures=False).read_text()
    text = (tmp_path / "out" / "report.md").read_text()
    for said in ("Where the models look", "happy upper 0 %, middle 0 %, lower 100 %", "sad nowhere", "networks 0.04"):
        assert said in page
        assert said in text
    assert len(re.findall(r"Where \w+ sees each class", text)) == 1, "the other run holds none"
    outline = Outline()
    outline.feed(page)
    assert not outline.open
    assert not outline.without_text
    assert (tmp_path / "out" / "report-files" / "explanation-fair_newmodel.svg").stat().st_size > 1000
    np.savez(runs[0] / "explanations.npz", maps=maps)
    with pytest.raises(RunError, match=r"explanations\.npz was written by another version"):
        write_report(tmp_path / "out")


def test_hostile_names_stay_text(tmp_path: Path, demo: Dataset) -> None:
    names = tuple(f"</script><b>{number}" for number in range(7))
    run = write_run(tmp_path / "run", replace(demo, class_names=names), "fair_newmodel", 0, 0.6)
    compare_runs([run], tmp_path / "out")
    page = write_report(tmp_path / "out").read_text()
    assert "</script><b>" not in page
    outline = Outline()
    outline.feed(page)
    assert not outline.open


def test_no_comparison(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"comparison\.json does not exist"):
        write_report(tmp_path)


def test_answers_that_differ_in_the_last_digit(tmp_path: Path, demo: Dataset) -> None:
    """Mistakes whose probabilities are equal once they are stored are chosen alike before and afterwards."""
    run = RunFolder(write_run(tmp_path / "run", demo, "fair_newmodel", 0, 0.6))
    part = demo.take(Split.TEST)
    wrong = np.full((len(part), 7), 0.05) + 0.65 * np.eye(7)[(part.labels + 1) % 7]
    run.write_predictions("test", wrong + 1e-12 * np.arange(len(part))[:, None], part)
    compare_runs([run.path], tmp_path / "out")
    assert write_report(tmp_path / "out").is_file()


def test_runs_that_cannot_be_ranked_together_are_refused(demo: Dataset, tmp_path: Path) -> None:
    first, second = (write_run(tmp_path / str(seed), demo, "fair_newmodel", seed, 0.6) for seed in (0, 1))
    with pytest.raises(RunError, match="the same recipe and seed"):
        compare_runs([first, first], tmp_path / "out")
    other = write_run(tmp_path / "other", replace(demo, images=demo.images[::-1]), "fair_vgg16", 0, 0.6)
    with pytest.raises(RunError, match="scored on other test images"):
        compare_runs([first, other], tmp_path / "out")
    for run, split in ((first, "test"), (second, "validation")):
        result = json.loads((run / "result.json").read_text())
        (run / "result.json").write_text(json.dumps(result | {split: None}))
    with pytest.raises(RunError, match="share no split"):
        compare_runs([first, second], tmp_path / "out")


def test_damaged_or_unfinished_runs_are_refused(demo: Dataset, tmp_path: Path) -> None:
    def damage(name: str, content: str) -> Path:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        run = write_run(tmp_path / "run", demo, "fair_newmodel", 0, 0.6)
        (run / name).write_text(content)
        return run

    for name, content, message in (
        ("environment.json", '{"schema": 1, "seed": 0}', "another version of ferlab"),
        ("config.json", '{"schema": 1, "recipe": {}}', "another version of ferlab"),
        ("config.json", "[]", "no JSON object"),
        ("history.jsonl", "{", "cannot be read"),
        ("result.json", '{"schema": 1, "status": "interrupted"}', "no finished run"),
        ("predictions.npz", "", "cannot be read"),
    ):
        with pytest.raises(RunError, match=message):
            compare_runs([damage(name, content)], tmp_path / "out")
    (damage("history.jsonl", "") / "predictions.npz").unlink()
    with pytest.raises(RunError, match="no predictions on test images"):
        compare_runs([tmp_path / "run"], tmp_path / "out")


def test_changed_recipes_are_told_apart_by_their_folders(demo: Dataset, tmp_path: Path) -> None:
    """Folders that share a name, as those of two comparisons do, and two seeds of one of the two."""
    name = "runs/fair_newmodel-seed"
    short = [write_run(tmp_path / "a" / f"{name}{seed}", demo, "fair_newmodel", seed, 0.6) for seed in (0, 1)]
    long = write_run(tmp_path / "b" / f"{name}0", demo, "fair_newmodel", 0, 0.7, epochs=9)
    ranking = compare_runs([*short, long], tmp_path / "out")["ranking"]
    named = {row["recipe"]: row["seeds"] for row in ranking if not row["recipe"].startswith("baseline")}
    assert named == {f"fair_newmodel (a/{name}0)": 2, f"fair_newmodel (b/{name}0)": 1}


def test_names_that_look_like_markup(demo: Dataset, tmp_path: Path) -> None:
    """Each keeps its own picture, and stays one cell of a table."""
    runs = []
    for folder, epochs in (("lr | 0.1", 4), ("lr - 0.1", 5)):
        runs.append(write_run(tmp_path / folder, demo, "fair_newmodel", 0, 0.6, epochs=epochs))
    compare_runs(runs, tmp_path / "out")
    write_report(tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        columns = [len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()]
        assert len(columns) > 2
        assert len(set(columns)) == 1, table
    assert "fair_newmodel (lr \\| 0.1)" in text
    assert len(list((tmp_path / "out" / "report-files").glob("confusion-*"))) == 2


def test_a_report_without_pictures_leaves_none_of_an_earlier_one(demo: Dataset, tmp_path: Path) -> None:
    compare_runs([write_run(tmp_path / "run", demo, "fair_newmodel", 0, 0.6)], tmp_path / "out")
    for pictures in (True, False):
        write_report(tmp_path / "out", pictures=pictures)
        assert bool(list((tmp_path / "out" / "report-files").glob("*.png"))) is pictures
