"""The job of ``frontrow replay FILE --journal PATH``, written the obvious way: what its speed is held against.

Run: ``python -m tests.benchmarks.baseline FILE --journal PATH --out DIR [--first EVENTS]``

As a good Python developer would write it who takes one event after another: orjson to dictionaries, an object with a
dictionary of faded counts per viewer, River's pipeline asked at each event of a viewer and taught label by label, a
a loop over the points table, one INSERT per event. It uses what the product offers in public (the lexicon, finding and
taking out numbers, ids of leads, the points table) and none of its inside: no frames, no arrays, no forward decay.
Nothing in it is slower than need be: names are redacted through a cache, half-lives' factors are computed once an
event, points are added up only where something has changed.

It does the same work: duplicates → intents, numbers, redaction → sessions, watching, points, grade → features →
probability → leads with their reasons → a journal that is on the disk (WAL, ``synchronous=FULL``, a commit for each 8 ×
1,024 events) → a last line per viewer. ``tests/app/test_baseline.py`` holds its points, grades, rules' reasons,
features and leads against the product's. Where it differs, it does less, or what it does costs it no more:

- It checks nothing of an event but that it is JSON, refuses no bounds, and knows only points tables like the default
  one (rules per session that do not fade and have no group).
- Its table of seen ids forgets nothing, where the product's forgets after 24 h. It keeps no checksums.
- A probability is computed and thrown away for each event of a viewer, as somebody does who shows it live; the
  product computes one for each viewer of a frame.
- A snapshot is taken at the event, where the product takes it at the next mark (a multiple of 250 ms), and is learnt once,
  when its horizon has passed; the product learns it after a window of its own, again if its outcome comes later, and
  calibrates and judges on the final one. So this learns fewer labels, later, and judges none. River's scaler learns
  from labels, in ``learn_one`` as River has it; the product's from all that was served. It descends by SGD, the
  product by AdaGrad. So probabilities differ, and what follows from points does not.
- A late event without a session's name joins the present session, whichever it falls into.
"""

import argparse
import functools
import json
import math
import sqlite3
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from river import linear_model, optim, preprocessing

from frontrow.app.parts import make_lexicons
from frontrow.config import Config, defaults
from frontrow.core import facts as fact
from frontrow.core.contact import (
    find_phone,
    form_facts,
    redact_extra,
    redact_fields,
    redact_label,
    redact_text,
)
from frontrow.core.events import DAEMON_KINDS, KINDS, PEOPLE_KINDS
from frontrow.core.explaining import OTHERS, TOLD
from frontrow.core.features import NAMES
from frontrow.core.intents import RoomLexicon
from frontrow.core.leads import COLD, GRADES, HOT, grade_after, lead_id
from frontrow.core.points import Rule, policy_id

Event = dict[str, Any]
Features = dict[str, float]
Reasons = list[dict[str, Any]]

