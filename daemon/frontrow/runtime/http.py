"""HTTP/1.1 as the daemon reads it: uvicorn's protocol over httptools, with a bound for all that is not a body.

httptools (llhttp, the parser of Node.js) takes a third of the time that h11 takes or less, and keeps as much of a
request's head as it is sent. Strangers are read before they are asked for a token, so what they can make us keep is
bounded here: a head, what follows the last chunk of a body, what stands around chunks, and requests that are sent
ahead of their answers. Bodies are bounded where they are read (:mod:`frontrow.runtime.server`), and their reading
stops while nobody does.
"""

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 16_384  # bytes of a request line and headers, with trailers; as much as Node.js takes
MAX_AHEAD = 16  # requests that wait on one connection for the answer to an earlier one

_HEADER = 4  # bytes of a header beside its name and value
# What surrounds the counted parts of a good head (method, version, spaces) must not make it depend on how it was cut.
_MAX_BESIDE = 2 * MAX_HEAD
_TOO_LARGE = b"The request's head is too large."


class BoundedHttp(HttpToolsProtocol):
    """One connection. What it keeps of heads is at most ``MAX_HEAD`` bytes each, and what was read at once.

    A head that is larger is answered with 431, what is no HTTP and too many requests ahead with 400; then the
    connection is closed.
    """

    # Counted twice, since one read may hold thousands of headers, and one header may come in thousands of reads.
    _head = 0  # bytes of the present message's head that the parser has given us
    _beside = 0  # bytes since the last whole message, chunk or head that were no body; less than there were is possible
    _too_large = False

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._beside += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._read_on(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        if self._beside > _MAX_BESIDE:
            self._too_large = True
            self.send_400_response("")

    def _read_on(self, rest: bytes) -> None:
        """Go on with a request that offers a protocol that we do not speak, as if it had not.

        Java's client offers HTTP/2 with each first request. The parser takes all behind such a head for the other
        protocol; so a new one is given the head again, without the offer.
        """
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % (name, value) for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    def send_400_response(self, msg: str) -> None:
        if self._too_large:
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(_TOO_LARGE), _TOO_LARGE)
            )
            self.transport.close()
        else:
            super().send_400_response(msg)

    # What the parser calls. An error that is raised here ends the connection by way of send_400_response.

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_AHEAD:
            raise ValueError("too many requests ahead of their answers")
        self._head = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + _HEADER)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._beside = 0
        if not self._offers_another():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._beside -= len(body)
        super().on_body(body)

    def on_chunk_complete(self) -> None:
        self._beside = 0

    def on_message_complete(self) -> None:
        self._beside = 0
        if not self._offers_another():
            super().on_message_complete()

    def _offers_another(self) -> bool:
        """Return whether the present request will be read again by :meth:`_read_on`."""
        return (
            self.parser.should_upgrade()
            and any(name == b"upgrade" for name, _ in self.headers)
            and not self._should_upgrade()
        )

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > MAX_HEAD:
            self._too_large = True
            raise ValueError("a head that is too large")
