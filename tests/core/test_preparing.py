"""Preparing many events at once gives what preparing each alone gives, and remembers no more than it says."""

import string
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from frontrow.core import contact
from frontrow.core import facts as fact
from frontrow.core.contact import find_phone, mask_numbers, redact_text, suspects
from frontrow.core.events import KINDS, Event, encode_event
from frontrow.core.intents import Lexicon, LexiconSource, RoomLexicon
from frontrow.core.preparing import LABELS, REMEMBERED, REMEMBERED_LENGTH, REMEMBERED_MS, Preparer
from frontrow.core.sketches import sketches_of
from tests.core.lexicons import default_lexicon, folding
from tests.support.preparing import prepare

AT = 1_700_000_000_000
OWN = ("p", "own")
NUMBER = "13800138000"


@cache
def own_words() -> RoomLexicon:
    return default_lexicon().for_room(host_aliases=["小雨"], raffle_words=["冲", "666", "!join"])


@cache
def default() -> RoomLexicon:
    return default_lexicon().for_room()


def preparer() -> Preparer:
    return Preparer({OWN: own_words()}, default(), "CN")


def event(kind: str = "comment", *, room: str = "r", **fields: Any) -> Event:
    return Event(id="e", platform="p", room=room, kind=kind, **{"at": AT, **fields})


def lexicon_of(event: Event) -> RoomLexicon:
    return own_words() if (event.platform, event.room) == OWN else default()


def one_by_one(events: Sequence[Event]) -> list[int]:
    return [prepare(event, lexicon_of(event), "CN") for event in events]


# Words, marks and contact data as they stand next to each other in chat, and what could make two texts run together.
PIECES = st.sampled_from([
    "多少钱", "包邮吗", "主播", "@主播 ", "@小雨", "冲", "666", "!join", "抽奖", "微信", "微xin", "加v", "➕ w", "扣扣", "企鹅号",
    "how much", " is it", "where's", "whats", "size?", "wechat", "WeChat ", "TELEGRAM", "whatsapp:", "line id ", "qq",
    "VX", "+v ", "Wx：", "abc_123", "zhangsan88", "a.b@example.com", "@", "138", "0013", "8000", "13800138000", "1oooooo",
    "价各", "怎莫买", "ｈｏｗ", "ＶＸ", "信", "微", "威信", "号", "账号：", "扣", "鹅", "加", "１３８", "½", "㍿", "ﬁ", "\U000f0000", "字",
    "２６７", "一三八", "𝟏𝟑𝟖", "①②③", "0", "o", "+86", " ", "-", ".", "\0", "\n", "'", "’", "é", "🪟", "好看", "繁體錢", "İ", "K",
])  # fmt: skip
TEXTS = st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=40)
ASCII_TEXTS = st.text(alphabet=string.printable + "\0\x1c\x7f", max_size=40)
EVENTS = st.builds(
    event,
    st.sampled_from(["comment", "comment", "comment", "like", "form_submit", "gift", "lead_note"]),
    room=st.sampled_from(["r", "own"]),
    text=st.none() | TEXTS | ASCII_TEXTS,
    name=st.none() | TEXTS,
    fields=st.none() | st.dictionaries(TEXTS, TEXTS | st.integers(), max_size=2),
    extra=st.none() | st.dictionaries(TEXTS, TEXTS | st.integers(), max_size=2),
    consent=st.none() | st.booleans(),
    **{label: st.none() | TEXTS for label in LABELS},
)


# So many that they are looked through together.
CROWD = [
    event(text=f"{text}{number}") for number in range(8) for text in ("好看", "nice one ", "@主播 多少钱")
]


def copy_of(events: Sequence[Event]) -> list[Event]:
    return [Event(**{name: getattr(event, name) for name in Event.__struct_fields__}) for event in events]


@pytest.mark.parametrize("crowd", [[], CROWD], ids=["few", "many"])
@given(st.lists(st.lists(EVENTS, max_size=12), max_size=3))
def test_many_events_at_once_become_what_each_becomes_alone(
    crowd: list[Event], frames: list[list[Event]]
) -> None:
    # The journal and the replay must not depend on which of the two ways an event went, nor on what went before.
    many = preparer()
    for events in frames + frames:
        frame = events + crowd
        alone, together = copy_of(frame), many.frame(frame)
        assert together.facts == one_by_one(alone)
        assert [encode_event(event) for event in together.events()] == [
            encode_event(event) for event in alone
        ]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_field_with_words_is_masked_on_every_kind(kind: str) -> None:
    # A sender may put a number anywhere: no kind may be passed over for not being about the field.
    given = {name: f"call {NUMBER}" for name in ("text", "name", *LABELS)}
    written = event(kind, extra={"a": f"call {NUMBER}"}, fields={"b": f"call {NUMBER}"}, **given)
    [prepared] = preparer().frame([written]).events()
    assert NUMBER.encode() not in encode_event(prepared)


