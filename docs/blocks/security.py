"""Blocks about attacks."""

from blocks.common import RESULTS, read, table
from ferlab.formatting import listed

OUTCOMES = ("survived", "refused", "lost", "wrong", "crashed")


def torture() -> str:
    """The outcomes of the stored campaign, by attack, and its failures."""
    from tests.torture.campaign import attacks as all_attacks

    stored = read(RESULTS / "torture" / "campaign.json")
    attacks, machine = stored["attacks"], stored["machine"]
    total = {name: sum(attack[name] for attack in attacks) for name in ("attempts", *OUTCOMES, "seconds")}
    unfinished = [attack["attack"] for attack in attacks if attack["attempts"] < attack["planned"]]
    counts = listed([f"{total[name]:,} {name}" for name in OUTCOMES])
    sentences = [
        f"Of {total['attempts']:,} attempts (seed {stored['seed']}): {counts}. "
        f"The attacks took {total['seconds'] / 60:,.0f} minutes in total, on {machine['cores']} cores "
        f"({machine['cpu']})."
    ]
    sentences += [stored["note"]] if "note" in stored else []
    if unfinished:
        sentences.append(f"With fewer attempts than planned, because their time was up: {listed(unfinished)}.")
    if missing := [name for name in all_attacks() if name not in {attack["attack"] for attack in attacks}]:
        sentences.append(f"Not run to their end: {listed(missing)}.")
    rows = [
        [
            attack["attack"],
            f"{attack['attempts']:,} of {attack['planned']:,}",
            *(f"{attack[name]:,}" for name in OUTCOMES),
            f"{attack['peak_megabytes']:,}",
            f"{attack['seconds']:,}",
        ]
        for attack in attacks
    ]
    failures = "".join(
        f"- {item['attack']}, attempt {item['index']}: {item['outcome']}: {item['note']}\n"
        for item in stored["failures"]
    )
    header = ["attack", "attempts", *OUTCOMES, "peak memory, MB", "time, s"]
    return "\n".join(["\n\n".join(sentences) + "\n", table(header, rows), *([failures] if failures else [])])
