"""Rows and states as the daemon sends them to the host's page; every viewer is invented."""

from typing import Any

import msgspec
import numpy as np

from frontrow.core.features import COUNT, NAMES
from frontrow.core.scoring import Weights, sigmoid
from frontrow_models.arena import Standing
from frontrow_models.calibration import Calibration
from frontrow_models.evaluation.guard import Alarm
from frontrow_models.evaluation.judging import Column, judge
from frontrow_models.evaluation.latency import HotToOutcome
from frontrow_models.evaluation.rolling import Report, Rows, report
from frontrow_models.evaluation.verdict import Comparison, verdict
from frontrow_models.reasons import explain
from frontrow_models.served import SERVED

NOW = 1_750_000_000_000
MINUTE = 60_000

Json = dict[str, Any]


def rule(name: str, points: int, **more: Any) -> Json:
    return {"kind": "rule", "name": name, "points": points, **more}


def feature(name: str, logit: float, value: float = 1.0) -> Json:
    return {"kind": "feature", "name": name, "logit": logit, "value": value}


CLICK = rule("product_click", 30, count=1)
PRICE_3 = rule("question", 15, count=3, by={"price": 3})
STAYED_18 = rule("watched", 5, value=1_080.0)


def row(viewer: str, name: str | None = None, *, grade: str = "hot", points: int = 85, **more: Any) -> Json:
    return {
        "platform": "douyin",
        "room": "r1",
        "session": "s1",
        "viewer": viewer,
        "name": viewer if name is None else name,
        "grade": grade,
        "points": points,
        "probability": None,
        "interval": None,
        "reasons": [CLICK, PRICE_3, STAYED_18],
        "last_at": NOW,
        "hot_at": NOW if grade == "hot" else None,
        "lead": None,
        "fan": False,
        "staff": False,
        "words": None,
        **more,
    }


def feed(state: str = "connected", **more: Any) -> Json:
    return {"id": "douyin-push", "connector": "douyin", "state": state, "detail": "", "retry_in_s": None,
            "since": NOW - 30 * MINUTE, **more}  # fmt: skip


def state(**more: Any) -> Json:
    return {
        "now": NOW,
        "room": {"id": "demo", "platform": "douyin", "title": "夏季新品专场"},
        "session": "s1",
        "started_at": NOW - 4_360_000,  # 01:12:40 ago
        "ended": False,
        "feeds": [feed()],
        "last_event_at": NOW - 1_000,
        "viewers_online": 1_204,
        "events_per_minute": 86,
        "viewers": 30,
        "hot": 0,
        "warm": 0,
        "product": "3号 亚麻衬衫",
        "model": {
            "enabled": True,
            "ready": False,
            "labels": 37,
            "positives": 4,
            "final": 21,
            "final_positives": 2,
        },
        "dropped": 0,
        **more,
    }


READY = {"enabled": True, "ready": True, "labels": 1_260, "positives": 48}


def snapshot(*rows: Json, seq: int = 1, **of_state: Any) -> Json:
    return {"type": "snapshot", "seq": seq, "state": state(**of_state), "viewers": list(rows)}


def delta(*rows: Json, seq: int, gone: tuple[str, ...] = ()) -> Json:
    return {"type": "delta", "seq": seq, "viewers": list(rows), "gone": list(gone)}


def why(viewer: str, **more: Any) -> Json:
    """All that one viewer's numbers are made of, as the daemon answers it; the numbers are a real pipeline's."""
    weights, inputs = np.zeros(COUNT), np.zeros((1, COUNT))
    for name, weight, count in (("clicks_5m", 0.9, 2.0), ("price_5m", 0.7, 3.0), ("likes_30m", -0.2, 4.0)):
        weights[NAMES.index(name)], inputs[0, NAMES.index(name)] = weight, np.log1p(count)
    weighed = Weights(np.full(COUNT, 0.1), np.ones(COUNT), weights, -2.9)
    found = explain(weighed, Calibration(1.1, 0.25, {}, True, -0.3), inputs, "douyin/r1")
    return {"room": "demo", "session": "s1", "viewer": viewer, "at": NOW, "grade": "hot", "points": 92, "rules": [CLICK],
            "state": "ready", "probability": found.probability, "interval": [0.2, 0.4], "labels": 1_260, "positives": 48,
            "explanation": msgspec.to_builtins(found), "model": "3f1c9a7be2d04a55", **more}  # fmt: skip