def test_ids_and_names_of_products_stay_as_they_are() -> None:
    # They are keys: masked, two of them could become one.
    written = event("order_paid", product=NUMBER, order=NUMBER, viewer=NUMBER, value=13800138000)
    assert preparer().frame([written]).events() == [written]


def test_the_events_themselves_stay_as_they_are() -> None:
    # Whoever has been given one holds it: it is frozen for everybody.
    fields = {name: f"call {NUMBER}" for name in ("text", "name", *LABELS)}
    written = event("form_submit", extra={"a": NUMBER}, fields={"b": NUMBER}, **fields)
    before = encode_event(written)
    assert preparer().frame([written]).events() != [written]
    assert encode_event(written) == before


def test_each_room_s_own_words_count_in_that_room_only() -> None:
    many = preparer()
    for _ in range(2):  # read, then remembered
        events = [event(text=text, room=room) for text in ("冲", "@小雨 多少钱") for room in ("own", "r")]
        assert many.frame(events).facts == [fact.RAFFLE_WORD, 0, fact.HOST | fact.PRICE, fact.PRICE]


def test_rooms_read_by_different_lexicons_are_refused() -> None:
    other = Lexicon(LexiconSource(sections={}), folding()).for_room()
    with pytest.raises(ValueError):
        Preparer({OWN: other}, default(), "CN")


def test_fields_that_nest_too_deep_become_text() -> None:
    # What is stored must be readable again.
    deep: dict[str, Any] = {"tel": NUMBER}
    for _ in range(40):
        deep = {"more": deep}
    [prepared] = preparer().frame([event("form_submit", fields=deep, extra=deep)]).events()
    assert prepared.fields is not None and list(prepared.fields) == ["json"]
    assert prepared.extra is not None and list(prepared.extra) == ["json"]
    assert NUMBER.encode() not in encode_event(prepared)


# --- what is remembered ---


def remembered(many: Preparer) -> tuple[set[str], set[str]]:
    """The texts and the names that a preparer holds."""
    texts = {text for memory in many._memories for text in memory.facts}
    return texts, set(many._kept_of_names)


@given(st.lists(TEXTS, max_size=8))
def test_no_text_with_contact_data_is_remembered(texts: list[str]) -> None:
    many = preparer()
    many.frame([event(text=text) for text in texts])
    held, _ = remembered(many)
    assert held <= set(texts)
    for text in held:
        assert redact_text(text) == text
        found = find_phone(text)
        assert found is None or not found.valid


def test_a_flood_of_distinct_texts_and_names_fills_no_memory() -> None:
    many = preparer()
    most = 0
    for start in range(0, 3 * REMEMBERED, 1024):
        events = [
            event(text=f"你好 {number}", name=str(13_800_000_000 + number))
            for number in range(start, start + 1024)
        ]
        many.frame(events)
        texts, names = remembered(many)
        most = max(most, len(texts), len(names))
    # Where rooms have words of their own, a text is remembered for its room and for all others.
    assert REMEMBERED // 2 - 1024 <= most <= REMEMBERED


def test_long_texts_and_names_are_not_remembered() -> None:
    many = preparer()
    many.frame([event(text="长" * REMEMBERED_LENGTH, name="长" * (REMEMBERED_LENGTH + 1))])
    many.frame([event(text="长" * (REMEMBERED_LENGTH + 1), name=f"{NUMBER}{'长' * REMEMBERED_LENGTH}")])
    assert remembered(many) == ({"长" * REMEMBERED_LENGTH}, set())


@pytest.mark.parametrize("later", [REMEMBERED_MS + 1, -REMEMBERED_MS - 1])
@pytest.mark.parametrize("clock", ["at", "seen_at"])
def test_all_is_forgotten_after_half_an_hour(clock: str, later: int) -> None:
    many = preparer()
    times: list[dict[str, Any]] = [{clock: AT}, {clock: AT + REMEMBERED_MS}, {clock: AT + later}]
    many.frame([event(text="多少钱", name=f"用户{NUMBER}", **times[0])])
    many.frame([event("tick", **times[1])])
    assert remembered(many) == ({"多少钱"}, {f"用户{NUMBER}"})
    many.frame([event("tick", **times[2])])
    assert remembered(many) == (set(), set())


def test_all_is_forgotten_when_asked() -> None:
    many = preparer()
    events = [event(text="多少钱", name=f"用户{NUMBER}"), event(text="冲", room="own", name="小红的名字很长")]
    facts = many.frame(events).facts
    assert remembered(many) == ({"多少钱", "冲"}, {f"用户{NUMBER}"})  # of names only what may be masked again
    many.forget()
    assert remembered(many) == (set(), set())
    assert many.frame(events).facts == facts


