"""One suite that every sink of the registry passes, against a real server on this machine."""

import importlib.resources
import inspect
import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.alerts import an_alert
from tests.support.http_server import Failure, Reply, ScriptedServer

from frontrow.config.schema import SinkConfig
from frontrow.config.shape import options_of
from frontrow.core.alerts import Addressee, LeadFeedback
from frontrow.core.errors import SinkBusy, SinkRefused
from frontrow_connectors import sinks
from frontrow_connectors.sinks.contract import Delivery, Sink, SinkContext, SinkKind
from frontrow_connectors.sinks.registry import SINKS

ROOT = Path(str(importlib.resources.files(sinks)))
SECRET = "0123456789abcdef-very-secret"
MOBILE = "+8613800138000"
LEE = Addressee(seller="lee", wecom="LiLei", mobile=MOBILE)


@dataclass(frozen=True)
class Case:
    """What a kind of sink is tested with: its options for a server at ``url``, and how that server says yes."""

    options: Callable[[str], dict[str, Any]]
    ok: Reply
    receipt: str | None = None
    # Rule → why it need not be kept.
    exempt: dict[str, str] = field(default_factory=dict)


def robot(url: str) -> dict[str, Any]:
    return {"url": url, "token": SECRET, "secret": SECRET, "timeout_s": 3.0}


CASES: dict[str, Case] = {
    "wecom": Case(lambda url: {"url": url, "key": SECRET, "timeout_s": 3.0}, Reply(body=b'{"errcode":0,"errmsg":"ok"}')),
    "dingtalk": Case(robot, Reply(body=b'{"errcode":0,"errmsg":"ok"}')),
    "feishu": Case(robot, Reply(body=b'{"code":0,"msg":"success","data":{}}')),
    "wecom_app": Case(
        lambda url: {"url": url, "corp_id": "ww1", "agent_id": 1, "secret": SECRET, "timeout_s": 3.0},
        # The same to both calls, so that whatever fails first is the first call.
        Reply(body=b'{"errcode":0,"access_token":"T","expires_in":7200,"msgid":"m-1"}'),
        receipt="m-1",
    ),
    "sms": Case(
        lambda url: {
            "url": url, "access_key_id": "LTAI0", "access_key_secret": SECRET, "sign_name": "示例", "timeout_s": 3.0,
            "templates": {"todo": "SMS_1"},
        },
        Reply(body=b'{"Code":"OK","Message":"OK","BizId":"9006^0","RequestId":"r"}'),
        receipt="9006^0",
        exempt={"language": "its words are those of the approved template"},
    ),
    "crm": Case(
        lambda url: {
            "url": url, "token": SECRET, "timeout_s": 3.0, "receipt": "data.id",
            "fields": {"lead.id": "lead", "lead.name": "name", "lead.words": "words"},
        },
        Reply(201, b'{"data":{"id":77}}'),
        receipt="77",
    ),
    "feiyu": Case(
        lambda url: {"api_url": url, "signature_key": SECRET, "access_token": SECRET, "timeout_s": 3.0},
        Reply(200, b'{"status":"success"}'),
        receipt="7001=285",
    ),
    "apprise": Case(
        lambda url: {"url": f"{url.replace('http', 'json')}/{SECRET}?rto=3&cto=3"},
        Reply(200),
        exempt={
            "retry-after": "Apprise says only that it was not taken",
            "refused": "Apprise says only that it was not taken, so it is tried again",
        },
    ),
    "webhook": Case(lambda url: {"url": url, "secret": SECRET, "timeout_s": 3.0}, Reply(204)),
}  # fmt: skip


@pytest.fixture(params=sorted(SINKS))
def kind(request: pytest.FixtureRequest) -> SinkKind:
    return SINKS[request.param]


def kinds(applies: Callable[[SinkKind], bool]) -> pytest.MarkDecorator:
    """Run a test for the kinds of sink that its rule is for; :data:`CASES` says why another need not keep one."""
    return pytest.mark.parametrize(
        "kind", [each for _, each in sorted(SINKS.items()) if applies(each)], ids=lambda each: each.name
    )


def keeps(rule: str) -> Callable[[SinkKind], bool]:
    return lambda kind: rule not in CASES[kind.name].exempt


@pytest.fixture
def sink(kind: SinkKind, server: ScriptedServer, context: SinkContext) -> Sink:
    return opened(kind, server, context)


