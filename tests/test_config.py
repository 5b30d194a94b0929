"""The configuration: every mistake at once and in its place, overrides, and secrets that stay secret."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct, structs

from frontrow.config import Config, Secret, SecretText, defaults, dump, load
from frontrow.config.document import parse_document
from frontrow.config.positions import MAX_DEPTH, Position, index_keys, show_path
from frontrow.core.errors import ConfigError
from frontrow.core.points import DEFAULT_RULES


class BrokerOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of a connector that exists for these tests alone."""

    host: Annotated[str, Meta(min_length=1)]
    port: Annotated[int, Meta(ge=1, le=65_535)] = 1883
    wait_s: Annotated[float, Meta(gt=0)] = 1.0
    topics: tuple[str, ...] = ()
    tls: bool = False
    user: str | None = None
    password: Secret | None = None
    ca_file: str | None = None


class PushOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    secret: Annotated[Secret, Meta(min_length=8)]


class HookOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str = "https://example.com"
    api_token: str = ""  # a secret by its name alone
    headers: dict[str, Secret] = {}

    def __post_init__(self) -> None:
        if self.api_token.startswith("bad"):
            raise ValueError(f"{self.api_token} is not how a token looks")


CONNECTORS: Mapping[str, type[Struct]] = {"broker": BrokerOptions, "push": PushOptions}
SINKS: Mapping[str, type[Struct]] = {"hook": HookOptions}
PLATFORMS = {"broker": None, "push": "douyin"}

ROOM = '[[rooms]]\nid = "main"\nplatform = "shop"\nroom = "1"\n'
FEED = '[[feeds]]\nid = "in"\nroom = "main"\nconnector = "broker"\nhost = "h"\n'
FORM = """[[forms]]
id = "trial"
room = "main"
title_zh = "试用"
title_en = "Trial"
consent_zh = "同意"
consent_en = "I agree"
consent_version = "1"
"""
SINK = '[[sinks]]\nid = "out"\nkind = "hook"\n'

