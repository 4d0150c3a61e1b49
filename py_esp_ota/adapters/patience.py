"""uvicorn's HTTP/1.1 with an end to its patience: it would wait for ever for a header, for a body, and for a reader.

The rule is that of Apache's ``mod_reqtimeout``. A header is there whole within ``HEADER_S``. A body has ``BODY_S``, and
a second more for every ``BODY_RATE`` bytes that came: who sends slowly may take the time, who drips is cut off. And who
takes nothing of a response for ``READ_S`` is cut off, as nginx's ``send_timeout`` does it.

What waits is bounded, too: for a slow reader ``UNSENT`` bytes in this process and as many in the kernel, which would
take megabytes for each; of a request ``HEADER_LIMIT`` bytes of header; of requests that are sent ahead ``AHEAD``.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Literal

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEADER_S = 10.0
HEADER_LIMIT = 16 * 1024
AHEAD = 16
BODY_S = 20.0
BODY_RATE = 16 * 1024  # bytes in a second
READ_S = 60.0  # a chip that erases a slot before it reads on takes some 20
UNSENT = 64 * 1024
CONNECTIONS = 2048
"""At once, where the process may open enough files; whoever comes then is answered 503."""


def connections(files: int) -> int:
    """How many connections a server takes at once when its process may open so many files.

    640 of the 1,024 that are usual on Linux: the rest is for the broker, the nodes beside the server and the database.
    """
    return min(CONNECTIONS, files * 5 // 8)


def _bound(transport: asyncio.Transport) -> None:
    """Let little wait for a reader that does not read: in the buffers of asyncio and its TLS, and in the kernel."""
    transport.set_write_buffer_limits(high=UNSENT)
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux has it, and macOS
    line = transport.get_extra_info("socket")
    if option is not None and line is not None:
        line.setsockopt(socket.IPPROTO_TCP, option, UNSENT)


_Awaited = Literal["header", "body"]
_NO_HTTP = "Invalid HTTP request received."


class _Flow(FlowControl):
    """uvicorn's flow control, which also lets the loop turn once before more is written to a connection that is going.

    It is then known to be lost, and nothing is written: asyncio would log a line for each piece.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._paused = False
        super().__init__(transport)

    @property
    def write_paused(self) -> bool:
        """Whether a writer has to ``drain`` first."""
        return self._paused or self._transport.is_closing()

    @write_paused.setter
    def write_paused(self, paused: bool) -> None:
        self._paused = paused

    async def drain(self) -> None:
        """Wait until there is room, or nobody to write to."""
        await super().drain()
        if self._transport.is_closing():
            await asyncio.sleep(0)