def opened(kind: SinkKind, server: ScriptedServer, context: SinkContext) -> Sink:
    case = CASES[kind.name]
    server.otherwise = case.ok
    return kind.open(msgspec.convert(case.options(server.url), kind.options), context)


def delivery(kind: SinkKind, lead: str = "L42", **changes: Any) -> Delivery:
    """Return what such a sink is given: to one person where it tells one."""
    directed: dict[str, Any] = {"to": LEE, "purpose": "todo"} if kind.audience == "member" else {}
    if kind.audience == "source":
        told = LeadFeedback(clue="7001", outcome="won", state="285")
        directed = {"purpose": "feedback", "feedback": told}
    return Delivery(f"test:{lead}", an_alert(lead, **(directed | changes)), 1)


def sent(server: ScriptedServer) -> str:
    """Return all that went over the wire, addresses and escapes as they are read."""
    return "\n".join(
        f"{each.path} {each.query} {each.headers} {each.body.decode()} {unescaped(each.body)}"
        for each in server.requests
    )


def unescaped(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), ensure_ascii=False)
    except ValueError:
        return ""


# What can be seen without sending


def test_the_registry_holds_every_folder_and_each_is_tested_here() -> None:
    folders = {each.name for each in ROOT.iterdir() if each.is_dir() and each.name != "__pycache__"}
    assert folders == set(SINKS) == set(CASES)


def test_options_are_frozen_keyword_only_and_know_no_others(kind: SinkKind) -> None:
    config = kind.options.__struct_config__
    assert config.frozen
    assert config.forbid_unknown_fields
    parameters = inspect.signature(kind.options).parameters.values()
    assert all(each.kind is inspect.Parameter.KEYWORD_ONLY for each in parameters)


def test_no_option_of_a_secret_is_shown(kind: SinkKind) -> None:
    case = CASES[kind.name].options("http://127.0.0.1:9")
    secrets = {each.name for each in options_of(kind.options) if each.kind.secret}
    assert {name for name, value in case.items() if value == SECRET} <= secrets


def test_every_option_is_in_the_readme_whose_example_is_right(kind: SinkKind) -> None:
    readme = (ROOT / kind.name / "README.md").read_text("utf-8")
    example = re.search(r"```toml\n(.*?)```", readme, re.DOTALL)
    assert example
    text = re.sub(r"^# (?=[a-z_]+(\.[a-z_]+)* = |\[)", "", example[1], flags=re.MULTILINE)
    [table] = tomllib.loads(text)["sinks"]
    assert table.pop("kind") == kind.name
    common = {each.encode_name for each in msgspec.structs.fields(SinkConfig)}
    given = {name: value for name, value in table.items() if name not in common}
    for name in [
        name for name in given if name.endswith("_file") and name not in kind.options.__struct_fields__
    ]:
        del given[name]
        option = name.removesuffix("_file")
        given[option] = CASES[kind.name].options("http://127.0.0.1:9").get(option, SECRET)
    msgspec.convert(given, kind.options)
    assert set(given) == {each.name for each in options_of(kind.options)}


def test_the_page_of_all_connectors_lists_it(kind: SinkKind) -> None:
    page = (ROOT.parent.parent / "README.md").read_text("utf-8")
    assert f"[{kind.name}](frontrow_connectors/sinks/{kind.name}/README.md)" in page


def test_only_who_tells_one_person_has_a_limit_for_one(kind: SinkKind) -> None:
    assert kind.audience == "member" or kind.per_member is None
    assert kind.digest_size == 1 or kind.audience == "group"


# What is sent


async def test_a_lead_that_is_taken_comes_back_with_the_receivers_id(
    kind: SinkKind, sink: Sink, server: ScriptedServer
) -> None:
    assert await sink.deliver([delivery(kind)]) == CASES[kind.name].receipt
    # Where a lead came from it is known by its id there, and its name is no news.
    assert ("小" in sent(server), "7001" in sent(server)) == (
        kind.audience != "source",
        kind.audience == "source",
    )
    await sink.close()
    await sink.close()


async def test_as_many_leads_as_a_digest_holds_are_one_message(
    kind: SinkKind, sink: Sink, server: ScriptedServer
) -> None:
    many = [delivery(kind, f"L{number}", name="很长的名字" * 20) for number in range(kind.digest_size)]
    await sink.deliver(many)
    before = len(server.requests)
    await sink.deliver(many)
    assert len(server.requests) == before + 1


