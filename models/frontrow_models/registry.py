"""The registry: a folder of versions, one file each, named by the SHA-256 of what it holds; and who leads, by the journal.

A file is never changed: it is written under another name, synced, and only then gets its own, so a crash leaves it
whole or not there. A changed byte no longer fits the name and is refused.

Which version leads is not the registry's to say: promotions are events of the journal. The :class:`Ledger` is what a
reader has made of them so far, kept beside the versions so that the next reader need not begin at the journal's
start. It is derived: lost, damaged or of another journal, it is read anew. Pins are for people: they only keep files
from being removed, and change no result. They can be had from nowhere else, so where their list is damaged nothing is
removed.

The folder may be written by several processes and threads at once; :meth:`Registry.pin` and :meth:`Registry.prune`
are for one at a time.
"""

import contextlib
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec
from msgspec import Struct

from frontrow.core.errors import FrontrowError
from frontrow.core.frames import Frame
from frontrow.core.ports import Folder
from frontrow.core.promotions import Promotion, is_version, promotions_of
from frontrow_models.versions import MAX_BYTES, Version, VersionRefused, check_fit, decode, encode, name_of

SUFFIX, UNFINISHED = ".json", ".part"
PINS, LEDGER, PROPOSED = "pins.json", "ledger.json", "proposed.json"
KEPT = 50  # versions, the newest, beside those that are held for a reason; 200 kB
UNFINISHED_S = (
    3_600.0  # after which a file that is not whole was left by a crash; younger ones may be being written
)
SHORTEST_PREFIX = 6  # digits by which a person may name a version


class Ledger(Struct, forbid_unknown_fields=True):
    """The promotions of a journal up to frame ``seq``, whose mark (see ``Store.mark``) is ``mark``, as hexadecimal."""

    seq: int = 0
    mark: str = ""
    promotions: list[Promotion] = []

    def take(self, seq: int, frame: Frame) -> None:
        """Read one more frame, the next of the journal."""
        self.seq = seq
        self.promotions += [promotion for _, promotion in promotions_of(frame)]

    @property
    def champion(self) -> str | None:
        """The version that leads, or None: the model that the daemon began with."""
        return self.promotions[-1].version if self.promotions else None

    @property
    def former(self) -> str | None:
        """The version to roll back to: what led before the champion did, or None.

        To go back is no step forward: after A, B, C and back to B, what is before B is A. To promote B once more on
        purpose is one: what is before it is C. Journals of before do not tell these two apart, and there what led
        before and leads again was gone back to.
        """
        led: list[str] = []
        for promotion in self.promotions:
            if promotion.replaces is not None:
                led[-1:] = [promotion.replaces]  # what led had learnt on since it was promoted
            if promotion.back is not False and led[-2:-1] == [promotion.version]:
                led.pop()
            else:
                led.append(promotion.version)
        return led[-2] if len(led) > 1 else None

    @property
    def ever(self) -> set[str]:
        """Every version that ever led: a replay needs them all."""
        found = {promotion.version for promotion in self.promotions}
        return found | {each.replaces for each in self.promotions if each.replaces is not None}


class Proposal(Struct, frozen=True, forbid_unknown_fields=True):
    """That a challenger of a running daemon is to lead, why, and since when (UTC ms)."""

    challenger: str
    sentence: str
    at: int


