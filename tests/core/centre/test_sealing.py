"""Forms that come with consent are sealed; what decisions need of them is a fact, and no digit of a number is."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from frontrow.core import facts as fact
from frontrow.core.centre.identities import PHONE, Identity, viewer_identity
from frontrow.core.centre.sealing import answers_of, owner_of
from frontrow.core.events import Event, encode_event
from frontrow.core.preparing import Preparer
from frontrow.storage.frames import pack
from tests.core.lexicons import default_lexicon

AT = 1_700_000_000_000
NUMBER = "13800138000"
KEY = hashlib.sha256(b"+8613800138000").hexdigest()[:32]
ANSWERS = {"姓名": "张三", "手机号": "138 0013 8000", "地址": "文三路 1 号"}


class FakeSealer:
    """Seals by a byte of each identity's, and counts commits."""

    def __init__(self) -> None:
        self.sealed: list[Identity] = []
        self.calls = 0

    def phone_key(self, e164: str) -> str:
        return hashlib.sha256(e164.encode()).hexdigest()[:32]

    def seal_all(self, items: Sequence[tuple[Identity, str, bytes]]) -> list[bytes]:
        self.calls += 1
        self.sealed += [identity for identity, _, _ in items]
        return [repr((identity, purpose)).encode() + b"|" + data[::-1] for identity, purpose, data in items]

    def unseal(self, identity: Identity, purpose: str, sealed: bytes) -> bytes | None:
        begin = repr((identity, purpose)).encode() + b"|"
        return sealed.removeprefix(begin)[::-1] if sealed.startswith(begin) else None


def form(**fields: Any) -> Event:
    given: dict[str, Any] = {"viewer": "v1", "consent": True, "fields": dict(ANSWERS), "id": "e"} | fields
    return Event(platform="douyin", room="r", kind=given.pop("kind", "form_submit"), at=AT, **given)


def prepared(*events: Event, sealer: FakeSealer | None = None) -> list[Event]:
    return Preparer({}, default_lexicon().for_room(), "CN", sealer).frame(events).events()


def test_a_form_with_consent_becomes_facts_and_a_sealed_rest() -> None:
    sealer = FakeSealer()
    [kept] = prepared(form(), sealer=sealer)
    region = {"country": "CN", "province": "北京", "city": "北京"}
    assert kept.data == {"phone": KEY, **region, "test_number": True}, "nobody is reached at that number"
    assert kept.fields is not None
    assert kept.fields.keys() == {"sealed", "masked"}
    assert kept.fields["masked"] == "138****8000"
    assert sealer.sealed == [viewer_identity("douyin", "v1")]
    assert answers_of(kept, sealer.unseal) == ANSWERS
    assert answers_of(kept, lambda *_: None) is None


def test_no_digit_of_a_number_and_no_answer_is_a_fact_of_the_journal() -> None:
    """Facts are in the chain and can never be destroyed."""
    frame = Preparer({}, default_lexicon().for_room(), "CN", FakeSealer()).frame([form()])
    frame.seldom = {name: values for name, values in frame.seldom.items() if name != "fields"}
    written = msgspec.json.encode(frame.seldom) + pack(frame).facts
    assert b"138" not in msgspec.json.encode(frame.seldom["data"][0] | {"phone": ""})
    assert "张三".encode() not in written


def test_without_consent_nothing_is_sealed_and_no_hash_is_made() -> None:
    for consent in (None, False):
        [kept] = prepared(form(consent=consent), sealer=FakeSealer())
        [plain] = prepared(form(consent=consent))
        assert kept == plain
        assert kept.data is None
        assert NUMBER.encode() not in encode_event(kept)


def test_without_a_vault_a_form_is_kept_as_it_comes() -> None:
    """So a replay of plain files needs no vault, and is the same everywhere."""
    [kept] = prepared(form())
    assert kept == form()
    assert answers_of(kept, lambda *_: None) == ANSWERS


def test_what_the_engine_reads_is_the_same_with_a_vault_and_without() -> None:
    events = [form(id=f"{n}", fields=fields) for n, fields in enumerate((ANSWERS, {"公司": "某某科技"}, {}))]
    make = Preparer({}, default_lexicon().for_room(), "CN", FakeSealer()).frame(events)
    assert make.facts == [fact.PHONE_VALID, fact.COMPANY, 0]
    assert make.facts == Preparer({}, default_lexicon().for_room(), "CN").frame(events).facts


def test_without_a_valid_number_the_rest_is_sealed_all_the_same() -> None:
    sealer = FakeSealer()
    [kept] = prepared(form(fields={"手机号": "12345678901", "姓名": "张三"}), sealer=sealer)
    assert kept.data == {"unreadable": True}, "somebody wants to be called, and cannot be"
    assert kept.fields is not None
    assert kept.fields.keys() == {"sealed"}
    assert answers_of(kept, sealer.unseal) == {"手机号": "12345678901", "姓名": "张三"}


def test_a_form_without_a_viewer_belongs_to_its_number() -> None:
    sealer = FakeSealer()
    [kept] = prepared(form(viewer=None), sealer=sealer)
    assert sealer.sealed == [Identity(PHONE, KEY)]
    assert owner_of(kept) == Identity(PHONE, KEY)
    assert answers_of(kept, sealer.unseal) == ANSWERS


def test_a_form_of_nobody_stays_as_it_was_written() -> None:
    [kept] = prepared(form(viewer=None, fields={"姓名": "张三"}), sealer=FakeSealer())
    assert kept.fields == {"姓名": "张三"}
    assert owner_of(kept) is None


def test_what_a_feed_calls_data_or_sealed_is_not_believed() -> None:
    sealer = FakeSealer()
    fake = form(data={"phone": "0" * 32}, fields={"sealed": "AAAA", "手机号": NUMBER})
    [kept] = prepared(fake, sealer=sealer)
    assert kept.data is not None
    assert kept.data["phone"] == KEY
    assert kept.extra == {"data": {"phone": "***"}}
    assert answers_of(kept, sealer.unseal) == {"sealed": "AAAA", "手机号": NUMBER}
    [refused] = prepared(form(consent=None, fields={"sealed": "AAAA"}), sealer=sealer)
    assert answers_of(refused, sealer.unseal) is None


def test_a_frames_forms_are_sealed_together() -> None:
    sealer = FakeSealer()
    events = [form(id=str(number), viewer=f"v{number}") for number in range(5)]
    events.insert(2, form(id="like", kind="like", fields=None, consent=None))
    kept = prepared(*events, sealer=sealer)
    assert sealer.calls == 1
    assert [each.fields is not None and answers_of(each, sealer.unseal) == ANSWERS for each in kept] == [
        True, True, False, True, True, True,
    ]  # fmt: skip
    prepared(form(kind="comment", text="好看", fields=None), sealer=sealer)
    assert sealer.calls == 1


@pytest.mark.parametrize(("text", "sealed"), [("AAAA", True), ("", True), ("不是", False), (7, False)])
def test_what_was_changed_is_no_answer_and_what_looks_otherwise_is_one(text: Any, sealed: bool) -> None:
    changed = form(fields={"sealed": text, "masked": "138****8000"})
    assert answers_of(changed, FakeSealer().unseal) == (None if sealed else changed.fields)


def test_events_without_a_form_have_no_answers() -> None:
    assert answers_of(form(fields=None), lambda *_: None) is None
    assert answers_of(form(fields={}), lambda *_: None) is None
