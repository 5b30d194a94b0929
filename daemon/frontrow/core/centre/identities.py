"""Identities: the names under which a person is known, and which of them are one customer.

A customer is a connected component of the links that hold now. It is computed from these links and from when each
identity was first seen, never from how they came about: so merging and unlinking are exactly reversible, whatever came
between. A component is walked from one identity outward, and asks only for the links of those it reaches, so that it
does not matter how many others there are or where their links are kept.

A phone that many viewers give is a shop's, a family's or an invented one. It joins nobody until a person has looked
at it.

What is not done here: to decide whether two identities are one person. Whoever makes a link says how sure that is.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from frontrow.core.contact import find_phone, mask_numbers
from frontrow.core.events import MAX_ID, has_control

VIEWER = "viewer:"  # and the platform: the key is the platform's viewer id
PHONE = "phone"  # the key is the keyed hash of the number, see phone_key
WECOM = "wecom"  # external_userid
FORM = "form"  # form:id
CRM = "crm"
KINDS = frozenset({PHONE, WECOM, FORM, CRM})  # beside those of viewers

MAX_KEY = 512  # characters; a form's name and an event's id, and a mark between
PHONE_DIGITS = 32  # of a keyed hash: 128 bits
DEFAULT_THRESHOLD = 0.8  # confidence from which a link joins
DEFAULT_MAX_VIEWERS = 5  # that one phone may join

_PHONE_KEY = re.compile(rf"[0-9a-f]{{{PHONE_DIGITS}}}")


class Identity(Struct, frozen=True, order=True):
    """One name of a person: ``kind`` is ``viewer:<platform>``, ``phone``, ``wecom``, ``form`` or ``crm``."""

    kind: str
    key: str

    @property
    def is_viewer(self) -> bool:
        """Whether this is a viewer of a platform."""
        return self.kind.startswith(VIEWER)


class Link(Struct, frozen=True):
    """That two identities are one person: ``confidence`` from 0 to 1, ``at`` when it was made (UTC ms).

    ``id`` is that of the event which made it, and what an unlinking names. ``source`` says how it is known (form, crm
    …).
    """

    id: str
    a: Identity
    b: Identity
    source: str
    confidence: float
    at: int


Neighbours = Callable[[Identity], Iterable[Link]]
"""Gives the links of an identity that hold now, of any confidence, in any order."""


def viewer_identity(platform: str, viewer: str) -> Identity:
    """Return the identity of a platform's viewer."""
    return Identity(f"{VIEWER}{platform}", viewer)


def identity_of(value: Any) -> Identity:
    """Return the identity that a JSON object ``{"kind": …, "key": …}`` names.

    Raises:
        ValueError: It names none; the message says why, without the key.
    """
    if not isinstance(value, dict) or set(value) != {"kind", "key"}:
        raise ValueError("an identity is an object of kind and key")
    kind, key = value["kind"], value["key"]
    if not isinstance(kind, str) or not (kind in KINDS or (kind.startswith(VIEWER) and kind != VIEWER)):
        raise ValueError("an identity's kind is viewer:<platform>, phone, wecom, form or crm")
    if len(kind) > len(VIEWER) + MAX_ID:
        raise ValueError(f"a platform's name has at most {MAX_ID} characters")
    most = MAX_ID if kind.startswith(VIEWER) else MAX_KEY
    if not isinstance(key, str) or not 0 < len(key) <= most or has_control(kind + key):
        raise ValueError(f"an identity's key is a text of 1 to {most} characters")
    if kind == PHONE and not _PHONE_KEY.fullmatch(key):
        raise ValueError(
            f"a phone's key is its keyed hash, {PHONE_DIGITS} hexadecimal digits, never the number"
        )
    return Identity(kind, key)


def link_of(id: str, data: Mapping[str, Any], at: int) -> Link:
    """Return the link that an ``identity_link`` event with this id and ``data`` makes.

    Raises:
        ValueError: It makes none; the message says why.
    """
    a, b = identity_of(data.get("a")), identity_of(data.get("b"))
    if a == b:
        raise ValueError("an identity is not linked to itself")
    source, confidence = data.get("source"), data.get("confidence")
    if not isinstance(source, str) or not source:
        raise ValueError("a link says its source")
    if isinstance(confidence, bool) or not isinstance(confidence, (int, float)) or not 0 <= confidence <= 1:
        raise ValueError("a link's confidence is a number from 0 to 1")
    return Link(id, a, b, source, float(confidence), at)


# ---------------------------------------------------------------------- phones


def normalised_phone(text: str, region: str = "CN") -> str | None:
    """Return the number in a text in E.164 form (``+8613800138000``), in whatever way it is written; None: no valid one.

    ``region`` (ISO 3166) is where a number without a country's code is dialled from. Landlines count.
    """
    found = find_phone(text, region, landlines=True)
    return None if found is None else found.e164


