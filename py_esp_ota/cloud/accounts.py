"""Accounts: sign up, log in, stay logged in, log out. Tokens are JWTs of the shape the official CLI expects.

The CLI decodes a token's payload itself, with the standard base64 alphabet, and compares ``exp`` with its own clock;
it never checks a signature. This cloud does both: a token counts if we signed it, it has not expired and its login
has not been ended.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from py_esp_ota.cloud.models import SessionRow, UserRow
from py_esp_ota.cloud.node_book import ADMIN_USER_ID
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.store import Store
from py_esp_ota.cloud.texts import line
from py_esp_ota.cloud.tokens import Ids, TokenHex
from py_esp_ota.ports import Clock

ACCESS_TOKEN_S = 3600
CODE_S = 900
CODE_TRIES = 5
PASSWORD_MIN, PASSWORD_MAX = 8, 256
USER_NAME_LIMIT = 128
SCRYPT_N = 2**15

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_ALGORITHM = "HS256"

Deliver = Callable[[str, str], None]
"""Brings a verification code to its user: ``deliver(user_name, code)``. A local server prints it."""

Derive = Callable[[str, bytes, int], Awaitable[bytes]]
"""Makes a key of a password, a salt and scrypt's cost: a tenth of a second in which a server does something else."""


async def derive_here(password: str, salt: bytes, n: int) -> bytes:
    """scrypt, at once: for a lab, where nobody waits."""
    return scrypt(password, salt, n)


def scrypt(password: str, salt: bytes, n: int) -> bytes:
    """RFC 7914 with r = 8 and p = 1; at the usual cost it takes 32 MiB."""
    return Scrypt(salt=salt, length=32, n=n, r=8, p=1).derive(password.encode())


