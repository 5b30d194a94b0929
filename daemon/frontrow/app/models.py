"""``frontrow models``: the registry beside a store, and the promotions in its journal.

A promotion is an event, so it is appended to the journal, under the store's lock: this is for a store on which no
daemon works (one that does is asked, :mod:`frontrow.app.asking`). It takes its place where the journal ends, at that
engine time and not at the clock's, so that no session ends and no label ripens because somebody promoted late. The
daemon obeys it when it reads the journal.

What is printed is made here as lines; the command line only prints them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from frontrow.app.following import CannotFollow
from frontrow.app.terminal import table
from frontrow.core.events import has_control
from frontrow.core.frames import Frame
from frontrow.core.ports import Clock
from frontrow.core.promotions import (
    KIND,
    MAX_REASON,
    Promotion,
    PromotionRefused,
    promotion_event,
    promotions_of,
)
from frontrow.storage.doctor import Examination
from frontrow.storage.folder import DiskFolder
from frontrow.storage.lock import StoreLock
from frontrow.storage.store import Commit, Store
from frontrow_models.registry import Ledger, PinsDamaged, Registry, newest_last, weight_differences
from frontrow_models.versions import Outcome, Version, VersionRefused, check_fit, check_outcome, fits

# What to do where the version that leads predicts another outcome than the configured one.
ADVICE = "promote a version that predicts it, learn one (frontrow retrain), or configure that outcome again"
SHOWN = 12  # digits of a version's name in tables; every command takes as many


def registry_beside(store: Path, folder: Path | None = None) -> Registry:
    """Return the registry in ``folder``, or the one beside the store."""
    return Registry(DiskFolder(folder or folder_beside(store)))


def folder_beside(store: Path) -> Path:
    """Return the folder of the registry beside a store."""
    return store.with_name(store.name + ".models")


def ledger_of(registry: Registry, path: Path) -> Ledger:
    """Return the promotions of the journal at ``path``, up to its end; none where there is no store.

    Reads only what came after the last time. Works beside a running daemon.

    Raises:
        StoreDamaged: The journal cannot be read back.
        OSError: What was read cannot be kept.
    """
    if not path.exists():
        return Ledger()
    store = Store.open(path, create=False)
    try:
        return _caught_up(registry, store)
    finally:
        store.close()


def promote(
    registry: Registry,
    path: Path,
    prefix: str,
    *,
    by: str,
    reason: str,
    clock: Clock,
    outcome: Outcome | None = None,
) -> Promotion:
    """Append to the journal that a version leads from here on, durably; return what was written.

    The version of another ``registry`` than that beside the store is copied there first, where a daemon looks for it.
    ``outcome`` is what it is to predict; None: that is not asked.

    Raises:
        VersionRefused: There is no such version, this build cannot compute with it, or it predicts another outcome.
        PromotionRefused: It leads already, there is no store, or the reason is longer than ``MAX_REASON``.
        StoreLocked: A daemon works on the store.
        OSError: The version cannot be copied, and nothing was promoted; or the ledger cannot be kept.
    """

    def named(_: Ledger) -> str:
        # Asked only where no daemon has the store: beside one the name may be a challenger's, which it alone knows.
        try:
            return registry.find(prefix)
        except VersionRefused as refused:
            raise VersionRefused(f"{refused}; no daemon runs here, and so no challenger") from refused

    return _promote(registry, path, named, by=by, reason=reason, clock=clock, outcome=outcome)


def roll_back(
    registry: Registry, path: Path, *, by: str, reason: str, clock: Clock, outcome: Outcome | None = None
) -> Promotion:
    """Promote what led before the champion did. Raises as :func:`promote`; PromotionRefused where nothing did."""

    def former(ledger: Ledger) -> str:
        if ledger.former is None:
            raise PromotionRefused("nothing led before that could be rolled back to")
        return ledger.former

    return _promote(registry, path, former, by=by, reason=reason, clock=clock, outcome=outcome, back=True)


def back_up_versions(store: Path, to: Path) -> int:
    """Copy the registry beside a store to that beside its backup; return how many versions there are now.

    After the store: a version is there before its promotion is, so none that the backup's journal names is missing.
    One that is not sound stays behind.

    Raises:
        CannotFollow: A version that led is not sound, so the backup cannot be replayed as a whole.
        PinsDamaged: All versions were copied, but which of them are pinned nobody knows.
        OSError: A version cannot be written.
    """
    registry, copy = registry_beside(store), registry_beside(to)
    for _, found in registry.all():
        if isinstance(found, Version):
            copy.add(found)
    backup = Store.open(to, create=False)
    try:
        ledger = Ledger()
        _read_on(ledger, backup)
    finally:
        backup.close()
    missing = sorted(ledger.ever - set(copy.names()))
    if missing:
        raise CannotFollow(
            f"{to}: is whole, but of the versions that led {len(missing)} cannot be copied: {', '.join(missing)};"
            " frontrow models verify says why"
        )
    for name in registry.pins() & set(copy.names()):
        copy.pin(name)
    return len(copy.names())


def _promote(
    registry: Registry,
    path: Path,
    choose: Callable[[Ledger], str],
    *,
    by: str,
    reason: str,
    clock: Clock,
    outcome: Outcome | None = None,
    back: bool = False,
) -> Promotion:
    if len(reason) > MAX_REASON:
        raise PromotionRefused(f"the reason has {len(reason):,} characters; it may have {MAX_REASON}")
    if not path.exists():
        raise PromotionRefused(f"{path}: there is no store; a promotion is an event of its journal")
    lock = StoreLock(path)
    lock.acquire("a promotion")
    try:
        store = Store.open(path, create=False)
        try:
            store.settle()
            ledger = _caught_up(registry, store)
            name = choose(ledger)
            if name == ledger.champion:
                raise PromotionRefused(f"{name[:SHOWN]} leads already")
            own = registry_beside(path)
            # What led before may be beside the store alone.
            version = (registry if name in registry.names() else own).load(name)
            check_outcome(version, outcome, name, back=back)
            own.add(version)  # what is there already stays; a damaged file is mended
            event = promotion_event(
                number=len(ledger.promotions) + 1,
                version=name,
                replaces=ledger.champion,
                by=by,
                reason=reason,
                at=_end_of(store) or clock.now(),
                back=back,
            )
            frame = Frame.of([event], [0])
            store.append([Commit(frame, (), (), clock.now())])
            _caught_up(registry, store)
        finally:
            store.close()
    finally:
        lock.release()
    [(_, promotion)] = promotions_of(frame)
    return promotion


def _caught_up(registry: Registry, store: Store) -> Ledger:
    ledger = registry.ledger()
    known = ledger.seq
    mark = store.mark(ledger.seq)
    if mark is None or mark.hex() != ledger.mark:
        ledger, known = Ledger(), -1  # of another journal, or none
    _read_on(ledger, store)
    if ledger.seq != known:
        registry.keep_ledger(ledger)
    return ledger


def _read_on(ledger: Ledger, store: Store) -> None:
    end = store.seq  # a daemon may append meanwhile
    for seq, frame in store.frames_with(KIND, after=ledger.seq):
        if seq <= end:
            ledger.take(seq, frame)
    ledger.seq = end
    ledger.mark = (store.mark(ledger.seq) or b"").hex()


def _end_of(store: Store) -> int | None:
    """Return the engine time at which a journal ends, None where it is empty."""
    for _, frame in store.frames(after=max(0, store.seq - 1)):
        return max(frame.arrivals())
    return None


# ---------------------------------------------------------------------- what is printed


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found: ``lines`` to print, and whether all is sound."""

    lines: list[str]
    sound: bool


