"""Who is told of what happens: a URL, which kinds of events, and up to which event of the log it has been told.

Nothing is queued: a webhook is a place in the event log. What happens while nobody answers, or while the cloud does not
run, is told afterwards, in its order, at least once.
"""

from __future__ import annotations

import hmac
import json
from collections import deque
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Table, delete, func, insert, select, update

from py_esp_ota.cloud.event_log import EVERYTHING, EventLog, append, event_json
from py_esp_ota.cloud.events import THE_ADMIN, THE_CLOUD, By, Entry, Event, Kind
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.models import EventRow, WebhookRow
from py_esp_ota.cloud.refusals import CloudError, Refusal

MOST = 100
AT_ONCE = 100
"""Events of one letter."""

LOOKED_AT = 2000
"""Events that are looked through in one go for those that a webhook wants."""

PATIENCE_MS = 86_400_000
"""How long the same letter is tried before its webhook is given up."""

PAUSE_MS, PAUSE_LIMIT_MS = 1000, 3_600_000
ANSWER_SHOWN = 200
BROUGHT = 10
"""Letters of each webhook that are remembered."""

_HOOK: Table = WebhookRow.__table__  # type: ignore[assignment]
_EVENT: Table = EventRow.__table__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One who is told."""

    webhook_id: str
    url: str
    secret: str
    kinds: Sequence[str]
    active: bool
    told: int
    tries: int
    next_try: int  # milliseconds
    last_answer: str
    created_timestamp: int  # milliseconds
    waiting: int = 0

    def wants(self, event: Event) -> bool:
        """Whether it is told of an event: of all kinds that it asks for, and of each try of itself."""
        if event.kind is Kind.WEBHOOK_TESTED:
            return bool(event.data.get("webhook_id") == self.webhook_id)
        return not self.kinds or any(fnmatchcase(event.kind.value, pattern) for pattern in self.kinds)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of a letter that was brought, or that nobody took."""

    timestamp: int  # milliseconds
    first: int  # number of its first event
    last: int
    arrived: bool
    answer: str


@dataclass(frozen=True, slots=True)
class Letter:
    """What goes to a webhook: the events that it wants among those up to ``until``."""

    webhook: Webhook
    until: int
    events: Sequence[Entry]

    def body(self) -> bytes:
        """The JSON that is sent."""
        events = [event_json(entry) for entry in self.events]
        return json.dumps({"webhook_id": self.webhook.webhook_id, "events": events}, ensure_ascii=False).encode()

    def headers(self, body: bytes, now_s: int) -> dict[str, str]:
        """What tells the receiver that it is ours, and that it is the same letter as one before."""
        first, last = self.events[0].number, self.events[-1].number
        return {
            "content-type": "application/json",
            "x-esp-ota-delivery": f"{self.webhook.webhook_id}-{first}-{last}",
            "x-esp-ota-signature": f"t={now_s},v1={signature(self.webhook.secret, now_s, body)}",
        }


def signature(secret: str, now_s: int, body: bytes) -> str:
    """HMAC-SHA256 of the time, a full stop and the body, in hexadecimal."""
    return hmac.digest(secret.encode(), f"{now_s}.".encode() + body, "sha256").hex()


def pause_after(tries: int) -> int:
    """Milliseconds until a letter is tried again that went in vain so many times."""
    return min(PAUSE_MS << min(tries, 20), PAUSE_LIMIT_MS)


