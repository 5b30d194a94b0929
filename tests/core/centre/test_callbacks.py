"""Signed callbacks: what is signed, when, and what else is refused."""

import hashlib
import hmac

import pytest

from frontrow.core.centre.callbacks import MOMENT, SIGNATURE, CallbackRules, check_signed, signature_of
from frontrow.core.errors import SignatureInvalid

RULES = CallbackRules(secret="a secret", window_s=300)
NOW = 1_767_268_800_000
SECONDS = str(NOW // 1000)
BODY = b'{"state": "dialing"}'


def headers(
    seconds: str = SECONDS, secret: str = "a secret", task: str = "t:1", body: bytes = BODY
) -> dict[str, str]:
    return {MOMENT: seconds, SIGNATURE: f"sha256={signature_of(secret, seconds, task, body)}"}


def test_it_is_an_hmac_of_moment_task_and_body_that_any_language_can_make() -> None:
    by_hand = hmac.new(b"a secret", b"1767268800\nt:1\n" + BODY, hashlib.sha256).hexdigest()
    assert signature_of("a secret", "1767268800", "t:1", BODY) == by_hand
    check_signed(RULES, {MOMENT: SECONDS, SIGNATURE: f"sha256={by_hand}"}, "t:1", BODY, now=NOW)


@pytest.mark.parametrize("late", [-300, -10, 0, 299, 300])
def test_within_the_window_either_way_it_is_taken(late: int) -> None:
    check_signed(RULES, headers(str(NOW // 1000 - late)), "t:1", BODY, now=NOW)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, MOMENT),
        (headers(seconds="soon"), MOMENT),
        (headers(seconds="١٢٣"), MOMENT),
        (headers(seconds="-1"), MOMENT),
        (headers(seconds="9" * 40), MOMENT),
        ({MOMENT: SECONDS}, SIGNATURE),
        ({MOMENT: SECONDS, SIGNATURE: signature_of("a secret", SECONDS, "t:1", BODY)}, SIGNATURE),
        ({MOMENT: SECONDS, SIGNATURE: "sha256=\udcff"}, SIGNATURE),
        (headers(secret="another"), SIGNATURE),
        (headers(task="t:2"), SIGNATURE),  # of another task
        (headers(body=b'{"state": "answered"}'), SIGNATURE),
        (headers() | {MOMENT: str(NOW // 1000 + 1)}, SIGNATURE),  # made younger
        (headers(seconds=str(NOW // 1000 - 301)), "300 seconds"),
        (headers(seconds=str(NOW // 1000 + 301)), "300 seconds"),
    ],
)
def test_all_else_is_refused_with_the_reason(given: dict[str, str], reason: str) -> None:
    with pytest.raises(SignatureInvalid, match=reason):
        check_signed(RULES, given, "t:1", BODY, now=NOW)


def test_without_a_secret_nothing_is_asked_for() -> None:
    check_signed(CallbackRules(), {}, "t:1", BODY, now=NOW)