def verify(registry: Registry, path: Path) -> Verdict:
    """Read every version and the whole journal's promotions anew, and tell what is wrong. Only reads.

    Raises:
        StoreDamaged: The journal cannot be read back.
        StoreUnusable: It cannot be opened.
    """
    lines: list[str] = []
    names = registry.names()
    present: set[str] = set()
    for name, found in registry.all():
        if isinstance(found, VersionRefused):
            lines.append(str(found))
        else:
            present.add(name)
    try:
        registry.pins()
    except PinsDamaged as damaged:
        lines.append(str(damaged))
    ledger = Ledger()
    if path.exists():
        store = Store.open_to_read(path)
        try:
            _read_on(ledger, store)
        finally:
            store.close()
        kept = registry.ledger()
        if kept.promotions != ledger.promotions[: len(kept.promotions)]:
            lines.append("ledger.json does not tell what the journal says; remove it, it will be made anew")
    lines += [
        f"{name}: led once and is not in the registry; no replay can go beyond its promotion. Bring its file back from a backup"
        for name in sorted(ledger.ever - present - set(names))
    ]
    if ledger.champion in present:
        try:
            registry.load(ledger.champion)
        except VersionRefused as refused:
            lines.append(f"the champion cannot be used: {refused}")
    sound = not lines
    count = len(ledger.promotions)
    lines.append(
        f"{len(present)} of {len(names)} versions are sound; {count} promotion{'s' * (count != 1)} in the journal"
    )
    return Verdict(lines, sound)


