"""uvicorn's HTTP/1.1 with an end to its patience: it would wait for ever for a header, for a body, and for a reader.

The rule is that of Apache's ``mod_reqtimeout``. A header is there whole within ``HEADER_S``. A body has ``BODY_S``, and
a second more for every ``BODY_RATE`` bytes that came: who sends slowly may take the time, who drips is cut off. And who
takes nothing of a response for ``READ_S`` is cut off, as nginx's ``send_timeout`` does it.

What waits for a slow reader is bounded, too: ``UNSENT`` bytes in this process and as many in the kernel, which would
take megabytes for each.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

HEADER_S = 10.0
BODY_S = 20.0
BODY_RATE = 16 * 1024  # bytes in a second
READ_S = 60.0  # a chip that erases a slot before it reads on takes some 20
UNSENT = 64 * 1024
CONNECTIONS = 640
"""At once; whoever comes then is answered 503. 500 downloads and the pages that watch them, of the 1,024 files that
Linux lets a process open by default."""

_Awaited = Literal["header", "body"]


class _Connection(h11.Connection):
    """HTTP/1.1 that hands a body on as the object it came as: a slice of firmware goes to the socket uncopied."""

    _transport: asyncio.Transport

    def leads_to(self, transport: asyncio.Transport) -> None:
        """Where everything that is sent goes."""
        self._transport = transport

    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override]  # its overloads say it per event
        """As the library's; but one piece is not joined, and nothing is left of it when the connection is going."""
        pieces = self.send_with_data_passthrough(event)
        if pieces is None:
            return None
        if self._transport.is_closing():
            return b""  # asyncio would log a line for each
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _bound(transport: asyncio.Transport) -> None:
    """Let little wait for a reader that does not read: in the buffers of asyncio and its TLS, and in the kernel."""
    transport.set_write_buffer_limits(high=UNSENT)
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux has it, and macOS
    line = transport.get_extra_info("socket")
    if option is not None and line is not None:
        line.setsockopt(socket.IPPROTO_TCP, option, UNSENT)


class PatientProtocol(H11Protocol):
    """One connection. Whoever is late gets 408 where an answer is still possible, and the connection ends."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn: _Connection = _Connection(h11.SERVER)
        self._awaited: tuple[_Awaited, RequestResponseCycle | None] | None = None
        self._since = 0.0
        self._received = 0
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn's; the header is awaited from now on."""
        super().connection_made(transport)
        _bound(transport)
        self.conn.leads_to(transport)
        self._await(("header", None))

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn's; nothing is awaited any more."""
        self._await(None)
        super().connection_lost(exc)  # which resumes writing

    def data_received(self, data: bytes) -> None:
        """As uvicorn's; then see what is missing now."""
        self._received += len(data)
        super().data_received(data)
        self._look()

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

    def _look(self) -> None:
        state = self.conn.their_state
        awaited: tuple[_Awaited, RequestResponseCycle | None] | None = None
        if state is h11.SEND_BODY:
            awaited = ("body", self.cycle)
        elif state is h11.IDLE and (self.conn.trailing_data[0] or self.cycle is None):
            awaited = ("header", self.cycle)  # else the connection rests, and uvicorn's own time-out looks after it
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
            if self.conn.trailing_data[0]:  # a browser keeps connections in reserve, and would take 408 for an answer
                self._answer_408(what)
            self.transport.close()
        elif cycle is not None and not cycle.response_started:
            cycle.disconnected = True  # for the app: nobody is there
            self._answer_408(what)
            self.transport.close()
        else:
            self.transport.abort()  # it was answered long ago, and goes on sending

    def _answer_408(self, what: _Awaited) -> None:
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        text = f"The {what} of the request took too long."
        for event in (
            h11.Response(status_code=408, headers=headers, reason=b"Request Timeout"),
            h11.Data(data=text.encode()),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
