"""Puts the lead centre together from a configuration: its policy, its database, its follower, its desk, and what sellers are told."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog

from frontrow.app.centre import CentreFollower, Observer
from frontrow.app.parts import make_pack
from frontrow.app.retaining import Observer as SweepObserver
from frontrow.app.retaining import Sweeping, kept_days
from frontrow.app.touching import Reached, texts_without_template, touch_sinks
from frontrow.config import Config, SinkConfig
from frontrow.core.alerts import Addressee, CustomerTouch, LeadAlert, Reason
from frontrow.core.centre.book import Contact, LeadRow, Told
from frontrow.core.centre.centre import PLATFORM, ROOM, Centre, Shown
from frontrow.core.centre.identities import CRM, WECOM, Identity
from frontrow.core.centre.indicators import BY_ID, Figure, Question
from frontrow.core.centre.nursing import facts_of
from frontrow.core.centre.nurture import Occasion, TouchChannel
from frontrow.core.centre.organisation import Organisation, OrgChange, change_data, read_change
from frontrow.core.centre.packs import Pack
from frontrow.core.centre.policy import (
    CentrePolicy,
    FormPoints,
    RoomPlace,
    policy_data,
    policy_version,
    read_policy,
)
from frontrow.core.centre.room_facts import RoomFacts
from frontrow.core.centre.rule_findings import Known
from frontrow.core.centre.sealing import PURPOSE
from frontrow.core.contact import mask_name, mask_numbers
from frontrow.core.errors import DatabaseAway, EventInvalid
from frontrow.core.events import Event, RoomRef
from frontrow.core.points import Policy
from frontrow.core.ports import Clock, Receipt
from frontrow.runtime.access import Access
from frontrow.runtime.care import Care
from frontrow.runtime.care_routes import care_routes
from frontrow.runtime.company import Company
from frontrow.runtime.desk import Desk
from frontrow.runtime.desk_routes import desk_routes
from frontrow.runtime.indicator_routes import indicator_routes
from frontrow.runtime.intake import Intake, NotStored, QueueFull
from frontrow.runtime.organisation_routes import organisation_routes
from frontrow.runtime.people import People
from frontrow.runtime.transfers import Transfers
from frontrow.storage.aio import StoreThread
from frontrow.storage.centre.book import SqlBook
from frontrow.storage.centre.care import CareReads, WholePerson
from frontrow.storage.centre.database import bring_up, unopened_database
from frontrow.storage.centre.desk import Desk as Reads
from frontrow.storage.centre.indicators import MESSAGES, Message, query
from frontrow.storage.store import Alert, Store
from frontrow.storage.vault import Vault
from frontrow_connectors.sinks.registry import SINKS

FEED = "centre"
IMPORT_BYTES = 16 * 1024 * 1024  # of an organisation: some 100,000 people
TOLD_REASONS = 6

log = structlog.get_logger(__name__)


def database_url(config: Config) -> str:
    """Return where the lead centre's database is."""
    if config.centre.database:
        return config.centre.database
    store = config.storage.path
    return f"sqlite:///{store.with_name(f'{store.stem}-centre.db').absolute()}"


def make_policy(config: Config, pack: Pack) -> CentrePolicy:
    """Return what the configuration decides, as it is journalled."""
    centre = config.centre
    return CentrePolicy(
        pack=pack,
        rules=centre.rules,
        fallback=centre.fallback,
        sla=centre.sla,
        validation=centre.validation,
        blacklist=centre.blacklist,
        identity=centre.identity,
        rooms=tuple(
            RoomPlace(platform=room.platform, room=room.room, id=room.id, store=room.store)
            for room in config.rooms
        ),
        form=_form_points(config.points),
        order_outcome=centre.order_outcome or None,
        cleaning=centre.cleaning,
        doubts=centre.doubts,
        touch=centre.touch,
        touch_rules=centre.touch_rules,
        touch_channels=tuple(channel for channel, sinks in touch_sinks(config).items() if sinks),
        occasions=tuple(
            Occasion(
                kind=each.kind,
                occasion=each.occasion,
                opens_at=each.opens_at,
                ends_at=each.ends_at,
                lines=tuple(tuple(line.split("/")) for line in each.lines),
            )
            for each in centre.occasions
        ),
        broadcasts=centre.broadcasts,
    )


