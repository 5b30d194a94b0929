"""What the company has decided: one value, journalled whole when it changes, so that a replay decides as was decided then."""

import hashlib
from functools import cached_property
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from frontrow.core.centre.assignment import DEFAULT_RULES, FALLBACK, Rule, Rules
from frontrow.core.centre.cleaning import CleaningRules, DoubtRules
from frontrow.core.centre.clock import SlaPolicy
from frontrow.core.centre.identities import DEFAULT_MAX_VIEWERS, DEFAULT_THRESHOLD
from frontrow.core.centre.nurture import (
    DEFAULT_TOUCH_RULES,
    TOUCH_CHANNELS,
    BroadcastRule,
    Occasion,
    TouchChannel,
    TouchLimits,
    TouchRule,
)
from frontrow.core.centre.packs import Pack
from frontrow.core.centre.quality import NumberLists, ValidationRules
from frontrow.core.errors import EventInvalid
from frontrow.core.leads import Grade


class IdentityLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When links join: from a confidence of ``threshold`` on, and by a phone not more than ``max_viewers`` viewers."""

    threshold: Annotated[float, Meta(gt=0, le=1)] = DEFAULT_THRESHOLD
    max_viewers: Annotated[int, Meta(ge=1, le=1_000)] = DEFAULT_MAX_VIEWERS


class RoomPlace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a room is to the company: its configured ``id``, the ``store`` that its leads are of, and its ``channel``'s code."""

    platform: str
    room: str
    id: str
    store: str | None = None
    channel: str | None = None


class FormPoints(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The points table's word on somebody who sends a form outside of any broadcast, and the bounds of the grades."""

    form: int = 50
    phone: int = 20
    company: int = 10
    cap: int = 100
    hot: int = 80
    warm: int = 40


class CentrePolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """Everything by which the centre decides, besides the organisation.

    ``pack`` is the trade: stages, outcomes, product lines. ``order_outcome`` is the outcome that an order stands for,
    None: none. ``blacklist`` are keyed hashes of numbers that are nobody's customer. ``touch_channels`` are those on
    which anything can be sent; ``occasions`` the broadcasts and campaigns that are planned, ``broadcasts`` say to
    which customers are invited as they begin.

    Raises:
        ValueError: Two touch rules have one name, by which it is known what somebody had.
    """

    pack: Pack

    rules: tuple[Rule, ...] = DEFAULT_RULES
    fallback: str = FALLBACK
    public_pool: str = FALLBACK
    sla: SlaPolicy = SlaPolicy()
    validation: ValidationRules = ValidationRules()
    blacklist: tuple[str, ...] = ()
    identity: IdentityLimits = IdentityLimits()
    rooms: tuple[RoomPlace, ...] = ()
    form: FormPoints = FormPoints()
    order_outcome: str | None = "won"
    cleaning: CleaningRules = CleaningRules()
    doubts: DoubtRules = DoubtRules()
    touch: TouchLimits = TouchLimits()
    touch_rules: tuple[TouchRule, ...] = DEFAULT_TOUCH_RULES
    touch_channels: tuple[TouchChannel, ...] = TOUCH_CHANNELS
    occasions: tuple[Occasion, ...] = ()
    broadcasts: tuple[BroadcastRule, ...] = ()

    def __post_init__(self) -> None:
        check_names(self.touch_rules)

    @cached_property
    def compiled(self) -> Rules:
        """The rules, ready to be asked."""
        return Rules(self.rules, fallback=self.fallback)

    @cached_property
    def judges_sellers(self) -> bool:
        """Whether any rule gives leads to the best."""
        return any(rule.strategy == "best_performer" for rule in self.rules)

    @cached_property
    def numbers(self) -> NumberLists:
        """Numbers that are no customers'."""
        return NumberLists(blacklist=frozenset(self.blacklist))

    @cached_property
    def _rooms(self) -> dict[tuple[str, str], RoomPlace]:
        return {(room.platform, room.room): room for room in self.rooms}

    def room_id(self, platform: str, room: str) -> str:
        """Return a room's configured id, or the platform's name of one that is not configured."""
        known = self._rooms.get((platform, room))
        return room if known is None else known.id

    def broadcast_of(self, room: str) -> BroadcastRule | None:
        """Return the rule by which customers are invited to a room of this id, or None: nobody is."""
        return next((rule for rule in self.broadcasts if not rule.rooms or room in rule.rooms), None)

    def store_of_room(self, platform: str, room: str) -> str | None:
        """Return the store that a room's leads are of, or None: rules say."""
        known = self._rooms.get((platform, room))
        return None if known is None else known.store

    def channel_of(self, platform: str, room: str) -> str | None:
        """Return the code of a room's channel, or None."""
        known = self._rooms.get((platform, room))
        return None if known is None else known.channel

    def path_of(self, product: str | None) -> tuple[str, ...]:
        """Return a product's path in the taxonomy; () where it has none."""
        return self.pack.product_path(product)

    def form_points(self, *, has_company: bool) -> int:
        """Return the points of a form with a number that can be called."""
        form = self.form
        return min(form.cap, form.form + form.phone + (form.company if has_company else 0))

    def grade_of(self, points: int) -> Grade:
        """Return the grade of somebody with these points and no history."""
        return "hot" if points >= self.form.hot else "warm" if points >= self.form.warm else "cold"

    def flag_after(self, outcome: str | None) -> str | None:
        """Return the flag that an outcome sets by the quality that the pack gives it, or None."""
        known = None if outcome is None else self.pack.outcome(outcome)
        return None if known is None or known.quality is None else _FLAGS.get(known.quality)


_FLAGS = {0: "dead", 4: "confirmed", 5: "ordered"}


def check_names(rules: tuple[TouchRule, ...]) -> None:
    """Return if each rule has a name of its own.

    Raises:
        ValueError: Two have one.
    """
    names = [rule.name for rule in rules]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two touch rules are named {twice!r}")


def policy_data(policy: CentrePolicy) -> dict[str, Any]:
    """Return a policy as JSON values, the same for equal ones; :func:`read_policy` reads it."""
    data: dict[str, Any] = msgspec.to_builtins(policy)
    return data


def read_policy(data: object) -> CentrePolicy:
    """Return the policy that JSON values tell of.

    Raises:
        EventInvalid: They tell of none; with the path of what is wrong.
    """
    try:
        return msgspec.convert(data, CentrePolicy)
    except (msgspec.ValidationError, ValueError) as error:
        raise EventInvalid(f"not a policy of the lead centre: {error}") from error


def policy_version(policy: CentrePolicy) -> str:
    """Return what names a policy: 16 hexadecimal digits of the SHA-256 of its JSON."""
    return hashlib.sha256(msgspec.json.encode(policy_data(policy))).hexdigest()[:16]
