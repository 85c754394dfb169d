"""Plan a prediction on many images: nodes, time, storage, money, and what limits it. A calculation, not a measurement.

Photos per second and core are those of results/benchmarks/predict.json, measured on two cores, with the detector. All
other figures are assumptions, which options change; prices are rounded list prices of large clouds.

    python benchmarks/prediction_plan.py --images 1e9 --nodes 50
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

PREDICT = Path(__file__).parents[1] / "results" / "benchmarks" / "predict.json"


@dataclass(frozen=True, kw_only=True)
class Option:
    """A figure of the plan that can be changed, with its default value and meaning."""

    name: str
    value: float
    help: str


def main() -> None:
    """Parse the arguments, and print the plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in options():
        name = f"--{option.name.replace('_', '-')}"
        parser.add_argument(name, type=float, default=option.value, help=f"{option.help} (default: {option.value:g})")
    for name, value in plan(parser.parse_args()).items():
        print(f"{name:<52}{value:>16}")


def options() -> list[Option]:
    """Return the figures of the plan."""
    measured = json.loads(PREDICT.read_text())
    per_core = measured["rows"]["photos per second: ferlab"] / measured["machine"]["cores"]
    return [
        Option(name="images", value=1e9, help="number of images"),
        Option(name="nodes", value=50, help="nodes"),
        Option(name="cores", value=64, help="cores of a node"),
        Option(name="per_core", value=round(per_core, 1), help="images per second and core"),
        Option(
            name="efficiency", value=0.9, help="share of that speed that remains on a full node and in tables, 0..1"
        ),
        Option(name="kilobytes", value=150, help="kilobytes of an image"),
        Option(name="row_bytes", value=130, help="bytes of a row in a part"),
        Option(name="faces", value=1.5, help="rows per image"),
        Option(name="shard_size", value=10_000, help="images per shard"),
        Option(name="core_hour", value=0.04, help="dollars per core and hour"),
        Option(name="spot_share", value=0.35, help="price of interruptible nodes as a share of that"),
        Option(name="interruptions", value=0.05, help="interruptions per node and hour"),
        Option(name="gigabyte_month", value=0.023, help="dollars per gigabyte and month of object storage"),
        Option(name="million_reads", value=0.4, help="dollars per million reads from object storage"),
        Option(name="gigabits", value=10, help="gigabits per second of a node's network"),
        Option(name="listed_per_second", value=10_000, help="files per second that object storage lists"),
        Option(name="shards_per_second", value=100, help="shards per second that the command hands out"),
        Option(name="delay_ms", value=50, help="milliseconds until object storage answers; 16 reads run at a time"),
    ]


def plan(given: argparse.Namespace) -> dict[str, str]:
    """Compute the plan."""
    cores = given.nodes * given.cores
    terabytes = given.images * given.kilobytes / 1e9
    shard_seconds = given.shard_size / (given.per_core * given.efficiency)
    repeated = given.interruptions * (shard_seconds / 2) / 3600  # half of a shard is lost on each core of the node
    hours = {
        "cores": given.images / (cores * given.per_core * given.efficiency) / 3600 * (1 + repeated),
        "network": terabytes * 8e3 / (given.nodes * given.gigabits) / 3600,
        "waiting for reads of single files": given.images * given.delay_ms / 1e3 / (16 * cores) / 3600,
        "handing out shards": given.images / given.shard_size / given.shards_per_second / 3600,
    }
    limit = max(hours, key=lambda name: hours[name])
    core_hours = hours[limit] * cores
    compute = core_hours * given.core_hour
    per_million = given.images / 1e6
    return {
        "hours of predicting": f"{hours[limit]:,.1f}",
        "limited by": limit,
        **{f"  hours that {name} would need": f"{value:,.2f}" for name, value in hours.items()},
        "hours of listing, if each image is a file": f"{given.images / given.listed_per_second / 3600:,.1f}",
        "core-hours": f"{core_hours:,.0f}",
        "share repeated after interruptions, %": f"{100 * repeated:.2f}",
        "seconds per shard": f"{shard_seconds:,.0f}",
        "gigabits per second and node": f"{terabytes * 8e3 / given.nodes / (hours[limit] * 3600):.2f}",
        "images, TB": f"{terabytes:,.1f}",
        "parts, GB": f"{given.images * given.faces * given.row_bytes / 1e9:,.0f}",
        "nodes, $": f"{compute:,.0f}",
        "nodes, interruptible, $": f"{compute * given.spot_share:,.0f}",
        "nodes, per million images, $": f"{compute / per_million:.2f}",
        "storage of the images, $ per month": f"{terabytes * 1e3 * given.gigabyte_month:,.0f}",
        "reads, if each image is a file, $": f"{given.images / 1e6 * given.million_reads:,.0f}",
        "reads of tables, 1,000 images per row group, $": f"{given.images / 1e9 * given.million_reads:,.2f}",
    }


if __name__ == "__main__":
    main()