class Webhooks:
    """Keeps them, says what is due, and notes what came of it; ``calls`` brings the letters."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._log = EventLog(ground.store)
        self._brought: dict[str, deque[Delivery]] = {}

    # ------------------------------------------------------------------------------------------------------------ keep

    def all(self) -> list[Webhook]:
        """All of them, the oldest first."""
        with self._ground.store.connect() as tx:
            newest = tx.execute(select(func.max(_EVENT.c.number))).scalar_one() or 0
            rows = tx.execute(select(_HOOK).order_by(_HOOK.c.number)).mappings().all()
        return [_hook(row, newest - row["told"]) for row in rows]

    def add(self, url: str, kinds: Sequence[str] = (), by: By = THE_ADMIN) -> Webhook:
        """Tell ``url`` of what happens from now on. Raises ``CloudError`` (WEBHOOK_REFUSED)."""
        problem = url_problem(url) or kinds_problem(kinds)
        if problem:
            raise CloudError(Refusal.WEBHOOK_REFUSED, problem)
        now = self._ground.now_ms()
        webhook_id, secret = self._ground.ids.request(), self._ground.ids.key()
        with self._ground.store.connect() as tx:
            if (tx.execute(select(func.count()).select_from(_HOOK)).scalar_one() or 0) >= MOST:
                raise CloudError(Refusal.WEBHOOK_REFUSED, f"there are {MOST} webhooks already")
            append(tx, [_event(Kind.WEBHOOK_CREATED, now, by, webhook_id, url=url, kinds=list(kinds))])
            newest = tx.execute(select(func.max(_EVENT.c.number))).scalar_one()
            tx.execute(
                insert(_HOOK).values(
                    webhook_id=webhook_id,
                    url=url,
                    secret=secret,
                    kinds=list(kinds),
                    active=True,
                    told=newest,
                    tries=0,
                    next_try=0,
                    last_answer="",
                    created_timestamp=now,
                )
            )
        return self._get(webhook_id)

    def remove(self, webhook_id: str, by: By = THE_ADMIN) -> None:
        """Tell somebody no more. Raises ``CloudError`` (WEBHOOK_UNKNOWN)."""
        self._get(webhook_id)
        with self._ground.store.connect() as tx:
            append(tx, [_event(Kind.WEBHOOK_DELETED, self._ground.now_ms(), by, webhook_id)])
            tx.execute(delete(_HOOK).where(_HOOK.c.webhook_id == webhook_id))
        self._brought.pop(webhook_id, None)

    def resume(self, webhook_id: str, by: By = THE_ADMIN) -> None:
        """Try again at once, from the letter on that did not arrive. Raises ``CloudError`` (WEBHOOK_UNKNOWN)."""
        self._get(webhook_id)
        with self._ground.store.connect() as tx:
            append(tx, [_event(Kind.WEBHOOK_CHANGED, self._ground.now_ms(), by, webhook_id, active=True)])
            _set(tx, webhook_id, active=True, tries=0, next_try=0)

    def test(self, webhook_id: str, by: By = THE_ADMIN) -> int:
        """Send it a letter, after those that it waits for; the number of its event, for ``told``.

        Raises:
            CloudError: WEBHOOK_UNKNOWN; WEBHOOK_REFUSED for one that was given up.
        """
        if not self._get(webhook_id).active:
            raise CloudError(Refusal.WEBHOOK_REFUSED, "the webhook was given up: resume it first")
        with self._ground.store.connect() as tx:
            append(tx, [_event(Kind.WEBHOOK_TESTED, self._ground.now_ms(), by, webhook_id)])
            return int(tx.execute(select(func.max(_EVENT.c.number))).scalar_one())

    def brought(self, webhook_id: str) -> list[Delivery]:
        """What came of the last letters of this run of the cloud, the newest first."""
        return list(reversed(self._brought.get(webhook_id, ())))

    def _get(self, webhook_id: str) -> Webhook:
        found = [hook for hook in self.all() if hook.webhook_id == webhook_id]
        if not found:
            raise CloudError(Refusal.WEBHOOK_UNKNOWN, "there is no webhook with this webhook_id")
        return found[0]

    # ----------------------------------------------------------------------------------------------------------- bring

    def due(self, busy: Container[str] = ()) -> list[Letter]:
        """What is to be brought now, a letter for each webhook that has waited long enough and is not ``busy``."""
        now = self._ground.now_ms()
        waiting = [hook for hook in self.all() if hook.active and hook.waiting and hook.webhook_id not in busy]
        letters = (self._next(hook) for hook in waiting if hook.next_try <= now)
        return [letter for letter in letters if letter is not None]

    def after(self, letter: Letter) -> Letter | None:
        """The next one for the same webhook, if there is any."""
        found = [hook for hook in self.all() if hook.webhook_id == letter.webhook.webhook_id]
        return self._next(found[0]) if found and found[0].active and found[0].waiting else None

    def _next(self, hook: Webhook) -> Letter | None:
        """Of all that happened what it wants; where it wants nothing, it is told of that at once."""
        until, wanted = hook.told, list[Entry]()
        for entries in self._log.all(EVERYTHING, after=hook.told):
            for entry in entries:
                if hook.wants(entry.event):
                    wanted.append(entry)
                until = entry.number
                if len(wanted) == AT_ONCE:
                    return Letter(hook, until, wanted)
            if wanted or until - hook.told >= LOOKED_AT:  # the rest is another letter's, and others have a turn
                break
        if not wanted and until > hook.told:
            with self._ground.store.connect() as tx:
                _set(tx, hook.webhook_id, told=until)
        return Letter(hook, until, wanted) if wanted else None

    def arrived(self, letter: Letter, answer: str) -> None:
        """The receiver has it."""
        self._note(letter, answer, arrived=True)
        with self._ground.store.connect() as tx:
            _set(tx, letter.webhook.webhook_id, told=letter.until, tries=0, next_try=0, last_answer=answer)

    def in_vain(self, letter: Letter, answer: str) -> None:
        """It did not arrive: it is tried again later, until that has gone on for a day."""
        self._note(letter, answer, arrived=False)
        hook, now = letter.webhook, self._ground.now_ms()
        tries = hook.tries + 1
        given_up = sum(map(pause_after, range(tries))) >= PATIENCE_MS
        with self._ground.store.connect() as tx:
            words = {"tries": tries, "next_try": now + pause_after(hook.tries), "last_answer": answer[:ANSWER_SHOWN]}
            _set(tx, hook.webhook_id, active=not given_up, **words)
            if given_up:
                append(tx, [_event(Kind.WEBHOOK_CHANGED, now, THE_CLOUD, hook.webhook_id, active=False, why=answer)])

    def _note(self, letter: Letter, answer: str, *, arrived: bool) -> None:
        first, last = letter.events[0].number, letter.events[-1].number
        brought = self._brought.setdefault(letter.webhook.webhook_id, deque(maxlen=BROUGHT))
        brought.append(Delivery(self._ground.now_ms(), first, last, arrived, answer[:ANSWER_SHOWN]))


def url_problem(url: str) -> str:
    """Why nothing is told to a URL, as a sentence; empty when it may be."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"url: {error}"
    problems = {
        "url: http:// or https://, and a host": parts.scheme not in {"http", "https"} or not parts.hostname,
        "url: no user name or password in it; the letters are signed": "@" in parts.netloc,
        "url: no port 0": port == 0,
        "url: printable ASCII only": not (url.isascii() and url.isprintable()) or " " in url,
        "url: no part after #": bool(parts.fragment),
    }
    return next((sentence for sentence, applies in problems.items() if applies), "")


def kinds_problem(kinds: Sequence[str]) -> str:
    """Which kind of event is none, as a sentence; empty when all are some."""
    for pattern in kinds:
        if not any(fnmatchcase(kind.value, pattern) for kind in Kind):
            return f"kinds: no event is a {pattern[:64]!r}"
    return ""


def _hook(row: Mapping[Any, Any], waiting: int) -> Webhook:
    names = Webhook.__dataclass_fields__.keys() - {"waiting"}
    return Webhook(**{name: row[name] for name in names}, waiting=waiting)


def _set(tx: Any, webhook_id: str, **columns: object) -> None:
    tx.execute(update(_HOOK).where(_HOOK.c.webhook_id == webhook_id).values(**columns))


def _event(kind: Kind, now: int, by: By, webhook_id: str, **data: object) -> Event:
    return Event(kind=kind, time=now, by=by, data={"webhook_id": webhook_id, **data})
