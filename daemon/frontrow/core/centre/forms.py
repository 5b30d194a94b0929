"""The hosted consent form without its page: what a form asks, what a link says, and what a submission becomes. Pure.

Nothing of a visitor is kept between the page and its submission: a link's words stand in the address, a page's nonce in
the page. A link may name the viewer whom it was sent to; that is signed, all else it says is a label.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from frontrow.core.contact import find_phone
from frontrow.core.events import MAX_ID, MAX_NAME, Event, RoomRef, convert_event, has_control

Language = Literal["zh-CN", "en"]
FieldName = Literal["name", "phone", "company", "product", "message"]
FIELDS: tuple[FieldName, ...] = ("name", "phone", "company", "product", "message")
"""Every field that a form can have, in the order of the page."""

MAX_LENGTHS: Mapping[str, int] = {"name": 64, "phone": 32, "company": 128, "product": 128, "message": 1_000}
MIN_SECRET = 16  # characters
TRAP = "leave_empty"
"""A field that people do not see; whoever fills it in is a program."""

_SLUG = r"\A[a-z0-9]+(?:[-_][a-z0-9]+)*\Z"
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")
_MAC_BYTES = 16

Id = Annotated[
    str,
    Meta(
        pattern=_SLUG,
        max_length=64,
        description="lower-case letters and digits in groups parted by single - or _, as in trial-autumn",
    ),
]
Title = Annotated[str, Meta(min_length=1, max_length=128)]
Words = Annotated[str, Meta(max_length=500)]
Consent = Annotated[str, Meta(min_length=1, max_length=2_000)]
Label = Annotated[str, Meta(min_length=1, max_length=128)]
Code = Annotated[str, Meta(pattern=r"\A(?:[a-z0-9]+(?:[-_][a-z0-9]+)*)?\Z", max_length=64)]


class Form(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A form that the daemon itself shows, at ``/form/<id>``.

    A submission is an event of ``room`` (a room's id), or of one of ``rooms`` where the link names it. ``fields`` are
    asked for in the order of ``FIELDS``, ``required`` among them must be answered; ``products`` are the choices.
    Every submission needs consent: to the text ``consent_zh`` or ``consent_en`` as it was shown, kept with
    ``consent_version`` and ``purposes``. ``channel`` is a channel's code. ``link_secret`` signs links that name a
    viewer; without it there are none. At most ``per_minute`` submissions a minute are taken,
    ``per_address_per_minute`` of them from one address (people on mobile networks share theirs with many).
    """

    id: Id
    room: str
    rooms: tuple[str, ...] = ()
    title_zh: Title
    title_en: Title
    intro_zh: Words = ""
    intro_en: Words = ""
    fields: Annotated[tuple[FieldName, ...], Meta(min_length=1)] = ("name", "phone", "product", "message")
    required: tuple[FieldName, ...] = ("phone",)
    products: Annotated[tuple[Label, ...], Meta(max_length=100)] = ()
    consent_zh: Consent
    consent_en: Consent
    consent_version: Annotated[str, Meta(min_length=1, max_length=64)]
    purposes: tuple[Label, ...] = ("contact",)
    thanks_zh: Words = ""
    thanks_en: Words = ""
    channel: Code = ""
    link_secret: Annotated[str, Meta(max_length=256)] = ""
    per_minute: Annotated[int, Meta(ge=1, le=100_000)] = 600
    per_address_per_minute: Annotated[int, Meta(ge=1, le=10_000)] = 20

    def __post_init__(self) -> None:
        for name in self.required:
            if name not in self.fields:
                raise ValueError(f'required names "{name}", which is not among the fields')
        if "product" in self.required and not self.products:
            raise ValueError('required names "product", but there are no products to choose from')
        if self.link_secret and len(self.link_secret) < MIN_SECRET:
            raise ValueError(f"link_secret needs {MIN_SECRET} characters or more")

    def asked(self) -> list[FieldName]:
        """Return the fields on the page; a product is asked for only where there is a choice."""
        return [name for name in FIELDS if name in self.fields and (name != "product" or self.products)]


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a signed link says: whom it was sent to, and of which broadcast it is. None: nothing of it."""

    viewer: str | None = None
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """What a link's address says. ``room`` is a room's id; ``query`` is what must stand in the address again."""

    room: str
    host: str | None = None
    product: str | None = None
    campaign: str | None = None
    ticket: Ticket = Ticket()
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Answers:
    """What a page sent back. ``values`` are the fields' answers, trimmed; ``trapped`` says that a program filled it in."""

    values: Mapping[str, str] = field(default_factory=dict)
    consent: bool = False
    nonce: str = ""
    trapped: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """What a page is to show. ``state``: ``open``, ``sent``, ``unknown`` (no such form), ``closed`` (nothing is taken now),
    ``busy``, ``often`` (too often).

    ``mistakes`` are words by field (or ``consent``): ``missing``, ``too_long``, ``no_number``, ``no_choice``.
    ``action`` is where the page sends to; ``other`` the address of the page in the other language.
    """

    state: Literal["open", "sent", "unknown", "closed", "busy", "often"]
    language: Language
    form: Form | None = None
    answers: Answers = Answers()
    mistakes: Mapping[str, str] = field(default_factory=dict)
    action: str = ""
    other: str = ""
    nonce: str = ""


