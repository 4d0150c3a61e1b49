"""Live pages: what changed is rendered once for each view, and the same text goes to all who watch it.

A view is the live part of one page, named by the page's address. It consists of parts: pieces of HTML, each with the
number of the change it shows. Whoever watches is at a number too, and is sent the parts with higher ones. A page is at
the number that it was rendered at, a stream goes on where its page or its predecessor ended: so nothing is missed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

from fastapi.responses import StreamingResponse
from starlette.types import Send

from py_esp_ota.cloud.live import Kind, Live, Notice
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.cloud.web.show import unlink

log = logging.getLogger(__name__)

PAUSE_S = 0.2
"""Between two renderings of a view: quick for the eye, and busy nodes cost no more than five a second."""
REST = 9.0
"""Pause after each rendering, in times of its own length: all of them together take a tenth of the loop's time."""
BEAT_S = 15.0
"""A stream says at least this often that it is alive; the page's script waits three times as long."""
VIEWS = 32
"""In one stream. More tabs than that nobody looks at, and their addresses would not fit into a request's header."""
DUE = 512
"""Changes that a view keeps apart until it is rendered; with more it is rendered as if anything had changed."""

Parts = Mapping[str, str]
"""Pieces of HTML by name. One that holds others comes before them and begins their names: ``nodes``, ``nodes/a``."""


class Source(Protocol):
    """What a view shows."""

    def concerns(self, notice: Notice) -> bool:
        """Whether the view may look otherwise now. Cheap: it is asked about everything that happens."""

    def render(self, notices: Collection[Notice] | None) -> Parts:
        """The parts as they are now; ``notices`` say what changed since the last time, ``None`` that anything may have.

        Raises:
            CloudError: there is nothing to show.
        """


Maker = Callable[[str], Source | None]
"""The source of an address; ``None`` when it is of another kind of page."""


class _Part(NamedTuple):
    html: str
    number: int


@dataclass(frozen=True)
class Listing:
    """A list page: one part, and everything of its kinds may change it."""

    kinds: Collection[Kind]
    show: Callable[[], str]

    def concerns(self, notice: Notice) -> bool:
        """See ``Source``."""
        return notice.kind in self.kinds

    def render(self, notices: Collection[Notice] | None) -> Parts:
        """See ``Source``."""
        del notices  # where in the list something changed, nobody can tell
        return {"list": self.show()}

    @staticmethod
    def maker(path: str, kinds: Collection[Kind], names: Collection[str], show: Callable[..., str]) -> Maker:
        """For ``Views.add``: ``show`` gets those parameters of the address that have these names."""

        def make(address: str) -> Listing | None:
            found, query = unlink(address)
            if found != path:
                return None
            return Listing(kinds, partial(show, **{name: query[name] for name in names if name in query}))

        return make


@dataclass(eq=False)
class View:
    """A source that somebody watches, and its parts as they were rendered last."""

    address: str
    source: Source
    number: int = -1  # everything up to here is in the parts
    due: set[Notice] | None = None  # what is not yet in the parts; None is anything
    parts: dict[str, _Part] = field(default_factory=dict)
    watchers: set[asyncio.Event] = field(default_factory=set)
    _texts: dict[int, bytes] = field(default_factory=dict)

    def render(self, live: Live) -> None:
        """Bring the parts to the number of now. Raises what the source raises; then everything is still due."""
        notices, self.due = self.due, None
        found = self.source.render(notices)
        # What is rendered for the first time is as old as the last change, which a page may have seen already.
        number = live.last(self.source.concerns) if self.number < 0 else live.number
        old, self.parts = self.parts, {}
        for name, html in found.items():
            around = self.parts.get(name.partition("/")[0])  # where that is new, what it holds is lost
            same = name in old and old[name].html == html and (around is None or around.number <= old[name].number)
            self.parts[name] = old[name] if same else _Part(html, number)
        self.number, self.due = live.number, set()
        self._texts.clear()

    def since(self, number: int, epoch: str) -> bytes:
        """One event with the parts that changed after ``number``, if any. Made once for all who are at that number."""
        if number not in self._texts:
            parts = {name: part.html for name, part in self.parts.items() if part.number > number}
            text = {"view": self.address, "at": f"{epoch}.{self.number}", "parts": parts}
            self._texts[number] = event("view", json.dumps(text, ensure_ascii=False)) if parts else b""
        return self._texts[number]


def event(name: str, json_text: str = "") -> bytes:
    """One server-sent event. JSON has no raw line ends, so that nothing can end it early."""
    return f"event: {name}\ndata: {json_text}\n\n".encode()


class EventStream(StreamingResponse):
    """A stream as a response. It ends when its browser goes.

    Where what was said last waits for the browser to read it, the stream itself would not hear of that: it would go on
    watching its views until the garbage collector comes by.
    """

    media_type = "text/event-stream"

    def __init__(self, stream: AsyncGenerator[bytes]) -> None:
        super().__init__(stream)
        self._stream = stream

    async def stream_response(self, send: Send) -> None:
        """As Starlette's."""
        async with aclosing(self._stream):
            await super().stream_response(send)


