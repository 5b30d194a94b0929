"""Submissions of forms that others host: three services' shapes mapped without code, and who may post."""

import base64
import hashlib
import hmac
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import frontrow_connectors.form
from frontrow.core.errors import EventInvalid, SignatureInvalid
from frontrow.core.events import Event, RoomRef
from frontrow_connectors.contract import HookRequest
from frontrow_connectors.form import FormOptions, FormReceiver
from frontrow_connectors.form.paths import first, parse, without

ROOM = RoomRef(id="shop", platform="douyin", room="owner-1")
NOW = 1_785_000_000_000
SECRET = "a secret of the form's"
TOKEN = "0123456789abcdef"
README = Path(frontrow_connectors.form.__file__).parent / "README.md"

# Shapes as the services document them (typeform.com/developers/webhooks/example-payload, open.jinshuju.net on webhooks,
# tally.so/help/webhooks); whoever fills them in is invented.
TYPEFORM = {
    "event_id": "LtWXD3crgy",
    "event_type": "form_response",
    "form_response": {
        "form_id": "lT4Z3j",
        "token": "a3a12ec67a1365927098a606107fac15",
        "submitted_at": "2026-07-25T18:17:02Z",
        "landed_at": "2026-07-25T18:07:02Z",
        "hidden": {"viewer": "o-77", "utm": "autumn"},
        "definition": {"id": "lT4Z3j", "title": "Trial", "fields": [{"id": "JwWg", "title": "Name?"}]},
        "answers": [
            {"type": "text", "text": "小鹿", "field": {"id": "JwWg", "type": "short_text", "ref": "name"}},
            {
                "type": "phone_number",
                "phone_number": "+8613800138000",
                "field": {"id": "aEbc", "type": "phone_number", "ref": "phone"},
            },
            {
                "type": "choice",
                "choice": {"label": "3号 亚麻衬衫"},
                "field": {"id": "Kjd2", "type": "multiple_choice", "ref": "product"},
            },
            {"type": "boolean", "boolean": True, "field": {"id": "gFFf", "type": "legal", "ref": "agree"}},
        ],
    },
}
JINSHUJU = {
    "form": "Oet50U",
    "form_name": "试用申请",
    "entry": {
        "token": "HgdvvZx9",
        "serial_number": 12,
        "field_1": "小鹿",
        "field_2": "13800138000",
        "field_3": ["亚麻衬衫(蓝)"],
        "field_4": ["同意"],
        "x_field_1": "",
        "creator_name": "微信用户",
        "created_at": "2026-07-25T18:17:02.873Z",
        "info_remote_ip": "192.0.2.81",
    },
}
TALLY = {
    "eventId": "a4cb511e-d513-4fa5-baee-b815d718dfd1",
    "eventType": "FORM_RESPONSE",
    "createdAt": "2026-07-25T18:17:03.000Z",
    "data": {
        "responseId": "2wgx4n",
        "respondentId": "dwQKYm",
        "formId": "VwbNEw",
        "formName": "Trial",
        "createdAt": "2026-07-25T18:17:02.000Z",
        "fields": [
            {"key": "question_mVGEg3", "label": "Name", "type": "INPUT_TEXT", "value": "Fawn"},
            {"key": "q_nPpMVn", "label": "Phone", "type": "INPUT_PHONE_NUMBER", "value": "+8613800138000"},
            {
                "key": "question_3EKz4n",
                "label": "Product",
                "type": "MULTIPLE_CHOICE",
                "value": ["8bb1b3a5"],
                "options": [{"id": "8bb1b3a5", "text": "Linen shirt"}, {"id": "4ab7", "text": "Hat"}],
            },
            {"key": "q_yes", "label": "I agree to be called", "type": "CHECKBOXES", "value": True},
        ],
    },
}


def configured(id: str, **changes: Any) -> FormOptions:
    """Return the options of one of the README's examples: what people copy is what is tested."""
    for block in re.findall(r"```toml\n(.*?)```", README.read_text("utf-8"), flags=re.DOTALL):
        for table in tomllib.loads(block)["feeds"]:
            if table["id"] == id:
                own = {
                    key: table[key] for key in table if key not in ("id", "room", "connector", "secret_file")
                }
                own["secret"] = TOKEN if own["signature"] == "token" else SECRET
                return msgspec.convert(own | changes, FormOptions)
    raise KeyError(id)


