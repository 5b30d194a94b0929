"""Sealing: what people entrusted in a form, with consent, is kept under a key of their own.

Of the number the journal's facts get what decisions need: its keyed hash and where it is from. The number itself,
with all other answers, is sealed; beside it stands the masked number for those who may not see more. Both are
personal: they can be destroyed, the facts cannot, so no digit of a number is a fact.

A form belongs to the viewer who sent it; one without a viewer to its number. One with neither has nobody whose key
could be destroyed, and stays as it was written.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from frontrow.core.centre.identities import (
    PHONE,
    Identity,
    identity_of,
    masked_phone,
    viewer_identity,
)
from frontrow.core.centre.quality import is_test_number
from frontrow.core.centre.regions import region_of_number
from frontrow.core.contact import form_facts
from frontrow.core.events import Event
from frontrow.core.frames import Frame
from frontrow.core.ports import Sealer

PURPOSE = "form"
SEALED, MASKED = "sealed", "masked"  # what is in the place of a form's fields
TEST_NUMBER = "test_number"  # the fact of a number that people type when they have to type one
UNREADABLE = "unreadable"  # the fact of a form in whose field for a number there is none that can be called

Unseal = Callable[[Identity, str, bytes], bytes | None]
"""Opens what was sealed for (identity, purpose), or gives None: its key was destroyed."""

_decoder = msgspec.json.Decoder(dict[str, Any])


def seal_forms(frame: Frame, sealer: Sealer, region: str) -> None:
    """Seal the fields that a frame's forms bring with consent, and derive the facts of their numbers.

    ``event.data`` becomes ``{"phone", "country", "province", "city"}`` where a form holds a number that can be called
    (with ``"test_number": true`` where nobody is reached at it, see
    :func:`frontrow.core.centre.quality.is_test_number`), and ``{"unreadable": true}`` where it holds something else
    in such a number's place; ``event.fields`` becomes ``{"sealed"}``, in base64, and ``"masked"`` with a number.
    ``region`` (ISO 3166) is where numbers without a country's code are dialled from. The frame must be the caller's
    alone.

    Raises:
        CommitFailed: A person's key cannot be kept.
    """
    fields, consents = frame.seldom.get("fields", {}), frame.seldom.get("consent", {})
    sealing: list[tuple[int, Identity, str | None]] = []
    for position, answers in fields.items():
        if not answers or not consents.get(position) or frame.kinds[position] != "form_submit":
            continue
        found = form_facts(answers, region).phone
        number = found.e164 if found is not None else None
        if found is not None and number is None:
            frame.seldom.setdefault("data", {})[position] = {UNREADABLE: True}
        viewer = frame.viewers[position]
        key = None if number is None else sealer.phone_key(number)
        if number is not None and key is not None:
            frame.seldom.setdefault("data", {})[position] = _facts_of(number, key)
        if viewer is not None:
            sealing.append((position, viewer_identity(frame.platforms[position], viewer), number))
        elif key is not None:
            sealing.append((position, Identity(PHONE, key), number))
    if not sealing:
        return
    sealed = sealer.seal_all(
        [(owner, PURPOSE, msgspec.json.encode(fields[position])) for position, owner, _ in sealing]
    )
    for (position, _, number), data in zip(sealing, sealed, strict=True):
        kept = {SEALED: base64.b64encode(data).decode()}
        fields[position] = kept if number is None else kept | {MASKED: masked_phone(number)}


def owner_of(event: Event) -> Identity | None:
    """Return whose key sealed an event's form; None where it has neither a viewer nor a number."""
    if event.viewer is not None:
        return viewer_identity(event.platform, event.viewer)
    try:
        return identity_of({"kind": PHONE, "key": (event.data or {}).get("phone")})
    except ValueError:
        return None


def answers_of(event: Event, unseal: Unseal) -> dict[str, Any] | None:
    """Return what a form says, unsealed where it was sealed; None where it says nothing any more or never did."""
    fields = event.fields
    if not fields:
        return None
    sealed = _sealed_in(fields)
    if sealed is None:
        return fields
    owner = owner_of(event)
    data = None if owner is None else unseal(owner, PURPOSE, sealed)
    return None if data is None else _decoder.decode(data)


def _sealed_in(fields: Mapping[str, Any]) -> bytes | None:
    text = fields.get(SEALED)
    if not isinstance(text, str) or not fields.keys() <= {SEALED, MASKED}:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _facts_of(number: str, key: str) -> dict[str, Any]:
    region = region_of_number(number)
    facts = {"phone": key, "country": region.country, "province": region.province, "city": region.city}
    return facts | ({TEST_NUMBER: True} if is_test_number(number) else {})