@kinds(lambda kind: kind.digest_size == 1)  # too large a digest is tested with its cards
async def test_more_leads_than_a_sink_can_tell_of_are_refused(
    kind: SinkKind, sink: Sink, server: ScriptedServer
) -> None:
    with pytest.raises(SinkRefused, match="one lead"):
        await sink.deliver([delivery(kind, "L1"), delivery(kind, "L2")])
    assert server.requests == []


async def test_what_is_meant_for_one_person_reaches_no_other(
    kind: SinkKind, sink: Sink, server: ScriptedServer
) -> None:
    directed = Delivery("k", an_alert("L1", to=LEE, purpose="todo"), 1)
    public = Delivery("k", an_alert("L1"), 1)
    match kind.audience:
        case "group":
            with pytest.raises(SinkRefused, match="one person"):
                await sink.deliver([directed])
            assert server.requests == []
        case "member":
            with pytest.raises(SinkRefused, match="nobody"):
                await sink.deliver([public])
            assert server.requests == []
        case "program":
            await sink.deliver([directed])
            await sink.deliver([public])
        case "source":
            for each in (directed, public):
                with pytest.raises(SinkRefused, match="nothing else"):
                    await sink.deliver([each])
            assert server.requests == []


@kinds(lambda kind: kind.audience in ("member", "program"))  # a group is not told of what has an addressee
async def test_a_sellers_number_goes_to_nobody_but_who_sends_to_it(
    kind: SinkKind, sink: Sink, server: ScriptedServer
) -> None:
    await sink.deliver([delivery(kind, to=LEE, purpose="todo")])
    assert (MOBILE[3:] in sent(server)) == (kind.name == "sms")


async def test_a_viewers_number_that_slipped_through_is_masked(
    kind: SinkKind, sink: Sink, server: ScriptedServer
) -> None:
    await sink.deliver([delivery(kind, name="花13912345678", words="打 139 1234 5678 吧")])
    assert not re.search("139 ?1234 ?5678", sent(server))


@kinds(lambda kind: keeps("language")(kind) and kind.audience in ("group", "member"))  # programs read codes
async def test_people_read_it_in_the_configured_language(
    kind: SinkKind, server: ScriptedServer, context: SinkContext
) -> None:
    english = opened(kind, server, replace(context, language="en"))
    await english.deliver([delivery(kind)])
    assert "points" in sent(server)
    assert "成交概率" not in sent(server)


# What receivers do


@pytest.mark.parametrize(
    ("answer", "retry_after_s"),
    [
        (Reply(500), None),
        (Reply(503, headers={"retry-after": "7"}), 7.0),
        (Reply(429, headers={"retry-after": "30"}), 30.0),
        (Failure.HANG, None),
        (Failure.DROP, None),
        (Failure.BREAK_OFF, None),
        (Failure.GARBAGE, None),
    ],
    ids=str,
)
async def test_what_passes_is_tried_again(
    kind: SinkKind, sink: Sink, server: ScriptedServer, answer: Reply | Failure, retry_after_s: float | None
) -> None:
    server.script.append(answer)
    with pytest.raises(SinkBusy) as busy:
        await sink.deliver([delivery(kind)])
    assert "retry-after" in CASES[kind.name].exempt or busy.value.retry_after_s == retry_after_s
    assert_no_secret(busy.value.reason, server)
    await sink.deliver([delivery(kind)])  # the sink itself is unharmed


@kinds(keeps("refused"))
@pytest.mark.parametrize("status", [302, 403, 404])
async def test_what_stays_wrong_is_refused(
    kind: SinkKind, sink: Sink, server: ScriptedServer, status: int
) -> None:
    server.script.append(Reply(status, b"<html>", headers={"location": f"{server.url}/elsewhere"}))
    with pytest.raises(SinkRefused) as refused:
        await sink.deliver([delivery(kind)])
    assert str(status) in refused.value.reason
    assert_no_secret(refused.value.reason, server)
    assert len(server.requests) == 1


def assert_no_secret(reason: str, server: ScriptedServer) -> None:
    assert SECRET not in reason
    assert "127.0.0.1" not in reason and server.url.rsplit(":", 1)[1] not in reason
    assert "小" not in reason