def examined(found: Examination, registry: Registry) -> Examination:
    """Return what a doctor found of a store, and with it what :func:`verify` finds of its versions.

    Where the journal is not whole nothing is added: which versions it needs is known when it has been restored.
    """
    if found.lost or not found.frames:
        return found
    *wrong, summary = verify(registry, found.path).lines
    notes = [] if wrong or not registry.names() else [summary]
    return replace(found, problems=[*found.problems, *wrong], notes=[*found.notes, *notes])


def listing(registry: Registry, ledger: Ledger, outcome: Outcome | None = None) -> list[str]:
    """Return a table of all versions, the newest first, and what is proposed.

    Age is how many labels the newest has learnt beyond one. ``outcome`` is what they are to predict; None: that is not
    asked.
    """
    versions = newest_last(registry)
    damaged: list[str] = []
    try:
        pins = registry.pins()
    except PinsDamaged as error:
        pins, damaged = set(), [str(error)]
    newest = versions[-1][1].labels if versions else 0
    rows = [("", "version", "made at", "frame", "labels", "positives", "age", "parents", "")]
    for name, version in reversed(versions):
        rows.append((
            "champion" if name == ledger.champion else "led" if name in ledger.ever else "",
            name[:SHOWN],
            _time(version.created_at),
            f"{version.journal.seq:,}",
            f"{version.labels:,}",
            f"{version.positives:,}",
            f"{newest - version.labels:,}" if version.labels <= newest else "–",
            " ".join(parent[:SHOWN] for parent in version.parents) or "–",
            ", ".join(filter(None, (
                "pinned" * (name in pins), _unfit(name, version), "of another outcome" * (not fits(version.outcome, outcome)),
            ))),
        ))  # fmt: skip
    lines = table(rows, right={3, 4, 5, 6}) if versions else ["no versions"]
    lines += [str(found) for _, found in registry.all() if isinstance(found, VersionRefused)]
    lines += damaged
    if ledger.champion is None:
        lines.append("No version was promoted: the model that the daemon began with leads.")
    elif ledger.champion not in dict(versions):
        lines.append(f"{ledger.champion} leads, and is not among these.")
    else:
        champion = dict(versions)[ledger.champion]
        if not fits(champion.outcome, outcome):
            lines.append(
                f"The champion predicts {champion.outcome}. Here what is to be predicted is {outcome}: {ADVICE}."
            )
    for each in registry.proposals():
        challenger, sentence = _plain(each.challenger), _plain(each.sentence)
        lines.append(
            f"Proposed since {_time(each.at)}: {challenger}. {sentence} frontrow models promote {challenger}"
        )
    return lines


