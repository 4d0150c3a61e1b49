"""Accounts: sign up, log in, forget the password. Of a password only scrypt's hash is kept."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from py_esp_ota.cloud.codes import USER_NAME_LIMIT, Codes, Deliver, email, find, proper_name
from py_esp_ota.cloud.events import Actor, By, Kind
from py_esp_ota.cloud.logins import (
    ACCESS_TOKEN_S,
    INSIDE,
    Caller,
    LoginKind,
    Logins,
    Tokens,
    User,
    end_logins,
    user_of_row,
)
from py_esp_ota.cloud.members import Members
from py_esp_ota.cloud.models import UserRow
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.roles import LOCAL_ADMIN, Role
from py_esp_ota.cloud.store import Store
from py_esp_ota.cloud.texts import heard
from py_esp_ota.cloud.throttle import Throttle, Try
from py_esp_ota.cloud.tokens import Ids, TokenHex
from py_esp_ota.ports import Clock

PASSWORD_MIN, PASSWORD_MAX = 8, 256
SCRYPT_N = 2**15

Derive = Callable[[str, bytes, int], Awaitable[bytes]]
"""Makes a key of a password, a salt and scrypt's cost: a tenth of a second in which a server does something else."""


async def derive_here(password: str, salt: bytes, n: int) -> bytes:
    """scrypt, at once: for a lab, where nobody waits."""
    return scrypt(password, salt, n)


def scrypt(password: str, salt: bytes, n: int) -> bytes:
    """RFC 7914 with r = 8 and p = 1; at the usual cost it takes 32 MiB."""
    return Scrypt(salt=salt, length=32, n=n, r=8, p=1).derive(password.encode())


