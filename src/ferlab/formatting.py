"""Format numbers, lists and names for people."""

import unicodedata

CONTROL_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")  # control characters, lone surrogates, line and paragraph separators
DIRECTION_CONTROLS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # they reorder the text around them


def duration(seconds: float) -> str:
    """Format a duration: `45 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def counted(number: int, noun: str) -> str:
    """Format a number with its noun: `1 face`, `1,204 faces`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def count(number: float | None) -> str:
    """Format a large number with three digits: `4.48 M`, `290 M`, `39 k`; a dash for None."""
    if number is None:
        return "–"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def percent(share: float | None, digits: int = 2) -> str:
    """Format a share 0..1 in percent, without the percent sign; a dash for None."""
    return "–" if share is None else f"{100 * share:.{digits}f}"


def short(value: object) -> str:
    """Format the value of a recipe field: numbers with fractions with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def listed(names: list[str]) -> str:
    """Join names: `a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""


def printable(text: str) -> str:
    r"""Escape the characters that a terminal obeys instead of showing them. Line breaks and tabs are kept.

    Example:
        >>> print(printable("\x1b[2Jphoto.jpg"))
        \x1b[2Jphoto.jpg
    """
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    obeyed = unicodedata.category(character) in CONTROL_CATEGORIES or character in DIRECTION_CONTROLS
    if character in "\n\t" or not obeyed:
        return character
    return character.encode("unicode_escape", "backslashreplace").decode()