class Views:
    """All views that somebody watches, and the one task that renders them.

    Args:
        live: where changes are told.
        epoch: a word no other run of the cloud has: its numbers mean nothing to this one.
    """

    def __init__(self, live: Live, epoch: str) -> None:
        self._live = live
        self._epoch = epoch
        self._makers: list[Maker] = []
        self._views: dict[str, View] = {}
        self._streams: set[asyncio.Event] = set()
        self._renderer: asyncio.Task[None] | None = None

    def add(self, maker: Maker) -> None:
        """Let one more kind of page be watched."""
        self._makers.append(maker)

    @property
    def at(self) -> str:
        """Where a page is that is rendered now."""
        return f"{self._epoch}.{self._live.number}"

    @property
    def watched(self) -> Collection[str]:
        """The addresses of all views that somebody watches."""
        return self._views.keys()

    async def stream(
        self, wanted: Mapping[str, str], admitted: Callable[[], bool] = lambda: True
    ) -> AsyncGenerator[bytes]:
        """Server-sent events for one browser, until it or the service goes away, or it is not let in any more.

        ``view`` is JSON: the view's address, where it is now, and the parts that changed. ``beat`` is empty: all is
        well, which is what a stream begins with.

        Args:
            wanted: by address where the browser is, as ``at`` said it; anything else gets everything.
            admitted: whether the browser may still see it, asked before it sees more.
        """
        life, wake = self._live.life, asyncio.Event()
        seen: dict[View, int] = {}
        try:
            self._enter(wake)
            for address, at in list(wanted.items())[:VIEWS]:
                if view := self._watch(address, wake):
                    seen[view] = self._number_of(at)
            yield event("beat")
            while self._live.life is life and admitted():
                for view, number in seen.items():
                    seen[view] = max(number, view.number)
                    if number < view.number and (text := view.since(number, self._epoch)):
                        yield text
                try:
                    async with asyncio.timeout(BEAT_S):
                        await wake.wait()
                except TimeoutError:
                    yield event("beat")
                wake.clear()
        finally:
            for view in seen:
                self._unwatch(view, wake)
            self._leave(wake)

    def _number_of(self, at: str) -> int:
        epoch, _, number = at.partition(".")
        known = epoch == self._epoch and number.isascii() and number.isdigit() and len(number) < 20
        return int(number) if known else -1

    def _watch(self, address: str, wake: asyncio.Event) -> View | None:
        view = self._views.get(address)
        if view is None:
            try:
                source = next((made for maker in self._makers if (made := maker(address)) is not None), None)
            except ValueError:
                source = None
            if source is None:
                return None  # no page of ours; the other views of the stream are none the worse
            view = self._views[address] = View(address, source)
            self._told.set()
        view.watchers.add(wake)
        return view

    def _unwatch(self, view: View, wake: asyncio.Event) -> None:
        view.watchers.discard(wake)
        if not view.watchers:
            self._views.pop(view.address, None)

    def _enter(self, wake: asyncio.Event) -> None:
        self._streams.add(wake)
        if self._renderer is None:
            self._told = asyncio.Event()
            self._renderer = asyncio.create_task(self._render_all(self._told), name="live pages")

    def _leave(self, wake: asyncio.Event) -> None:
        self._streams.discard(wake)
        if not self._streams and self._renderer is not None:
            self._renderer.cancel()
            self._renderer = None

    async def _render_all(self, told: asyncio.Event) -> None:
        number, life = self._live.number, self._live.life
        clock = asyncio.get_running_loop().time
        self._live.listeners.add(told)
        try:
            while await told.wait():
                told.clear()
                if self._live.life is not life:
                    life = self._live.life
                    _wake(self._streams)  # those of the former life end
                self._hand_out(self._live.since(number))
                number = self._live.number
                for view in [view for view in self._views.values() if view.due != set()]:
                    begun = clock()
                    if view.watchers and not self._render(view):
                        told.set()  # to try again
                    await asyncio.sleep(REST * (clock() - begun))
                await asyncio.sleep(PAUSE_S)
        finally:
            self._live.listeners.discard(told)

    def _hand_out(self, notices: Sequence[Notice] | None) -> None:
        for view in self._views.values():
            if notices is None:
                view.due = None
            elif view.due is not None:
                view.due.update(filter(view.source.concerns, notices))
                if len(view.due) > DUE:
                    view.due = None

    def _render(self, view: View) -> bool:
        try:
            view.render(self._live)
        except CloudError:
            return True  # what it shows is gone: there is nothing more to say
        except Exception:
            log.exception("%s could not be rendered", view.address)
            return False
        _wake(view.watchers)
        return True


def _wake(sleepers: Collection[asyncio.Event]) -> None:
    for sleeper in sleepers:
        sleeper.set()