def post(
    options: FormOptions,
    payload: Any,
    *,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    from_here: bool = False,
    sign: bool = True,
    now: int = NOW + 86_400_000,
) -> Event:
    """Post a payload, signed as the options want it by the formula of the services, written here a second time."""
    body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    headers, query = dict(headers or {}), dict(query or {})
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256)
    said = {
        "hmac_hex": digest.hexdigest(),
        "hmac_base64": base64.b64encode(digest.digest()).decode(),
        "token": TOKEN,
    }
    if sign and options.signature != "none":
        carried = headers if options.signature_in == "header" else query
        carried[options.signature_name] = options.signature_prefix + said[options.signature]
    answer = FormReceiver(options, ROOM).receive(HookRequest(headers, query, body, now, from_here))
    assert answer.status == 200
    [event] = answer.events
    return event


def plain(**changes: Any) -> FormOptions:
    """Return the options of a form whose payload is flat and which anybody on this machine may post."""
    base = {"signature": "none", "form": "f", "entry_id": "$.id", "fields": {"phone": "$.phone"}}
    return msgspec.convert(base | changes, FormOptions)


def submit(payload: Any, **changes: Any) -> Event:
    return post(plain(**changes), payload, from_here=True)


# --- shapes


def test_a_mark_of_the_byte_order_is_no_part_of_a_submission() -> None:
    """Some services write one; the lead would be lost for it."""
    body = b"\xef\xbb\xbf" + msgspec.json.encode({"id": "1", "phone": "13800138000"})
    assert submit(body).fields == submit({"id": "1", "phone": "13800138000"}).fields
    assert (
        post(configured("typeform-trial"), b"\xef\xbb\xbf" + msgspec.json.encode(TYPEFORM)).kind
        == "form_submit"
    )


def test_typeform() -> None:
    event = post(configured("typeform-trial"), TYPEFORM)
    assert event.id == "form:trial:a3a12ec67a1365927098a606107fac15"
    assert (event.platform, event.room, event.kind, event.form) == (
        "douyin",
        "owner-1",
        "form_submit",
        "trial",
    )
    assert (event.viewer, event.product, event.consent) == ("o-77", "3号 亚麻衬衫", True)
    assert event.fields == {"name": "小鹿", "phone": "+8613800138000"}
    assert event.at == 1_785_003_422_000
    assert event.extra is not None
    assert event.extra["channel"] == "typeform"
    assert (event.extra["consent_text"], event.extra["consent_version"]) == (
        "我同意客服就所选产品联系我。", "2026-11",
    )  # fmt: skip
    rest = event.extra["form_response"]
    assert rest["hidden"] == {"utm": "autumn"}  # the unmapped is kept, the mapped is not there twice
    assert "definition" not in rest and "token" not in rest


def test_jinshuju() -> None:
    options = configured("jinshuju-trial")
    event = post(options, JINSHUJU)
    assert event.id == event.viewer == "form:jinshuju-trial:12"
    assert event.fields == {"name": "小鹿", "phone": "13800138000"}
    assert (event.product, event.consent, event.at) == ("3号", True, 1_785_003_422_873)
    assert event.extra is not None
    assert event.extra["form_name"] == "试用申请"
    assert "field_2" not in event.extra["entry"]


def test_tally() -> None:
    event = post(configured("tally-trial"), TALLY)
    assert event.id == "form:tally-trial:2wgx4n"
    assert event.fields == {"name": "Fawn", "phone": "+8613800138000"}
    assert (event.product, event.consent, event.at) == ("3号", True, 1_785_003_422_000)
    assert "13800138000" not in msgspec.json.encode(event.extra).decode()