Load = Callable[..., Config]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a text as ``config.toml`` of the current folder, so that messages name just that."""
    monkeypatch.chdir(tmp_path)

    def read(text: str | bytes, environ: Mapping[str, str] | None = None) -> Config:
        path = Path("config.toml")
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load(path, environ=environ or {}, connectors=CONNECTORS, sinks=SINKS, platforms=PLATFORMS)

    return read


def mistakes(read: Load, text: str | bytes, environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the mistakes as people see them, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        read(text, environ)
    assert caught.value.mistakes
    return [line.removeprefix("config.toml:") for line in str(caught.value).split("\n")]


# ───── One mistake each: the text, and exactly what is said of it ─────

ONE_MISTAKE = {
    "an unknown key": (
        "[server]\nprot = 1",
        "2:1: server.prot: unknown key (did you mean 'port'?)",
    ),
    "an unknown section": ("[sever]\n", "1:2: sever: unknown key (did you mean 'server'?)"),
    "a key with - for _": (
        "[server]\nmax-body-bytes = 1",
        "2:1: server.max-body-bytes: unknown key (did you mean 'max_body_bytes'?)",
    ),
    "a channel's code used twice": (
        '[[channels]]\ncode = "a"\n[[channels]]\ncode = "a"',
        '4:1: channels[1].code: "a" is the code of another channel already',
    ),
    "a room of two channels": (
        ROOM + '[[channels]]\ncode = "a"\nrooms = ["main"]\n[[channels]]\ncode = "b"\nrooms = ["main"]',
        '10:1: channels[1].rooms: the room "main" belongs to the channel "a" already',
    ),
    "a channel of a feed that is not there": (
        ROOM + FEED + '[[channels]]\ncode = "a"\nfeeds = ["inn"]',
        "12:10: channels[0].feeds[0]: there is no feed \"inn\" in [[feeds]] (did you mean 'in'?)",
    ),
    "a form by a channel that nobody registered": (
        ROOM + FORM + 'channel = "postr"\n[[channels]]\ncode = "poster"',
        "13:1: forms[0].channel: no channel in [[channels]] has the code \"postr\" (did you mean 'poster'?)",
    ),
    "a form of a room that is not there": (
        FORM + 'rooms = ["main", "third"]\n' + ROOM,
        '9:18: forms[0].rooms[1]: there is no room "third" in [[rooms]]',
    ),
    "a form that asks for what it has no field for": (
        FORM + 'fields = ["phone"]\nrequired = ["name"]\n' + ROOM,
        '1:3: forms[0]: required names "name", which is not among the fields',
    ),
    "a proxy that is no network": (
        '[server]\ntrusted_proxies = ["10.0.0.0/8", "10.0.0.1/8"]',
        '2:34: server.trusted_proxies[1]: "10.0.0.1/8" is no network, as 10.0.0.0/8 or 192.0.2.7 is',
    ),
    "a key of another section": (
        "[log]\nmax_rooms = 3",
        "2:1: log.max_rooms: unknown key here; [metrics] has it",
    ),
    "an unknown key that nothing is near": ("[log]\nzzz = 3", "2:1: log.zzz: unknown key"),
    "a key that must be quoted": ('[log]\n"a b.\\u0007" = 3', '2:1: log."a b.\\u0007": unknown key'),
    "a number in quotes": (
        '[server]\nport = "80"',
        "2:1: server.port: expected a whole number, got text; leave out the quotes",
    ),
    "a fraction for a whole number": (
        "[server]\nport = 80.5",
        "2:1: server.port: expected a whole number, got a number with a fraction",
    ),
    "true for a number": (
        "[server]\nport = true",
        "2:1: server.port: expected a whole number, got true or false",
    ),
    "a yes for true": (
        '[model]\nenabled = "yes"',
        "2:1: model.enabled: expected true or false, got text; write true or false without quotes",
    ),
    "a number for text": (
        "[server]\nhost = 127",
        "2:1: server.host: expected text, got a whole number; put it in quotes",
    ),
    "a date for text": ("[server]\nhost = 2026-01-01", "2:1: server.host: expected text, got a date or time"),
    "text for a list": (
        '[intents]\nlexicon = "words.toml"',
        "2:1: intents.lexicon: expected a list, got text; put it in [ ]",
    ),
    "a value for a section": ("server = 8787", "1:1: server: expected a table, got a whole number"),
    "a table for a list of tables": (
        '[rooms]\nid = "a"',
        "1:2: rooms: expected a list, got a table; its header has two brackets: [[ ]]",
    ),
    "a value for an element": ("rooms = [7]", "1:10: rooms[0]: expected a table, got a whole number"),
    "above a bound": ("[server]\nport = 70_000", "2:1: server.port: must be from 0 to 65_535, not 70000"),
    "at an open bound": (
        "[model]\nlearning_rate = 0",
        "2:1: model.learning_rate: must be above 0 and at most 1, not 0",
    ),
    "below the least": ("[model]\nmin_labels = 0", "2:1: model.min_labels: must be at least 1, not 0"),
    "a number of many digits": (
        f"[server]\nport = 0x{'f' * 5_000}",
        "2:1: server.port: must be from 0 to 65_535, not a number of so many digits",
    ),
    "not a number": ("[model]\nl2 = nan", "2:1: model.l2: must be a finite number"),
    "infinite": ("[server]\nshutdown_s = inf", "2:1: server.shutdown_s: must be a finite number"),
    "an integer beyond all floats": (
        f"[server]\nshutdown_s = 1{'0' * 400}",
        "2:1: server.shutdown_s: must be a finite number",
    ),
    "a choice that is none": (
        '[log]\nlevel = "inof"',
        "2:1: log.level: \"inof\" is not one of: debug, error, info, warning (did you mean 'info'?)",
    ),
    "a choice of the wrong type": (
        "[log]\nlevel = 3",
        "2:1: log.level: 3 is not one of: debug, error, info, warning",
    ),
    "an empty list": ("[outcome]\nkinds = []", "2:1: outcome.kinds: must not be empty"),
    "an empty text": ('[server]\nhost = ""', "2:1: server.host: must not be empty"),
    "too long a text": (
        f'{ROOM}title = "{"长" * 257}"',
        "5:1: rooms[0].title: must have at most 256 characters, has 257",
    ),
    "an address that is none": (
        '[server]\nbase_url = "example.com"',
        (
            "2:1: server.base_url: does not have the right form: "
            'an address like "https://live.example.com", or empty'
        ),
    ),
    "an id that no URL could carry": (
        ROOM.replace('"main"', '"Main room"'),
        (
            "2:1: rooms[0].id: does not have the right form: "
            "lower-case letters and digits in groups parted by single - or _, as in main-room"
        ),
    ),
    "an id that ends in a line's end": (
        ROOM.replace('"main"', '"main\\n"'),
        (
            "2:1: rooms[0].id: does not have the right form: "
            "lower-case letters and digits in groups parted by single - or _, as in main-room"
        ),
    ),
    "a path that is none": ('[storage]\npath = "a\\u0000b"', "2:1: storage.path: must be a path"),
    "a missing key": (
        '[[rooms]]\nid = "main"\nplatform = "shop"',
        "1:3: rooms[0].room: is missing",
    ),
    "a missing secret": (
        ROOM.replace("shop", "douyin") + '[[feeds]]\nid = "in"\nroom = "main"\nconnector = "push"',
        "5:3: feeds[0].secret: is missing; give it here, as secret_file, or by the environment",
    ),
    "a missing connector": (
        ROOM + '[[feeds]]\nid = "in"\nroom = "main"\nwhatever = 1',
        "5:3: feeds[0].connector: is missing",
    ),
    "an unknown connector, whose options cannot be judged": (
        ROOM + FEED.replace("broker", "brokr"),
        "8:1: feeds[0].connector: \"brokr\" is not one of: broker, push (did you mean 'broker'?)",
    ),
    "an option that the connector does not have": (
        ROOM + FEED + "prot = 1",
        "10:1: feeds[0].prot: unknown key (did you mean 'port'?)",
    ),
    "a common key, misspelt among a connector's options": (
        ROOM + FEED + "enabeld = true",
        "10:1: feeds[0].enabeld: unknown key (did you mean 'enabled'?)",
    ),
    "a connector's option out of its bounds": (
        ROOM + FEED + "wait_s = 0",
        "10:1: feeds[0].wait_s: must be above 0, not 0",
    ),
    "an unknown kind of sink": (
        '[[sinks]]\nid = "out"\nkind = "hok"',
        "3:1: sinks[0].kind: \"hok\" is not one of: hook (did you mean 'hook'?)",
    ),
    "options that contradict each other, in the connector's own words": (
        SINK + 'api_token = "bad-geheim"',
        "1:3: sinks[0]: *** is not how a token looks",
    ),
    "a room's id used twice": (
        ROOM + ROOM.replace('"1"', '"2"'),
        '6:1: rooms[1].id: "main" is the id of another room already, in line 2',
    ),
    "a feed's id used twice": (
        ROOM + FEED + FEED,
        '11:1: feeds[1].id: "in" is the id of another feed already, in line 6',
    ),
    "a sink's id used twice": (
        SINK + SINK,
        '5:1: sinks[1].id: "out" is the id of another sink already, in line 2',
    ),
    "one live room under two ids": (
        ROOM + ROOM.replace("main", "second"),
        '8:1: rooms[1].room: platform "shop" and room "1" belong to rooms[0] already, in line 4',
    ),
    "a feed into a room that is not there": (
        ROOM + FEED.replace('"main"', '"mian"'),
        "7:1: feeds[0].room: there is no room \"mian\" in [[rooms]] (did you mean 'main'?)",
    ),
    "a sink for a room that is not there": (
        ROOM + SINK + 'rooms = ["main",\n  "other"]',
        '9:3: sinks[0].rooms[1]: there is no room "other" in [[rooms]]',
    ),
    "a feed of another platform than its room": (
        ROOM + '[[feeds]]\nid = "in"\nroom = "main"\nconnector = "push"\nsecret = "12345678"',
        '8:1: feeds[0].connector: "push" brings events of the platform "douyin", but room "main" is of "shop"',
    ),
    "a refund that no event can be": (
        '[outcome]\nrefunds = ["refund"]',
        "2:12: outcome.refunds[0]: no viewer's event is of the kind \"refund\" (did you mean 'order_refunded'?)",
    ),
    "a refund that is a success": (
        '[outcome]\nkinds = ["gift"]\nrefunds = ["gift"]',
        '3:12: outcome.refunds[0]: "gift" is one of outcome.kinds: it cannot be both',
    ),
    "a success that is a refund": (
        '[outcome]\nkinds = ["order_paid", "order_refunded"]',
        '2:24: outcome.kinds[1]: "order_refunded" is one of outcome.refunds, whose default it is: it cannot be both',
    ),
    "a word of sales that is success and failure": (
        '[outcome]\nwon = ["signed", "later"]\nlost = ["later"]',
        '3:9: outcome.lost[0]: "later" is one of outcome.won: it cannot be both',
    ),
    "a value of no outcome": (
        "[outcome]\nvalues = {form_sumbit = 5_000}",
        "2:11: outcome.values.form_sumbit: neither in outcome.kinds nor in outcome.won, nothing is worth this (did you mean 'form_submit'?)",
    ),
    "everybody near enough to explore": (
        "[model]\nexploration = 0.1\nexploration_points = 80",
        "3:1: model.exploration_points: exploration_points (80) must be below points.hot (80): everybody would be near it",
    ),
    "more exploration than judgement": (
        "[model]\nexploration = 0.6",
        "2:1: model.exploration: must be from 0 to 0.5, not 0.6",
    ),
    "a value below nothing": (
        "[outcome]\nvalues = {form_submit = -1}",
        "2:11: outcome.values.form_submit: must be from 0 to 1_000_000_000_000, not -1",
    ),
    "an outcome that no event can be": (
        '[outcome]\nkinds = ["order_paid", "form_sumbit"]',
        "2:24: outcome.kinds[1]: no viewer's event is of the kind \"form_sumbit\" (did you mean 'form_submit'?)",
    ),
    "a time zone that is none": (
        ROOM + 'timezone = "Asia/Shanghia"',
        "5:1: rooms[0].timezone: no time zone is called \"Asia/Shanghia\" (did you mean 'Asia/Shanghai'?)",
    ),
    "a time zone that is a folder": (
        ROOM + 'timezone = "Asia"',
        '5:1: rooms[0].timezone: no time zone is called "Asia"',
    ),
    "a country that is none": (
        '[intents]\nphone_region = "UK"',
        "2:1: intents.phone_region: no country is called \"UK\" (did you mean 'GB'?)",
    ),
    "a queue smaller than a frame": (
        "[intake]\nqueue_events = 10",
        "2:1: intake.queue_events: queue_events (10) must not be below frame_events (1_024)",
    ),
    "more positives than labels": (
        "[model]\nmin_positives = 500",
        "2:1: model.min_positives: min_labels (200) must not be below min_positives (500)",
    ),
    "grades' bounds that cross": ("[points]\nwarm = 90", "2:1: points.warm: must not be above hot (80)"),
    "a rule's name used twice": (
        (
            "[points]\nrules = [\n"
            '  { name = "a", signal = "question", points = 5 },\n'
            '  { name = "a", signal = "raffle", points = 5 },\n]'
        ),
        "4:5: points.rules[1].name: is used twice: 'a'",
    ),
    "a rule by the name of a reason that the engine gives itself": (
        '[points]\nrules = [{ name = "same_words", signal = "question", points = 5 }]',
        "2:12: points.rules[0].name: 'same_words' is the engine's own reason, of viewers who are one group; name the rule otherwise",
    ),
    "a value and its file": (
        SINK + 'api_token = "x"\napi_token_file = "y"',
        "5:1: sinks[0].api_token_file: stands beside 'api_token'; keep one of the two",
    ),
    "a file that is not there": (
        SINK + 'api_token_file = "nowhere"',
        '4:1: sinks[0].api_token_file: the file "nowhere" cannot be read: No such file or directory',
    ),
    "a file that is a folder": (
        SINK + 'api_token_file = "."',
        '4:1: sinks[0].api_token_file: the file "." cannot be read: Is a directory',
    ),
    "a file's name that is none": (
        SINK + 'api_token_file = "\\u0000"',
        '4:1: sinks[0].api_token_file: the file "?" cannot be read: not a path',
    ),
    "a file's name of the wrong type": (
        SINK + "api_token_file = 7",
        "4:1: sinks[0].api_token_file: expected text, got a whole number",
    ),
    # what is not TOML
    "text without quotes": (
        "[log]\nlevel = info",
        "2:9: log.level: not valid TOML: invalid value; text goes in quotes, and true and false are in lower case",
    ),
    "a full-width quotation mark": (
        "[log]\nlevel = “info”",
        '2:9: log.level: not valid TOML: invalid value; “ is a full-width character, write "',
    ),
    "a key given twice": (
        "[log]\nlevel = 'info'\nlevel = 'info'",
        "3:1: log.level: is given twice; first in line 2",
    ),
    "a section given twice": ("[log]\n[server]\n[log]\n", "3:1: log: is given twice; first in line 1"),
    "a text that does not end": (
        '[log]\nlevel = "info\n',
        (
            "2:14: log.level: not valid TOML: "
            "a text must end on the line where it begins (or use three quotation marks)"
        ),
    ),
    "a long text that does not end": (
        '[log]\nlevel = """info\n\n[server]\nport = 1\n',
        "2:1: log.level: not valid TOML: what begins here is not closed; noticed in line 5",
    ),
    "a list that does not end": (
        "[outcome]\nkinds = [\n  'form_submit',\nhorizon_s = 60\n",
        "2:1: outcome.kinds: not valid TOML: what begins here is not closed; noticed in line 4",
    ),
    "lists within lists without end": (
        f"[log]\nlevel = {'[' * 5_000}{']' * 5_000}",
        "2:1: log.level: is nested too deeply",
    ),
    "an integer that no program reads": (
        f"[server]\nport = {'1' * 5_000}",
        "2:8: server.port: has too many digits",
    ),
    "a lone carriage return": (
        "[log]\rlevel = 'info'",
        "1:6: not valid TOML: expected newline or end of document after a statement",
    ),
}