def told(rows: int = 20_000, **more: Any) -> Json:
    """What the daemon tells of its model: figures that the judge really gives of invented rows, and a challenger."""
    dice = np.random.default_rng(4)
    truth = dice.normal(-4.0, 1.4, rows)
    outcomes = dice.random(rows) < sigmoid(truth)
    shown = sigmoid(0.9 * truth + dice.normal(0, 0.4, rows))
    served = np.column_stack((shown, sigmoid(truth - 0.4), np.full(rows, 0.031), truth + dice.normal(0, 2, rows),
                              truth + dice.normal(0, 4, rows)))  # fmt: skip
    causes = np.where(outcomes, np.arange(rows), -1)
    at = NOW + np.arange(rows) * 1_000
    judged = report(
        SERVED,
        Rows(
            served,
            outcomes,
            at,
            at,
            np.zeros(rows, np.int64),
            causes,
            np.ones(rows),
            np.zeros(rows),
            np.arange(rows),
        ),
        waiting=900,
    )
    trial = judge(Column("slow"), sigmoid(truth - 0.1), outcomes, at // 3_600_000, causes, np.arange(rows))
    compared = Comparison(
        labels=rows, outcomes=int(outcomes.sum()), blocks=31, rooms=4, clipped=0,
        advantage=0.0012, any_time=(-0.0004, 0.0028), by_room=None,
    )  # fmt: skip
    standing = Standing(Report(rows, 0.04, [*judged.columns, trial]), {"slow": verdict(compared)}, missed=0)
    values = {"enabled": True, "version": "3f1c9a7be2d04a55", "ready": True, "labels": 21_400, "positives": 612, "frozen": False,
              "outcome": "order_paid or form_submit within 60 minutes of a look at a viewer; taken back by order_refunded", "other_outcome": None,
              "rollbacks": 1, "alarms": [Alarm("calibration", "412 positives were expected and 180 came", True)],
              "report": judged, "challengers": standing, "hot_to_outcome": HotToOutcome(41, 9, 440.0, 0.22)}  # fmt: skip
    found: Json = msgspec.to_builtins(values | more)
    return found


def evening() -> Json:
    """An ordinary evening at its height: five hot, more warm, the model ready."""
    parts = [feature("intercept", -3.1), feature("clicks_5m", 1.42), feature("price_5m", 0.86), feature("watched_min", 0.31),
             feature("clicks_30m", -0.2), feature("carts_30m", 0.22), feature("likes_5m", -0.27, 0.0),
             feature("room_viewers", -0.12), {"kind": "feature", "name": "others", "logit": 0.04}]  # fmt: skip
    asked = rule("question", 15, count=4, by={"price": 3, "stock": 1})
    rows = [
        row("v01", "小雨点儿", points=100, probability=0.38, interval=[0.27, 0.49], last_at=NOW - 4_000, hot_at=NOW - 4 * MINUTE, lead="L-000318",
            words="这件有没有 XL 码？今天下单几号能发货", fan=True,
            reasons=[rule("form_submit", 50, count=1), CLICK, rule("phone", 20, count=1), asked, STAYED_18, *parts]),
        row("v02", "阿泽", points=95, probability=0.31, interval=[0.22, 0.41], last_at=NOW - 2 * MINUTE, hot_at=NOW - 9 * MINUTE, lead="L-000312",
            reasons=[rule("form_submit", 50, count=1), rule("cart_add", 20, count=2), asked, *parts]),
        row("v03", "Luna 今天也要早睡", points=85, probability=0.27, interval=[0.2, 0.35], last_at=NOW - 40_000, lead="L-000309",
            words="怎么分期", reasons=[CLICK, rule("cart_add", 20, count=1), rule("question", 15, count=2, by={"instalment": 2}), *parts]),
        row("v04", "山里的风", points=80, probability=0.22, last_at=NOW - 6 * MINUTE,
            reasons=[CLICK, rule("cart_add", 20, count=1), rule("watched", 5, value=2_460.0, inferred=True), *parts]),
        row("v05", "Marta K.", points=80, probability=0.19, last_at=NOW - 3 * MINUTE,
            reasons=[CLICK, rule("comments", 10, count=7), rule("mention_host", 5, count=2), *parts]),
        row("v06", "豆豆妈妈", grade="warm", points=65, probability=0.12, interval=[0.09, 0.16], last_at=NOW - 15_000, fan=True,
            reasons=[CLICK, rule("question", 15, count=2, by={"price": 2}), rule("raffle", 10, count=1), *parts]),
        row("v07", "一只橘猫", grade="warm", points=50, probability=0.08, last_at=NOW - MINUTE,
            reasons=[CLICK, rule("question", 15, count=1, by={"spec": 1}), STAYED_18, *parts]),
        row("v08", "Kenji", grade="warm", points=45, probability=0.05, interval=[0.008, 0.07], last_at=NOW - 11 * MINUTE,
            reasons=[CLICK, rule("comments", 10, count=4), STAYED_18, *parts]),
        *(row(f"w{n:02}", f"路人 {n}", grade="warm", points=40, probability=0.03, last_at=NOW - n * MINUTE) for n in range(1, 10)),
    ]  # fmt: skip
    return snapshot(*rows, seq=41, hot=5, warm=12, model=READY)
