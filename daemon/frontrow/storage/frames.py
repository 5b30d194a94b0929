"""How a frame of events lies in the journal: the facts in one blob, what is personal in another.

Replay needs the facts only, so one person's fields can be destroyed later without changing what replay computes. The
facts are a msgpack array, what is personal is JSON (a form or an ``extra`` may hold whatever JSON can, whole numbers of
any size included), both under zstandard; a CRC-32 over both tells a damaged page from a good one.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import zstandard
from msgspec import Struct

from frontrow.core.errors import StoreDamaged
from frontrow.core.events import Event

PERSONAL = ("name", "text", "fields", "note", "extra")
_KEPT = tuple(name for name in Event.__struct_fields__ if name not in PERSONAL)

# Level 1: on frames of chat it is four times as fast as level 3 for a tenth more bytes.
_COMPRESSION_LEVEL = 1
_MAX_BLOB = (
    256 * 1024 * 1024
)  # bytes after inflation; a frame has at most some thousand events of some kilobytes


class Personal(Struct, frozen=True, array_like=True, gc=False):
    """The personal fields of the event at ``position`` of its frame."""

    position: int
    name: str | None = None
    text: str | None = None
    fields: dict[str, Any] | None = None
    note: str | None = None
    extra: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """Events that were applied and stored together, each with its facts; never empty."""

    events: Sequence[Event]
    facts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Blobs:
    """A frame as it is stored."""

    facts: bytes
    personal: bytes
    crc: int


class _Stored(Struct, frozen=True, array_like=True):
    facts: list[int]
    events: list[dict[str, Any]]


_encoder = msgspec.msgpack.Encoder()
_stored_decoder = msgspec.msgpack.Decoder(_Stored)
_personal_encoder = msgspec.json.Encoder()
_personal_decoder = msgspec.json.Decoder(list[Personal])


def pack(frame: Frame) -> Blobs:
    """Return the frame's two blobs and their checksum."""
    events: list[dict[str, Any]] = []
    personal: list[Personal] = []
    for position, event in enumerate(frame.events):
        kept: dict[str, Any] = {}
        for name in _KEPT:
            value = getattr(event, name)
            if value is not None and value is not False:
                kept[name] = value
        if event.fan is False:
            kept["fan"] = False
        if event.staff is False:
            kept["staff"] = False
        for name in ("consent", "renewal"):
            if getattr(event, name) is False:
                kept[name] = False
        events.append(kept)
        if (
            event.name is not None
            or event.text is not None
            or event.fields is not None
            or event.note is not None
            or event.extra is not None
        ):
            personal.append(Personal(position, event.name, event.text, event.fields, event.note, event.extra))
    compressor = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL)
    facts_blob = compressor.compress(_encoder.encode(_Stored(list(frame.facts), events)))
    personal_blob = compressor.compress(_personal_encoder.encode(personal))
    return Blobs(facts_blob, personal_blob, checksum(facts_blob, personal_blob))


def unpack(blobs: Blobs, *, where: str) -> Frame:
    """Return the frame that two blobs hold; ``where`` names it in the error.

    A frame whose personal fields were destroyed comes back without them: comments then have an empty text.

    Raises:
        StoreDamaged: The bytes are not those that were written.
    """
    if checksum(blobs.facts, blobs.personal) != blobs.crc:
        raise StoreDamaged(f"{where}: the checksum does not fit; the page is torn or was changed")
    try:
        decompressor = zstandard.ZstdDecompressor()
        stored = _stored_decoder.decode(decompressor.decompress(blobs.facts, max_output_size=_MAX_BLOB))
        personal = _personal_decoder.decode(
            decompressor.decompress(blobs.personal, max_output_size=_MAX_BLOB)
        )
        for entry in personal:
            fields = stored.events[entry.position]
            for name in PERSONAL:
                value = getattr(entry, name)
                if value is not None:
                    fields[name] = value
        events = [Event(**fields) for fields in stored.events]
    except (zstandard.ZstdError, msgspec.DecodeError, IndexError, TypeError) as error:
        raise StoreDamaged(f"{where}: cannot be read back ({type(error).__name__})") from error
    return Frame(events, stored.facts)


def checksum(facts: bytes, personal: bytes) -> int:
    """Return the CRC-32 of both blobs in turn."""
    return zlib.crc32(personal, zlib.crc32(facts))