def _form_points(points: Policy) -> FormPoints:
    paid = {rule.signal: rule.points for rule in points.rules}
    return FormPoints(
        form=paid.get("form_submit", 0),
        phone=paid.get("phone", 0),
        company=paid.get("company", 0),
        cap=points.cap,
        hot=points.hot,
        warm=points.warm,
    )


def known_names(config: Config, pack: Pack) -> Known:
    """Return what there is for rules to name, as far as a configuration says."""
    return Known(
        platforms=frozenset(room.platform for room in config.rooms),
        rooms=frozenset(name for room in config.rooms for name in (room.id, room.room)),
        products=frozenset(
            "/".join(line.path[:length]) for line in pack.products for length in range(1, len(line.path) + 1)
        )
        | frozenset(product for line in pack.products for product in line.ids),
        warm=config.points.warm,
        hot=config.points.hot,
    )


def room_facts(config: Config) -> RoomFacts:
    """Return who counts what happens in the rooms, from the journal's first frame on; its sessions end as the engine's do."""
    return RoomFacts(
        silence_ms=config.engine.session_silence_s * 1000, grace_ms=config.engine.session_grace_s * 1000
    )


class CentreObserver(Observer, SweepObserver, Protocol):
    """Who counts. No call may raise or wait."""


class LeadCentre:
    """The lead centre of one daemon, from :meth:`open` to :meth:`close`."""

    def __init__(
        self,
        config: Config,
        *,
        store: StoreThread,
        vault: Vault,
        people: People,
        clock: Clock,
        observer: "CentreObserver",
        sinks: Sequence[SinkConfig],
        told: Callable[[], None],
        rooms: Mapping[tuple[str, str], RoomRef],
    ) -> None:
        """``sinks`` are those that are open; ``told`` hears that something is in the outbox."""
        self.pack = make_pack(config)
        self._config = config
        self._policy = make_policy(config, self.pack)
        self._vault = vault
        self._clock = clock
        self._desk: Desk | None = None
        self._members = [sink for sink in sinks if SINKS[sink.kind].audience == "member"]
        self._programs = [sink for sink in sinks if SINKS[sink.kind].audience == "program" and sink.lifecycle]
        self._sources = [sink for sink in sinks if SINKS[sink.kind].audience == "source"]
        self._touch_sinks: dict[TouchChannel, list[str]] = touch_sinks(config)
        self._rooms = rooms
        self._store = store

        # Not asked for anything yet: where no server answers, the daemon works without it until one does.
        engine = unopened_database(database_url(config))
        self.reads = Reads(engine, is_open=lambda: self.follower.is_open)

        def make() -> tuple[SqlBook, Centre]:
            try:
                bring_up(engine)
                book = SqlBook(engine, store.store.id)
                centre = Centre(book, self._policy)
                book.begin()
                try:
                    centre.load()
                finally:
                    book.roll_back()
            except BaseException:
                engine.dispose()  # it may be opened again, or not at all
                raise
            return book, centre

        def shown(row: int) -> Shown:
            return masked(people.name(row), people.words(row))

        self.follower = CentreFollower(
            store=store,
            make=make,
            alerts=self._alerts,
            told=told,
            changed=lambda rows: None if self._desk is None else self._desk.changed(rows),
            shown=shown,
            clock=clock,
            observer=observer,
            counts=room_facts(config),
        )
        self.sweeping = Sweeping(
            kept_days(config),
            between=self.follower.between,
            scrub=self.follower.scrub,
            clock=clock,
            observer=observer,
        )

    @property
    def checks(self) -> dict[str, str]:
        """How the database is, for who looks after the daemon; of retention only where it fails."""
        retention = {"centre_retention": "failing"} if self.sweeping.failing else {}
        return {"centre": self.follower.state, **retention}

    async def open(self) -> None:
        """Open the database, if one answers; see :meth:`CentreFollower.open`."""
        await self.follower.open()

    def serve(self, intake: Intake, journalled: Callable[[Event], bool]) -> Desk:
        """Make what people are served by, and return the desk of those who follow leads up; after :meth:`open`. ``journalled`` says whether an
        event of the same id was before."""
        put = _putting(intake)

        def seq() -> int:
            return self._store.store.seq

        self._desk = Desk(
            reads=self.reads,
            follows=self.follower,
            put=put,
            journal_seq=seq,
            journalled=journalled,
            unseal=self.unseal,
            pack=self.pack,
            clock=self._clock,
            rooms={key: (room.id, room.title) for key, room in self._rooms.items()},
        )
        self.transfers = Transfers(
            reads=self.reads, follows=self.follower, put=put, journal_seq=seq, clock=self._clock
        )
        self._company = Company(
            follows=self.follower,
            put=put,
            journal_seq=seq,
            configured=bool(self._config.centre.units or self._config.centre.sellers),
            transfers=self.transfers,
            clock=self._clock,
        )
        return self._desk

    def routes(self, access: Access, refused: Callable[[str, str], None], max_body_bytes: int) -> list[Any]:
        """Return the centre's routes; after :meth:`serve`. ``refused`` counts refusals by route and reason."""
        desk, clock = self._desk, self._clock
        assert desk is not None, "serve() comes first"
        most = max(max_body_bytes, IMPORT_BYTES)
        return [
            *desk_routes(desk, access, clock, refused),
            *organisation_routes(self._company, desk, access, clock, refused, most),
            *care_routes(self._care(desk), desk, access, clock, refused, self._config.centre.callback),
            *indicator_routes(self.figures, lambda grant: desk.reader(grant).sight, access, clock, refused),
        ]

    async def figures(self, question: Question) -> list[Figure]:
        """Return the figures that a question asks for; after :meth:`open`.

        Raises:
            QuestionRefused: As :func:`frontrow.storage.centre.indicators.query`.
            DatabaseAway: The database does not answer now.
        """
        messages: list[Message] = []
        if MESSAGES & {BY_ID[name].numerator for name in question.indicators if name in BY_ID}:
            times = await self._store.call(self._store.store.outbox_times, question.from_at, question.to_at)
            messages = [Message(*each) for each in times]

        def ask() -> list[Figure]:
            with self.reads.reading() as db:
                return query(db, question, messages)

        return await asyncio.to_thread(ask)

    async def person(self, asked: Identity, one_name: bool) -> WholePerson:
        """Return all that somebody is known by, as of what is in the journal now, or of ``one_name`` alone; after :meth:`open`.

        Raises:
            DatabaseAway: The database does not answer now.
        """
        if not await self.follower.tried(self._store.store.seq):
            raise DatabaseAway("the lead centre's database does not answer")
        reads = CareReads(self.reads.engine, self._store.store.id)
        return await asyncio.to_thread(reads.one_name if one_name else reads.person, asked)

    async def forgotten(self) -> bool:
        """Wait until the database has forgotten whom the journal says to forget, in its files too; False: somebody reads it, ask again.

        Raises:
            DatabaseAway: The database does not answer now.
        """
        if not await self.follower.tried(self._store.store.seq):
            raise DatabaseAway("the lead centre's database does not answer")
        return await self.follower.scrub()

    def _care(self, desk: Desk) -> Care:
        return Care(
            desk,
            reads=CareReads(self.reads.engine, self._store.store.id),
            centre=lambda: self.follower.centre,
            lead=self.reads.lead,
            contact=self.reads.contact,
            unseal=self.unseal,
            phone_key=self._vault.phone_key,
            phone_region=self._config.intents.phone_region,
            clock=self._clock,
        )

    async def close(self) -> None:
        """Close the database; idempotent."""
        await self.follower.close()
        await asyncio.to_thread(self.reads.engine.dispose)

    async def announce(self, intake: Intake) -> None:
        """Journal the configured policy and organisation where they are not those in force; done when they are, or where the database
        is away, when they are journalled: leads that come meanwhile are decided by them."""
        was_open, now = self.follower.is_open, self._clock.now()
        if was_open:
            await self.follower.applied(self._store.store.seq)  # what is in the journal says what is in force
            centre = self.follower.centre
            policy = centre.policy if centre.journalled else None
            present = centre.organisation
        else:
            policy, present = await asyncio.to_thread(_in_force, self._config.storage.path)
        version = policy_version(self._policy)
        events: list[Event] = []
        if policy is None or policy_version(policy) != version:
            data = {"policy": policy_data(self._policy), "version": version}
            events.append(_own(f"policy-{version}-{now}", "policy_change", now, data))
        units, sellers = self._config.centre.units, self._config.centre.sellers
        wanted = Organisation(units, sellers)
        if (units or sellers) and (wanted.units, wanted.sellers) != (present.units, present.sellers):
            change = OrgChange(units=units, sellers=sellers, replace=True, by="configuration")
            events.append(_own(f"organisation-{now}", "org_change", now, change_data(change)))
        for text in texts_without_template(self._config):
            log.warning("touch_without_template", text=text)
        for sentence in wanted.problems():
            log.warning("organisation_problem", problem=sentence)
        if events:
            try:
                await (await intake.put(events, feed=FEED))
            except (NotStored, QueueFull):
                return  # the daemon ends, and the pipeline says why; the next start announces them
            if was_open:
                await self.follower.applied(self._store.store.seq)

    async def unseal(self, contact: Contact) -> Mapping[str, Any] | None:
        """Return what somebody entered in a form, or None where it was destroyed."""
        if contact.sealed is None:
            return None
        owner, sealed = Identity(contact.kind, contact.key), base64.b64decode(contact.sealed)
        found = await asyncio.to_thread(self._vault.unseal, owner, PURPOSE, sealed)
        return None if found is None else msgspec.json.decode(found, type=dict[str, Any])

    def _alerts(self, book: SqlBook, centre: Centre, told: Sequence[Told]) -> list[tuple[Alert, int]]:
        found: list[tuple[Alert, int]] = []
        for each in told:
            if each.touch is not None:
                row = book.lead(each.lead)
                assert row is not None  # whose customer it is for
                alert = self._alert(book, centre, row, each)
                found += [
                    (Alert(sink, f"{sink}:{each.key}", alert), each.at)
                    for sink in self._touch_sinks[each.touch.channel]
                ]
                continue
            sinks = self._members if each.to is not None else self._programs
            if each.feedback is not None:
                sinks = self._sources
            row = book.lead(each.lead) if sinks else None
            if row is None:
                continue
            alert = self._alert(book, centre, row, each)
            of_room = [
                sink.id
                for sink in sinks
                if (not sink.rooms or alert.room_id in sink.rooms)
                and (sink.kind != "sms" or "sms" in each.through)
            ]
            found += [(Alert(sink, f"{sink}:{each.key}", alert), each.at) for sink in of_room]
        return found

    def _alert(self, book: SqlBook, centre: Centre, row: LeadRow, told: Told) -> LeadAlert:
        raw = book.raw(told.raw or row.raw)
        assert raw is not None  # a lead has the raw lead that began it
        platform, of_room = (raw.platform, raw.room) if told.raw else (row.platform, row.room)
        room = self._rooms.get((platform, of_room))
        reasons = msgspec.convert(raw.reasons, list[Reason])
        return LeadAlert(
            lead=row.lead,
            platform=platform,
            room=of_room,
            room_id=room.id if room else of_room,
            room_title=room.title if room else "",
            session=raw.session or "",
            viewer=raw.viewer,
            name=row.name or "",
            grade=row.grade,
            points=row.points,
            probability=row.probability,
            reasons=[reason for reason in reasons if reason.kind == "rule"][:TOLD_REASONS],
            decided_at=row.hot_at,
            product=row.product,
            words=row.words,
            purpose=told.purpose,  # type: ignore[arg-type]  # the centre says no others
            event=told.event,
            to=None if told.to is None else self._addressee(centre, told.to, told.at),
            at=told.at,
            due_at=told.due_at,
            region=f"{row.province}{row.city}" or None,
            quality=f"Q{row.quality}",
            holder=told.holder,
            cause=told.cause,
            touch=None
            if told.touch is None
            else CustomerTouch(
                name=told.key,
                rule=told.touch.rule,
                channel=told.touch.channel,
                text=told.touch.text,
                customer=told.touch.customer,
            ),
            feedback=told.feedback,
        )

    async def reach(self, lead: str) -> Reached | None:
        """Return what is known of a lead's customer now, for who is about to write to them; None: there is no such lead."""

        def look() -> tuple[LeadRow, Reached] | None:
            row = self.reads.lead(lead)
            if row is None:
                return None
            policy = self.follower.centre.policy
            book = SqlBook(self.reads.engine, self._store.store.id)
            book.begin(writes=False)
            try:
                facts = facts_of(book, row.customer, policy)
                ids: dict[str, list[str]] = {}
                for each in book.identities_of(row.customer):
                    if each.kind in (WECOM, CRM):
                        ids.setdefault(each.kind, []).append(each.key)
                contact = book.contact_of(row.customer)
            finally:
                book.roll_back()
            return row, Reached(facts, policy.touch, ids, contact, None)

        found = await asyncio.to_thread(look)
        if found is None:
            return None
        contact = found[1].contact
        fields = None if contact is None else await self.unseal(contact)
        return msgspec.structs.replace(found[1], fields=fields)

    @staticmethod
    def _addressee(centre: Centre, seller: str, at: int) -> Addressee:
        person = centre.organisation.seller(seller, at)
        if person is None:
            return Addressee(seller=seller)
        return Addressee(seller=seller, wecom=person.wecom, mobile=person.mobile, timezone=person.timezone)


