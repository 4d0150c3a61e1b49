"""Logins: each is a row, and its tokens count as long as the row is there. Nothing else is needed after a restart.

Tokens are JWTs of the shape the official CLI expects. It decodes a token's payload itself, with the standard base64
alphabet, and compares ``exp`` with its own clock; it never checks a signature. This cloud does both: a token counts if
we signed it, it has not expired and its login has not ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import jwt
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from py_esp_ota.cloud.event_log import append
from py_esp_ota.cloud.events import Actor, By, Event, Kind
from py_esp_ota.cloud.models import SessionRow, UserRow
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.roles import Act, Role, may
from py_esp_ota.cloud.store import Store
from py_esp_ota.cloud.texts import heard
from py_esp_ota.cloud.tokens import Ids
from py_esp_ota.ports import Clock

ACCESS_TOKEN_S = 3600
API_LOGIN_S = 30 * 86_400  # as long as Cognito's refresh tokens count by default
PAGE_LOGIN_S = 12 * 3600
NOTED_S = 300
"""A page that is looked at all the time is noted this often."""

LOGINS_LIMIT = 1000
"""Logins of one user at a time; a program that never refreshes ends its own oldest ones."""

_ALGORITHM = "HS256"
_CLIENT_LIMIT = 200


class LoginKind(StrEnum):
    """What a login is for."""

    API = "api"
    PAGE = "page"


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from: its network address, and what the program calls itself. Empty inside the process."""

    address: str = ""
    client: str = ""


INSIDE = Caller()


@dataclass(frozen=True, slots=True)
class User:
    """Who a request comes from."""

    user_id: str
    user_name: str
    role: Role
    session_id: str = ""

    def may(self, act: Act) -> bool:
        """Whether the account's role allows it."""
        return may(self.role, act)

    @property
    def by(self) -> By:
        """Who did it, for the log."""
        return By(Actor.ADMIN if self.may(Act.ADMINISTER) else Actor.USER, self.user_name)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login gives. A refresh gives no new refresh token."""

    idtoken: str
    accesstoken: str
    refreshtoken: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One login that has not ended. Times are seconds; 0 and ``None`` where a login of 0.1.0 has none."""

    session_id: str
    kind: str
    address: str
    client: str
    started: int
    used: int
    expires: int | None


