"""What may be shown of the outbox: freshness, reason or receipt, and nobody's number."""

import pytest

from frontrow.core.alerts import Addressee
from frontrow.core.letters import Letter, State, view
from tests.support.alerts import an_alert

NOW = 1_750_000_900_000


def letter(state: State = "dead", *, settled_at: int | None = NOW - 1_000, note: str = "HTTP 404") -> Letter:
    to = Addressee(seller="lee", mobile="+8613800138000")
    alert = an_alert("L1", purpose="todo", to=to, name="花13912345678", words="打 13912345678")
    return Letter(7, "sms", "sms:L1", alert, state, NOW - 600_000, NOW - 2_000, 3, settled_at, note)


@pytest.mark.parametrize(
    ("state", "reason", "receipt"),
    [("dead", "HTTP 404", None), ("pending", "HTTP 404", None), ("sent", None, "HTTP 404")],
)
def test_a_note_is_a_reason_until_it_is_sent_and_then_the_receipt(
    state: State, reason: str | None, receipt: str | None
) -> None:
    shown = view(letter(state), now=NOW, freshness_s=900)
    assert (shown.reason, shown.receipt) == (reason, receipt)
    assert view(letter("sent", note=""), now=NOW, freshness_s=900).receipt is None


@pytest.mark.parametrize(
    ("freshness_s", "until", "fresh"),
    [(900, NOW + 300_000, True), (600, NOW, True), (599, NOW - 1_000, False), (None, None, True)],
)
def test_freshness_is_until_when_the_sink_would_send_it(
    freshness_s: int | None, until: int | None, fresh: bool
) -> None:
    shown = view(letter(), now=NOW, freshness_s=freshness_s)
    assert (shown.fresh_until, shown.fresh) == (until, fresh)


def test_what_a_person_sent_again_is_fresh_from_then_on() -> None:
    shown = view(letter("pending", settled_at=NOW - 5_000), now=NOW, freshness_s=60)
    assert (shown.again_at, shown.settled_at, shown.fresh_until) == (NOW - 5_000, None, NOW + 55_000)
    assert shown.due_at == NOW - 2_000


def test_a_list_holds_no_words_and_the_whole_no_number() -> None:
    assert view(letter(), now=NOW, freshness_s=None).alert is None
    whole = view(letter(), now=NOW, freshness_s=None, whole=True)
    assert (whole.event, whole.to) == ("lead.assigned", "lee")
    assert whole.alert is not None and whole.alert["lead"] == "L1"
    assert "1391234" not in str(whole) and "1380013" not in str(whole)
