"""Input that nobody should send: a written corpus, what is too large to be written down, and what is drawn at random."""

import gzip
from pathlib import Path
from typing import Any

import zstandard
from hypothesis import strategies as st

from frontrow.core.events import EARLIEST_MS, KINDS, LATEST_MS, MAX_COUNT, MAX_STAY_S, MAX_VALUE, Event

CORPUS = Path(__file__).parents[1] / "fixtures" / "hostile"
HEAD = b'{"id":"a","platform":"test","room":"r1","kind":"like","at":1750000000000'


def corpus(name: str) -> list[bytes]:
    """Return the lines of a file of the corpus: ``refused`` or ``kept``. Each is one line of NDJSON, in bytes."""
    return (CORPUS / f"{name}.ndjson").read_bytes().removesuffix(b"\n").split(b"\n")


def too_large() -> dict[str, bytes]:
    """Return lines that must be refused and are too large to be kept in a file, by what they are."""
    return {
        "a name of 4 MB": HEAD + b',"name":"' + b"n" * 4_000_000 + b'"}',
        "a text of 4 MB in three-byte characters": HEAD + b',"text":"' + "多".encode() * 1_333_333 + b'"}',
        "ten thousand levels": HEAD + b',"extra":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}",
        "ten thousand levels, never closed": HEAD + b',"extra":{"a":' + b"[" * 10_000,
        "a hundred thousand levels around an event": b"[" * 100_000 + HEAD + b"}" + b"]" * 100_000,
        "a number of a million digits": HEAD + b',"count":' + b"9" * 1_000_000 + b"}",
        "an exponent of a million digits": HEAD + b',"seconds":1e' + b"9" * 1_000_000 + b"}",
        "a key of a megabyte": HEAD
        + b',"extra":{"'
        + b"k" * 1_000_000
        + b'":'
        + b"[" * 40
        + b"]" * 40
        + b"}}",
        "a hundred thousand names for one field": HEAD + b',"count":1' * 100_000 + b',"count":-1}',
    }


def bombs() -> dict[str, bytes]:
    """Return small packed files that hold a hundred million empty lines, by how they are packed."""
    blank = b"\n" * 100_000_000
    return {"gzip": gzip.compress(blank, 1), "zstandard": zstandard.ZstdCompressor().compress(blank)}


# What decodes and is at the edge of what may. Drawn from few values: a draw costs more than applying the event.
_WORDS = [
    "",
    "\0",
    "\u202e\u200b",
    "多少钱",
    "13800138000",
    "=cmd|' /C calc'!A0",
    "Z" + "\u0335" * 99,
    "\r\n\x1b[2J",
]
_KEYS = ["a", "b", "ａ", "👨\u200d👩\u200d👧", "v" * 256, "__proto__", "None", "-1"]
_COUNTS = [None, 0, 1, 65_535, 65_536, MAX_COUNT]
_SECONDS = [0.0, -0.0, 5e-324, 0.001, 59.9, 3_600.0, float(MAX_STAY_S)]
_NESTED: list[Any] = [{"": None}, {"n": -1e308, "m": 10**40}, {"a": [[{"b": []}]], "\0": _WORDS}, {}]
# What the engine hardly looks at.
_REST: list[dict[str, Any]] = [
    {},
    {"name": "\0", "gift": "\u202e", "order": "-1", "host": "13800138000", "campaign": "\x1b[2J"},
    {"level": MAX_COUNT, "likes": MAX_COUNT, "consent": True, "form": "", "currency": "XXX"},
    *({"extra": each, "fields": each} for each in _NESTED),
]
TIMES = st.one_of(
    st.integers(1_750_000_000_000, 1_750_000_600_000),
    st.integers(EARLIEST_MS, LATEST_MS),
    st.sampled_from([EARLIEST_MS, LATEST_MS, 1_750_000_000_000, 1_749_999_999_999, 1_750_003_600_000]),
)


def events(times: st.SearchStrategy[int] = TIMES) -> st.SearchStrategy[Event]:
    """Draw an event that every decoder would take, with as much in it as it may hold."""
    return st.builds(
        lambda rest, **fields: Event(platform="test", **fields, **rest),
        rest=st.sampled_from(_REST),
        id=st.integers(0, 99).map(str),
        kind=st.sampled_from([*sorted(KINDS), "teleport", " "]),
        at=times,
        seen_at=st.none() | times,
        room=st.sampled_from(["r1", "r1", "r1", "r2"]),
        session=st.sampled_from([None, None, *_KEYS]),
        viewer=st.sampled_from([None, *_KEYS]),
        fan=st.sampled_from([None, False, True]),
        staff=st.sampled_from([None, None, None, None, False, True]),
        test=st.sampled_from([False, False, False, True]),
        text=st.sampled_from(_WORDS),
        product=st.sampled_from(_WORDS),
        seconds=st.sampled_from(_SECONDS),
        count=st.sampled_from(_COUNTS),
        viewers=st.sampled_from(_COUNTS),
        value=st.sampled_from([None, -MAX_VALUE, -1, 0, 1, MAX_VALUE]),
    )
