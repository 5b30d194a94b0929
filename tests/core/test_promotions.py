"""A promotion goes through the journal and comes back, whatever becomes of people's words."""

from dataclasses import replace

import msgspec
import pytest

from frontrow.core.contact import redact_text
from frontrow.core.events import Event, decode_event, encode_event
from frontrow.core.frames import Frame
from frontrow.core.preparing import Preparer
from frontrow.core.promotions import Promotion, Succession, promotion_event, promotions_of
from frontrow.storage.frames import Blobs, checksum, pack, unpack
from tests.support.preparing import prepare
from tests.support.rooms import START, event, lexicon

# Two thirds of all SHA-256 have digits in a row that look like somebody's number; this one does for certain.
NEW = "13800138000" + "a" * 53
OLD = "b" * 64


def promotion(**changes: object) -> Event:
    given = {"number": 3, "version": NEW, "replaces": OLD, "by": "Li", "reason": "better", "at": START}
    return promotion_event(**(given | changes))  # type: ignore[arg-type]  # one test gives wrong ones


def frame(*events: Event) -> Frame:
    return Frame.of(events, [0] * len(events))


def test_a_promotion_comes_back_from_json_and_from_the_journal() -> None:
    made = promotion()
    assert decode_event(encode_event(made)) == made
    stored = unpack(pack(frame(event("like", 0), made)), where="here")
    expected = Promotion(number=3, version=NEW, replaces=OLD, by="Li", reason="better", at=START, back=False)
    assert promotions_of(stored) == [(1, expected)]


def test_which_version_leads_outlives_the_words_of_people() -> None:
    blobs = pack(frame(promotion()))
    destroyed = unpack(Blobs(blobs.facts, b"", checksum(blobs.facts, b"")), where="here")
    [(_, found)] = promotions_of(destroyed)
    assert (found.version, found.replaces, found.by, found.reason) == (NEW, OLD, "", "")


@pytest.mark.parametrize("back", [True, False])
def test_whether_it_is_a_rollback_outlives_the_words_of_people(back: bool) -> None:
    blobs = pack(frame(promotion(back=back)))
    destroyed = unpack(Blobs(blobs.facts, b"", checksum(blobs.facts, b"")), where="here")
    [(_, found)] = promotions_of(destroyed)
    assert found.back is back


def test_a_promotion_of_before_does_not_tell_whether_it_is_a_rollback() -> None:
    [(_, found)] = promotions_of(frame(msgspec.structs.replace(promotion(), outcome=None)))
    assert found.back is None
    succession = Succession()
    made = {"number": 1, "version": NEW, "replaces": None, "by": "", "reason": "", "at": START}
    succession.load({"made": [made], "obeyed": 1})  # of a snapshot of then
    assert succession.made[0].back is None


def test_versions_are_not_taken_for_telephone_numbers_where_events_are_masked() -> None:
    assert redact_text(NEW) != NEW
    made = promotion()
    prepare(made, lexicon(), "CN")
    [(_, found)] = promotions_of(frame(made))
    assert (found.version, found.replaces) == (NEW, OLD)


def test_a_tokens_id_is_not_taken_for_a_telephone_number() -> None:
    """It is how an administrator finds the token that let a version lead."""
    by = "token db55a0571888"
    assert redact_text(by) != by
    made = Frame.of([promotion(by=by), event("comment", 0, name=by)], [0, 0])
    Preparer({}, lexicon(), "CN").prepare(made)
    [(_, found)] = promotions_of(made)
    assert found.by == by
    assert made.names[1] != by  # of a viewer it is only a name


def test_numbers_in_a_reason_are_masked() -> None:
    made = promotion(by="13800138000", reason="ask 13800138000")
    assert "13800138000" not in f"{made.name}{made.note}"


@pytest.mark.parametrize(
    "changes", [{"number": 0}, {"version": "abc"}, {"version": NEW.upper()}, {"replaces": ""}, {"replaces": OLD + "\n"}]
)  # fmt: skip
def test_what_names_no_version_is_no_promotion(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a promotion"):
        promotion(**changes)


@pytest.mark.parametrize(
    "changes",
    [{"platform": "test"}, {"room": "r1"}, {"kind": "policy_change"}, {"id": "e1"}, {"model": None}, {"model": "a"}, {"replaces": "b"}],
)  # fmt: skip
def test_an_event_that_only_looks_like_one_is_passed_over(changes: dict[str, object]) -> None:
    made = promotion()
    fields = {name: getattr(made, name) for name in Event.__struct_fields__} | changes
    assert promotions_of(frame(Event(**fields))) == []


def test_the_same_step_taken_twice_is_a_duplicate() -> None:
    assert promotion().id == promotion(version=OLD, replaces=NEW, at=START + 1).id != promotion(number=4).id


def test_positions_are_those_in_the_frame() -> None:
    made = frame(event("like", 0), promotion(), event("like", 1), promotion(number=4))
    assert [position for position, _ in promotions_of(made)] == [1, 3]
    assert [position for position, _ in promotions_of(made.part(1, 2))] == [0]
    assert replace(promotions_of(made)[0][1], number=4) == promotions_of(made)[1][1]