def test_the_answers_of_a_browsers_form_are_read_too() -> None:
    event = post(
        plain(product="$.product", fields={"phone": "$.phone", "colours": "$.colour"}),
        b"id=7&phone=13800138000&product=%E8%A1%AC%E8%A1%AB&colour=blue&colour=red",
        headers={"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
        from_here=True,
    )
    assert event.fields == {"phone": "13800138000", "colours": ["blue", "red"]}
    assert event.product == "衬衫"


def test_the_same_submission_gives_the_same_id_whenever_it_comes() -> None:
    first_time = post(configured("jinshuju-trial"), JINSHUJU)
    again = post(configured("jinshuju-trial"), JINSHUJU, now=NOW + 7 * 86_400_000)
    assert first_time == again


def test_what_holds_where_the_payload_says_nothing() -> None:
    options = {"fixed": {"product": "3号", "source": "poster"}, "product": "$.product"}
    silent = submit({"id": 1, "product": ""}, **options)
    assert (silent.product, silent.fields) == ("3号", {"source": "poster"})
    assert submit({"id": 1, "product": "5号"}, **options).product == "5号"


@pytest.mark.parametrize(
    ("answer", "consent"),
    [
        (True, True),
        ("同意", True),
        (["YES "], True),
        (1, True),
        (False, False),
        ("no", False),
        ("", False),
        (None, False),
    ],
)
def test_consent_is_only_what_was_said(answer: Any, consent: bool) -> None:
    event = submit({"id": 1, "ok": answer}, consent="$.ok", consent_text="text", consent_version="v1")
    assert event.consent is consent
    assert ("consent_text" in (event.extra or {})) is consent


def test_a_question_that_was_not_shown_is_no_consent_and_none_configured_is_unknown() -> None:
    assert submit({"id": 1}, consent="$.ok").consent is False
    assert submit({"id": 1}).consent is None
    assert submit({"id": 1}, consent_always=True, consent_text="text").consent is True


@pytest.mark.parametrize(
    ("said", "at"),
    [
        (1_785_000_000, NOW), ("1785000000", NOW), (NOW, NOW), (f"{NOW}", NOW), ("2026-07-25T17:20:00Z", NOW),
        ("2026-07-26 01:20:00", NOW), ("2026-07-26T01:20:00+08:00", NOW), ("soon", NOW + 86_400_000), (True, NOW + 86_400_000),
        (NOW + 10 * 86_400_000, NOW + 86_400_000), (-5, NOW + 86_400_000), ({"a": 1}, NOW + 86_400_000),
    ],
)  # fmt: skip
def test_times_of_all_spellings_and_the_arrival_where_there_is_none(said: Any, at: int) -> None:
    assert submit({"id": 1, "at": said}, at="$.at").at == at


@pytest.mark.parametrize("entry", [None, "", [], {}, {"a": 1}])
def test_without_an_id_a_submission_is_refused(entry: Any) -> None:
    """It could not be told from its own repetition."""
    with pytest.raises(EventInvalid, match="without an id"):
        submit({"id": entry, "phone": "1"})


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"7", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 50 + b"1" + b"}" * 50]
)
def test_what_cannot_be_read_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(EventInvalid):
        post(plain(), body, from_here=True)


def test_an_id_or_viewer_that_no_event_may_have_costs_no_lead() -> None:
    event = submit({"id": "a\nb" * 200, "v": "x\0y"}, viewer="$.v")
    assert len(event.id) < 64
    assert event.viewer == event.id


# --- who may post


@pytest.mark.parametrize("signature", ["hmac_base64", "hmac_hex"])
def test_a_body_that_was_changed_is_refused(signature: str) -> None:
    options = plain(signature=signature, secret=SECRET)
    assert post(options, {"id": 1})
    good = hmac.new(SECRET.encode(), b'{"id":1}', hashlib.sha256)
    for said in (good.hexdigest(), base64.b64encode(good.digest()).decode(), "", "é"):
        with pytest.raises(SignatureInvalid):
            post(options, b'{"id":2}', headers={"x-signature": said}, sign=False)


def test_a_known_vector() -> None:
    """RFC 4231, test case 2, so that both sides cannot be wrong in the same way."""
    options = plain(signature="hmac_hex", secret="Jefe")
    proof = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    request = HookRequest({"x-signature": proof}, {}, b"what do ya want for nothing?", NOW)
    with pytest.raises(EventInvalid):  # through the door, and only then no JSON
        FormReceiver(options, ROOM).receive(request)


