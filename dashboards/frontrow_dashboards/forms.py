"""The hosted consent form as a page: HTML that works without JavaScript, in Chinese and English.

Pure: a view in, a page out. Every word of a visitor, of a link and of the configuration is escaped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import Final

from frontrow.core.centre.forms import MAX_LENGTHS, TRAP, FieldName, Form, Language, View, consent_text
from frontrow_dashboards.pages import SECURITY_HEADERS

HEADERS: Final[Mapping[str, str]] = MappingProxyType({
    **SECURITY_HEADERS,
    # As for the panels, but that it may send to its own server; and it needs no script at all.
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",  # it holds the nonce of one submission
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class FormPage:
    """A page as it goes out."""

    headers: Mapping[str, str]
    body: bytes


_WORDS: Final[Mapping[Language, Mapping[str, str]]] = {
    "zh-CN": {
        "name": "怎么称呼您", "phone": "手机号", "company": "公司或职位", "product": "感兴趣的产品", "message": "想了解什么",
        "optional": "选填", "choose": "请选择", "send": "提交", "other": "English", "version": "版本",
        "missing": "请填写这一项", "too_long": "太长了，请缩短一些", "no_number": "这个号码打不通，请检查一下",
        "no_choice": "请从列表中选择", "consent_missing": "请先阅读并勾选同意，我们才能联系您",
        "some": "还差一点：请看下面标出的地方", "trap": "请不要填写这一项",
        "sent": "已收到", "sent_text": "谢谢，我们会尽快联系您。这个页面可以关闭了。",
        "unknown": "没有这个表单", "unknown_text": "链接可能已经过期，请向主播或客服要一个新的。",
        "closed": "这个表单现在不开放", "closed_text": "您填的内容没有提交。请向主播或客服要一个新的链接。",
        "busy": "暂时没能收下", "busy_text": "现在提交的人太多，请过几秒再点一次“提交”，您填的内容还在。",
        "often": "提交得太频繁了", "often_text": "请等一分钟再点一次“提交”，您填的内容还在。",
    },
    "en": {
        "name": "Your name", "phone": "Phone number", "company": "Company or position", "product": "Product of interest",
        "message": "What would you like to know?", "optional": "optional", "choose": "Please choose", "send": "Send",
        "other": "中文", "version": "Version", "missing": "Please fill this in",
        "too_long": "This is too long, please shorten it", "no_number": "This number cannot be called, please check it",
        "no_choice": "Please choose from the list",
        "consent_missing": "Please read this and tick the box, so that we may contact you",
        "some": "Almost there: please look at what is marked below", "trap": "Please leave this empty",
        "sent": "Received", "sent_text": "Thank you, we will contact you soon. You can close this page.",
        "unknown": "There is no such form", "unknown_text": "The link may be out of date: please ask for a new one.",
        "closed": "This form is not open now",
        "closed_text": "What you wrote was not sent. Please ask for a new link.", "busy": "Not taken yet",
        "busy_text": "Too many people are sending just now. Please press Send again in a few seconds; what you wrote is still here.",
        "often": "Sent too often",
        "often_text": "Please wait a minute and press Send again; what you wrote is still here.",
    },
}  # fmt: skip

_INPUTS: Final[Mapping[FieldName, str]] = {
    "name": 'type="text" autocomplete="name"',
    "phone": 'type="tel" inputmode="tel" autocomplete="tel"',
    "company": 'type="text" autocomplete="organization"',
}


def render(view: View) -> FormPage:
    """Return the page of a view."""
    words = _WORDS[view.language]
    form = view.form
    title = words[view.state] if form is None else _in(view.language, form.title_zh, form.title_en)
    if view.state in ("sent", "unknown", "closed"):
        content = _message(view, words)
    else:
        assert form is not None  # only of an unknown form there is none
        content = _form(view, form, words)
    switch = ""
    if view.other:
        lang = "en" if view.language == "zh-CN" else "zh-CN"
        switch = f'<a class="language" lang="{lang}" hreflang="{lang}" href="{escape(view.other)}">{words["other"]}</a>'
    html = f"""<!doctype html>
