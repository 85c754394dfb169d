"""Blocks about the service."""

from blocks.common import RESULTS, read, table


def service_load() -> str:
    """The service under a mixed load and under streams: speed, latency, lost requests and memory."""
    rows = read(RESULTS / "benchmarks" / "serve_load.json")["rows"]
    lines = []
    for part, work in (("mixed", "requests"), ("soak", "requests"), ("streams", "frames")):
        measured = {name.removeprefix(f"{part}: "): value for name, value in rows.items() if name.startswith(part)}
        if not measured:  # the soak is optional
            continue
        done = measured["requests per s" if work == "requests" else "frames analyzed per s"]
        latency = "photos" if work == "requests" else "frames"
        memory = (measured["memory at 10-20 % of the time, MB"], measured["memory in the last 10 %, MB"])
        lines.append(
            [
                f"{part}, {measured['seconds']:.0f} s",
                f"{done:.1f} {work}",
                *(f"{measured[f'{latency} {quantile}, ms']:,.0f} ms" for quantile in ("p50", "p99")),
                f"{measured['lost']:.0f}",
                f"{memory[0]:.0f} → {memory[1]:.0f} MB",
            ]
        )
    return table(["load", "per second", "p50", "p99", "lost", "memory, early → late"], lines)


def service_throughput() -> str:
    """Throughput of the service against `Predictor` in a loop."""
    measured = read(RESULTS / "benchmarks" / "serve_load.json")
    lines = [
        [
            name,
            *(
                f"{measured['rows'][f'throughput: {side}, {what}']:.1f}"
                for what in ("photos per s", "processor ms per photo")
            ),
        ]
        for name, side in (("`ferlab serve`, 16 clients", "service"), ("`Predictor.predict` in a loop", "loop"))
    ]
    return table(["", "photos per second", "processor ms per photo"], lines)
