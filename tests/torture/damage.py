"""Damage files at random: bytes of any file, values of JSON, and members of zips with right checksums."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.damage import FRAGMENTS

Damage = Callable[[bytes, np.random.Generator], bytes]

# What takes the place of a value in a JSON file.
VALUES = (
    *(
        None,
        True,
        False,
        0,
        -1,
        2**63,
        10**400,
        1.5,
        -0.0,
        float("nan"),
        float("inf"),
        "",
        "x",
        "\0",
        "\x1b[2J",
        "../x",
    ),
    *([], {}, [[]], {"": None}, [1, "a", None], "\ud800", "é" * 5000, [0] * 5000),
)
MAX_FLIPS = 8


def damage_bytes(content: bytes, generator: np.random.Generator) -> bytes:
    """Flip bits, cut off the end, or remove, repeat, replace or insert bytes."""
    changed = bytearray(content)
    kind = generator.choice(["flip", "cut", "remove", "repeat", "insert", "replace", "zero"])
    start = int(generator.integers(0, len(changed) + 1))
    end = min(len(changed), start + int(2 ** generator.uniform(0, 12)))
    if kind == "flip":
        for place in generator.integers(0, len(changed), generator.integers(1, MAX_FLIPS)):
            changed[place] ^= 1 << int(generator.integers(0, 8))
    elif kind == "cut":
        del changed[start:]
    elif kind == "remove":
        del changed[start:end]
    elif kind == "repeat":
        changed[end:end] = changed[start:end] * int(generator.integers(1, 4))
    elif kind == "zero":
        changed[start:end] = bytes(end - start)
    else:
        fragment = FRAGMENTS[generator.integers(len(FRAGMENTS))]
        changed[start : start + len(fragment) if kind == "replace" else start] = fragment
    return bytes(changed)


def damage_json(content: bytes, generator: np.random.Generator) -> bytes:
    """Replace, remove or add a value anywhere in a JSON file."""
    values = json.loads(content)
    container: Any = values
    while True:
        places = list(container) if isinstance(container, dict) else list(range(len(container)))
        if not places:
            break
        place = places[generator.integers(len(places))]
        inner = container[place]
        if isinstance(inner, dict | list) and inner and generator.random() < 0.7:
            container = inner
            continue
        if generator.random() < 0.3:
            del container[place]
        else:
            container[place] = VALUES[generator.integers(len(VALUES))]
        break
    return json.dumps(values).encode()


def damage_json_line(content: bytes, generator: np.random.Generator) -> bytes:
    """Damage one line of a JSON lines file, or repeat, remove or exchange lines."""
    lines = content.splitlines()
    place, other = generator.integers(len(lines), size=2)
    kind = generator.integers(4)
    if kind == 0:
        lines[place] = damage_json(lines[place], generator)
    elif kind == 1:
        lines.insert(int(place), lines[other])
    elif kind == 2:
        del lines[place]
    else:
        lines[place], lines[other] = lines[other], lines[place]
    return b"".join(line + b"\n" for line in lines)


def damage_member(content: bytes, generator: np.random.Generator) -> bytes:
    """Damage, remove, repeat or exchange members of a zip, and give them right checksums."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    place, other = generator.integers(len(members), size=2)
    kind = generator.integers(5)
    if kind == 0:
        del members[place]
    elif kind == 1:
        members[place] = (members[place][0], members[other][1])
    elif kind == 2:
        members.append((members[other][0], members[place][1]))
    else:
        name, data = members[place]
        damage = damage_json if name.endswith(".json") and generator.random() < 0.8 else damage_bytes
        members[place] = (name, damage(data, generator))
    return _zipped(members)


def damage_array(content: bytes, generator: np.random.Generator) -> bytes:
    """Give one array of an `.npz` file another shape, dtype or other values."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    name = list(arrays)[generator.integers(len(arrays))]
    array = arrays[name]
    choices = [
        array[: len(array) // 2] if array.ndim else array,
        array[None],
        array.ravel(),
        np.zeros(array.shape, array.dtype),
        np.full(array.shape, np.nan),
        np.full(array.shape, 10**9),
        np.full(array.shape, "\0x"),
        np.empty((0, *array.shape[1:]), array.dtype),
        array.astype("U8") if array.dtype.kind != "U" else array.astype("U1"),
    ]
    arrays[name] = choices[generator.integers(len(choices))]
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _zipped(members: list[tuple[str, bytes]]) -> bytes:
    import warnings

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a name twice
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def one_of(*kinds: Damage) -> Damage:
    """Return a damage that is one of several at random."""

    def damage(content: bytes, generator: np.random.Generator) -> bytes:
        return kinds[generator.integers(len(kinds))](content, generator)

    return damage
