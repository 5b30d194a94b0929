"""A WebSocket connection that hands over its messages in bulk: the `websockets` library with a short way past it.

The library takes some ten microseconds of processor time for a message, most of it for one object, one step of its
parser and one wake-up of a task each. Nearly all messages of a busy feed are the plainest that there are: one
unmasked, uncompressed, final frame of text or bytes. :class:`BulkConnection` cuts these out of what was read by
itself, in a tenth of that time, and gives every other frame to the library: the handshake, control frames, fragments,
compressed frames, large ones, and whatever breaks the protocol. So what the library promises of these stays true.

RFC 6455, section 5.2, has the layout of a frame. The library's parser stands at the start of a frame whenever it is
not owed the rest of one (``_owed``); that, and nothing else of its inside, is relied on.
"""

import asyncio
from typing import cast

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

from frontrow_connectors.inbox import Inbox

TEXT, BINARY = 0x81, 0x82  # the first byte of a final frame without reserved bits
MASKED = 0x80  # of the second byte: what a server must not do
OPCODES = frozenset(Opcode)
LONGEST = (
    65_535  # bytes of a payload that is cut out here; a longer one the library takes as it comes, in parts
)
END_OF_HEAD = b"\r\n\r\n"


class BulkConnection(ClientConnection):
    """For ``connect(create_connection=…)``. Read :attr:`inbox`, and call ``recv`` only to learn how it ended.

    The library's own queue stays empty, and so its bound is never reached: the inbox has one of its own.
    """

    inbox: Inbox[bytes]

    _tail = b""  # the last bytes of the handshake's answer while it is not complete
    _headed = False  # it is complete
    _owed = 0  # bytes of the frame that the library has begun and not seen the end of
    _rest = b""  # the beginning of a frame that the library knows nothing of
    _fragments: bytearray | None = None  # of the message under way, if it comes in fragments
    _messages: list[bytes]  # of this read

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.inbox = Inbox(cast("asyncio.Transport", transport))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.inbox.end()

    def data_received(self, data: bytes) -> None:
        size = len(data)
        self._messages = []
        data = self._rest + data if self._headed else self._receive_head(data)
        self._rest = b""
        while data:
            if self.protocol.state is not State.OPEN:
                super().data_received(
                    data
                )  # refused, closing or failed: the library knows what to do with it
                break
            if not self._owed:
                data = self._receive_frames(data)
            if not self._owed:
                self._rest = data
                break
            part, data = data[: self._owed], data[self._owed :]
            self._owed -= len(part)
            super().data_received(part)
        self.inbox.receive(self._messages, size)

    def process_event(self, event: Event) -> None:
        if not isinstance(event, Frame) or event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            super().process_event(event)
            return
        # The library has checked that the fragments are in order and, all together, within the bound.
        if self._fragments is None:
            self._fragments = bytearray()
        self._fragments += event.data
        if event.fin:
            self._messages.append(bytes(self._fragments))
            self._fragments = None

    def _receive_head(self, data: bytes) -> bytes:
        """Give the library the handshake's answer, and return what came behind it."""
        known = len(self._tail)
        head = self._tail + data
        end = head.find(END_OF_HEAD)
        self._headed = end >= 0
        self._tail = head[1 - len(END_OF_HEAD) :]
        behind = end + len(END_OF_HEAD) - known if self._headed else len(data)
        super().data_received(data[:behind])
        return data[behind:]

    def _receive_frames(self, data: bytes) -> bytes:
        """Take the plain messages that ``data`` begins with, and return what is behind them.

        Sets ``_owed`` if that begins with a frame for the library; else it is a part of a plain frame, or nothing.
        """
        limit = min(self.protocol.max_message_size or LONGEST, LONGEST)
        if self._fragments is None:
            data = data[_cut_messages(data, self._messages, limit) :]
        if len(data) > 1 and (data[1] & MASKED or data[0] & 0x0F not in OPCODES):
            self._owed = len(data)  # the library refuses it by these two bytes, whatever length it has
            return data
        header = _header_length(data)
        if len(data) < header:
            return data
        length = int.from_bytes(data[2:header]) if header > 2 else data[1] & 0x7F
        plain = data[0] in (TEXT, BINARY) and data[1] < 127 and length <= limit
        if not plain or self._fragments is not None:
            self._owed = header + length
        return data


def _cut_messages(data: bytes, messages: list[bytes], limit: int) -> int:
    """Append the payloads of the plain frames at the beginning of ``data``, and return where they end."""
    at, end = 0, len(data)
    take = messages.append
    while end - at > 1 and (data[at] == TEXT or data[at] == BINARY):
        length = data[at + 1]
        start = at + 2
        if length > 125:
            if length > 126 or end - at < 4:  # eight bytes of length, or a mask
                break
            length = data[at + 2] << 8 | data[at + 3]
            start = at + 4
        if length > limit or start + length > end:
            break
        at = start + length
        take(data[start:at])
    return at


def _header_length(data: bytes) -> int:
    """Return how many bytes a frame has before its payload; a mask, which a server must not use, is not counted."""
    short = data[1] & 0x7F if len(data) > 1 else 0
    return 2 + {126: 2, 127: 8}.get(short, 0)
