"""Messages to customers on their last yards: addressed when they are sent, and not sent any more where they may not be."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from frontrow.app.lead_centre import make_policy
from frontrow.app.parts import load_config, make_pack
from frontrow.app.touching import (
    AGAIN_MS,
    CustomerSink,
    Reached,
    TouchOutbox,
    texts_without_template,
    touch_sinks,
)
from frontrow.config import Config
from frontrow.core.alerts import CustomerTouch, Delivery, event_type
from frontrow.core.centre.clock import QuietHours
from frontrow.core.centre.nurture import CustomerFacts, Occasion, TouchLimits
from frontrow.core.errors import ConfigError, SinkBusy, SinkRefused
from tests.support.alerts import an_alert
from tests.support.clock import ManualClock
from tests.support.feeds import FailedIntake
from tests.support.outbox import FakeOutboxStore
from tests.support.rooms import START

NUMBER = "13800138001"
FREE = CustomerFacts(customer="C1", channels=("sms",))
LIMITS = TouchLimits(quiet_hours=())
TOUCH = CustomerTouch(name="touch.T1", rule="welcome", channel="sms", text="welcome", customer="C1")


class Recorder:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.taken: list[Delivery] = []

    async def deliver(self, deliveries: Sequence[Delivery]) -> str | None:
        self.taken += deliveries
        return "r1"

    async def close(self) -> None:
        pass


def delivery(touch: CustomerTouch | None = TOUCH) -> Delivery:
    purpose: Any = "lead" if touch is None else "touch"
    return Delivery("sms:touch.T1", msgspec.structs.replace(an_alert(), purpose=purpose, touch=touch), 1)


async def send(found: Reached | None | Exception, *what: Delivery) -> list[Delivery]:
    async def reach(lead: str) -> Reached | None:
        if isinstance(found, Exception):
            raise found
        return found

    sink = Recorder()
    wrapped = CustomerSink(sink, reach, clock=ManualClock(), phone_region="CN")
    assert await wrapped.deliver(what or [delivery()]) == "r1"
    return sink.taken


def reached(**changes: Any) -> Reached:
    given: dict[str, Any] = {
        "facts": FREE,
        "limits": LIMITS,
        "ids": {},
        "contact": None,
        "fields": {"手机": NUMBER},
    }
    return Reached(**given | changes)


async def test_a_text_message_gets_its_number_only_when_it_is_sent() -> None:
    stored = delivery()
    assert NUMBER not in msgspec.json.encode(stored.alert).decode()
    [sent] = await send(reached(), stored)
    assert sent.alert.to is not None and sent.alert.to.mobile == f"+86{NUMBER}"
    assert event_type(sent.alert) == "lead.touch_due"


async def test_a_program_gets_the_ids_that_its_own_system_knows_and_no_number() -> None:
    wechat = msgspec.structs.replace(TOUCH, channel="wechat")
    [sent] = await send(reached(ids={"wecom": ["wm1"], "crm": []}), delivery(wechat))
    assert sent.alert.to is None and sent.alert.touch is not None
    assert sent.alert.touch.reach == {"wecom": ["wm1"]}
    assert NUMBER not in msgspec.json.encode(sent.alert).decode()


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (None, "no such lead"),
        (reached(facts=msgspec.structs.replace(FREE, do_not_contact=True)), "wants no contact"),
        (reached(facts=msgspec.structs.replace(FREE, opted_out=("sms",))), "stopped this channel"),
        (reached(fields=None), "not there any more"),
        (reached(fields={"手机": "13800"}), "not there any more"),
    ],
)
async def test_what_may_not_be_sent_any_more_is_not_sent(found: Reached | None, why: str) -> None:
    """Between the decision and the sending a consent may be taken back, or a person erased."""
    with pytest.raises(SinkRefused, match=why):
        await send(found)


async def test_nobody_is_written_to_in_quiet_hours_that_have_begun_meanwhile() -> None:
    clock = ManualClock()
    here = datetime.fromtimestamp(clock.now() / 1000, ZoneInfo("Asia/Shanghai"))
    begin, end = (f"{here + timedelta(minutes=each):%H:%M}" for each in (-30, 30))
    with pytest.raises(SinkRefused, match="quiet hours"):
        await send(reached(limits=TouchLimits(quiet_hours=(QuietHours(start=begin, end=end),))))


async def test_a_database_that_is_away_only_delays_it() -> None:
    with pytest.raises(SinkBusy):
        await send(OSError("gone"))


async def test_other_alerts_pass_as_they_are() -> None:
    alerts = [delivery(None), replace(delivery(None), key="k2")]
    assert await send(OSError("never asked"), *alerts) == alerts


async def test_a_customers_message_is_never_put_together_with_others() -> None:
    with pytest.raises(SinkRefused):
        await send(reached(), delivery(), delivery())


SMS = """
[[sinks]]
id = "sms"
kind = "sms"
access_key_id = "id"
access_key_secret = "secret"
sign_name = "签名"
templates = { touch_welcome = "SMS_1" }
"""
HOOK = """
[[sinks]]
id = "hook"
kind = "webhook"
lifecycle = true
url = "https://example.com/hook"
secret = "sixteen bytes or more"
"""


@pytest.mark.parametrize("closed", [True, False])
async def test_what_became_of_a_message_waits_where_the_journal_has_failed(closed: bool) -> None:
    """The daemon ends by the journal's error; after the next start the message is refused again, and told then."""
    store = FakeOutboxStore()
    id = store.add("sms", delivery().alert, START)
    outbox = TouchOutbox(store, FailedIntake(closed=closed))
    await outbox.due("sms", START, 10)
    await outbox.dead([id], START, "no such number")
    assert store.dead_letters() == {}
    assert await outbox.due("sms", START, 10) == []
    assert [row.id for row in await outbox.due("sms", START + AGAIN_MS, 10)] == [id]


