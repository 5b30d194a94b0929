"""Every error that Frontrow raises on purpose, in one tree, sorted by who must act.

* :class:`FrontrowError`

  * :class:`ConfigError`: the operator; all mistakes together
  * :class:`EventInvalid`: the sender of one event; the others of its batch go on
  * :class:`FeedError`: nobody, it is tried again
  * :class:`FeedRefused`: the operator; trying again soon cannot help
  * :class:`SignatureInvalid`: the sender of a webhook; answered with 401 and counted
  * :class:`SinkBusy`: nobody, it is tried again after ``retry_after_s``
  * :class:`SinkRefused`: the operator; the message goes to the dead letters
  * :class:`StoreLocked`: the operator; another daemon holds the store
  * :class:`StoreUnusable`: the operator; the store cannot be opened or written

    * :class:`CommitFailed`: the operator; a commit failed, and the daemon must end

  * :class:`StoreDamaged`: the operator; the journal or a stored state cannot be read back
  * :class:`DatabaseAway`: nobody, it is tried again; the lead centre's database does not answer, and the journal has everything
  * :class:`SnapshotFailed`: nobody, it is tried again; the one before stands, and the journal has everything
"""

from dataclasses import dataclass


class FrontrowError(Exception):
    """The root: catch it where any refusal of Frontrow's own is to become a message."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a configuration file.

    ``line`` and ``column`` count from 1; both are 0 when the mistake has no place in a file (an environment
    variable, a missing file). ``hint`` is the nearest right spelling, or empty.
    """

    file: str
    line: int
    column: int
    key: str
    reason: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        key = f" {self.key}:" if self.key else ""
        hint = f" (did you mean {self.hint!r}?)" if self.hint else ""
        return f"{place}:{key} {self.reason}{hint}"


class ConfigError(FrontrowError):
    """The configuration cannot be used. Carries every mistake, in the order of the file."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__(mistakes)
        self.mistakes = mistakes

    def __str__(self) -> str:
        return "\n".join(str(mistake) for mistake in self.mistakes)


class EventInvalid(FrontrowError):
    """One event cannot be taken; ``str(error)`` is the reason in words, without the event's own text."""


class FeedError(FrontrowError):
    """The connection to a feed is lost or could not be made; it will be tried again.

    ``retry_after_s`` is what the other side asked for, in seconds; None leaves it to the backoff.
    """

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class FeedRefused(FrontrowError):
    """The other side refuses us (wrong key, room unknown, right revoked): a person must act."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SignatureInvalid(FrontrowError):
    """A signed request does not carry the signature that its bytes and our secret give, or is too old."""


class SinkBusy(FrontrowError):
    """A sink cannot take the message now; try again after ``retry_after_s`` seconds (None: by backoff)."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class SinkRefused(FrontrowError):
    """A sink will never take this message as it is; it goes to the dead letters with the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StoreLocked(FrontrowError):
    """Another daemon works on this store; ``holder`` says which."""

    def __init__(self, path: str, holder: str) -> None:
        super().__init__(path, holder)
        self.path = path
        self.holder = holder

    def __str__(self) -> str:
        return f"{self.path} is in use by {self.holder}; stop that daemon first, or configure another [storage] path"


class DatabaseAway(FrontrowError):
    """The lead centre's database does not answer now. What was journalled is done when it is back."""


class StoreUnusable(FrontrowError):
    """The store cannot be opened, or a commit failed; what was not acknowledged is not stored."""


class CommitFailed(StoreUnusable):
    """A commit failed, and its file takes no more until it is opened anew; nothing acknowledged is lost.

    ``cause`` is a word for metrics and logs: "full", "fsync", "io", "locked" or "other".
    """

    def __init__(self, message: str, *, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


class StoreDamaged(FrontrowError):
    """What is stored cannot be read back; the message says what, where and how to go on."""


class SnapshotFailed(FrontrowError):
    """A snapshot could not be written. Nothing is lost by it: the next start only reads more of the journal."""