@pytest.mark.parametrize("case", ONE_MISTAKE)
def test_a_mistake_is_named_with_its_place_its_key_and_the_nearest_right_spelling(
    read: Load, case: str
) -> None:
    text, message = ONE_MISTAKE[case]
    assert mistakes(read, text) == [message]


def test_all_mistakes_are_shown_at_once_in_the_order_of_the_file(read: Load) -> None:
    text = f"""\
[server]
prot = 1
port = "80"

[points]
warm = 90

[[points.rules]]
name = "x"
signal = "qestion"
points = 500

{ROOM}
{FEED.replace('"main"', '"mian"')}
port = 0
[[sinks]]
kind = "hook"
colour = "red"
[log]
level = "loud"
"""
    assert mistakes(read, text, {"FRONTROW__PANEL__ROWS": "many", "FRONTROW__LOG": "1"}) == [
        "2:1: server.prot: unknown key (did you mean 'port'?)",
        "3:1: server.port: expected a whole number, got text; leave out the quotes",
        "6:1: points.warm: must not be above hot (80)",
        (
            '10:1: points.rules[0].signal: "qestion" is not one of: booking, cart_add, comments, company, contact, '
            "coupon_claim, enter, fan_club, follow, form_submit, gift, like, mention_host, order_created, order_paid, "
            "order_refunded, phone, product_click, question, raffle, share, watched (did you mean 'question'?)"
        ),
        "11:1: points.rules[0].points: must be from -100 to 100, not 500",
        "20:1: feeds[0].room: there is no room \"mian\" in [[rooms]] (did you mean 'main'?)",
        "24:1: feeds[0].port: must be from 1 to 65_535, not 0",
        "25:3: sinks[0].id: is missing",
        "27:1: sinks[0].colour: unknown key",
        "environment FRONTROW__LOG: log: expected a table, got a whole number",
        "environment FRONTROW__PANEL__ROWS: panel.rows: expected a whole number, got text",
    ]