def phone_key(e164: str, secret: bytes) -> str:
    """Return what a number is known by: its HMAC-SHA256 with the installation's secret, 32 hexadecimal digits.

    Without the secret nobody can try all numbers out, which are few enough; with another one nothing fits.
    """
    return hmac.new(secret, e164.encode(), hashlib.sha256).hexdigest()[:PHONE_DIGITS]


def masked_phone(e164: str) -> str:
    """Return a number as it may be shown: ``138****8000``, without the country's code where that is China's."""
    return mask_numbers(e164.removeprefix("+86"))


# ---------------------------------------------------------------------- the graph


def component_of(
    start: Identity,
    links_of: Neighbours,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    max_viewers: int = DEFAULT_MAX_VIEWERS,
) -> frozenset[Identity]:
    """Return the identities that are one customer with ``start``, itself among them.

    Links under ``threshold`` do not join, and a shared phone (:func:`is_shared`) joins nobody: it is alone.
    """
    joining = _Joining(links_of, threshold, max_viewers)
    found, waiting = {start}, [start]
    while waiting:
        for other in joining.of(waiting.pop()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return frozenset(found)


def is_shared(
    phone: Identity,
    links_of: Neighbours,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    max_viewers: int = DEFAULT_MAX_VIEWERS,
) -> bool:
    """Return whether a phone would join more than ``max_viewers`` viewers, at once or by way of one form each.

    Such a phone joins nobody, and is for a person to look at (the cleaning queue). False for what is no phone.
    """
    return phone.kind == PHONE and _Joining(links_of, threshold, max_viewers).shared(phone)


def components(
    links: Iterable[Link],
    threshold: float = DEFAULT_THRESHOLD,
    *,
    max_viewers: int = DEFAULT_MAX_VIEWERS,
) -> dict[Identity, frozenset[Identity]]:
    """Return the component of every identity that any of ``links`` names; equal to :func:`component_of` of each."""
    by_identity: dict[Identity, list[Link]] = {}
    for link in links:
        by_identity.setdefault(link.a, []).append(link)
        by_identity.setdefault(link.b, []).append(link)
    found: dict[Identity, frozenset[Identity]] = {}
    for identity in by_identity:
        if identity not in found:
            component = component_of(
                identity, by_identity.__getitem__, threshold=threshold, max_viewers=max_viewers
            )
            found.update(dict.fromkeys(component, component))
    return found


def regrouped(
    link: Link,
    before: Neighbours,
    after: Neighbours,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    max_viewers: int = DEFAULT_MAX_VIEWERS,
) -> tuple[frozenset[frozenset[Identity]], frozenset[frozenset[Identity]]]:
    """Return which components there were, and which there are in their place, where ``link`` came or went.

    Both sides hold the same identities; what is on both sides alike is left out. Nobody else is touched: so a caller
    that keeps customers in tables changes these rows only.
    """
    were: dict[Identity, frozenset[Identity]] = {}
    are: dict[Identity, frozenset[Identity]] = {}
    waiting = [link.a, link.b]
    # A link can make a phone shared, or shared no more, which parts and joins others than its two ends.
    while waiting:
        identity = waiting.pop()
        for groups, links_of in ((were, before), (are, after)):
            if identity not in groups:
                group = component_of(identity, links_of, threshold=threshold, max_viewers=max_viewers)
                groups.update(dict.fromkeys(group, group))
                waiting += group
    old, new = frozenset(were.values()), frozenset(are.values())
    return old - new, new - old


def customer_id(component: Iterable[Identity], first_seen: Callable[[Identity], int]) -> str:
    """Return the customer's id: made of the oldest identity, by (first seen, kind, key).

    So it stays while newer identities come and go. Of two customers that are merged the older one's id is kept, and
    after unlinking each has its own again.
    """
    oldest = min(component, key=lambda identity: (first_seen(identity), identity))
    framed = "\x1f".join(f"{len(part)}:{part}" for part in (oldest.kind, oldest.key))
    return "C" + hashlib.blake2b(framed.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


class _Joining:
    """Which identities a link joins to another one, for one walk; remembers which phones are shared."""

    def __init__(self, links_of: Neighbours, threshold: float, max_viewers: int) -> None:
        self._links_of = links_of
        self._threshold = threshold
        self._max_viewers = max_viewers
        self._shared: dict[Identity, bool] = {}

    def of(self, identity: Identity) -> list[Identity]:
        if self.shared(identity):
            return []
        return [other for other in self._linked(identity) if not self.shared(other)]

    def shared(self, identity: Identity) -> bool:
        if identity.kind != PHONE:
            return False
        known = self._shared.get(identity)
        if known is None:
            linked = set(self._linked(identity))
            viewers = {other for other in linked if other.is_viewer}
            for form in (other for other in linked if other.kind == FORM):
                if len(viewers) > self._max_viewers:
                    break
                viewers.update(other for other in self._linked(form) if other.is_viewer)
            known = self._shared[identity] = len(viewers) > self._max_viewers
        return known

    def _linked(self, identity: Identity) -> Iterable[Identity]:
        for link in self._links_of(identity):
            if link.confidence >= self._threshold:
                yield link.b if link.a == identity else link.a