def showing(registry: Registry, ledger: Ledger, name: str) -> list[str]:
    """Return a version's card and what else is to be known of it."""
    version = registry.read(name)
    lines = [f"version    {name}"]
    if name == ledger.champion:
        promotion = ledger.promotions[-1]
        lines.append(f"champion   since {_time(promotion.at)}{_said(promotion)}")
    elif name in ledger.ever:
        lines.append("champion   once")
    steps = f"{version.optimiser.iterations:,} steps of {version.optimiser.name}"
    if version.outcome is not None:
        lines.append(f"predicts   {version.outcome}")
    lines += [
        f"made at    {_time(version.created_at)} of engine time, at frame {version.journal.seq:,}",
        f"learnt     {version.labels:,} labels, {version.positives:,} of them positive, in {steps}",
        f"inputs     {len(version.features)} features of version {version.features_version}, scaled by {version.scaler.count:,}",
        f"made with  River {version.river}, numpy {version.numpy}",
        f"options    {_pairs(version.options)}",
        f"labels by  {_pairs(version.label_policy)}",
        f"calibrated {'no' if version.calibration is None else _pairs(version.calibration)}",
        *(f"parent     {parent}" for parent in version.parents),
    ]
    unfit = _unfit(name, version)
    if unfit:
        lines.append(f"           {unfit}")
    if version.card.figures:
        lines += ["", *table([(each, f"{value:,.6g}") for each, value in sorted(version.card.figures.items())], right={1})]  # fmt: skip
    if version.card.text:
        lines += ["", *version.card.text.rstrip("\n").split("\n")]
    return lines


def comparison(registry: Registry, one: str, other: str) -> list[str]:
    """Return two versions side by side: their figures, then their weights, the largest difference first.

    Where they predict different outcomes that is said, and figures have no difference.
    """
    a, b = registry.read(one), registry.read(other)
    head = ("", one[:SHOWN], other[:SHOWN], "difference")
    figures: dict[str, tuple[float | None, float | None]] = {
        "labels": (a.labels, b.labels),
        "positives": (a.positives, b.positives),
    }
    for name in sorted({*a.card.figures, *b.card.figures}):
        figures[name] = (a.card.figures.get(name), b.card.figures.get(name))
    alike = None in (a.outcome, b.outcome) or a.outcome == b.outcome
    told = [(name, *_beside(*pair, alike=alike)) for name, pair in figures.items()]
    lines = table([head, *told], right={1, 2, 3})
    if not alike:
        lines += [
            f"They predict different outcomes, so their figures cannot be compared: {one[:SHOWN]} {a.outcome},",
            f"and {other[:SHOWN]} {b.outcome}.",
        ]
    rows = [(name, *_beside(*pair)) for name, *pair in weight_differences(a, b)]
    lines += ["", *table([("weight of", *head[1:]), *rows], right={1, 2, 3})]
    if (a.scaler.means, a.scaler.variances) != (b.scaler.means, b.scaler.variances):
        lines.append("Their scalers differ: each weight is per standard deviation of its own version's.")
    return lines


def history(ledger: Ledger) -> list[str]:
    """Return the journal's promotions, the oldest first."""
    return [
        f"{each.number}  {_time(each.at)}  {each.version[:SHOWN]} for {each.replaces[:SHOWN] if each.replaces else 'the first model'}{_said(each)}"
        for each in ledger.promotions
    ]


def _said(promotion: Promotion) -> str:
    # Names and reasons are people's words: what could command a terminal is left out.
    by, reason = _plain(promotion.by), _plain(promotion.reason)
    return (f", by {by}" if by else "") + (f": {reason}" if reason else "")


def _plain(words: str) -> str:
    return "".join(character for character in words if not has_control(character)).strip()


def _unfit(name: str, version: Version) -> str:
    try:
        check_fit(version, name)
    except VersionRefused as refused:
        return f"not for this build: {str(refused).removeprefix(f'{name}: ')}"
    return ""


def _beside(one: float | None, other: float | None, *, alike: bool = True) -> tuple[str, str, str]:
    if one is None or other is None or not alike:
        return _number(one), _number(other), "–"
    return _number(one), _number(other), f"{other - one:+,.6g}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.6g}"


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value!r:.80}" for key, value in sorted(values.items())) or "–"


def _time(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000.0, UTC):%Y-%m-%d %H:%M:%S}Z"
