"""The command line of the campaign; see the package."""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ferlab.backend import describe_machine
from tests.torture.campaign import Campaign, Tally, attacks
from tests.torture.outcomes import Outcome

SCHEMA = 1
COLUMNS = ("attempts", *(outcome.value for outcome in Outcome), "peak memory, MB", "time, s")


def main() -> int:
    """Run the campaign. Returns 1 if anything is lost, wrong or crashed, else 0."""
    options = parse_options()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="torture-", dir=options.folder)).resolve()
    campaign = Campaign(folder, options.seed, 60 * options.minutes, options.attempts)
    for _ in campaign.run(options.attack or list(attacks()), options.index):
        if options.json:  # after each attack, because a campaign takes long
            options.json.write_text(json.dumps(as_json(campaign), indent=1) + "\n")
    print(table(campaign.tallies))
    if campaign.failures:
        print(f"{len(campaign.failures)} failures; their files are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="time for all attacks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--attack", action="append", choices=list(attacks()), help="only this attack; may be repeated")
    parser.add_argument("--index", type=int, help="only this attempt")
    parser.add_argument("--attempts", type=int, help="attempts per attack at most")
    parser.add_argument("--json", type=Path, help="write the table to this file")
    parser.add_argument("--folder", type=Path, help="where to work [default: the system's temporary folder]")
    if sys.platform == "win32":
        parser.error("the campaign forks its processes, which Windows cannot")
    return parser.parse_args()


def table(tallies: list[Tally]) -> str:
    """Format the outcomes of all attacks."""
    width = max(map(len, (*(tally.attack for tally in tallies), "attack")))
    lines = [f"{'attack':<{width}}  " + "  ".join(f"{column:>9}" for column in COLUMNS)]
    for tally in tallies:
        counts = [f"{tally.attempts:,}", *(f"{tally.outcomes[outcome]:,}" for outcome in Outcome)]
        cells = [*counts, f"{tally.peak_bytes / 1e6:,.0f}", f"{tally.seconds:,.0f}"]
        aligned = (f"{cell:>{max(9, len(column))}}" for cell, column in zip(cells, COLUMNS, strict=True))
        lines.append(f"{tally.attack:<{width}}  " + "  ".join(aligned))
    return "\n".join(lines)


def as_json(campaign: Campaign) -> dict[str, Any]:
    """Return the results as JSON values."""
    return {
        "schema": SCHEMA,
        "seed": campaign.seed,
        "machine": asdict(describe_machine()),
        "attacks": [
            {
                "attack": tally.attack,
                "planned": tally.planned,
                "attempts": tally.attempts,
                **{outcome.value: tally.outcomes[outcome] for outcome in Outcome},
                "peak_megabytes": round(tally.peak_bytes / 1e6),
                "seconds": round(tally.seconds),
            }
            for tally in campaign.tallies
        ],
        "failures": [
            {"attack": item.attack, "index": item.index, "outcome": item.outcome.value, "note": item.note}
            for item in campaign.failures
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