@pytest.mark.parametrize("where", ["header", "query"])
def test_a_token_is_taken_from_its_place_only(where: str) -> None:
    options = plain(signature="token", secret=TOKEN, signature_in=where, signature_name="key")
    assert post(options, {"id": 1})
    carried = {"key": TOKEN}
    wrong: dict[str, Any] = {"query": carried} if where == "header" else {"headers": carried}
    right: dict[str, Any] = {"headers": {"key": TOKEN[:-1]}} if where == "header" else {"query": {"key": ""}}
    for carrying in (wrong, right, {}):
        with pytest.raises(SignatureInvalid):
            post(options, {"id": 1}, sign=False, **carrying)


def test_a_missing_prefix_is_refused() -> None:
    options = plain(signature="token", secret=TOKEN, signature_prefix="Bearer ")
    with pytest.raises(SignatureInvalid, match="does not begin"):
        post(options, {"id": 1}, headers={"x-signature": TOKEN}, sign=False)


def test_without_a_signature_only_this_machine_may_post_and_no_proxy_on_it() -> None:
    assert post(plain(), {"id": 1}, from_here=True)
    with pytest.raises(SignatureInvalid, match="this machine"):
        post(plain(), {"id": 1})
    with pytest.raises(SignatureInvalid, match="this machine"):
        post(plain(), {"id": 1}, from_here=True, headers={"x-forwarded-for": "192.0.2.1"})


# --- the options


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"signature": "hmac_hex"}, "secret"), ({"signature": "token", "secret": "short"}, "16"),
        ({"entry_id": "id"}, "begin with"), ({"entry_id": []}, "entry_id"), ({"fields": {}}, "fields"),
        ({"fields": {"a": "$..a"}}, "cannot be read"), ({"product": "$.a[1:2]"}, "character 4"),
        ({"consent": "$.a", "consent_always": True}, "exclude"), ({"consent_always": True}, "consent_text"),
        ({"values": {"phome": {}}}, "phome"), ({"timezone": "Asia/Peking"}, "time zone"),
        ({"timezone": "../x"}, "time zone"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises((msgspec.ValidationError, ValueError), match=word):
        plain(**wrong)


# --- paths

DOCUMENT = {
    "a": {"b c": [1, {"k": "x", "v": "one"}, {"k": "y", "v": "two", "手机": 3}], "'": 5},
    "t": True,
    "one": 1,
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.a['b c'][0]", [1]), ('$.a["b c"][-1].v', ["two"]), ("$['a']['b c'][?@.k=='x'].v", ["one"]),
        ("$.a['b c'][*].v", ["one", "two"]), ("$.a['b c'][?@.k == \"y\"].手机", [3]), ("$.a['\\'']", [5]),
        ("$.a['b c'][9]", []), ("$.nope.b", []), ("$.t[0]", []), ("$[?@.k==1]", []), ("$", [DOCUMENT]),
    ],
)  # fmt: skip
def test_paths_find_what_rfc_9535_says(path: str, found: list[Any]) -> None:
    assert [value for _, value in parse(path).nodes(DOCUMENT)] == found


def test_one_is_not_true() -> None:
    document = [{"k": True, "v": "t"}, {"k": 1, "v": "n"}]
    assert [value for _, value in parse("$[?@.k==true].v").nodes(document)] == ["t"]
    assert [value for _, value in parse("$[?@.k==1].v").nodes(document)] == ["n"]


@pytest.mark.parametrize(
    "path", ["", "a", "$a", "$.", "$.a[", "$..a", "$.a[?@.b]", "$.a[?@.b>1]", "$.a b", "$[01x]"]
)
def test_what_is_no_path_is_a_value_error(path: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(path))):
        parse(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["$.a", "$.a.b", "$[*]", "$.a[0]", "$.a[*].b", "$[?@.a=='x']"]))
def test_what_is_taken_is_where_it_was_found_and_is_gone_afterwards(document: Any, text: str) -> None:
    path = parse(text)
    nodes = list(path.nodes(document))
    for place, value in nodes:
        node = document
        for step in place:
            node = node[step]
        assert node is value or node == value
    before = msgspec.json.encode(document)
    left = without(document, [place for place, _ in nodes])
    assert first([path], left) is None
    assert msgspec.json.encode(document) == before  # which was only read