EVENTS_PER_COMMIT = 8 * 1024
MINUTE_MS = 60_000.0
HALF_LIFE_MS = {"1m": MINUTE_MS, "5m": 5 * MINUTE_MS, "30m": 30 * MINUTE_MS}
FADING = {name: name.rpartition("_")[2] for name in NAMES if name.rpartition("_")[2] in HALF_LIFE_MS}
FEEDS = {  # kind, or what a comment is about → features
    "comment": ("comments_1m", "comments_5m", "comments_30m"),
    "question": ("questions_1m", "questions_5m", "questions_30m"),
    "price": ("price_5m",),
    "closing": ("closing_5m",),
    "mention": ("mentions_5m",),
    "like": ("likes_1m", "likes_5m", "likes_30m"),
    "product_click": ("clicks_1m", "clicks_5m", "clicks_30m"),
    "cart_add": ("carts_5m", "carts_30m"),
    "coupon_claim": ("carts_5m",),
    "gift": ("gifts_5m", "gifts_30m"),
    "follow": ("social_5m", "social_30m"),
    "share": ("social_5m", "social_30m"),
    "fan_club": ("social_5m", "social_30m"),
    "lottery_join": ("games_5m",),
    "vote": ("games_5m",),
}
COMMENT_FEEDS = (
    (fact.QUESTION, "question"),
    (fact.PRICE | fact.DISCOUNT, "price"),
    (fact.STOCK | fact.DELIVERY | fact.INSTALMENT | fact.BUY, "closing"),
    (fact.HOST, "mention"),
)
COMMENT_SIGNALS = (
    (fact.QUESTION, "question"),
    (fact.HOST, "mention_host"),
    (fact.RAFFLE_WORD, "raffle"),
    (fact.CONTACT, "contact"),
)
SIGNALS = {"comment": "comments", "lottery_join": "raffle", "vote": "raffle"}  # of other kinds their own name
INTENTS = {
    "price": fact.PRICE,
    "discount": fact.DISCOUNT,
    "spec": fact.SPEC,
    "stock": fact.STOCK,
    "delivery": fact.DELIVERY,
    "instalment": fact.INSTALMENT,
    "warranty": fact.WARRANTY,
    "buy": fact.BUY,
}
LABELS = ("gift", "form", "host", "campaign", "note")

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE events (
  platform TEXT, room TEXT, id TEXT, at INTEGER, kind TEXT, viewer TEXT, facts INTEGER, body BLOB
);
CREATE TABLE leads (lead TEXT PRIMARY KEY, decided_at INTEGER, body TEXT);
"""
CHOOSING = (
    "product_click",
    "cart_add",
    "coupon_claim",
    "booking",
    "order_created",
    "order_paid",
    "form_submit",
)


@dataclass(slots=True)
class Session:
    """One broadcast."""

    id: str
    started_at: int
    last_at: int
    ended_at: int | None = None
    viewers: dict[str, "Viewer"] = field(default_factory=dict)
    online: int = 0
    rate: float = 0.0  # events, faded with a half-life of a minute
    rate_at: int = 0
    orders: float = 0.0  # outcomes, faded with a half-life of half an hour
    orders_at: int = 0
    bought: set[str] = field(default_factory=set)
    product: str | None = None
    product_at: int | None = None
    host: str | None = None
    campaign: str | None = None


@dataclass(slots=True)
class Room:
    platform: str
    room: str
    lexicon: RoomLexicon
    seen: set[str] = field(default_factory=set)
    sessions: dict[str, Session] = field(default_factory=dict)
    visits: Counter[str] = field(default_factory=Counter)  # viewer → sessions so far
    buyers: Counter[str] = field(default_factory=Counter)  # viewer → sessions so far with an outcome
    current: Session | None = None


@dataclass(slots=True)
class Viewer:
    """One viewer in one session."""

    id: str
    room: Room
    session: Session
    earlier_sessions: int
    earlier_orders: int
    first_at: int
    last_at: int
    entered_at: int = 0
    left_at: int = 0
    observed_ms: int = 0
    observed: bool = False
    enters: int = 0
    fan: bool = False
    fan_before: bool = False
    staff: bool = False
    faded: Features = field(default_factory=dict)
    faded_at: int = 0
    counts: dict[str, int] = field(default_factory=dict)  # rule → occurrences
    intents: dict[str, int] = field(default_factory=dict)
    points: int = 0
    grade: int = COLD
    probability: float = 0.5
    lead: bool = False
    product: str | None = None  # chosen last
    snapshot_bucket: int = -1

    def watched_ms(self) -> int:
        if not self.observed:
            return max(0, self.last_at - self.first_at)
        going_on = max(0, self.last_at - self.entered_at) if self.entered_at else 0
        return self.observed_ms + going_on


@dataclass(slots=True, eq=False)
class Snapshot:
    """What the model was asked, until it is known what came of it."""

    owner: tuple[str, str, str]
    at: int
    features: Features
    outcome: bool = False


class Baseline:
    """All state, and what is done to it event by event."""

    def __init__(self, config: Config, journal: sqlite3.Connection) -> None:
        self.config = config
        self.policy = config.points
        self.policy_id = policy_id(self.policy)
        self.rules_of: defaultdict[str, list[Rule]] = defaultdict(list)  # by the signal that they watch
        for rule in self.policy.rules:
            self.rules_of[rule.signal].append(rule)
            if rule.per != "session" or rule.half_life_s or rule.group:
                raise ValueError(f"only rules per session that do not fade and have no group: {rule.name}")
        self.outcome_kinds = set(config.outcome.kinds)
        self.horizon_ms = config.outcome.horizon_s * 1000
        self.region = config.intents.phone_region
        self.lexicons = make_lexicons(config)
        self.journal = journal
        self.model = preprocessing.StandardScaler() | linear_model.LogisticRegression(
            optimizer=optim.SGD(config.model.learning_rate),
            l2=config.model.l2,
            intercept_lr=config.model.learning_rate,
        )
        self.rooms: dict[tuple[str, str], Room] = {}
        self.pending: deque[Snapshot] = deque()
        self.pending_of: dict[tuple[str, str, str], list[Snapshot]] = {}
        self.now = 0
        self.events = self.duplicates = self.rejected = self.labels = self.positives = 0
        self.leads: list[Event] = []

    # ------------------------------------------------------------------ one event

    def run(self, lines: Iterable[bytes]) -> None:
        """Take all lines; when this returns they are durable."""
        self.journal.execute("BEGIN")
        for line in lines:
            try:
                event = orjson.loads(line)
            except orjson.JSONDecodeError:
                self.rejected += 1
                continue
            self.take(event)
        self.journal.execute("COMMIT")

    def take(self, event: Event) -> None:
        room = self.room_of(event)
        if event["id"] in room.seen:
            self.duplicates += 1
            return
        room.seen.add(event["id"])
        self.events += 1
        facts = self.facts_of(event, room.lexicon)
        self.redact(event)
        self.now = max(self.now, event.get("seen_at") or event["at"])
        self.learn()
        self.score(room, event, facts)
        self.journal.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                event["platform"],
                event["room"],
                event["id"],
                event["at"],
                event["kind"],
                event.get("viewer"),
                facts,
                orjson.dumps(event),
            ),
        )
        if self.events % EVENTS_PER_COMMIT == 0:
            self.journal.execute("COMMIT")
            self.journal.execute("BEGIN")

    def score(self, room: Room, event: Event, facts: int) -> None:
        kind = event["kind"]
        if kind not in KINDS or kind in DAEMON_KINDS or kind in PEOPLE_KINDS:
            return
        at = min(event["at"], self.now)
        session = self.session_of(room, event, kind, at)
        name = event.get("viewer")
        if event.get("test"):
            if name is not None:
                self.viewer_of(room, session, name, at)
            return
        if name is None:
            self.note_room(session, event, kind, at)
            return
        viewer = self.viewer_of(room, session, name, at)
        if event.get("staff"):
            viewer.staff, viewer.grade, viewer.points = True, COLD, 0
            return
        fan = event.get("fan")
        if fan is not None and kind not in self.outcome_kinds:
            viewer.fan_before, viewer.fan = viewer.fan, fan
        self.watch(viewer, kind, event, at)
        if kind in CHOOSING and event.get("product"):
            viewer.product = event["product"]
        self.count(viewer, kind, facts)
        self.fade(viewer, at)
        if kind in self.outcome_kinds:
            if not event.get("renewal") and (kind != "form_submit" or event.get("consent")):
                self.outcome(viewer, at)
        else:
            self.feed(viewer, kind, event, facts, at)
        features = self.features_of(viewer, self.now)
        viewer.probability = self.model.predict_proba_one(features)[True]
        bucket = self.now // (self.config.model.snapshot_every_s * 1000)
        if bucket != viewer.snapshot_bucket and kind not in self.outcome_kinds:
            viewer.snapshot_bucket = bucket
            self.snapshot(viewer, features)
        self.grade(viewer, features)

    # ------------------------------------------------------------------ words

    def facts_of(self, event: Event, lexicon: RoomLexicon) -> int:
        kind = event["kind"]
        if kind == "comment" and event.get("text"):
            facts = lexicon.detect(event["text"])
            phone = find_phone(event["text"], self.region)
            return facts | fact.PHONE_VALID if phone is not None and phone.valid else facts
        if kind == "form_submit" and event.get("fields"):
            found = form_facts(event["fields"], self.region)
            valid = found.phone is not None and found.phone.valid
            return (fact.PHONE_VALID if valid else 0) | (fact.COMPANY if found.company else 0)
        return 0

    def redact(self, event: Event) -> None:
        if event.get("text"):
            event["text"] = redact_text(event["text"])
        if event.get("name"):
            event["name"] = redacted_name(event["name"])
        for label in LABELS:
            if event.get(label):
                event[label] = redact_label(event[label], self.region)
        if event.get("fields"):
            event["fields"] = redact_fields(event["fields"], event.get("consent"))
        if event.get("extra"):
            event["extra"] = redact_extra(event["extra"], self.region)

    # ------------------------------------------------------------------ rooms, sessions, viewers

    def room_of(self, event: Event) -> Room:
        key = (event["platform"], event["room"])
        room = self.rooms.get(key)
        if room is None:
            room = self.rooms[key] = Room(*key, self.lexicons.of(*key))
        return room

    def session_of(self, room: Room, event: Event, kind: str, at: int) -> Session:
        name = event.get("session")
        if name is None:
            current = room.current
            name = f"auto-{at}" if current is None or self.over(current, at) else current.id
        session = room.sessions.get(name)
        if session is None:
            session = room.sessions[name] = Session(name, at, at)
        room.current = session
        if not event.get("test"):
            session.last_at = max(session.last_at, at)
            session.started_at = min(session.started_at, at)
            if kind == "room_end":
                session.ended_at = max(session.ended_at or 0, at)
            elapsed = at - session.rate_at
            if elapsed > 0:
                session.rate = session.rate * 0.5 ** (elapsed / MINUTE_MS) + 1.0
                session.rate_at = at
            else:
                session.rate += 0.5 ** (-elapsed / MINUTE_MS)
        return session

    def over(self, session: Session, at: int) -> bool:
        engine = self.config.engine
        if session.ended_at is not None and at > session.ended_at + engine.session_grace_s * 1000:
            return True
        return at > session.last_at + engine.session_silence_s * 1000

    def viewer_of(self, room: Room, session: Session, name: str, at: int) -> Viewer:
        viewer = session.viewers.get(name)
        if viewer is None:
            viewer = Viewer(name, room, session, room.visits[name], room.buyers[name], at, at, faded_at=at)
            session.viewers[name] = viewer
            room.visits[name] += 1
        return viewer

    def note_room(self, session: Session, event: Event, kind: str, at: int) -> None:
        if kind == "product_on_show":
            session.product, session.product_at = event.get("product"), at
        elif kind == "host_change":
            session.host = event.get("host")
        elif kind == "room_stats" and event.get("viewers") is not None:
            session.online = event["viewers"]
        if event.get("campaign") is not None:
            session.campaign = event["campaign"]

    def watch(self, viewer: Viewer, kind: str, event: Event, at: int) -> None:
        viewer.first_at = min(viewer.first_at, at)
        viewer.last_at = max(viewer.last_at, at)
        if kind == "enter":
            viewer.enters += 1
            if viewer.left_at > at:
                viewer.observed_ms += viewer.left_at - at
                viewer.observed = True
                viewer.left_at = 0
            elif viewer.entered_at == 0 or at < viewer.entered_at:
                viewer.entered_at = at
        elif kind == "leave":
            if viewer.entered_at and viewer.entered_at <= at:
                viewer.observed_ms += at - viewer.entered_at
                viewer.observed = True
                viewer.entered_at = 0
            else:
                viewer.left_at = max(viewer.left_at, at)
        elif kind == "stay" and event.get("seconds") is not None:
            viewer.observed_ms += math.ceil(event["seconds"] * 1000.0)
            viewer.observed = True
            viewer.entered_at = 0

    # ------------------------------------------------------------------ points, grade, lead

    def count(self, viewer: Viewer, kind: str, facts: int) -> None:
        signals = {SIGNALS.get(kind, kind)}
        if facts:
            if kind == "comment":
                signals.update(signal for mask, signal in COMMENT_SIGNALS if facts & mask)
                if facts & fact.QUESTION:
                    for name, mask in INTENTS.items():
                        if facts & mask:
                            viewer.intents[name] = viewer.intents.get(name, 0) + 1
            if facts & fact.PHONE_VALID:
                signals.add("phone")
            if facts & fact.COMPANY:
                signals.add("company")
        changed = False
        for signal in signals:
            for rule in self.rules_of.get(signal, ()):
                viewer.counts[rule.name] = viewer.counts.get(rule.name, 0) + 1
                changed = True
        for rule in self.rules_of["watched"]:
            watched = int(viewer.watched_ms() > rule.over_s * 1000.0)
            if watched != viewer.counts.get(rule.name, 0):
                viewer.counts[rule.name] = watched
                changed = True
        if changed:
            total = sum(worth(rule, viewer.counts.get(rule.name, 0)) for rule in self.policy.rules)
            viewer.points = min(self.policy.cap, max(0, total))

    def grade(self, viewer: Viewer, features: Features) -> None:
        if viewer.staff:
            return
        viewer.grade = grade_after(viewer.grade, viewer.points, self.policy)
        if viewer.grade != HOT or viewer.lead:
            return
        viewer.lead = True
        session, room = viewer.session, viewer.room
        lead = {
            "lead": lead_id(room.platform, room.room, session.id, viewer.id),
            "platform": room.platform,
            "room": room.room,
            "session": session.id,
            "viewer": viewer.id,
            "customer": None,
            "store": None,
            "grade": "hot",
            "quality": "Q2" if viewer.fan or viewer.earlier_sessions else "Q1",
            "points": viewer.points,
            "probability": viewer.probability if self.ready else None,
            "reasons": self.reasons(viewer, features),
            "decided_at": self.now,
            "policy": self.policy_id,
            "model": None,
            "host": session.host,
            "product": viewer.product or session.product,
            "campaign": session.campaign,
            "propensity": None,
        }
        self.leads.append(lead)
        self.journal.execute(
            "INSERT INTO leads VALUES (?, ?, ?)", (lead["lead"], self.now, orjson.dumps(lead).decode())
        )

    def reasons(self, viewer: Viewer, features: Features) -> Reasons:
        """Return the rules that fired, then the largest parts of the logit, the sum of the others, and the intercept."""
        found: Reasons = []
        for rule in self.policy.rules:
            count = viewer.counts.get(rule.name, 0)
            points = worth(rule, count)
            if not points:
                continue
            reason = {"kind": "rule", "name": rule.name, "points": points}
            if rule.signal == "watched":
                reason["value"] = viewer.watched_ms() / 1000.0
                reason["inferred"] = not viewer.observed or viewer.entered_at > 0
            else:
                reason["count"] = count
            if rule.signal == "question":
                reason["by"] = {name: viewer.intents[name] for name in INTENTS if name in viewer.intents}
            found.append(reason)
        scaled = self.model["StandardScaler"].transform_one(features)
        regression = self.model["LogisticRegression"]
        parts = {name: value * regression.weights.get(name, 0.0) for name, value in scaled.items()}
        order = sorted(parts, key=lambda name: -abs(parts[name]))
        for name in order[:TOLD]:
            if parts[name]:
                value = math.expm1(features[name])
                found.append({"kind": "feature", "name": name, "logit": parts[name], "value": value})
        if others := sum(parts[name] for name in order[TOLD:]):
            found.append({"kind": "feature", "name": OTHERS, "logit": others})
        found.append(
            {"kind": "feature", "name": "intercept", "logit": float(regression.intercept), "value": 1.0}
        )
        return found

    # ------------------------------------------------------------------ features and the model

    def fade(self, viewer: Viewer, at: int) -> None:
        elapsed = at - viewer.faded_at
        if elapsed > 0:
            factors = {span: 0.5 ** (elapsed / half_life) for span, half_life in HALF_LIFE_MS.items()}
            faded = viewer.faded
            for name in faded:
                faded[name] *= factors[FADING[name]]
            viewer.faded_at = at

    def feed(self, viewer: Viewer, kind: str, event: Event, facts: int, at: int) -> None:
        amount = 1.0
        if kind == "like" and event.get("count") is not None:
            amount = float(event["count"])
        elif kind == "gift":
            amount = 1.0 + max(0, event.get("value") or 0) / 100.0
        feeds = [kind] if kind in FEEDS else []
        if kind == "comment" and facts:
            feeds += [feed for mask, feed in COMMENT_FEEDS if facts & mask]
        late = viewer.faded_at - at
        for feed in feeds:
            for name in FEEDS[feed]:
                weight = 0.5 ** (late / HALF_LIFE_MS[FADING[name]]) if late else 1.0
                viewer.faded[name] = viewer.faded.get(name, 0.0) + amount * weight

    def features_of(self, viewer: Viewer, at: int) -> Features:
        session = viewer.session
        elapsed = at - viewer.faded_at
        factors = {span: 0.5 ** (elapsed / half_life) for span, half_life in HALF_LIFE_MS.items()}
        log1p = math.log1p
        features = dict.fromkeys(NAMES, 0.0)
        for name, value in viewer.faded.items():
            features[name] = log1p(value * factors[FADING[name]])
        features["watched_min"] = log1p(viewer.watched_ms() / MINUTE_MS)
        features["present_min"] = log1p(max(0, at - viewer.first_at) / MINUTE_MS)
        features["enters"] = log1p(viewer.enters)
        features["fan"] = log1p(viewer.fan_before)
        features["earlier_sessions"] = log1p(viewer.earlier_sessions)
        features["order_rate"] = log1p(
            1000.0 * (viewer.earlier_orders + 0.09) / (viewer.earlier_sessions + 3.0)
        )
        features["room_age_min"] = log1p(max(0, at - session.started_at) / MINUTE_MS)
        features["room_events_1m"] = log1p(session.rate * 0.5 ** (max(0, at - session.rate_at) / MINUTE_MS))
        half_lives = max(0, at - session.orders_at) / (30 * MINUTE_MS)
        features["room_orders_30m"] = log1p(session.orders * 0.5**half_lives)
        features["room_viewers"] = log1p(session.online)
        features["hour_left_pct"] = log1p(100.0)  # the busy room tells no plan
        if session.product_at is not None:
            features["product_age_min"] = log1p(max(0, at - session.product_at) / MINUTE_MS)
        return features

    def snapshot(self, viewer: Viewer, features: Features) -> None:
        snapshot = Snapshot((viewer.room.platform, viewer.room.room, viewer.id), self.now, features)
        self.pending.append(snapshot)
        self.pending_of.setdefault(snapshot.owner, []).append(snapshot)

    def outcome(self, viewer: Viewer, at: int) -> None:
        key = (viewer.room.platform, viewer.room.room, viewer.id)
        for snapshot in self.pending_of.get(key, ()):
            if snapshot.at <= at <= snapshot.at + self.horizon_ms:
                snapshot.outcome = True
        session = viewer.session
        late = (session.orders_at - at) / (30 * MINUTE_MS)
        if late > 0:
            session.orders += 0.5**late
        else:
            session.orders = 1.0 + session.orders * 0.5**-late
            session.orders_at = at
        if viewer.id not in session.bought:
            session.bought.add(viewer.id)
            viewer.room.buyers[viewer.id] += 1

    def learn(self) -> None:
        while self.pending and self.pending[0].at + self.horizon_ms < self.now:
            snapshot = self.pending.popleft()
            siblings = self.pending_of[snapshot.owner]
            siblings.remove(snapshot)
            if not siblings:
                del self.pending_of[snapshot.owner]
            self.model.learn_one(snapshot.features, snapshot.outcome)
            self.labels += 1
            self.positives += snapshot.outcome

    @property
    def ready(self) -> bool:
        model = self.config.model
        negatives = self.labels - self.positives
        return self.labels >= model.min_labels and min(self.positives, negatives) >= model.min_positives

    # ------------------------------------------------------------------ the last word on everybody

    def viewers(self) -> list[Event]:
        """Return each viewer's line, scored at the end of its session."""
        return [
            self.line(room, session, viewer)
            for room in self.rooms.values()
            for session in room.sessions.values()
            for viewer in session.viewers.values()
        ]

    def line(self, room: Room, session: Session, viewer: Viewer) -> Event:
        line: Event = {
            "platform": room.platform,
            "room": room.room,
            "session": session.id,
            "viewer": viewer.id,
            "points": viewer.points,
            "grade": GRADES[viewer.grade],
            "probability": None,
            "reasons": [],
        }
        if not viewer.staff:
            features = self.features_of(viewer, session.last_at)
            if self.ready:
                line["probability"] = self.model.predict_proba_one(features)[True]
            line["reasons"] = self.reasons(viewer, features)
        return line


