"""What one option alone does not show: names used twice, references to nothing, bounds that contradict each other."""

import ipaddress
import re
import zoneinfo
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from phonenumbers import SUPPORTED_REGIONS

from frontrow.config.document import Document
from frontrow.config.positions import KeyPath, show_path
from frontrow.config.schema import IntakeConfig, ModelConfig, OutcomeConfig
from frontrow.config.walk import nearest, shown
from frontrow.core.centre.channels import Channel, clashes
from frontrow.core.events import VIEWER_KINDS
from frontrow.core.points import Policy, Rule, policy_mistakes

_LISTS = ("rooms", "feeds", "sinks", "forms")


class Checks:
    """Checks over ``values``, what was read with the right type at its key path (see ``Walk.values``)."""

    def __init__(
        self,
        document: Document,
        values: Mapping[KeyPath, Any],
        platforms: Mapping[str, str | None],
        challengers: Collection[str],
    ) -> None:
        self._document = document
        self._values = values
        self._platforms = platforms
        self._challengers = tuple(challengers)

    def run(self) -> None:
        """Note every mistake."""
        if not self._document.whole:
            return  # what a reference speaks of may stand where the file cannot be read
        for each in _LISTS:
            self._once((path, value, each[:-1]) for path, value in self._each(each, "id"))
        self._rooms_once()
        self._references()
        self._platforms_agree()
        self._channels()
        self._outcome()
        self._known_challengers()
        self._places()
        self._networks()
        self._bounds()
        self._points()

    def _each(self, section: str, key: str) -> Iterator[tuple[KeyPath, Any]]:
        """Yield path and value of one key of every element of a list."""
        for path, value in self._values.items():
            if len(path) == 3 and path[0] == section and path[2] == key:
                yield path, value

    def _once(self, found: Iterator[tuple[KeyPath, str, str]]) -> None:
        first: dict[str, KeyPath] = {}
        for path, value, what in found:
            if value in first:
                self._document.add(
                    path, f"{shown(value)} is the id of another {what} already{self._at(first[value])}"
                )
            first.setdefault(value, path)

    def _at(self, path: KeyPath) -> str:
        position = self._document.positions.get(path)
        return f", in line {position.line}" if position else ""

    def _rooms_once(self) -> None:
        first: dict[tuple[str, str], KeyPath] = {}
        for path, room in self._each("rooms", "room"):
            platform = self._values.get((*path[:2], "platform"))
            if platform is None:
                continue
            if (platform, room) in first:
                other = first[platform, room]
                reason = f"platform {shown(platform)} and room {shown(room)} belong to {show_path(other[:2])} already"
                self._document.add(path, f"{reason}{self._at(other)}")
            first.setdefault((platform, room), path)

    def _references(self) -> None:
        rooms = dict.fromkeys(room for _, room in self._each("rooms", "id"))
        references = [*self._each("feeds", "room"), *self._each("forms", "room")]
        references += [
            (path, value)
            for path, value in self._values.items()
            if len(path) == 4 and path[0] in ("sinks", "forms") and path[2] == "rooms"
        ]
        for path, room in references:
            if room not in rooms:
                self._document.add(path, f"there is no room {shown(room)} in [[rooms]]", nearest(room, rooms))

    def _platforms_agree(self) -> None:
        of_room = {
            room: self._values.get((*path[:2], "platform")) for path, room in self._each("rooms", "id")
        }
        for path, connector in self._each("feeds", "connector"):
            carried = self._platforms.get(connector)
            room = self._values.get((*path[:2], "room"))
            wanted = of_room.get(room)
            if carried is not None and wanted is not None and carried != wanted:
                reason = f"{shown(connector)} brings events of the platform {shown(carried)}"
                self._document.add(path, f"{reason}, but room {shown(room)} is of {shown(wanted)}")

    def _channels(self) -> None:
        """Check the registry of channels; where there is none, feeds and forms may call theirs as they like."""
        known = {
            what: dict.fromkeys(id for _, id in self._each(what, "id"))
            for what in ("rooms", "forms", "feeds")
        }
        for path, name in self._values.items():
            if len(path) == 4 and path[0] == "channels" and path[2] in known:
                what = str(path[2])
                if name not in known[what]:
                    reason = f"there is no {what[:-1]} {shown(name)} in [[{what}]]"
                    self._document.add(path, reason, nearest(name, known[what]))
        places = [
            path
            for path, value in self._values.items()
            if path[:1] == ("channels",) and isinstance(value, Channel)
        ]
        for number, key, reason in clashes([self._values[place] for place in places]):
            self._document.add((*places[number], key), reason)
        codes = dict.fromkeys(code for _, code in self._each("channels", "code"))
        for path, code in (*self._each("feeds", "lead_channel"), *self._each("forms", "channel")):
            if codes and code and code not in codes:
                reason = f"no channel in [[channels]] has the code {shown(code)}"
                self._document.add(path, reason, nearest(code, codes))

    def _outcome(self) -> None:
        listed = {name: self._listed("outcome", name) for name in ("kinds", "refunds", "won", "lost")}
        for path, kind in (*listed["kinds"].items(), *listed["refunds"].items()):
            if kind not in VIEWER_KINDS:
                hint = nearest(kind, sorted(VIEWER_KINDS))
                self._document.add(path, f"no viewer's event is of the kind {shown(kind)}", hint)
        default = OutcomeConfig()
        for name, other, theirs in (("refunds", "kinds", default.kinds), ("lost", "won", default.won)):
            known = set(listed[other].values()) or set(theirs)
            for path, word in listed[name].items():
                if word in known:
                    self._document.add(path, f"{shown(word)} is one of outcome.{other}: it cannot be both")
        if not listed["refunds"]:
            for path, kind in listed["kinds"].items():
                if kind in default.refunds:
                    reason = (
                        f"{shown(kind)} is one of outcome.refunds, whose default it is: it cannot be both"
                    )
                    self._document.add(path, reason)
        known = {*(listed["kinds"].values() or default.kinds), *listed["won"].values()}
        for path in self._values:
            if path[:2] == ("outcome", "values") and len(path) == 3 and str(path[2]) not in known:
                hint = nearest(str(path[2]), sorted(known))
                reason = "neither in outcome.kinds nor in outcome.won, nothing is worth this"
                self._document.add(path, reason, hint)

    def _listed(self, section: str, key: str) -> dict[KeyPath, str]:
        """Return the values of a list of texts, by path."""
        return {
            path: value
            for path, value in self._values.items()
            if path[:2] == (section, key) and len(path) == 3 and isinstance(value, str)
        }

    def _known_challengers(self) -> None:
        for path, name in self._values.items():
            if path[:2] == ("model", "challengers") and name not in self._challengers:
                hint = nearest(name, self._challengers)
                self._document.add(path, f"no challenger is called {shown(name)}", hint)

    def _places(self) -> None:
        region = self._values.get(("intents", "phone_region"))
        if region is not None and re.fullmatch("[A-Z]{2}", region) and region not in SUPPORTED_REGIONS:
            hint = "GB" if region == "UK" else ""
            self._document.add(("intents", "phone_region"), f"no country is called {shown(region)}", hint)
        for path, name in self._each("rooms", "timezone"):
            if name and not _is_timezone(name):
                known = zoneinfo.available_timezones()
                reason = f"no time zone is called {shown(name)}"
                if not known:
                    reason = "this machine has no time zones; install Debian's tzdata"
                self._document.add(path, reason, nearest(name, sorted(known), likeness=0.75))

    def _networks(self) -> None:
        for path, network in self._listed("server", "trusted_proxies").items():
            try:
                ipaddress.ip_network(network)
            except ValueError:
                self._document.add(path, f"{shown(network)} is no network, as 10.0.0.0/8 or 192.0.2.7 is")

    def _bounds(self) -> None:
        intake, model = IntakeConfig(), ModelConfig()
        self._at_least("intake", "queue_events", intake.queue_events, "frame_events", intake.frame_events)
        self._at_least("model", "min_labels", model.min_labels, "min_positives", model.min_positives)
        self._explored(model)

    def _explored(self, model: ModelConfig) -> None:
        below, hot = ("model", "exploration_points"), ("points", "hot")
        if self._document.wrong & {below, hot} or not self._values.get(
            ("model", "exploration"), model.exploration
        ):
            return
        points, bound = self._values.get(below, model.exploration_points), self._values.get(hot, Policy().hot)
        if points >= bound:
            given = below if below in self._values else hot
            reason = f"exploration_points ({points:_}) must be below points.hot ({bound:_}): everybody would be near it"
            self._document.add(given, reason)

    def _points(self) -> None:
        """Check the points table as far as it can be read: a wrong rule must not hide what contradicts elsewhere."""
        at_points = {
            path[1]: value for path, value in self._values.items() if len(path) == 2 and path[0] == "points"
        }
        numbers = {
            str(name): value
            for name, value in at_points.items()
            if isinstance(value, int) and ("points", name) not in self._document.wrong
        }
        rules = {
            path[2]: rule for path, rule in self._values.items() if len(path) == 3 and isinstance(rule, Rule)
        }
        caps = {
            str(path[2]): cap for path, cap in self._values.items() if path[:2] == ("points", "group_caps")
        }
        policy = Policy(**numbers, rules=tuple(rules.values()), group_caps=caps)
        places = list(rules)
        for key, reason in policy_mistakes(policy):
            path = _path(key)
            if len(path) > 2 and isinstance(path[2], int):
                path = (*path[:2], places[path[2]], *path[3:])
            self._document.add(path, reason)

    def _at_least(self, section: str, key: str, default: int, other: str, other_default: int) -> None:
        if self._document.wrong & {(section, key), (section, other)}:
            return
        value = self._values.get((section, key), default)
        bound = self._values.get((section, other), other_default)
        if value < bound:
            given = key if (section, key) in self._values else other
            self._document.add((section, given), f"{key} ({value:_}) must not be below {other} ({bound:_})")


def _is_timezone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False  # OSError: a folder of zones, such as "Asia"
    return True


def _path(key: str) -> KeyPath:
    """Return the path that ``points.rules[3].name`` shows."""
    return tuple(int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", key))