class Accounts:
    """Users and their passwords.

    ``logins`` knows who is logged in, ``codes`` writes to mailboxes, ``members`` is for who manages accounts.

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
        ids = Ids(token_hex)
        self._store = store
        self._ids = ids
        self._token_hex = token_hex
        self._scrypt_n = scrypt_n
        self._derive = derive
        self._throttle = Throttle(clock)
        self.logins = Logins(store, clock, ids, access_token_s)
        self.codes = Codes(store, clock, ids, deliver, self._throttle)
        self.members = Members(store, ids, self.codes, self.logins)
        self._nobody = (
            f"scrypt${scrypt_n}${token_hex(16)}$"  # no key is empty: it costs what others cost, and never fits
        )

    # -------------------------------------------------------------------------------------------------------- accounts

    async def ensure_admin(self, user_name: str, password: str) -> User:
        """Make the local admin, or give it this name and password; its logins end when either is another one."""
        user_name, password = proper_name(user_name), _password(password)
        with self._store.begin() as tx:
            row = tx.get(UserRow, LOCAL_ADMIN)
        hashed = await self._hash(password, like=row.password if row is not None else "")
        with self._store.begin() as tx:
            namesake = find(tx, user_name)
            if namesake is not None and namesake.user_id != LOCAL_ADMIN:
                raise CloudError(Refusal.USER_EXISTS, "another user has this name")
            row = tx.get(UserRow, LOCAL_ADMIN)
            if row is None:
                row = UserRow(user_id=LOCAL_ADMIN, user_name="", password="", verified=True, code=None)
                tx.add(row)
            if (row.user_name, row.password) != (user_name, hashed):
                end_logins(tx, LOCAL_ADMIN)
            row.user_name, row.password, row.role = user_name, hashed, Role.SUPER_ADMIN.value
            return user_of_row(row)

    async def sign_up(self, user_name: str, password: str, caller: Caller = INSIDE) -> None:
        """Make an account that waits for its verification code.

        While the code is good a second sign-up changes nothing: with the same password it sends the code again, with
        another one it is refused. Else somebody else's password could slip in before the user confirms.

        Raises:
            CloudError: EMAIL_FORMAT, INVALID_REQUEST, USER_EXISTS, TOO_OFTEN.
        """
        user_name, password = email(user_name), _password(password)
        self._throttle.count(Try.MAIL, user_name, caller.address)
        with self._store.begin() as tx:
            row = find(tx, user_name)
        hashed = await self._hash(password, like=row.password if row is not None and self.codes.awaited(row) else "")
        with self._store.begin() as tx:
            row = find(tx, user_name)
            if row is not None and row.verified:
                raise CloudError(Refusal.USER_EXISTS, "this user exists already")
            if row is None:
                row = UserRow(user_id=self._ids.user(), user_name=user_name)
                tx.add(row)
            if not self.codes.awaited(row):  # so it is new, or nobody can confirm it any more
                row.password, row.role = hashed, Role.USER.value
                self.codes.renew(row)
            elif not _same(row.password, hashed):
                raise CloudError(
                    Refusal.USER_EXISTS,
                    "a sign-up with another password waits for its code; who has the mailbox can set a new password",
                )
            code = row.code or ""
            self.logins.note(tx, Kind.SIGNED_UP, By(Actor.USER, user_name), user_name, {"address": caller.address})
        self.codes.deliver(user_name, code)

    def confirm(self, user_name: str, code: str, caller: Caller = INSIDE) -> None:
        """End a sign-up. Raises ``CloudError`` (WRONG_CODE, TOO_OFTEN)."""
        user_id = self.codes.check(user_name, code, caller)
        with self._store.begin() as tx:
            tx.get_one(UserRow, user_id).verified = True
            self.logins.note(tx, Kind.CONFIRMED, By(Actor.USER, user_name), user_name, {"address": caller.address})

    def forgot_password(self, user_name: str, caller: Caller = INSIDE) -> None:
        """Send a code to a user who forgot the password; says nothing about whether there is such a user.

        An account that is not verified yet may have been made by somebody else: its owner takes it over this way.
        Raises ``CloudError`` (TOO_OFTEN).
        """
        self.codes.send(user_name, caller)

    async def reset_password(self, user_name: str, password: str, code: str, caller: Caller = INSIDE) -> None:
        """Set a new password with the code; every login of the user ends. Raises ``CloudError`` (as ``confirm``)."""
        hashed = await self._hash(_password(password))
        user_id = self.codes.check(user_name, code, caller)
        with self._store.begin() as tx:
            row = tx.get_one(UserRow, user_id)
            row.password, row.verified = hashed, True  # the code went to the user's mailbox, as that of a sign-up does
            end_logins(tx, user_id)
            self.logins.note(tx, Kind.PASSWORD_RESET, By(Actor.USER, user_name), user_name, {"address": caller.address})

    # ---------------------------------------------------------------------------------------------------------- logins

    async def log_in(self, user_name: str, password: str, caller: Caller = INSIDE) -> Tokens:
        """Check the password and begin a login of the API.

        Raises:
            CloudError: WRONG_PASSWORD, for an unknown user too; NOT_VERIFIED; TOO_OFTEN.
        """
        return self.logins.tokens(await self.let_in(user_name, password, LoginKind.API, caller))

    async def let_in(self, user_name: str, password: str, kind: LoginKind, caller: Caller) -> User:
        """Check the password and begin a login. Raises ``CloudError``, as ``log_in`` does."""
        self._throttle.count(Try.LOGIN, user_name, caller.address)
        with self._store.begin() as tx:
            row = find(tx, user_name)
        # An unknown user costs as much time as a wrong password.
        hashed = await self._hash(password, like=row.password if row is not None else self._nobody)
        with self._store.begin() as tx:
            row = find(tx, user_name)  # again: the password may have been changed in the meantime
            refused = _why_not(row, hashed)
            if row is not None and refused is None:
                user = self.logins.begin(tx, row, kind, caller)
            else:
                data = {"kind": kind.value, "address": caller.address}
                self.logins.note(tx, Kind.LOGIN_REFUSED, By(Actor.USER), heard(user_name, USER_NAME_LIMIT), data)
        if refused is not None:
            raise refused
        self._throttle.give_back(Try.LOGIN, user_name, caller.address)
        return user

    # ------------------------------------------------------------------------------------------------------- passwords

    async def _hash(self, password: str, like: str = "") -> str:
        """The hash of a password as it is stored; to be compared, with cost and salt of the one it may be ``like``."""
        n, salt = like.split("$")[1:3] if like else (str(self._scrypt_n), self._token_hex(16))
        derived = await self._derive(password, bytes.fromhex(salt), int(n))
        return f"scrypt${n}${salt}${derived.hex()}"


def _why_not(row: UserRow | None, hashed: str) -> CloudError | None:
    if row is None or not _same(row.password, hashed):
        return CloudError(Refusal.WRONG_PASSWORD, "incorrect user name or password")
    return None if row.verified else CloudError(Refusal.NOT_VERIFIED, "the account is not verified yet")


def _same(stored: str, hashed: str) -> bool:
    return hmac.compare_digest(stored.encode(), hashed.encode())


def _password(password: str) -> str:
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise CloudError(Refusal.INVALID_REQUEST, f"a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters")
    return password