def read_link(form: Form, query: Mapping[str, str]) -> tuple[Link, bool]:
    """Return what an address says, and whether a signature in it is wrong; whatever cannot be used is passed over.

    A room that the form does not name is its own room instead, since anybody can write an address.
    """
    room = query.get("room", "")
    if room not in form.rooms:
        room = form.room
    labels = {name: _label(query.get(name)) for name in ("host", "product", "campaign")}
    token = query.get("v", "")
    ticket = read_ticket(token, form, room) if token else Ticket()
    kept = [("room", room), *labels.items(), ("v", token if ticket is not None else "")]
    link = Link(
        room=room,
        **labels,
        ticket=ticket or Ticket(),
        query=tuple((name, value) for name, value in kept if value),
    )
    return link, ticket is None


def write_ticket(form: Form, room: str, ticket: Ticket) -> str:
    """Return a ticket as it stands in a link, signed for this form and room.

    Raises:
        ValueError: The form has no secret, or an id is none that an event may have.
    """
    if not form.link_secret:
        raise ValueError(f'the form "{form.id}" has no link_secret')
    for value in (ticket.viewer, ticket.session):
        if value is not None and not (0 < len(value) <= MAX_ID and not has_control(value)):
            raise ValueError(
                "a viewer's or broadcast's id has 1 to 256 characters, and no control characters"
            )
    said = msgspec.json.encode([ticket.viewer, ticket.session])
    return _as_text(said) + "." + _as_text(_mac(said, form, room))


def read_ticket(token: str, form: Form, room: str) -> Ticket | None:
    """Return what a signed ticket says, or None if this form did not sign it for this room."""
    said_text, _, mac_text = token.partition(".")
    if not form.link_secret or len(token) > 1_024:
        return None
    try:
        said, mac = _as_bytes(said_text), _as_bytes(mac_text)
        if not hmac.compare_digest(mac, _mac(said, form, room)):
            return None
        viewer, session = msgspec.json.decode(said, type=tuple[str | None, str | None])
    except (binascii.Error, ValueError):
        return None
    return Ticket(viewer, session)


def read_answers(pairs: Iterable[tuple[str, str]]) -> Answers:
    """Return what a page's fields hold; of a field that comes twice, the last."""
    values = {name: " ".join(value.split()) if name != "message" else value.strip() for name, value in pairs}
    return Answers(
        values={name: values[name] for name in FIELDS if values.get(name)},
        consent=values.get("consent") == "yes",
        nonce=values.get("nonce", ""),
        trapped=bool(values.get(TRAP)),
    )


