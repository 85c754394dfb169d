"""Hypothesis strategies for damaged files."""

from hypothesis import strategies as st


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A file after a few random changes: bytes replaced, removed, repeated or inserted, or the end cut off."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(changed)))
        end = min(len(changed), start + draw(st.integers(0, 40)))
        kind = draw(st.sampled_from(["replace", "remove", "repeat", "insert", "cut"]))
        if kind == "cut":
            del changed[start:]
        elif kind == "remove":
            del changed[start:end]
        elif kind == "repeat":
            changed[end:end] = changed[start:end] * draw(st.integers(1, 3))
        else:
            changed[start : end if kind == "replace" else start] = draw(TEXT_OR_BYTES)
    return bytes(changed)


# Beside random bytes: separators, quotes, extreme numbers, other types of JSON, and characters that some code treats
# specially.
FRAGMENTS = (
    *(b",", b";", b"\n", b"\r", b'"', b"\0", b"{", b"}", b"[", b"]", b":", b"null", b"NaN", b"-1", b"1e999", b"1_0"),
    *(b"9" * 400, b"[]", b"{}", b'""', b"\xff\xfe", b"\xef\xbb\xbf", "\u2028\u0665".encode(), b"\x1b[2J", b"../../x"),
)
TEXT_OR_BYTES = st.one_of(st.binary(max_size=20), st.sampled_from(FRAGMENTS))
