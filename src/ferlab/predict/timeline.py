"""Plot the emotions of a video over time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ferlab.emotions import COLORS
from ferlab.errors import MissingExtraError, OutputError
from ferlab.files import write_atomically

MAX_BINS = 600  # time bins; more are not visible in a plot
MAX_FACES = 4  # faces to plot: those with the most frames
WIDTH, HEIGHT = 760, 130  # pixels of each face's chart
SUFFIXES = (".svg", ".png", ".html")
OTHER_COLORS = ("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499")


class Timeline:
    """Collects the rows of a video for a plot. Memory use does not depend on the length of the video.

    Args:
        class_names: the class names of the model.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        self.bin_width = 1 / 8  # seconds; doubled whenever there are too many bins
        self.frames = 0
        self.sums: dict[tuple[int, int], list[float]] = {}  # (face, bin) -> number of rows, sums of probabilities

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add the rows of a frame."""
        self.frames += 1
        if self.frames == 2:  # bins are at least as wide as the time between two frames
            self.bin_width = max(self.bin_width, 1.001 * rows[0]["time_s"])
        for row in rows:
            if row.get("face") is not None:
                values = [1.0, *(row[name] for name in self.class_names)]
                _add_to(self.sums, (row["face"], int(row["time_s"] / self.bin_width)), values)
        if len(self.sums) > 2 * MAX_BINS * MAX_FACES or any(index >= MAX_BINS for _, index in self.sums):
            self._merge_bins()

    def _merge_bins(self) -> None:
        """Merge pairs of bins, and keep only the faces with the most frames."""
        self.bin_width *= 2
        kept, merged = set(self.longest(4 * MAX_FACES)), dict[tuple[int, int], list[float]]()
        for (face, index), values in self.sums.items():
            if face in kept:
                _add_to(merged, (face, index // 2), values)
        self.sums = merged

    def longest(self, number: int = MAX_FACES) -> list[int]:
        """Return the faces with the most frames, sorted by their numbers."""
        frames: dict[int, float] = {}
        for (face, _), values in self.sums.items():
            frames[face] = frames.get(face, 0) + values[0]
        return sorted(sorted(frames, key=lambda face: -frames[face])[:number])

    def span(self) -> list[float]:
        """Return the time axis: 0 and the end of the last bin, in seconds."""
        return [0.0, (max((index for _, index in self.sums), default=0) + 1) * self.bin_width]

    def values(self) -> list[dict[str, Any]]:
        """Return the mean probabilities of the longest faces as `face, time_s, emotion, probability`."""
        faces = self.longest()
        return [
            {
                "face": f"face {face}",
                "time_s": round((index + 0.5) * self.bin_width, 3),
                "emotion": name,
                "probability": total / values[0],
            }
            for (face, index), values in sorted(self.sums.items())
            if face in faces
            for name, total in zip(self.class_names, values[1:], strict=True)
        ]


def _add_to(sums: dict[tuple[int, int], list[float]], key: tuple[int, int], values: list[float]) -> None:
    sums[key] = [a + b for a, b in zip(sums.get(key, [0.0] * len(values)), values, strict=True)]


def check_plot(path: Path) -> None:
    """Check that a timeline can be plotted to a file, before the video is processed.

    Raises:
        MissingExtraError: if Altair is not installed.
        OutputError: if the suffix is unknown.
    """
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("evaluate", str(error.name)) from None
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{path}: the suffix of a plot must be {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}.")


def write_timeline(timeline: Timeline, path: Path) -> None:
    """Plot the probabilities of each face over time as stacked bars.

    Args:
        timeline: the collected rows.
        path: the output file, `.svg`, `.png` or `.html`.

    Raises:
        OutputError: if the file cannot be written.
    """
    import vl_convert

    spec = _chart(timeline).to_json()
    suffix = path.suffix.lower()
    if suffix == ".png":
        content = vl_convert.vegalite_to_png(spec, scale=2)
    elif suffix == ".svg":
        content = vl_convert.vegalite_to_svg(spec).encode()
    else:
        content = vl_convert.vegalite_to_html(spec).encode()
    write_atomically(path, lambda file: file.write(content))


def _chart(timeline: Timeline) -> Any:
    import altair as alt

    names = list(timeline.class_names)
    other_colors = iter(OTHER_COLORS * len(names))
    colors = [COLORS.get(name) or next(other_colors) for name in names]
    charts = [
        alt.Chart(alt.Data(values=[value for value in timeline.values() if value["face"] == f"face {face}"]))
        .mark_bar(size=WIDTH * timeline.bin_width / timeline.span()[1] + 0.3)
        .encode(
            x=alt.X("time_s:Q", title="time, s", scale=alt.Scale(domain=timeline.span(), nice=False)),
            y=alt.Y("probability:Q", title="probability", stack="zero", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("emotion:N", title=None, sort=names, scale=alt.Scale(domain=names, range=colors)),
            order=alt.Order("position:Q"),
        )
        .transform_calculate(position=f"indexof({names}, datum.emotion)")
        .properties(width=WIDTH, height=HEIGHT, title=f"face {face}")
        for face in timeline.longest()
    ]
    if not charts:
        return alt.Chart(alt.Data(values=[])).mark_point().properties(width=WIDTH, height=HEIGHT, title="no face")
    return alt.vconcat(*charts)
