"""The one gate that every event passes before the intake: its channel's word on it."""

from collections.abc import Iterable

from frontrow.core.centre.channels import Channel, Channels, Refusal
from frontrow.core.events import Batch, Event, RoomRef


class ChannelGate:
    """Holds the channels as they are now. ``stands`` is False where none are registered, and then all goes through."""

    def __init__(self, channels: Iterable[Channel], rooms: Iterable[RoomRef]) -> None:
        self.channels = Channels(channels, rooms={(room.platform, room.room): room.id for room in rooms})

    @property
    def stands(self) -> bool:
        return len(self.channels) > 0

    def admit(self, batch: Batch, feed: str) -> Batch:
        """Return a batch with what the channels refuse moved to ``rejected``; ``feed`` is the id of the feed that brought it."""
        return self.channels.admit_batch(batch, feed) if self.stands else batch

    def admit_one(self, event: Event, feed: str) -> Event | Refusal:
        """Return one event as it is to be taken, or why it is not."""
        return self.channels.admit(event, feed)