def test_a_syntax_mistake_hides_neither_other_syntax_mistakes_nor_wrong_values(read: Load) -> None:
    text = f"""\
[server
port = 8787
host = "ok"
[log]
level = info
format = "jsn"
{ROOM}
{FEED.replace('room = "main"', "room = main")}
[outcome]
kinds = [
  "order_paid",
horizon_s = 5
"""
    assert mistakes(read, text) == [
        "1:8: not valid TOML: expected ']' at the end of a table declaration",
        "5:9: log.level: not valid TOML: invalid value; text goes in quotes, and true and false are in lower case",
        "6:1: log.format: \"jsn\" is not one of: console, json (did you mean 'json'?)",
        (
            "14:8: feeds[0].room: not valid TOML: invalid value; "
            "text goes in quotes, and true and false are in lower case"
        ),
        "19:1: outcome.kinds: not valid TOML: what begins here is not closed; noticed in line 21",
        "21:1: outcome.horizon_s: must be from 60 to 86_400, not 5",
    ]


def test_a_file_that_is_something_else_gives_few_mistakes_and_soon(read: Load) -> None:
    assert len(mistakes(read, "<p>not ours</p>\n" * 5_000)) == 20


def test_a_line_without_end_takes_no_time(read: Load) -> None:
    assert mistakes(read, "[log]\nlevel =" + " " * 900_000 + "x") != []
    assert mistakes(read, " " * 900_000 + "x") != []