def mistakes_in(form: Form, answers: Answers, region: str) -> dict[str, str]:
    """Return what keeps a submission from being taken, by field, in the order of the page; see :class:`View`.

    ``region`` (ISO 3166) is where a number without a country's code is dialled from.
    """
    found: dict[str, str] = {}
    for name in form.asked():
        value = answers.values.get(name, "")
        if not value:
            if name in form.required:
                found[name] = "missing"
        elif len(value) > MAX_LENGTHS[name]:
            found[name] = "too_long"
        elif name == "phone":
            number = find_phone(value, region, landlines=True)
            if number is None or not number.valid:
                found[name] = "no_number"
        elif name == "product" and value not in form.products:
            found[name] = "no_choice"
    if not answers.consent:
        found["consent"] = "missing"
    return found


def submission(
    form: Form, answers: Answers, link: Link, *, room: RoomRef, language: Language, at: int
) -> Event:
    """Return the event of answers without mistakes. The same page sent twice gives the same id.

    Raises:
        EventInvalid: The page's nonce is none.
    """
    nonce = answers.nonce if _NONCE.fullmatch(answers.nonce) else ""
    key = f"form:{form.id}:{nonce}" if nonce else ""
    asked = form.asked()
    product = answers.values.get("product") if "product" in asked else None
    event: dict[str, Any] = {
        "id": key,
        "platform": room.platform,
        "room": room.room,
        "kind": "form_submit",
        "at": at,
        "viewer": link.ticket.viewer or key,
        "session": link.ticket.session,
        "form": form.id,
        "fields": {name: answers.values[name] for name in asked if name in answers.values},
        "consent": True,
        "host": link.host,
        "product": product or link.product,
        "campaign": link.campaign,
        "extra": {
            "consent_text": consent_text(form, language),
            "consent_version": form.consent_version,
            "purposes": list(form.purposes),
            "language": language,
            **({"channel": form.channel} if form.channel else {}),
        },
    }
    name = answers.values.get("name")
    if name and "name" in asked and link.ticket.viewer is None:  # a viewer has a name already
        event["name"] = name
    return convert_event({name: value for name, value in event.items() if value is not None})


def consent_text(form: Form, language: Language) -> str:
    """Return the text beside the checkbox."""
    return form.consent_zh if language == "zh-CN" else form.consent_en


def language_of(asked: str | None, accept: str, default: Language) -> Language:
    """Return a page's language: as the address asks, else the first of ``Accept-Language`` that there is."""
    for wanted in (asked or "", *(part.partition(";")[0] for part in accept.split(","))):
        short = wanted.strip().lower()[:2]
        if short in ("zh", "en"):
            return "zh-CN" if short == "zh" else "en"
    return default


class Limits:
    """How often forms may be sent: by minute, by form and by address. Holds addresses for a minute, and writes none."""

    MOST = 20_000  # addresses of one minute; all further ones share a count

    def __init__(self) -> None:
        self._minute = 0
        self._counts: dict[tuple[str, str], int] = {}

    def allow(self, form: Form, address: str, now: int) -> bool:
        """Return whether another submission may be taken at ``now`` (UTC ms), and count it if so."""
        minute = now // 60_000
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        own = (form.id, address)
        if own not in self._counts and len(self._counts) >= self.MOST:
            own = (form.id, "others")
        everybody = (form.id, "")
        if (
            self._counts.get(own, 0) >= form.per_address_per_minute
            or self._counts.get(everybody, 0) >= form.per_minute
        ):
            return False
        for key in (own, everybody):
            self._counts[key] = self._counts.get(key, 0) + 1
        return True


def _label(value: str | None) -> str | None:
    """Return a label as an event may have it, or None."""
    text = " ".join((value or "").split())
    return text[:MAX_NAME] if text and not has_control(text) else None


def _mac(said: bytes, form: Form, room: str) -> bytes:
    message = b"\n".join([b"frontrow form link 1", form.id.encode(), room.encode(), said])
    return hmac.new(form.link_secret.encode(), message, hashlib.sha256).digest()[:_MAC_BYTES]


def _as_text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _as_bytes(text: str) -> bytes:
    return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