class PinsDamaged(FrontrowError):
    """The list of pins cannot be read, so nobody knows what is to stay; the message says what to do."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"{PINS}, the list of the versions that are to be kept, {why}; nothing is pinned or removed until it is brought"
            " back from a backup, or removed and the versions pinned anew (frontrow models pin)"
        )


class Registry:
    """The versions in a folder. Every method reads the folder as it is; nothing is remembered between calls."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """Return the names of the versions that are there, sound or not, sorted."""
        stems = (name.removesuffix(SUFFIX) for name in self._folder.names() if name.endswith(SUFFIX))
        return sorted(filter(is_version, stems))

    def find(self, prefix: str) -> str:
        """Return the whole name of the one version that begins so.

        Raises:
            VersionRefused: There is none, or more than one, or the prefix is too short to mean one.
        """
        if len(prefix) < SHORTEST_PREFIX:
            raise VersionRefused(f"{prefix!r}: give at least {SHORTEST_PREFIX} digits of the version")
        found = [name for name in self.names() if name.startswith(prefix)]
        if len(found) != 1:
            many = f"{len(found)} versions begin" if found else "no version in the registry begins"
            raise VersionRefused(f"{many} with {prefix!r}; frontrow models list shows what there is")
        return found[0]

    def read(self, name: str) -> Version:
        """Return a version to look at, whichever build made it.

        Raises:
            VersionRefused: It is not there, cannot be read, or is not a sound version of this name.
        """
        if not is_version(name):
            raise VersionRefused(f"{name!r} is no version's name, which has 64 hexadecimal digits")
        try:
            with contextlib.closing(self._folder.open(name + SUFFIX)) as file:
                text = file.read(MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise VersionRefused(
                f"{name}: is not in the registry; bring its file back from a backup"
            ) from error
        except OSError as error:
            raise VersionRefused(f"{name}: cannot be read ({error.strerror or error})") from error
        return decode(text, name)

    def load(self, name: str) -> Version:
        """Return a version to compute with.

        Raises:
            VersionRefused: As :meth:`read`, or this build cannot compute with it.
        """
        version = self.read(name)
        check_fit(version, name)
        return version

    def all(self) -> Iterator[tuple[str, Version | VersionRefused]]:
        """Return every version that is there, or why it is none, by name."""
        for name in self.names():
            try:
                yield name, self.read(name)
            except VersionRefused as refused:
                yield name, refused

    def add(self, version: Version) -> str:
        """Keep a version, durably, and return its name. One that is there already stays as it is; a damaged one is mended.

        Raises:
            VersionRefused: It is out of bounds.
            OSError: It cannot be written. Those that were there are as they were.
        """
        text = encode(version)
        name = name_of(text)
        try:
            self.read(name)
        except VersionRefused:
            self._write(name + SUFFIX, text)
        return name

    def pins(self) -> set[str]:
        """Return the versions that somebody wants kept. Raises PinsDamaged."""
        try:
            pins = set(msgspec.json.decode(self._small(PINS), type=list[str]))
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise PinsDamaged(f"cannot be read ({error.strerror or error})") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise PinsDamaged("is damaged") from error
        if not all(map(is_version, pins)):
            raise PinsDamaged("is damaged")
        return pins

    def pin(self, name: str, *, keep: bool = True) -> None:
        """Keep a version whatever its age, or no longer.

        Raises:
            VersionRefused: It is to be kept, and is not sound.
            PinsDamaged: The list stays as it is.
            OSError: It cannot be written.
        """
        if keep:
            self.read(name)
        pins = self.pins() | {name} if keep else self.pins() - {name}
        self._write(PINS, msgspec.json.encode(sorted(pins)))

    def ledger(self) -> Ledger:
        """Return what is known of the journal's promotions; nothing where that is lost or damaged."""
        try:
            return msgspec.json.decode(self._small(LEDGER), type=Ledger)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Ledger()

    def keep_ledger(self, ledger: Ledger) -> None:
        """Keep what was read of the journal. Raises OSError."""
        self._write(LEDGER, msgspec.json.encode(ledger))

    def proposals(self) -> list[Proposal]:
        """Return what a daemon proposed last; nothing where that is lost or damaged."""
        try:
            return msgspec.json.decode(self._small(PROPOSED), type=list[Proposal])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []

    def keep_proposals(self, proposals: Sequence[Proposal]) -> None:
        """Tell whoever lists the versions what is proposed. Raises OSError."""
        self._write(PROPOSED, msgspec.json.encode(proposals))

    def prune(self, ever: Collection[str], keep: int = KEPT) -> list[str]:
        """Remove old versions and return their names: all but the last ``keep``, the pinned, and those that ever led.

        Last is who was made last in engine time. ``ever`` are a ledger's, which must be up to date. What is not sound
        stays, since nobody can say what it was. What a crash left unfinished goes after an hour.

        Raises:
            PinsDamaged: Nothing was removed.
            OSError: Something cannot be removed.
        """
        held = self.pins() | set(ever)
        sound = [(version.created_at, version.journal.seq, name) for name, version in newest_last(self)]
        gone = [name for _, _, name in sound[: max(0, len(sound) - keep)] if name not in held]
        for name in gone:
            self._folder.remove(name + SUFFIX)
        if self._sweep() or gone:
            self._folder.sync()
        return gone

    def _sweep(self) -> int:
        """Remove what a crash left unfinished; return how many files that were."""
        swept = 0
        for name in self._folder.names():
            with contextlib.suppress(FileNotFoundError):  # it was young, and has its own name by now
                if name.endswith(UNFINISHED) and self._folder.age_s(name) > UNFINISHED_S:
                    self._folder.remove(name)
                    swept += 1
        return swept

    def _small(self, name: str) -> bytes:
        with contextlib.closing(self._folder.open(name)) as file:
            return file.read(MAX_BYTES)

    def _write(self, name: str, text: bytes) -> None:
        unfinished = f"{name}.{secrets.token_hex(8)}{UNFINISHED}"  # no two writers may share one
        try:
            with contextlib.closing(self._folder.create(unfinished)) as file:
                file.write(text)
                file.sync()
            self._folder.rename(unfinished, name)
            self._folder.sync()
        except OSError:
            with contextlib.suppress(OSError):
                self._folder.remove(unfinished)
            raise


def newest_last(registry: Registry) -> Sequence[tuple[str, Version]]:
    """Return the sound versions, in the order in which they were made, by engine time."""
    sound = [(name, version) for name, version in registry.all() if isinstance(version, Version)]
    return sorted(sound, key=lambda each: (each[1].created_at, each[1].journal.seq, each[0]))


def weight_differences(one: Version, other: Version) -> list[tuple[str, float | None, float | None]]:
    """Return (feature, weight in one, weight in the other), the largest difference first; None: it has none.

    The intercept is among them. Weights are per standard deviation of each version's own scaler.
    """
    ones, others = (
        dict(zip(version.features, version.weights, strict=True)) | {"intercept": version.intercept}
        for version in (one, other)
    )
    names: Iterable[str] = dict.fromkeys((*ones, *others))
    rows = [(name, ones.get(name), others.get(name)) for name in names]
    return sorted(rows, key=lambda row: (-abs((row[1] or 0.0) - (row[2] or 0.0)), row[0]))
