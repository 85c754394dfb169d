"""The timeline of a video: mean probabilities, bounded memory, and each file format."""

from pathlib import Path

import pytest

from ferlab.errors import OutputError
from ferlab.predict.timeline import MAX_BINS, MAX_FACES, Timeline, check_plot, write_timeline

CLASSES = ("happy", "tired")  # one class of FER2013 and one other


def row(face: int | None, seconds: float, happy: float = 0.5) -> dict:
    return {"face": face, "time_s": seconds, "happy": happy, "tired": 1 - happy}


def test_probabilities_are_averaged_per_bin() -> None:
    timeline = Timeline(CLASSES)
    for seconds, happy in ((0.0, 1.0), (0.04, 0.5), (0.08, 0.0), (0.2, 0.25)):
        timeline.add([row(1, seconds, happy)])
    assert [(value["emotion"], value["probability"]) for value in timeline.values()] == [
        ("happy", 0.5), ("tired", 0.5), ("happy", 0.25), ("tired", 0.75),
    ]  # fmt: skip
    assert timeline.span() == [0, 0.25]


def test_memory_does_not_grow_with_the_length_of_the_video() -> None:
    timeline = Timeline(CLASSES)
    for number in range(30_000):
        seconds = number / 2
        timeline.add([row(1, seconds), row(2 + number // 100, seconds), row(None, seconds)])
    assert len(timeline.sums) <= 2 * MAX_BINS * MAX_FACES
    assert timeline.span()[1] == pytest.approx(15_000, rel=0.05)
    assert timeline.longest()[0] == 1
    assert len(timeline.longest()) == MAX_FACES
    assert {value["probability"] for value in timeline.values()} == {0.5}


@pytest.mark.parametrize("suffix", [".svg", ".png", ".html"])
def test_plots_are_written_in_each_format(suffix: str, tmp_path: Path) -> None:
    timeline, path = Timeline(CLASSES), tmp_path / f"plot{suffix}"
    check_plot(path)
    write_timeline(timeline, path)
    empty = path.read_bytes()
    for number in range(20):
        timeline.add([row(1, number / 4), row(2, number / 4)])
    write_timeline(timeline, path)
    assert path.read_bytes() != empty
    if suffix == ".svg":
        text = path.read_text()
        for word in ("face 1", "face 2", "happy", "tired", "time, s"):
            assert word in text


def test_another_plot_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"must be \.svg, \.png or \.html"):
        check_plot(tmp_path / "plot.pdf")