def test_many_unknown_keys_are_all_named_though_not_all_get_a_hint(read: Load) -> None:
    text = "[server]\n" + "".join(f"porx{number} = 1\n" for number in range(2_000))
    assert len(mistakes(read, text)) == 2_000


# ───── Forms of the file ─────


def test_an_empty_file_is_the_defaults(read: Load) -> None:
    assert read("") == defaults()
    assert read("# nothing\r\n") == defaults()
    assert defaults().rooms == ()
    assert defaults().points.rules == DEFAULT_RULES


def test_places_are_true_in_files_with_a_byte_order_mark_and_carriage_returns(read: Load) -> None:
    text = b"\xef\xbb\xbf[server]\r\nport = 1\r\n\r\n[log]\r\nlevel = 'loud'\r\nwrong\r\n"
    assert [line.split(" ")[0] for line in mistakes(read, text)] == ["5:1:", "6:6:"]


def test_columns_count_characters_not_bytes(read: Load) -> None:
    text = ROOM + "title = { 夏季 = 1 }"
    assert mistakes(read, text)[0].startswith("5:11: rooms[0].title: not valid TOML")
    assert mistakes(read, ROOM + '"标题" = 1\nx = {"夏季" = 1, y = 2}') == [
        '5:1: rooms[0]."标题": unknown key',
        "6:1: rooms[0].x: unknown key",
    ]
    document = parse_document('x = {"夏季" = 1, y = 2}'.encode(), "c")
    assert document.positions["x", "y"] == Position(1, 16)


