"""Blocks about prediction: speed, stages, the size of the search and turned faces."""

import re

from blocks.common import RESULTS, read, table


def search_size() -> str:
    """The share of faces found by face size and search size, and the time per photo."""
    rows = read(RESULTS / "benchmarks" / "search_size.json")["rows"]
    found: dict[int, dict[int, float]] = {}
    for name, value in rows.items():
        if match := re.fullmatch(r"faces of (\d+) pixels, search size (\d+): found, %", name):
            found.setdefault(int(match[1]), {})[int(match[2])] = value
    sizes = list(next(iter(found.values())))
    lines = [[f"{side} pixels", *(f"{shares[size]:.0f} %" for size in sizes)] for side, shares in found.items()]
    times = ["time", *(f"{rows[f'search size {size}: processor time, ms']:.0f} ms" for size in sizes)]
    return table(["face", *(f"`--search-size {size}`" for size in sizes)], [*lines, times])


def turned_faces() -> str:
    """Faces found, and emotions that are right, by the angle of the face."""
    rows = read(RESULTS / "benchmarks" / "turned_faces.json")["rows"]
    angles = sorted({int(name.split()[0]) for name in rows})
    columns = [f"{detector}, {what}" for what in ("found", "correct") for detector in ("OpenCV", "ferlab")]
    lines = [[f"{angle}°", *(f"{rows[f'{angle} degrees: {name}']:.1f} %" for name in columns)] for angle in angles]
    header = ["turned by", "found: `FaceDetectorYN`", "found: ferlab", "emotion: `FaceDetectorYN`", "emotion: ferlab"]
    return table(header, lines)


def prediction_speed() -> str:
    """Throughput and latency of prediction, against an older version, Keras and OpenCV."""
    measured = read(RESULTS / "benchmarks" / "predict.json")
    rows, ratios = measured["rows"], measured["ratios"]
    lines = []
    for what, side, other in (("photos", "old", "before"), ("frames", "old", "before"), ("photos", "Keras", "Keras")):
        name = f"{what} per second"
        theirs, ratio = rows[f"{name}: {side}"], ratios[f"{name}: ferlab / {side}"]
        ours = theirs * ratio if side == "Keras" else rows[f"{name}: ferlab"]  # Keras was measured in a run of its own
        lines.append([name, f"{ours:.1f}", f"{other}: {theirs:.1f}", f"{ratio:.1f}"])
    name = "one photograph, new process"
    ours, theirs, ratio = rows[f"{name}: ferlab, s"], rows[f"{name}: Keras, s"], ratios[f"{name}: Keras / ferlab"]
    lines.append([name, f"{ours:.2f} s", f"Keras: {theirs:.1f} s", f"{ratio:.1f}"])
    name = "640x446 array"
    ours, theirs = rows[f"{name}, ms: predict"], rows[f"{name}, ms: FaceDetectorYN"]
    ratio = 1 / ratios[f"{name}: predict / FaceDetectorYN"]
    lines.append([name, f"{ours:.1f} ms", f"`FaceDetectorYN.detect` alone: {theirs:.1f} ms", f"{ratio:.1f}"])
    return table(["", "ferlab", "compared to", "times as fast"], lines)


def prediction_stages() -> str:
    """Processor time per photograph of each stage of prediction, before and now."""
    rows = read(RESULTS / "benchmarks" / "predict.json")["rows"]
    stages = ("decode", "detect", "crop", "classify")
    cells = [[stage, *(f"{rows[f'{stage}, ms: {side}']:.1f} ms" for side in ("old", "ferlab"))] for stage in stages]
    return table(["stage", "before", "now"], cells)