def _putting(intake: Intake) -> Callable[[Sequence[Event], str], Awaitable[Receipt]]:
    async def put(events: Sequence[Event], feed: str) -> Receipt:
        return await (await intake.put(events, feed=feed))

    return put


def _in_force(path: Path) -> tuple[CentrePolicy | None, Organisation]:
    """Return the policy that the journal of a store has told of last, None: none, and the organisation, as the centre takes them from it."""
    policy, organisation = None, Organisation()
    store = Store.open_to_read(path)
    try:
        told = store.frames_that(lambda facts: b"policy_change" in facts or b"org_change" in facts)
        for _, frame in told:
            ours = [
                at
                for at, kind in enumerate(frame.kinds)
                if kind in ("policy_change", "org_change") and not frame.tests[at]
            ]
            for event in frame.take(ours).events():
                with suppress(EventInvalid, ValueError):  # the centre passes such ones over
                    if event.kind == "org_change":
                        organisation = organisation.changed(read_change(event.data))
                    elif (event.platform, event.room) == (PLATFORM, ROOM):
                        policy = read_policy((event.data or {}).get("policy"))
    finally:
        store.close()
    return policy, organisation


def _own(id: str, kind: str, at: int, data: dict[str, Any]) -> Event:
    return Event(id=id, platform=PLATFORM, room=ROOM, kind=kind, at=at, data=data)


def masked(name: str | None, words: str | None) -> Shown:
    """Return what may be shown of a viewer of this name who wrote these words."""
    return (
        None if name is None else mask_name(mask_numbers(name)),
        None if words is None else mask_numbers(words),
    )