def test_a_name_with_a_number_is_masked_every_time() -> None:
    many = preparer()
    for _ in range(3):
        events = [event("like", name=f"王姐{NUMBER}") for _ in range(2)]
        assert many.frame(events).names == ["王姐***"] * 2


# --- what is looked at carefully ---


@pytest.mark.parametrize("more", [[], ["好看"] * 32], ids=["few", "many"])
@given(st.lists(TEXTS | ASCII_TEXTS, max_size=12))
@example(["", NUMBER])
@example(["a", "@b"])
@example(["1380013", "8000"])
@example(["we\0chat abcdef", "line\tid: abcdef"])
@example(["+ w abcdef", "q", "q 12345"])
def test_what_is_not_suspect_holds_no_contact_data(more: list[str], texts: list[str]) -> None:
    # Only suspects are looked at, so one that is passed over would be stored with its number.
    texts = texts + more
    found = suspects(texts)
    assert found == sorted(set(found))
    for position in set(range(len(texts))).difference(found):
        text = texts[position]
        assert (find_phone(text), find_phone(text, "US", landlines=True)) == (None, None)
        assert redact_text(text) == mask_numbers(text) == text


@given(TEXTS | ASCII_TEXTS)
@example("TELEGRAM abcdef")
@example("n1ooooooo")
def test_what_saves_time_changes_no_redaction(text: str) -> None:
    # The expressions without any look ahead are the definition.
    whole = contact._EMAIL.sub("***", text)
    whole = contact._ACCOUNT.sub(r"\1***", whole)
    whole = contact._RUN.sub(contact._redact_run, whole)
    assert redact_text(text) == whole
    assert find_phone(text) is not None or contact._RUN.search(text) is None


def test_ordinary_comments_are_not_suspect() -> None:
    # Else the fast way would be none.
    texts = [
        "多少钱",
        "主播好漂亮啊啊啊",
        "3号链接",
        "lol that was great",
        "how much is it?",
        "@nightbot hi",
        "@小鹿 看看我",
        "price?呢候下转了",
        "give me the lucky bag呀",
        "相信主播，加购了",
        "扣1扣1",
        "1",
        ":)",
    ]
    assert suspects(texts * 4) == []


def test_preparing_alone_is_deriving_and_masking() -> None:
    prepared = event(text=f"多少钱 {NUMBER}", name="小红")
    assert prepare(prepared, default(), "CN") == fact.PRICE | fact.PHONE_VALID
    assert (prepared.text, prepared.name) == ("多少钱 ***", "小红")


def test_what_a_feed_calls_data_is_kept_beside_and_says_nothing() -> None:
    """``data`` is how the daemon's own events speak; a viewer's event could otherwise pretend to."""
    like = event("like", data={"a": 1}, extra={"b": 2})
    note = event("lead_note", lead="L", data={"n": 1 << 70})
    frame = preparer().frame([like, note])
    assert frame.seldom["extra"] == {0: {"data": {"a": 1}, "b": 2}}
    assert frame.seldom["data"] == {1: {"n": str(1 << 70)}}, "the journal's facts hold 64 bits"


def test_the_channel_that_a_form_came_by_becomes_a_fact_unless_it_is_a_number() -> None:
    """Rules ask for it, and what stands under ``extra`` may be destroyed."""
    said = ("poster", NUMBER, "Nobody's", 7, None)
    forms = [event("form_submit", fields={"a": "b"}, extra={"channel": code}) for code in said]
    assert preparer().frame(forms).seldom.get("data") == {0: {"channel": "poster"}}
    assert "data" not in preparer().frame([event("like", extra={"channel": "poster"})]).seldom


def test_comments_have_sketches_of_what_is_kept_of_them_in_any_room_and_frame() -> None:
    """From a sketch nobody is to guess a number; and what was remembered of a text gives the same as reading it."""
    texts = [
        "这个多少钱",
        "加我微信 zhangsan88 聊",
        "这个多少钱",
        "打我电话 13800138000 谢谢",
        "666",
        "冲 这个多少钱",
        None,
    ]
    events = [event(text=text, room=room) for text in texts for room in ("r", "own")]
    whole = preparer().frame(events)
    assert whole.sketches == sketches_of(
        ["" if text is None else redact_text(text) for text in texts for _ in "12"]
    )
    one = preparer()
    assert [one.frame([each]).sketches[0] for each in events] == whole.sketches
    assert whole.facts == one_by_one(events)


def test_only_comments_have_sketches() -> None:
    [comment, gift] = preparer().frame([event(text="这个多少钱"), event("gift", text="这个多少钱")]).sketches
    assert comment and not gift