<html lang="{view.language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/form.css">
</head>
<body>
<main>
<header><h1>{escape(title)}</h1>{switch}</header>
{content}
</main>
</body>
</html>
"""
    # Half a surrogate pair, which a link can hold, is no text.
    return FormPage(HEADERS, html.encode("utf-8", "replace"))


def _message(view: View, words: Mapping[str, str]) -> str:
    text = words[f"{view.state}_text"]
    if view.form is not None and view.state == "sent":
        text = _in(view.language, view.form.thanks_zh, view.form.thanks_en) or text
    heading = "" if view.form is None else f"<h2>{words[view.state]}</h2>"
    return f'<section class="message" role="status" data-state="{view.state}">{heading}<p>{escape(text)}</p></section>'


def _form(view: View, form: Form, words: Mapping[str, str]) -> str:
    intro = _in(view.language, form.intro_zh, form.intro_en)
    parts = [f'<p class="intro">{escape(intro)}</p>' if intro else "", _notice(view, words)]
    parts.append(f'<form method="post" action="{escape(view.action)}" accept-charset="utf-8">')
    parts += [_field(view, form, name, words) for name in form.asked()]
    parts.append(_consent(view, form, words))
    parts.append(
        # Off the screen rather than hidden: programs pass over what is hidden. No name that a browser fills in by
        # itself.
        f'<p class="aside" aria-hidden="true"><label>{words["trap"]}<input type="text" name="{TRAP}" tabindex="-1"'
        ' autocomplete="off"></label></p>'
        f'<input type="hidden" name="nonce" value="{escape(view.nonce)}">'
        f'<button type="submit">{words["send"]}</button></form>'
    )
    return "\n".join(part for part in parts if part)


def _notice(view: View, words: Mapping[str, str]) -> str:
    if view.state in ("busy", "often"):
        return (
            f'<div class="notice" role="alert"><strong>{words[view.state]}</strong>'
            f"<p>{words[f'{view.state}_text']}</p></div>"
        )
    return f'<div class="notice" role="alert">{words["some"]}</div>' if view.mistakes else ""


def _field(view: View, form: Form, name: FieldName, words: Mapping[str, str]) -> str:
    value = view.answers.values.get(name, "")
    required = name in form.required
    mistake = view.mistakes.get(name)
    attributes = f'id="{name}" name="{name}"' + (" required" if required else "") + _told(name, mistake)
    if name == "product":
        control = f"<select {attributes}>{_choices(form, value, words)}</select>"
    elif name == "message":
        control = (
            f'<textarea {attributes} rows="3" maxlength="{MAX_LENGTHS[name]}">\n{escape(value)}</textarea>'
        )
    else:
        control = (
            f'<input {_INPUTS[name]} {attributes} maxlength="{MAX_LENGTHS[name]}" value="{escape(value)}">'
        )
    optional = "" if required else f' <span class="soft">{words["optional"]}</span>'
    label = f'<label for="{name}">{words[name]}{optional}</label>'
    return f'<div class="field">{label}{control}{_error(name, mistake and words[mistake])}</div>'


def _choices(form: Form, value: str, words: Mapping[str, str]) -> str:
    options = [f'<option value="">{words["choose"]}</option>']
    for product in form.products:
        selected = " selected" if product == value else ""
        options.append(f'<option value="{escape(product)}"{selected}>{escape(product)}</option>')
    return "".join(options)


def _consent(view: View, form: Form, words: Mapping[str, str]) -> str:
    mistake = view.mistakes.get("consent")
    checked = " checked" if view.answers.consent else ""
    text = escape(consent_text(form, view.language))
    version = f"{words['version']} {escape(form.consent_version)}"
    return (
        f'<div class="field consent"><label><input type="checkbox" name="consent" value="yes" required{checked}'
        f'{_told("consent", mistake)}><span>{text} <span class="soft">{version}</span></span></label>'
        f"{_error('consent', mistake and words['consent_missing'])}</div>"
    )


def _told(name: str, mistake: str | None) -> str:
    return f' aria-invalid="true" aria-describedby="{name}-error"' if mistake else ""


def _error(name: str, text: str | None) -> str:
    return f'<p class="error" id="{name}-error">{text}</p>' if text else ""


def _in(language: Language, chinese: str, english: str) -> str:
    return (chinese or english) if language == "zh-CN" else (english or chinese)
