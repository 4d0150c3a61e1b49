"""Verification codes: one at a time for each account, for a quarter of an hour, brought to its mailbox."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from py_esp_ota.cloud.logins import Caller
from py_esp_ota.cloud.models import UserRow
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.store import Store
from py_esp_ota.cloud.texts import line
from py_esp_ota.cloud.throttle import Throttle, Try
from py_esp_ota.cloud.tokens import Ids
from py_esp_ota.ports import Clock

CODE_S = 900
CODE_TRIES = 5
USER_NAME_LIMIT = 128

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")

Deliver = Callable[[str, str], None]
"""Brings a verification code to its user: ``deliver(user_name, code)``. A local server prints it."""


class Codes:
    """Makes codes, sends them and checks what comes back."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, deliver: Deliver, throttle: Throttle) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._throttle = throttle
        self.deliver = deliver

    def renew(self, row: UserRow) -> str:
        """A new code; the one before is worth nothing any more."""
        code = self._ids.code()
        row.code, row.code_expires, row.code_tries = code, int(self._clock.now()) + CODE_S, 0
        return code

    def awaited(self, row: UserRow) -> bool:
        """Whether a sign-up holds its place: until its code is too old, however often somebody guessed at it."""
        return row.code is not None and self._clock.now() < row.code_expires

    def send(self, user_name: str, caller: Caller) -> None:
        """A new code for the user of this name, if there is one: nobody learns whether. Raises ``CloudError``."""
        self._throttle.count(Try.MAIL, user_name, caller.address)
        with self._store.begin() as tx:
            row = find(tx, user_name)
            code = self.renew(row) if row is not None else None
        if code is not None:
            self.deliver(user_name, code)

    def check(self, user_name: str, code: str, caller: Caller) -> str:
        """The ``user_id`` whose code this is. A code works once and survives four errors.

        Raises:
            CloudError: WRONG_CODE, TOO_OFTEN.
        """
        self._throttle.count(Try.CODE, user_name, caller.address)
        with self._store.begin() as tx:
            row = find(tx, user_name)
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
        self._throttle.give_back(Try.CODE, user_name, caller.address)
        return row.user_id


def find(tx: Session, user_name: str) -> UserRow | None:
    """The account of this name. One that no account can have is not asked for: no database takes every character."""
    if not user_name.isprintable():
        return None
    return tx.scalar(select(UserRow).where(UserRow.user_name == user_name))


def proper_name(user_name: str) -> str:
    """A name that an account can have. Raises ``CloudError`` (INVALID_REQUEST)."""
    return line(user_name, "user_name", USER_NAME_LIMIT)


def email(user_name: str) -> str:
    """A name that is a mailbox, too. Raises ``CloudError`` (INVALID_REQUEST, EMAIL_FORMAT)."""
    if not _EMAIL.fullmatch(proper_name(user_name)):
        raise CloudError(Refusal.EMAIL_FORMAT, "user_name is no e-mail address")
    return user_name
