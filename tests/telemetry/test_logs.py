"""What a log line may hold: facts for ops, never a secret or somebody's number."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from frontrow.telemetry import logs


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure(level="info", format="json", stream=stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


def line(written: io.StringIO) -> dict[str, Any]:
    [text] = written.getvalue().splitlines()
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize(
    "name", ["token", "access_token", "secret", "password", "api_key", "Authorization", "key"]
)
def test_a_field_named_like_a_secret_is_hidden_whatever_it_holds(name: str, written: io.StringIO) -> None:
    structlog.get_logger("t").info("tried", **{name: "abc"})
    assert line(written)[name] == logs.MASK


@pytest.mark.parametrize(
    "text",
    [
        "GET /host/demo?token=fr_abcdef&lang=en",
        "POST https://robot.example/send?key=abcdef",
        "Authorization: Bearer abcdef",
        "call 13800138000",
        "call 138 0013 8000 now",
    ],
)
def test_secrets_and_numbers_inside_a_text_are_masked(text: str, written: io.StringIO) -> None:
    structlog.get_logger("t").info("seen", detail=text, deep={"list": [text]})
    whole = json.dumps(line(written))
    assert "abcdef" not in whole
    assert "8000" not in whole.replace("****8000", "")


def test_a_traceback_is_masked_too(written: io.StringIO) -> None:
    try:
        raise ValueError("cannot call 13800138000 with token=fr_abcdef")
    except ValueError:
        structlog.get_logger("t").exception("failed")
    whole = json.dumps(line(written))
    assert "ValueError" in whole
    assert "0013" not in whole
    assert "fr_abcdef" not in whole


def test_a_versions_name_stays_whole_so_that_it_can_be_asked_for(written: io.StringIO) -> None:
    name = "1a827" + "13800138000" + "c" * 48
    structlog.get_logger("t").info("promoted", version=name, replaces=name)
    structlog.get_logger("t").info("promoted", version="13800138000", replaces=f"{name}13800138000")
    first, second = map(json.loads, written.getvalue().splitlines())
    assert (first["version"], first["replaces"]) == (name, name)
    assert "13800138000" not in f"{second['version']}{second['replaces']}"


def test_a_leads_id_stays_whole_so_that_a_line_can_be_joined_with_the_lead(written: io.StringIO) -> None:
    structlog.get_logger("t").info("lead_created", lead="L13800138000ab0123456", points=80)
    assert (line(written)["lead"], line(written)["points"]) == ("L13800138000ab0123456", 80)


def test_the_standard_librarys_logs_take_the_same_way(written: io.StringIO) -> None:
    logging.getLogger("somebody").warning("number %s", "13800138000")
    found = line(written)
    assert (found["level"], found["logger"]) == ("warning", "somebody")
    assert "0013" not in found["event"]
