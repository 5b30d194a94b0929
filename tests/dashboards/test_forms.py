"""The hosted form's page: every word escaped, mistakes beside their fields, and nothing that a script is needed for."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Literal

import pytest

from frontrow.core.centre.forms import TRAP, Answers, Form, View
from frontrow_dashboards import pages
from frontrow_dashboards.forms import render

EVIL = "\"'><script>alert(1)</script>&amp;</textarea>\ud800"
FORM = Form(
    id="trial", room="shop", title_zh="领取试用装", title_en="Free sample", intro_zh="客服联系您", intro_en="We call",
    fields=("name", "phone", "company", "product", "message"), products=("1号", "3号"), consent_zh="我同意", consent_en="I agree",
    consent_version="v2",
)  # fmt: skip
OPEN = View(
    "open",
    "zh-CN",
    FORM,
    action="/form/trial?room=shop&lang=zh-CN",
    other="/form/trial?lang=en",
    nonce="n" * 22,
)


class Read(HTMLParser):
    """What a browser would find."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, name: str) -> dict[str, str | None]:
        [found] = [attributes for _, attributes in self.tags if attributes.get("name") == name]
        return found


def read(view: View) -> Read:
    return Read(render(view).body.decode())


def test_it_asks_for_the_fields_and_sends_them_to_its_own_address() -> None:
    page = read(OPEN)
    [form] = [attributes for tag, attributes in page.tags if tag == "form"]
    assert (form["method"], form["action"]) == ("post", OPEN.action)
    names = [attributes["name"] for tag, attributes in page.tags if tag in ("input", "select", "textarea")]
    assert names == ["name", "phone", "company", "product", "message", "consent", TRAP, "nonce"]
    assert "required" in page.named("phone") and "required" in page.named("consent")
    assert "required" not in page.named("name")
    assert page.named("phone")["type"] == "tel"
    assert "我同意" in page.text and "v2" in page.text
    labels = {attributes.get("for") for tag, attributes in page.tags if tag == "label"}
    assert {"name", "phone", "company", "product", "message"} <= labels


def test_it_needs_no_script_and_may_not_run_one() -> None:
    shown = render(OPEN)
    assert b"<script" not in shown.body
    policy = dict(part.split(" ", 1) for part in shown.headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["form-action"], policy["frame-ancestors"]) == (
        "'none'",
        "'self'",
        "'none'",
    )
    assert "script-src" not in policy
    assert shown.headers["cache-control"] == "no-store"
    assert shown.headers["referrer-policy"] == "no-referrer"
    for address in re.findall(rb'(?:href|src)="/static/([^"]+)"', shown.body):
        assert pages.asset(address.decode()) is not None


def test_the_trap_is_neither_seen_nor_reached_nor_filled_in_by_a_browser() -> None:
    trap = read(OPEN).named(TRAP)
    assert (trap["tabindex"], trap["autocomplete"]) == ("-1", "off")
    assert re.search(rf'aria-hidden="true"><label>[^<]*<input[^>]*name="{TRAP}"', render(OPEN).body.decode())


def test_mistakes_stand_beside_their_fields_and_what_was_written_stays() -> None:
    page = read(
        replace(
            OPEN,
            answers=Answers({"phone": "123", "message": "你好", "product": "3号"}, consent=False),
            mistakes={"phone": "no_number", "consent": "missing"},
        )
    )
    phone = page.named("phone")
    assert (phone["value"], phone["aria-invalid"], phone["aria-describedby"]) == (
        "123",
        "true",
        "phone-error",
    )
    assert {attributes.get("id") for tag, attributes in page.tags if tag == "p"} >= {
        "phone-error",
        "consent-error",
    }
    assert "这个号码打不通" in page.text and "请先阅读并勾选" in page.text and "你好" in page.text
    assert any(
        tag == "option" and "selected" in attributes and attributes["value"] == "3号"
        for tag, attributes in page.tags
    )
    assert "aria-invalid" not in page.named("message")


@pytest.mark.parametrize("language", ["zh-CN", "en"])
@pytest.mark.parametrize("state", ["open", "sent", "unknown", "closed", "busy", "often"])
def test_every_word_from_outside_is_escaped(
    language: Literal["zh-CN", "en"], state: Literal["open", "sent", "unknown", "closed", "busy", "often"]
) -> None:
    def shape(word: str) -> list[tuple[str, list[str]]]:
        form = Form(
            id="x", room="r", title_zh=word, title_en=word, intro_zh=word, intro_en=word, fields=FORM.fields,
            products=(word,), consent_zh=word, consent_en=word, consent_version=word, thanks_zh=word, thanks_en=word,
        )  # fmt: skip
        values: dict[str, str] = {name: word for name in FORM.fields}
        page = read(View(state, language, form, Answers(values), {"phone": "too_long"}, word, word, word))
        return [(tag, list(attributes)) for tag, attributes in page.tags]

    assert shape(EVIL) == shape("word")


@pytest.mark.parametrize(
    ("state", "words"), [("busy", "您填的内容还在"), ("often", "请等一分钟"), ("sent", "已收到"), ("unknown", "没有这个表单"), ("closed", "不开放")]
)  # fmt: skip
def test_every_state_is_a_sentence_that_says_what_to_do(
    state: Literal["busy", "often", "sent", "unknown", "closed"], words: str
) -> None:
    known = FORM if state != "unknown" else None
    assert words in read(View(state, "zh-CN", known)).text


def test_both_languages_have_every_word() -> None:
    from frontrow_dashboards.forms import _WORDS

    assert _WORDS["zh-CN"].keys() == _WORDS["en"].keys()
    assert "Free sample" in read(replace(OPEN, language="en")).text
    assert "I agree" in read(replace(OPEN, language="en")).text