@functools.lru_cache(maxsize=65_536)
def redacted_name(name: str) -> str:
    return redact_text(name)


def worth(rule: Rule, count: int) -> int:
    times = count // rule.at_least
    if rule.repeat:
        times = min(times, rule.repeat)
    points = rule.points * times
    return points if rule.cap is None else max(-rule.cap, min(rule.cap, points))


def replay(
    file: Path, *, out: Path, journal: Path, config: Config, first: int | None = None
) -> dict[str, Any]:
    """Do the whole job; write ``leads.ndjson`` and ``viewers.ndjson`` into ``out``; return the summary.

    ``first``: only so many lines of ``file``. ``elapsed_s`` is counted as the product counts it: from the compiled
    lexicon to the last score, without writing the results.
    """
    connection = sqlite3.connect(journal, isolation_level=None)
    connection.executescript(SCHEMA)
    baseline = Baseline(config, connection)
    began, cpu_began = time.perf_counter(), time.process_time()
    with file.open("rb") as source:
        lines: Iterator[bytes] = islice(source, first)
        baseline.run(lines)
    viewers = baseline.viewers()
    elapsed_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    connection.close()
    out.mkdir(parents=True, exist_ok=True)
    for name, found in (("leads.ndjson", baseline.leads), ("viewers.ndjson", viewers)):
        found.sort(key=lambda each: (each["platform"], each["room"], each["session"], each["viewer"]))
        (out / name).write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in found))
    return {
        "events": baseline.events,
        "duplicates": baseline.duplicates,
        "rejected": baseline.rejected,
        "viewers": len(viewers),
        "leads": len(baseline.leads),
        "labels": baseline.labels,
        "elapsed_s": round(elapsed_s, 3),
        "cpu_s": round(cpu_s, 3),
        "events_per_s": round(baseline.events / elapsed_s, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The job of frontrow replay, written the obvious way.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--first", type=int)
    given = parser.parse_args()
    summary = replay(given.file, out=given.out, journal=given.journal, config=defaults(), first=given.first)
    (given.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