@dataclass(frozen=True, slots=True)
class User:
    """Who a request comes from."""

    user_id: str
    user_name: str
    admin: bool
    session_id: str = ""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login gives. A refresh gives no new refresh token."""

    idtoken: str
    accesstoken: str
    refreshtoken: str


class Accounts:
    """Users, their passwords and their logins.

    Args:
        store: the database.
        clock: the time.
        token_hex: ``secrets.token_hex`` or something repeatable.
        deliver: brings verification codes to their users.
        scrypt_n: the cost of a password hash; only tests lower it.
        derive: makes the hash; a server hands in one that works in a thread.
        access_token_s: how long an access token lives before the CLI refreshes it.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        token_hex: TokenHex,
        deliver: Deliver,
        scrypt_n: int = SCRYPT_N,
        derive: Derive = derive_here,
        access_token_s: int = ACCESS_TOKEN_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = Ids(token_hex)
        self._token_hex = token_hex
        self._deliver = deliver
        self._scrypt_n = scrypt_n
        self._derive = derive
        self._access_token_s = access_token_s
        self._key = store.setting("token_key", self._ids.key)
        self._nobody = (
            f"scrypt${scrypt_n}${token_hex(16)}$"  # no key is empty: it costs what others cost, and never fits
        )

    # -------------------------------------------------------------------------------------------------------- accounts

    async def ensure_admin(self, user_name: str, password: str) -> User:
        """Make the account that owns every node, or give it this name and password; its logins end."""
        user_name, password = _user_name(user_name), _password(password)
        hashed = await self._hash(password)
        with self._store.begin() as tx:
            namesake = _find(tx, user_name)
            if namesake is not None and namesake.user_id != ADMIN_USER_ID:
                raise CloudError(Refusal.USER_EXISTS, "another user has this name")
            row = tx.get(UserRow, ADMIN_USER_ID)
            if row is None:
                row = UserRow(user_id=ADMIN_USER_ID, admin=True, verified=True, code=None)
                tx.add(row)
            row.user_name, row.password = user_name, hashed
            _end_logins(tx, ADMIN_USER_ID)
            return _user(row)

    async def sign_up(self, user_name: str, password: str) -> None:
        """Make an account that waits for its verification code.

        While the code is good a second sign-up changes nothing: with the same password it sends the code again, with
        another one it is refused. Else somebody else's password could slip in before the user confirms.

        Raises:
            CloudError: EMAIL_FORMAT, INVALID_REQUEST, USER_EXISTS.
        """
        user_name, password = _user_name(user_name), _password(password)
        if not _EMAIL.fullmatch(user_name):
            raise CloudError(Refusal.EMAIL_FORMAT, "user_name is no e-mail address")
        with self._store.begin() as tx:
            row = _find(tx, user_name)
        hashed = await self._hash(password, like=row.password if row is not None and self._awaits_code(row) else "")
        with self._store.begin() as tx:
            row = _find(tx, user_name)
            if row is not None and row.verified:
                raise CloudError(Refusal.USER_EXISTS, "this user exists already")
            if row is None:
                row = UserRow(user_id=self._ids.user(), user_name=user_name)
                tx.add(row)
            if not self._awaits_code(row):  # so it is new, or nobody can confirm it any more
                row.password = hashed
                self._new_code(row)
            elif not _same(row.password, hashed):
                raise CloudError(
                    Refusal.USER_EXISTS,
                    "a sign-up with another password waits for its code; who has the mailbox can set a new password",
                )
            code = row.code or ""
        self._deliver(user_name, code)

    def confirm(self, user_name: str, code: str) -> None:
        """End a sign-up. Raises ``CloudError`` (WRONG_CODE)."""
        user_id = self._check_code(user_name, code)
        with self._store.begin() as tx:
            tx.get_one(UserRow, user_id).verified = True

    def forgot_password(self, user_name: str) -> None:
        """Send a code to a user who forgot the password; says nothing about whether there is such a user.

        An account that is not verified yet may have been made by somebody else: its owner takes it over this way.
        """
        with self._store.begin() as tx:
            row = _find(tx, user_name)
            code = self._new_code(row) if row is not None else None
        if code is not None:
            self._deliver(user_name, code)

    async def reset_password(self, user_name: str, password: str, code: str) -> None:
        """Set a new password with the code; every login of the user ends. Raises ``CloudError`` (WRONG_CODE)."""
        hashed = await self._hash(_password(password))
        user_id = self._check_code(user_name, code)
        with self._store.begin() as tx:
            row = tx.get_one(UserRow, user_id)
            row.password, row.verified = hashed, True  # the code went to the user's mailbox, as that of a sign-up does
            _end_logins(tx, user_id)

    # ---------------------------------------------------------------------------------------------------------- logins

    async def log_in(self, user_name: str, password: str) -> Tokens:
        """Check the password and begin a login.

        Raises:
            CloudError: WRONG_PASSWORD, for an unknown user too; NOT_VERIFIED.
        """
        with self._store.begin() as tx:
            row = _find(tx, user_name)
        # An unknown user costs as much time as a wrong password.
        hashed = await self._hash(password, like=row.password if row is not None else self._nobody)
        with self._store.begin() as tx:
            row = _find(tx, user_name)  # again: the password may have been changed in the meantime
            if row is None or not _same(row.password, hashed):
                raise CloudError(Refusal.WRONG_PASSWORD, "incorrect user name or password")
            if not row.verified:
                raise CloudError(Refusal.NOT_VERIFIED, "the account is not verified yet")
            session_id = self._ids.request()
            tx.add(SessionRow(session_id=session_id, user_id=row.user_id))
        return self._tokens(_user(row, session_id))

    def refresh(self, refreshtoken: str) -> Tokens:
        """New tokens for a login that goes on. Raises ``CloudError`` (WRONG_REFRESH_TOKEN)."""
        user = self._user_of(refreshtoken, "refresh")
        if user is None:
            raise CloudError(Refusal.WRONG_REFRESH_TOKEN, "the refresh token is not valid (any more); log in again")
        return self._tokens(user)

    def user_of(self, accesstoken: str) -> User | None:
        """Who sends this access token; ``None`` when it is not ours, has expired or its login has ended."""
        return self._user_of(accesstoken, "access")

    def log_out(self, user: User, all_logins: bool = False) -> None:
        """End this login, or all of the user's."""
        with self._store.begin() as tx:
            if all_logins:
                _end_logins(tx, user.user_id)
            else:
                tx.execute(delete(SessionRow).where(SessionRow.session_id == user.session_id))

    def _tokens(self, user: User) -> Tokens:
        now = int(self._clock.now())
        common = {"sub": user.user_id, "sid": user.session_id, "iat": now}
        until = {"exp": now + self._access_token_s}
        identity = {"email": user.user_name, "custom:user_id": user.user_id, "cognito:username": user.user_id}
        return Tokens(
            idtoken=self._sign({**common, **until, **identity, "token_use": "id"}),
            accesstoken=self._sign({**common, **until, "token_use": "access"}),
            refreshtoken=self._sign({**common, "token_use": "refresh"}),
        )

    def _sign(self, claims: dict[str, Any]) -> str:
        payload = json.dumps(claims)
        # In base64 these three can give "-" and "_", which the standard alphabet lacks; as escapes they cannot.
        for char in "~>?":
            payload = payload.replace(char, f"\\u{ord(char):04x}")
        return jwt.PyJWS().encode(payload.encode(), self._key, algorithm=_ALGORITHM)

    def _user_of(self, token: str, use: str) -> User | None:
        try:
            claims = json.loads(jwt.PyJWS().decode(token, self._key, algorithms=[_ALGORITHM]))
        except (jwt.PyJWTError, ValueError):
            return None
        # The signature is ours, so the claims are what _tokens wrote.
        if claims["token_use"] != use or self._clock.now() >= claims.get("exp", float("inf")):
            return None
        with self._store.begin() as tx:
            session = tx.get(SessionRow, claims["sid"])
            row = tx.get(UserRow, claims["sub"])
        return _user(row, session.session_id) if session is not None and row is not None else None

    # ---------------------------------------------------------------------------------------------- passwords, codes

    async def _hash(self, password: str, like: str = "") -> str:
        """The hash of a password as it is stored; to be compared, with cost and salt of the one it may be ``like``."""
        n, salt = like.split("$")[1:3] if like else (str(self._scrypt_n), self._token_hex(16))
        derived = await self._derive(password, bytes.fromhex(salt), int(n))
        return f"scrypt${n}${salt}${derived.hex()}"

    def _awaits_code(self, row: UserRow) -> bool:
        """Whether a sign-up holds its place: until its code is too old, however often somebody guessed at it."""
        return row.code is not None and self._clock.now() < row.code_expires

    def _new_code(self, row: UserRow) -> str:
        code = self._ids.code()
        row.code, row.code_expires, row.code_tries = code, int(self._clock.now()) + CODE_S, 0
        return code

    def _check_code(self, user_name: str, code: str) -> str:
        """The ``user_id`` whose code this is. A code works once, for a quarter of an hour, and survives four errors."""
        with self._store.begin() as tx:
            row = _find(tx, user_name)
            right = (
                row is not None
                and row.code is not None
                and row.code_tries < CODE_TRIES
                and self._clock.now() < row.code_expires
                and hmac.compare_digest(row.code.encode(), code.encode())
            )
            if row is not None:
                row.code_tries += 1
                row.code = None if right else row.code
        if not right or row is None:
            raise CloudError(Refusal.WRONG_CODE, "the verification code is wrong or too old")
        return row.user_id


def _same(stored: str, hashed: str) -> bool:
    return hmac.compare_digest(stored.encode(), hashed.encode())


def _user_name(user_name: str) -> str:
    return line(user_name, "user_name", USER_NAME_LIMIT)


def _password(password: str) -> str:
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise CloudError(Refusal.INVALID_REQUEST, f"a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters")
    return password


def _find(tx: Session, user_name: str) -> UserRow | None:
    return tx.scalar(select(UserRow).where(UserRow.user_name == user_name))


def _user(row: UserRow, session_id: str = "") -> User:
    return User(row.user_id, row.user_name, row.admin, session_id)


def _end_logins(tx: Session, user_id: str) -> None:
    tx.execute(delete(SessionRow).where(SessionRow.user_id == user_id))
