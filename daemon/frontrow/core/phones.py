"""phonenumbers behind types: whether digits are a number that can be called, by the numbering plans."""

from typing import Any

import phonenumbers

_MOBILE = frozenset({
    phonenumbers.PhoneNumberType.MOBILE,
    phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,  # North America does not tell them apart
})  # fmt: skip


def valid_e164(digits: str, region: str, *, landlines: bool) -> str | None:
    """Return the number in E.164 form (``+8613800138000``), or None if no plan has it.

    ``digits`` may begin with ``+`` and a country's code; without, they are dialled from ``region`` (ISO 3166, ``CN``).
    Without ``landlines`` only numbers that can be mobiles are taken, unless the country's code was given.
    """
    try:
        number: Any = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    if not landlines and not digits.startswith("+") and phonenumbers.number_type(number) not in _MOBILE:
        return None
    e164: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return e164


def country_of(e164: str) -> str:
    """Return the country (ISO 3166) of a number in E.164 form, or "" where it is of none (``+800``) or no number."""
    try:
        region: str | None = phonenumbers.region_code_for_number(phonenumbers.parse(e164, None))
    except phonenumbers.NumberParseException:
        return ""
    return region if region is not None and len(region) == 2 else ""
