"""Facts: what the engine may know of an event's words, as one number of bits.

Facts are derived once, when an event comes in, and are journalled with it. The engine and the features read these
bits and never a text, a name or a form field: those are personal and can be destroyed, and a replay afterwards still
computes what it computed before. The bits' values are therefore part of the journal's format: never change or reuse
one.
"""

from frontrow.core.contact import find_phone, form_facts
from frontrow.core.events import Event
from frontrow.core.intents import Intent, RoomLexicon

PRICE = int(Intent.PRICE)
DISCOUNT = int(Intent.DISCOUNT)
SPEC = int(Intent.SPEC)
STOCK = int(Intent.STOCK)
DELIVERY = int(Intent.DELIVERY)
INSTALMENT = int(Intent.INSTALMENT)
WARRANTY = int(Intent.WARRANTY)
BUY = int(Intent.BUY)
RAFFLE = int(Intent.RAFFLE)
CONTACT = int(Intent.CONTACT)
HOST = int(Intent.HOST)
RAFFLE_WORD = int(Intent.RAFFLE_WORD)
PHONE_VALID = 1 << 12  # a number that can be called, in a comment or a form
COMPANY = 1 << 13  # a form says company or position

# A product question: what the points table pays for under "asks product detail or price".
QUESTION = PRICE | DISCOUNT | SPEC | STOCK | DELIVERY | INSTALMENT | WARRANTY | BUY


def derive(event: Event, room_lexicon: RoomLexicon, region: str = "CN") -> int:
    """Return the facts of an event; 0 for kinds without words. Never raises, whatever the text or the fields.

    ``region`` (ISO 3166, ``CN``) is where a number without a country's code is dialled from.
    """
    if event.kind == "comment":
        text = event.text
        if not text:
            return 0
        return room_lexicon.detect(text) | phone_facts(text, region)
    if event.kind == "form_submit" and event.fields:
        found = form_facts(event.fields, region)
        valid = found.phone is not None and found.phone.valid
        return (PHONE_VALID if valid else 0) | (COMPANY if found.company else 0)
    return 0


def phone_facts(text: str, region: str = "CN") -> int:
    """Return :data:`PHONE_VALID` if a comment holds a number that can be called, else 0."""
    phone = find_phone(text, region)
    return PHONE_VALID if phone is not None and phone.valid else 0
