"""The emotions of a film, over time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ferlab.emotions import COLORS
from ferlab.errors import MissingExtraError, OutputError
from ferlab.files import write_atomically

MOST_BINS = 600  # points in time; more cannot be told apart in a picture
MOST_FACES = 4  # those that are seen longest
WIDTH, HEIGHT = 760, 130  # pixels of each face's chart
SUFFIXES = (".svg", ".png", ".html")
OTHER_COLORS = ("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499")


class Timeline:
    """Gathers the rows of a film for a plot, in the same memory however long it is.

    Args:
        class_names: of the model.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        self.width = 1 / 8  # seconds of a bin; doubled whenever there are too many
        self.frames = 0
        self.sums: dict[tuple[int, int], list[float]] = {}  # (face, bin) -> number of rows, sums of probabilities

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Takes in the rows of a frame. Bins are no shorter than the time from the first to the second one."""
        self.frames += 1
        if self.frames == 2:
            self.width = max(self.width, 1.001 * rows[0]["time_s"])
        for row in rows:
            if row.get("face") is None:
                continue
            place = (row["face"], int(row["time_s"] / self.width))
            added = [1.0, *(row[name] for name in self.class_names)]
            self.sums[place] = [a + b for a, b in zip(self.sums.get(place, [0.0] * len(added)), added, strict=True)]
        if len(self.sums) > 2 * MOST_BINS * MOST_FACES or any(bin_ >= MOST_BINS for _, bin_ in self.sums):
            self._halve()

    def _halve(self) -> None:
        """Joins each two bins; where there are many faces, only those seen longest are kept."""
        self.width *= 2
        kept, joined = set(self.longest(4 * MOST_FACES)), dict[tuple[int, int], list[float]]()
        for (face, bin_), values in self.sums.items():
            if face in kept:
                old = joined.get((face, bin_ // 2), [0.0] * len(values))
                joined[face, bin_ // 2] = [a + b for a, b in zip(old, values, strict=True)]
        self.sums = joined

    def longest(self, number: int = MOST_FACES) -> list[int]:
        """The faces that are seen longest, in the order of their numbers."""
        frames: dict[int, float] = {}
        for (face, _), values in self.sums.items():
            frames[face] = frames.get(face, 0) + values[0]
        return sorted(sorted(frames, key=lambda face: -frames[face])[:number])

    def span(self) -> list[float]:
        """From 0 to the end of the last bin, in seconds."""
        return [0.0, (max((bin_ for _, bin_ in self.sums), default=0) + 1) * self.width]

    def values(self) -> list[dict[str, Any]]:
        """Mean probabilities: `face, time_s, emotion, probability`, for the faces that are seen longest."""
        chosen = self.longest()
        return [
            {
                "face": f"face {face}",
                "time_s": round((bin_ + 0.5) * self.width, 3),
                "emotion": name,
                "probability": total / values[0],
            }
            for (face, bin_), values in sorted(self.sums.items())
            if face in chosen
            for name, total in zip(self.class_names, values[1:], strict=True)
        ]


def check_plot(path: Path) -> None:
    """Says before long work what would fail after it.

    Raises:
        MissingExtraError: if Altair is not installed.
        OutputError: if the suffix is not known.
    """
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("evaluate", str(error.name)) from None
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{path}: a plot is {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}. Name it so.")


def write_timeline(timeline: Timeline, path: Path) -> None:
    """Draws each face's probabilities over time, stacked.

    Args:
        timeline: of the film.
        path: `.svg`, `.png` or `.html`.

    Raises:
        OutputError: if it cannot be written.
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
    spare = iter(OTHER_COLORS * len(names))
    colors = [COLORS.get(name) or next(spare) for name in names]
    charts = [
        alt.Chart(alt.Data(values=[value for value in timeline.values() if value["face"] == f"face {face}"]))
        .mark_bar(size=WIDTH * timeline.width / timeline.span()[1] + 0.3)
        .encode(
            x=alt.X("time_s:Q", title="time, s", scale=alt.Scale(domain=timeline.span(), nice=False)),
            y=alt.Y("probability:Q", title="probability", stack="zero", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("emotion:N", title=None, sort=names, scale=alt.Scale(domain=names, range=colors)),
            order=alt.Order("place:Q"),
        )
        .transform_calculate(place=f"indexof({names}, datum.emotion)")
        .properties(width=WIDTH, height=HEIGHT, title=f"face {face}")
        for face in timeline.longest()
    ]
    if not charts:
        return alt.Chart(alt.Data(values=[])).mark_point().properties(width=WIDTH, height=HEIGHT, title="no face")
    return alt.vconcat(*charts)