class PatientProtocol(HttpToolsProtocol):
    """One connection. Whoever is late gets 408 where an answer is still possible, and the connection ends."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._part: _Awaited | None = None  # of a request that has begun and not ended
        self._head = 0  # bytes of its header that are read
        self._unfinished = 0  # bytes that came while its header was not whole
        self._running: RequestResponseCycle | None = None  # the request that is answered, or was answered last
        self._broken = False
        self._awaited: tuple[_Awaited, RequestResponseCycle | None] | None = None
        self._since = 0.0
        self._received = 0
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------------------------------------- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn's; the header is awaited from now on."""
        super().connection_made(transport)
        self.flow = _Flow(transport)
        _bound(transport)
        self._await(("header", None))

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn's, which tells only the request that came last; nothing is awaited any more."""
        self._await(None)
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)  # which resumes writing

    def data_received(self, data: bytes) -> None:
        """As uvicorn's; then see what is missing now."""
        if self._broken:
            return
        self._received += len(data)
        begun = self._part == "header"
        super().data_received(data)
        if begun and self._part == "header":
            self._unfinished += len(data)
            if self._unfinished > HEADER_LIMIT:
                self.send_400_response(_NO_HTTP)
        self._look()

    def send_400_response(self, msg: str) -> None:
        """As uvicorn's, which would write it into the middle of an answer: that one is finished, and is the last."""
        self._broken = True
        self.pipeline.clear()
        running = self._running
        if running is None or running.response_complete or (running.more_body and not running.response_started):
            if running is not None:
                running.disconnected = True  # for the app: nobody is there
            super().send_400_response(msg)
        else:
            running.keep_alive = False

    # ----------------------------------------------------------------------------------------------------- the request

    def on_message_begin(self) -> None:
        """As uvicorn's, which would take any number of requests that are sent ahead."""
        if len(self.pipeline) >= AHEAD:
            raise ValueError("too many requests ahead")  # the parser makes 400 of it
        super().on_message_begin()
        self._part, self._head, self._unfinished = "header", 0, 0

    def on_url(self, url: bytes) -> None:
        """As uvicorn's, where there is no limit."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn's, where there is no limit, and a body that is packed would be taken as it is."""
        self._count(len(name) + len(value))
        if name.lower() == b"transfer-encoding" and value.strip().lower() != b"chunked":
            raise ValueError("a transfer coding besides chunked")  # the parser makes 400 of it
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """As uvicorn's."""
        super().on_headers_complete()
        self._part = "body"

    def on_message_complete(self) -> None:
        """As uvicorn's."""
        super().on_message_complete()
        self._part = None

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > HEADER_LIMIT:
            raise ValueError("the header is too long")  # the parser makes 400 of it

    # ---------------------------------------------------------------------------------------------------- the response

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """As uvicorn's, which may have found the next request in what it had already."""
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        """As uvicorn's; the reader has to take something from now on."""
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """As uvicorn's; the reader took it."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def _watch_reader(self, left: int) -> None:
        self._unread = self.loop.call_later(READ_S, self._not_read, left)

    def _not_read(self, left: int) -> None:
        now = self.transport.get_write_buffer_size()
        if now < left:
            self._watch_reader(now)
        else:
            self.transport.abort()

    # ----------------------------------------------------------------------------------------------------- the patience

    def _look(self) -> None:
        awaited: tuple[_Awaited, RequestResponseCycle | None] | None = None
        running = self._running
        if self._part == "body" and running is self.cycle:  # else it is one ahead, and reading pauses
            awaited = ("body", running)
        elif self._part != "body" and (running is None or running.response_complete):
            rests = self._part is None and self.timeout_keep_alive_task is not None
            awaited = None if rests else ("header", running)  # uvicorn's own time-out looks after one that rests
        if awaited != self._awaited:
            self._await(awaited)

    def _await(self, awaited: tuple[_Awaited, RequestResponseCycle | None] | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._awaited, self._timer = awaited, None
        self._since, self._received = self.loop.time(), 0
        if awaited is not None:
            self._timer = self.loop.call_at(self._deadline(awaited[0]), self._late)

    def _deadline(self, what: _Awaited) -> float:
        return self._since + (HEADER_S if what == "header" else BODY_S + self._received / BODY_RATE)

    def _late(self) -> None:
        if self._awaited is None or self.transport.is_closing():
            return
        what, cycle = self._awaited
        deadline = self._deadline(what)
        if self.loop.time() < deadline:  # bytes came in the meantime
            self._timer = self.loop.call_at(deadline, self._late)
        elif what == "header":
            if self._part == "header":  # a browser keeps connections in reserve, and would take 408 for an answer
                self._answer_408(what)
            self.transport.close()
        elif cycle is not None and not cycle.response_started:
            cycle.disconnected = True  # for the app: nobody is there
            self._answer_408(what)
            self.transport.close()
        else:
            self.transport.abort()  # it was answered long ago, and goes on sending

    def _answer_408(self, what: _Awaited) -> None:
        text = f"The {what} of the request took too long."
        head = f"content-type: text/plain; charset=utf-8\r\ncontent-length: {len(text)}\r\nconnection: close"
        self.transport.write(f"HTTP/1.1 408 Request Timeout\r\n{head}\r\n\r\n{text}".encode())