class Logins:
    """Begins logins, knows whose they are, ends them.

    Args:
        store: the database.
        clock: the time.
        ids: where their names and the signing key come from.
        access_token_s: how long an access token lives before the CLI refreshes it.
    """

    def __init__(self, store: Store, clock: Clock, ids: Ids, access_token_s: int = ACCESS_TOKEN_S) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._access_token_s = access_token_s
        self._key = store.setting("token_key", ids.key)

    def begin(self, tx: Session, row: UserRow, kind: LoginKind, caller: Caller) -> User:
        """A new login, in the transaction that judged the password; those of the user that are too old go."""
        now = int(self._clock.now())
        tx.execute(delete(SessionRow).where(SessionRow.user_id == row.user_id, SessionRow.expires <= now))
        mine = select(SessionRow.session_id).where(SessionRow.user_id == row.user_id)
        newest_first = mine.order_by(SessionRow.started.desc(), SessionRow.session_id)
        too_many = tx.scalars(newest_first.offset(LOGINS_LIMIT - 1)).all()
        tx.execute(delete(SessionRow).where(SessionRow.session_id.in_(too_many)))
        session_id = self._ids.request()
        life = PAGE_LOGIN_S if kind is LoginKind.PAGE else API_LOGIN_S
        tx.add(
            SessionRow(
                session_id=session_id,
                user_id=row.user_id,
                kind=kind.value,
                address=heard(caller.address, 64),
                client=heard(caller.client, _CLIENT_LIMIT),
                started=now,
                used=now,
                expires=now + life,
            )
        )
        user = user_of_row(row, session_id)
        data = {"kind": kind.value, "address": caller.address, "client": heard(caller.client, _CLIENT_LIMIT)}
        self.note(tx, Kind.LOGGED_IN, user.by, user.user_name, data)
        return user

    def note(self, tx: Session, kind: Kind, by: By, user_name: str, data: Mapping[str, object] | None = None) -> None:
        """Something happened to an account: into the log, in the transaction that changes it."""
        time = round(self._clock.now() * 1000)
        append(tx, [Event(kind=kind, time=time, by=by, user_name=user_name, data=dict(data or {}))])

    def tokens(self, user: User) -> Tokens:
        """The three tokens of a login of the API."""
        now = int(self._clock.now())
        common = {"sub": user.user_id, "sid": user.session_id, "iat": now}
        until = {"exp": now + self._access_token_s}
        identity = {"email": user.user_name, "custom:user_id": user.user_id, "cognito:username": user.user_id}
        return Tokens(
            idtoken=self._sign({**common, **until, **identity, "token_use": "id"}),
            accesstoken=self._sign({**common, **until, "token_use": "access"}),
            refreshtoken=self._sign({**common, "token_use": "refresh"}),
        )

    def cookie(self, user: User) -> str:
        """What a browser sends back with each request of a page."""
        return self._sign({"sub": user.user_id, "sid": user.session_id, "token_use": "page"})

    def refresh(self, refreshtoken: str) -> Tokens:
        """New tokens for a login that goes on. Raises ``CloudError`` (WRONG_REFRESH_TOKEN)."""
        user = self._user_of(refreshtoken, "refresh", note_after=0)
        if user is None:
            raise CloudError(Refusal.WRONG_REFRESH_TOKEN, "the refresh token is not valid (any more); log in again")
        return self.tokens(user)

    def user_of(self, accesstoken: str) -> User | None:
        """Who sends this access token; ``None`` when it is not ours, has expired or its login has ended."""
        return self._user_of(accesstoken, "access")

    def user_of_cookie(self, cookie: str) -> User | None:
        """The same for the cookie of a page."""
        return self._user_of(cookie, "page", note_after=NOTED_S)

    # ------------------------------------------------------------------------------------------------------- list, end

    def of(self, user_id: str) -> Sequence[Login]:
        """The logins of a user that go on, newest first."""
        now = self._clock.now()
        with self._store.begin() as tx:
            rows = tx.scalars(select(SessionRow).where(SessionRow.user_id == user_id)).all()
            going_on = [row for row in rows if row.expires is None or now < row.expires]
            names = Login.__dataclass_fields__
            logins = [Login(**{name: getattr(row, name) for name in names}) for row in going_on]
        return sorted(logins, key=lambda login: (login.started, login.session_id), reverse=True)

    def end(self, by: User, session_id: str) -> None:
        """End one login of a user. Raises ``CloudError`` (SESSION_UNKNOWN)."""
        with self._store.begin() as tx:
            ours = SessionRow.session_id == session_id, SessionRow.user_id == by.user_id
            if tx.scalar(select(SessionRow.session_id).where(*ours)) is None:
                raise CloudError(Refusal.SESSION_UNKNOWN, "there is no login of yours with this session_id")
            tx.execute(delete(SessionRow).where(*ours))
            self.note(tx, Kind.LOGGED_OUT, by.by, by.user_name, {"logins": "one"})

    def end_others(self, by: User) -> None:
        """End every login of a user but the one that asks."""
        with self._store.begin() as tx:
            end_logins(tx, by.user_id, by.session_id)
            self.note(tx, Kind.LOGGED_OUT, by.by, by.user_name, {"logins": "others"})

    def log_out(self, by: User, all_logins: bool = False) -> None:
        """End this login, or all of the user's."""
        with self._store.begin() as tx:
            if all_logins:
                end_logins(tx, by.user_id)
            else:
                tx.execute(delete(SessionRow).where(SessionRow.session_id == by.session_id))
            self.note(tx, Kind.LOGGED_OUT, by.by, by.user_name, {"logins": "all" if all_logins else "this"})

    # -------------------------------------------------------------------------------------------------------- internal

    def _sign(self, claims: dict[str, Any]) -> str:
        payload = json.dumps(claims)
        # In base64 these three can give "-" and "_", which the standard alphabet lacks; as escapes they cannot.
        for char in "~>?":
            payload = payload.replace(char, f"\\u{ord(char):04x}")
        return jwt.PyJWS().encode(payload.encode(), self._key, algorithm=_ALGORITHM)

    def _user_of(self, token: str, use: str, note_after: float | None = None) -> User | None:
        try:
            claims = json.loads(jwt.PyJWS().decode(token, self._key, algorithms=[_ALGORITHM]))
        except (jwt.PyJWTError, ValueError):
            return None
        # The signature is ours, so the claims are what we wrote.
        now = self._clock.now()
        if claims["token_use"] != use or now >= claims.get("exp", float("inf")):
            return None
        with self._store.begin() as tx:
            session = tx.get(SessionRow, claims["sid"])
            row = tx.get(UserRow, claims["sub"])
            if session is None or row is None or (session.expires is not None and now >= session.expires):
                return None
            if note_after is not None and not session.used <= now < session.used + note_after:
                tx.execute(update(SessionRow).where(SessionRow.session_id == session.session_id).values(used=int(now)))
            return user_of_row(row, session.session_id)


def user_of_row(row: UserRow, session_id: str = "") -> User:
    """An account as a value."""
    return User(row.user_id, row.user_name, Role(row.role), session_id)


def end_logins(tx: Session, user_id: str, but: str = "") -> None:
    """End the logins of a user, in a transaction that changes more."""
    tx.execute(delete(SessionRow).where(SessionRow.user_id == user_id, SessionRow.session_id != but))