def config(folder: Path, text: str) -> Config:
    path = folder / "config.toml"
    path.write_text(text, "utf-8")
    return load_config(path, {})


def test_channels_are_those_that_something_sends_on(tmp_path: Path) -> None:
    assert touch_sinks(config(tmp_path, "")) == {"sms": [], "wechat": [], "email": []}
    both = touch_sinks(config(tmp_path, SMS + HOOK))
    assert both == {"sms": ["sms"], "wechat": ["hook"], "email": ["hook"]}
    assert touch_sinks(config(tmp_path, HOOK.replace("lifecycle = true", "")))["wechat"] == []
    assert touch_sinks(config(tmp_path, SMS.replace("touch_welcome", "todo")))["sms"] == []


def test_texts_without_a_template_are_named(tmp_path: Path) -> None:
    on = config(tmp_path, "[centre.touch]\nsend = true\n" + SMS)
    assert texts_without_template(on) == ["invitation", "offer", "wake"]
    assert texts_without_template(config(tmp_path, SMS)) == []


OCCASION = """
[[centre.occasions]]
kind = "campaign"
occasion = "double-eleven"
opens = "2026-11-10T20:00:00+08:00"
ends = "2026-11-12T00:00:00+08:00"
lines = ["beauty/skincare"]
"""


def test_broadcasts_and_campaigns_are_planned_in_the_configuration(tmp_path: Path) -> None:
    loaded = config(tmp_path, OCCASION)
    [planned] = make_policy(loaded, make_pack(loaded)).occasions
    assert planned == Occasion(
        kind="campaign",
        occasion="double-eleven",
        opens_at=1_794_312_000_000,
        ends_at=1_794_412_800_000,
        lines=(("beauty", "skincare"),),
    )


@pytest.mark.parametrize(
    "text",
    [
        OCCASION.replace("+08:00", ""),
        OCCASION.replace("2026-11-12", "2026-11-09"),
        OCCASION.replace("campaign", "party"),
        """[[centre.touch_rules]]
name = "twice"
point = "welcome"
channel = "sms"
text = "a"
"""
        * 2,
    ],
    ids=["no zone", "ends before it opens", "unknown", "one name twice"],
)
def test_a_plan_that_cannot_be_kept_is_a_mistake_of_the_configuration(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        config(tmp_path, text)
