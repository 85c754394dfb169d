"""Blocks about robustness."""

from ferlab.evaluation.robustness import CORRUPTIONS


def corruptions() -> str:
    """Each corruption, by the first line of its function's docstring, and its strengths."""
    lines = []
    for name, corruption in CORRUPTIONS.items():
        meaning = (corruption.apply.__doc__ or "").strip().splitlines()[0]
        strengths = ", ".join(f"{strength:g}" for strength in corruption.strengths)
        lines.append(f"- **{name.replace('_', ' ')}**: {meaning} Strengths: {strengths} ({corruption.unit}).\n")
    return "".join(lines)