def test_a_file_that_is_not_utf_8_says_where(read: Load) -> None:
    assert mistakes(read, '[log]\n# 夏\nx = "'.encode() + b'\xff"') == [
        "3:6: not UTF-8; save the file as UTF-8"
    ]
    assert mistakes(read, "[log]".encode("utf-16")) == ["1:1: not UTF-8 but UTF-16; save the file as UTF-8"]


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    for path, reason in [
        (tmp_path / "none.toml", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (Path("a\0b"), "not a path"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load(path, environ={}, connectors={}, sinks={})
        assert str(caught.value) == f"{path}: cannot be read: {reason}"


def test_an_endless_file_is_not_read_to_its_end(read: Load) -> None:
    with pytest.raises(ConfigError, match="is larger than 1_048_576 bytes"):
        read(b"#" * 2_000_000)


def test_every_spelling_of_a_key_is_found_where_it_stands() -> None:
    text = """\
a.b = 1
"q\\u0041 ." = { x = [ 1, { y.z = 2 } ], 'w' = 3 }
[[l.m]]
n = [
  # a comment
  1, [ 2 ] ]
[[l.m]]
[l.m.o]
p = 1
"""
    found = {show_path(path): (at.line, at.column) for path, at in reversed(index_keys(text))}
    assert found == {
        "a": (1, 1),
        "a.b": (1, 3),
        '"qA ."': (2, 1),
        '"qA .".x': (2, 17),
        '"qA .".x[0]': (2, 23),
        '"qA .".x[1]': (2, 26),
        '"qA .".x[1].y': (2, 28),
        '"qA .".x[1].y.z': (2, 30),
        '"qA .".w': (2, 41),
        "l": (3, 3),
        "l.m": (3, 5),
        "l.m[0]": (3, 5),
        "l.m[0].n": (4, 1),
        "l.m[0].n[0]": (6, 3),
        "l.m[0].n[1]": (6, 6),
        "l.m[0].n[1][0]": (6, 8),
        "l.m[1]": (7, 5),
        "l.m[1].o": (8, 6),
        "l.m[1].o.p": (9, 1),
    }


def test_the_index_of_a_text_that_nests_without_end_stays_small() -> None:
    deep = "a = " + "[" * 50_000 + "]" * 50_000
    assert max(len(path) for path, _ in index_keys(deep)) == MAX_DEPTH
    long = "[" + ".".join("k" * 20_000) + "]\nx = 1"
    assert max(len(path) for path, _ in index_keys(long)) == MAX_DEPTH


# ───── What is read ─────


def test_feeds_and_sinks_carry_the_options_of_their_kind_typed(read: Load) -> None:
    config = read(
        ROOM + FEED + 'topics = ["a"]\nwait_s = 2\n' + SINK + 'headers = { Authorization = "Basic x" }'
    )
    options = config.feeds[0].options
    assert options == BrokerOptions(host="h", topics=("a",), wait_s=2.0)
    assert isinstance(options, BrokerOptions)
    assert isinstance(options.wait_s, float)
    assert config.sinks[0].options == HookOptions(headers={"Authorization": "Basic x"})
    assert config.rooms[0].ref.platform == "shop"
    with pytest.raises(AttributeError):
        config.server.port = 1  # type: ignore[misc]


def test_relative_paths_start_at_the_files_folder(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "config.toml"
    path.parent.mkdir()
    path.write_text('[intents]\nlexicon = ["words.toml", "/usr/share/words.toml"]')
    config = load(path, environ={}, connectors={}, sinks={})
    assert config.storage.path == tmp_path / "etc" / "data" / "frontrow.db"
    assert config.intents.lexicon == (tmp_path / "etc" / "words.toml", Path("/usr/share/words.toml"))


def test_the_pages_address_is_made_from_host_and_port_unless_given(read: Load) -> None:
    assert read("").server.public_url == "http://127.0.0.1:8787"
    assert read('[server]\nhost = "::1"').server.public_url == "http://[::1]:8787"
    assert (
        read('[server]\nbase_url = "https://x.example/live/"').server.public_url == "https://x.example/live"
    )


def test_an_option_with_the_name_of_a_common_key_is_its_authors_mistake(read: Load) -> None:
    bad: Any = structs_with_field("room")
    with pytest.raises(TypeError, match=r"connector 'bad': options may not be called \['room'\]"):
        load(Path("config.toml"), environ={}, connectors={"bad": bad}, sinks={})


def structs_with_field(name: str) -> type[Struct]:
    return type("Bad", (Struct,), {"__annotations__": {name: str}})


# ───── The environment ─────


def test_a_variable_wins_over_the_file(read: Load) -> None:
    config = read(
        '[server]\nport = 1\n[log]\nlevel = "debug"\n' + ROOM + FEED,
        {
            "FRONTROW__SERVER__PORT": "9000",
            "FRONTROW__LOG__LEVEL": "warning",
            "FRONTROW__LOG__FORMAT": '"console"',
            "FRONTROW__MODEL__ENABLED": "false",
            "FRONTROW__OUTCOME__KINDS": '["gift"]',
            "FRONTROW__PANEL": '{ language = "en", rows = 9 }',
            "FRONTROW__ROOMS__MAIN__TITLE": "夏季 #1",
            "FRONTROW__FEEDS__IN__HOST": "10",
            "FRONTROW__FEEDS__0__PORT": "10",
            "FRONTROW__FEEDS__IN__PASSWORD": " secret ",
            "FRONTROW_RECORDINGS": "is none of ours",
            "PATH": "neither",
        },
    )
    assert config.server.port == 9000
    assert (config.log.level, config.log.format) == ("warning", "console")
    assert config.model.enabled is False
    assert config.outcome.kinds == ("gift",)
    assert (config.panel.language, config.panel.rows) == ("en", 9)
    assert config.rooms[0].title == "夏季 #1"
    assert config.feeds[0].options == BrokerOptions(host="10", port=10, password=" secret ")


def test_a_variable_reaches_what_the_file_leaves_to_the_defaults(read: Load) -> None:
    config = read(
        "", {"FRONTROW__POINTS__RULES__QUESTION__POINTS": "7", "FRONTROW__POINTS__GROUP_CAPS__FUN": "3"}
    )
    assert config.points.group_caps == {"fun": 3}
    question = next(rule for rule in DEFAULT_RULES if rule.name == "question")
    changed = tuple(structs.replace(rule, points=7) if rule is question else rule for rule in DEFAULT_RULES)
    assert config.points.rules == changed
    assert DEFAULT_RULES[3].points == 15


def test_rooms_can_come_from_the_environment_alone_and_be_changed_there(read: Load) -> None:
    config = read(
        "",
        {
            "FRONTROW__ROOMS": '[{ id = "a-b", platform = "shop", room = "1" }]',
            "FRONTROW__ROOMS__A_B__TITLE": "A",
        },
    )
    assert (config.rooms[0].id, config.rooms[0].title) == ("a-b", "A")


def test_what_decides_the_options_is_read_before_the_options(read: Load) -> None:
    config = read(
        ROOM.replace("shop", "douyin") + '[[feeds]]\nid = "in"\nroom = "main"\nconnector = "broker"\n',
        {"FRONTROW__FEEDS__IN__CONNECTOR": "push", "FRONTROW__FEEDS__IN__SECRET": "12345678"},
    )
    assert config.feeds[0].options == PushOptions(secret="12345678")


def test_a_variable_takes_the_place_of_a_file_for_the_same_value_and_the_other_way(
    read: Load, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("from-file\n")
    by_variable = read(
        SINK + 'api_token_file = "nowhere"', {"FRONTROW__SINKS__OUT__API_TOKEN": "from-variable"}
    )
    by_file = read(SINK + 'api_token = "given"', {"FRONTROW__SINKS__OUT__API_TOKEN_FILE": "token"})
    assert by_variable.sinks[0].options == HookOptions(api_token="from-variable")
    assert by_file.sinks[0].options == HookOptions(api_token="from-file")


VARIABLE_MISTAKES = {
    "FRONTROW__SERVR__PORT": ("1", "servr: unknown key (did you mean 'FRONTROW__SERVER__PORT'?)"),
    "FRONTROW__SERVER__PROT": ("1", "server.prot: unknown key (did you mean 'FRONTROW__SERVER__PORT'?)"),
    "FRONTROW__SERVER__PORT__X": ("1", "server.port.x: server.port is a value and has no keys"),
    "FRONTROW__SERVER__PORT": ("http", "server.port: expected a whole number, got text"),
    "FRONTROW__FEEDS__INN__PORT": (
        "1",
        "feeds.inn: no element has this id or index (did you mean 'FRONTROW__FEEDS__IN__PORT'?)",
    ),
    "FRONTROW__FEEDS__5__PORT": ("1", "feeds.5: no element has this id or index"),
    "FRONTROW__FEEDS__IN__PASWORD": (
        "geheim",
        "feeds[0].pasword: unknown key (did you mean 'FRONTROW__FEEDS__IN__PASSWORD'?)",
    ),
    "FRONTROW__OUTCOME__KINDS__0": (
        "gift",
        "outcome.kinds.0: set the whole list outcome.kinds instead, as TOML",
    ),
    "FRONTROW__LOG__LEVEL": (
        "loud\nlevel",
        'log.level: "loud?level" is not one of: debug, error, info, warning',
    ),
    "FRONTROW__": ("1", '"": unknown key'),
    "FRONTROW__PANEL__LANGUAGE": ("\udcff", "is not UTF-8"),
}


@pytest.mark.parametrize("variable", VARIABLE_MISTAKES)
def test_a_variable_that_is_wrong_or_names_nothing_is_a_mistake_too(read: Load, variable: str) -> None:
    value, message = VARIABLE_MISTAKES[variable]
    said = mistakes(read, ROOM + FEED, {variable: value})
    assert said == [f"environment {variable}: {message}"]


def test_two_ids_that_a_variable_cannot_tell_apart_are_said_to_be_so(read: Load) -> None:
    rooms = ROOM.replace("main", "a-b") + ROOM.replace("main", "a_b").replace('"1"', '"2"')
    assert mistakes(read, rooms, {"FRONTROW__ROOMS__A_B__TITLE": "x"}) == [
        "environment FRONTROW__ROOMS__A_B__TITLE: rooms.a_b: is the name of several elements; use the index"
    ]
    assert read(rooms, {"FRONTROW__ROOMS__1__TITLE": "x"}).rooms[1].title == "x"


def test_a_section_of_the_wrong_type_is_one_mistake_also_when_a_variable_reaches_into_it(read: Load) -> None:
    assert mistakes(read, "server = 1", {"FRONTROW__SERVER__PORT": "1"}) == [
        "1:1: server: expected a table, got a whole number"
    ]


def test_a_variable_for_what_a_syntax_mistake_hides_is_not_blamed(read: Load) -> None:
    text = ROOM + FEED.replace('id = "in"', "id = in")
    assert [line[:4] for line in mistakes(read, text, {"FRONTROW__FEEDS__IN__PORT": "1"})] == ["6:6:"]


# ───── Secrets ─────

GEHEIM = "geheim-8f14e45f"


def test_secrets_come_from_files_without_white_space_around_them(read: Load, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xef\xbb\xbf  top secret\r\n\n")
    (tmp_path / "user").write_text("anna\n")
    config = read(ROOM + FEED + 'password_file = "secret"\nuser_file = "user"\nca_file = "ca.pem"')
    assert config.feeds[0].options == BrokerOptions(
        host="h", password="top secret", user="anna", ca_file="ca.pem"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b" \n", "is empty"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"x" * 65_537, "is larger than 65_536 bytes"),
    ],
)
def test_a_secrets_file_that_holds_none_is_a_mistake(
    read: Load, tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "secret").write_bytes(content)
    said = mistakes(read, SINK + 'api_token_file = "secret"')
    assert said == [f'4:1: sinks[0].api_token_file: the file "secret" {reason}']


def test_a_channels_code_is_shown_though_other_codes_are_secrets(read: Load) -> None:
    shown = dump(read('[[channels]]\ncode = "poster"'))
    assert shown["channels"][0]["code"] == "poster"


def test_a_secret_is_used_as_text_but_never_shown() -> None:
    secret = SecretText(GEHEIM)
    assert f"Bearer {secret}" == f"Bearer {GEHEIM}"
    assert secret == GEHEIM
    assert GEHEIM not in repr(secret)
    assert GEHEIM not in repr([secret])


def test_no_repr_and_no_dump_shows_a_secret(read: Load, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(GEHEIM)
    config = read(
        ROOM
        + FEED
        + 'password_file = "secret"\n'
        + SINK
        + f'api_token = "{GEHEIM}"\nheaders = {{ Authorization = "{GEHEIM}" }}\n'
        + SINK.replace("out", "other"),
        {"FRONTROW__SINKS__OTHER__API_TOKEN": GEHEIM},
    )
    assert repr(config).count("***") == 4
    assert GEHEIM not in repr(config)
    dumped = dump(config)
    assert GEHEIM not in str(dumped)
    assert dumped["feeds"][0] == {
        "id": "in", "room": "main", "connector": "broker", "enabled": True, "host": "h", "port": 1883, "wait_s": 1.0,
        "topics": [], "tls": False, "user": None, "password": "***", "ca_file": None,
    }  # fmt: skip
    assert dumped["sinks"][0]["headers"] == {"Authorization": "***"}
    assert dumped["server"]["port"] == 8787
    assert dumped["storage"] == {"path": "data/frontrow.db", "snapshot_every_s": 60}


@pytest.mark.parametrize(
    "text",
    [
        ROOM.replace("shop", "douyin")
        + f'[[feeds]]\nid="in"\nroom="main"\nconnector="push"\nsecret = ["{GEHEIM}"]',
        ROOM + FEED + f"password = {GEHEIM}",
        ROOM + FEED + f'password = "{GEHEIM}',
        ROOM + FEED + f'password = "{GEHEIM}"\npassword = "{GEHEIM}"',
        ROOM + FEED + f'pasword = "{GEHEIM}"',
        ROOM + FEED + f'password = "{GEHEIM}"\npassword_file = "x"',
        ROOM + FEED + f'password = {{ x = "{GEHEIM}" }}',
        SINK + f'api_token = "bad-{GEHEIM}"',
        SINK + f'headers = [ "{GEHEIM}" ]',
        SINK + f'headers = "{GEHEIM}"',
        f'"{GEHEIM} = 1',
    ],
)
def test_no_mistake_shows_a_secret(read: Load, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert GEHEIM not in str(caught.value)
    assert GEHEIM not in repr(caught.value)
    assert GEHEIM not in repr(caught.value.mistakes)


# ───── Any text ─────

_WORDS = st.sampled_from(
    ["server", "port", "log", "level", "rooms", "feeds", "sinks", "id", "room", "kind", "connector", "broker", "hook",
     "points", "rules", "name", "signal", "=", "[", "]", "[[", "]]", "{", "}", ",", ".", '"', "\'\'\'", '"""', "#", "1",
     "-1", "1e400", "0xff", "true", "nan", "inf", "1979-05-27", "07:32:00", "[server]", "[[rooms]]", "[[feeds]]",
     "[points]", "\\u0041"]
)  # fmt: skip
_TOML_ISH = st.lists(st.one_of(_WORDS, st.sampled_from(["\n", " ", "\t", "\r\n", "=", "夏"]))).map("".join)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("any")


def loads_or_names_mistakes(folder: Path, content: bytes, environ: Mapping[str, str]) -> None:
    path = folder / "config.toml"
    path.write_bytes(content)
    try:
        config = load(path, environ=environ, connectors=CONNECTORS, sinks=SINKS)
    except ConfigError as error:
        assert error.mistakes
        places = [(mistake.line == 0, mistake.line, mistake.column) for mistake in error.mistakes]
        assert places == sorted(places)
    else:
        dump(config)


@settings(deadline=None, max_examples=150)
@given(content=st.one_of(st.binary(max_size=200), _TOML_ISH.map(str.encode)))
@example(content=b"[points.rules]\n")
@example(content=b"[[server]]\n[[points]]\nrules = 1\n")
@example(content=b"feeds = [[], {connector = []}, {connector = 'broker', host = {}}]")
@example(content=b"'' = {'' = {'' = 1}}")
@example(content=("a." * 3_000 + "a = 1").encode())
@example(content="a = 1\n[\ufffd1]\nb = \n".encode())
def test_any_bytes_give_a_configuration_or_mistakes_in_order(folder: Path, content: bytes) -> None:
    loads_or_names_mistakes(folder, content, {})


_NAMES = st.lists(
    st.sampled_from(
        ["SERVER", "PORT", "FEEDS", "IN", "0", "POINTS", "RULES", "GROUP_CAPS", "ROOMS", "ID", "", "x"]
    ),
    min_size=1,
    max_size=4,
).map(lambda names: "FRONTROW__" + "__".join(names))
_VALUES = st.one_of(
    st.text(max_size=20), st.sampled_from(["[]", "{}", "[{}]", "1", "[{id = 1}]", "[[", "\udc80"])
)


@settings(deadline=None, max_examples=150)
@given(environ=st.dictionaries(_NAMES, _VALUES, max_size=4))
def test_any_variables_give_a_configuration_or_mistakes(folder: Path, environ: dict[str, str]) -> None:
    loads_or_names_mistakes(folder, (ROOM + FEED).encode(), environ)


_KEYS = st.one_of(
    st.from_regex(re.compile(r"[A-Za-z0-9_-]{1,5}"), fullmatch=True),
    st.sampled_from(["夏", "a b", "a.b", ""]),
)
_TREE = st.recursive(
    st.integers(0, 9),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=3)),
)


def as_toml(value: Any) -> str:
    match value:
        case dict():
            return "{ " + ", ".join(f'"{key}" = {as_toml(each)}' for key, each in value.items()) + " }"
        case list():
            return "[ " + ", # x\n".join(map(as_toml, value)) + "\n]"
    return str(value)


def paths_of(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield (*at, key)
        yield from paths_of(each, (*at, key))


@settings(deadline=None, max_examples=150)
@given(data=st.dictionaries(_KEYS, _TREE, max_size=4), tables=st.lists(_TREE, max_size=3))
def test_the_index_has_the_keys_that_the_values_have(data: dict[str, Any], tables: list[Any]) -> None:
    data.pop("list", None)
    text = "".join(f'"{key}" = {as_toml(value)}\n' for key, value in data.items())
    text += "".join(f'[[list]] # {number}\n"in" = {as_toml(each)}\n' for number, each in enumerate(tables))
    assert {path for path, _ in index_keys(text)} == set(paths_of(tomllib.loads(text)))
