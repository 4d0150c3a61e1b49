"""Managing accounts: who is an admin, who has an account at all, and the end of one."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from py_esp_ota.cloud.codes import Codes, email, find
from py_esp_ota.cloud.events import THE_ADMIN, By, Kind
from py_esp_ota.cloud.logins import INSIDE, Caller, Logins, User, end_logins
from py_esp_ota.cloud.models import GroupNodeRow, GroupRow, MappingRequestRow, NodeRow, NodeUserRow, SharingRow, UserRow
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.roles import LOCAL_ADMIN, Role
from py_esp_ota.cloud.store import PAGE_SIZE, Page, Store, page
from py_esp_ota.cloud.tokens import Ids


@dataclass(frozen=True, slots=True)
class Member:
    """One account, as who manages accounts sees it."""

    user_id: str
    user_name: str
    role: Role
    verified: bool


class Members:
    """Makes accounts for others, changes their roles, ends them."""

    def __init__(self, store: Store, ids: Ids, codes: Codes, logins: Logins) -> None:
        self._store = store
        self._ids = ids
        self._codes = codes
        self._logins = logins

    def get(self, user_name: str) -> Member:
        """One account. Raises ``CloudError`` (USER_UNKNOWN)."""
        with self._store.begin() as tx:
            return _member(_known(tx, user_name))

    def by_id(self, user_id: str) -> Member:
        """One account. Raises ``CloudError`` (USER_UNKNOWN)."""
        with self._store.begin() as tx:
            row = tx.get(UserRow, user_id)
        if row is None:
            raise CloudError(Refusal.USER_UNKNOWN, "there is no user with this user_id")
        return _member(row)

    def find(
        self, roles: frozenset[Role], *, start_id: str | None = None, num_records: int = PAGE_SIZE
    ) -> Page[Member]:
        """Accounts of these roles, by ``user_id``."""
        query = select(UserRow).where(UserRow.role.in_(sorted(roles)))
        with self._store.begin() as tx:
            rows, total, following = page(tx, query, key=UserRow.user_id, start=start_id or None, size=num_records)
        return Page([_member(row) for row in rows], total, following)

    def create(self, user_name: str, role: Role, by: By = THE_ADMIN) -> None:
        """An account without a password: the code that is sent lets its owner set one, as a forgotten one.

        Raises:
            CloudError: EMAIL_FORMAT, USER_EXISTS.
        """
        email(user_name)
        with self._store.begin() as tx:
            if find(tx, user_name) is not None:
                raise CloudError(Refusal.USER_EXISTS, "this user exists already")
            row = UserRow(user_id=self._ids.user(), user_name=user_name, password="", role=role.value)
            tx.add(row)
            code = self._codes.renew(row)
            self._logins.note(tx, Kind.SIGNED_UP, by, user_name, {"role": role.value})
        self._codes.deliver(user_name, code)

    def set_role(self, user_name: str, role: Role, by: By = THE_ADMIN) -> None:
        """What the account may do from now on. Raises ``CloudError`` (USER_UNKNOWN, LOCAL_ADMIN_STAYS)."""
        with self._store.begin() as tx:
            row = _known(tx, user_name)
            if row.user_id == LOCAL_ADMIN and role is not Role.SUPER_ADMIN:
                raise CloudError(Refusal.LOCAL_ADMIN_STAYS, "the server's own account stays a super admin")
            self._logins.note(tx, Kind.ROLE_CHANGED, by, user_name, {"before": row.role, "role": role.value})
            row.role = role.value

    def request_end(self, by: User, user_name: str, caller: Caller = INSIDE) -> None:
        """Send the code to who wants the account's end. Raises ``CloudError`` (as ``end``, and TOO_OFTEN)."""
        with self._store.begin() as tx:
            _mortal(tx, user_name)
        self._codes.send(by.user_name, caller)

    def end(self, by: User, user_name: str, code: str, caller: Caller = INSIDE) -> None:
        """End an account with the code that came: its logins, its nodes, its requests. What it claimed falls back.

        Raises:
            CloudError: USER_UNKNOWN, LOCAL_ADMIN_STAYS, WRONG_CODE, TOO_OFTEN.
        """
        with self._store.begin() as tx:
            _mortal(tx, user_name)
        self._codes.check(by.user_name, code, caller)
        with self._store.begin() as tx:
            row = _mortal(tx, user_name)
            end_logins(tx, row.user_id)
            tx.execute(update(NodeRow).where(NodeRow.admin_id == row.user_id).values(admin_id=LOCAL_ADMIN))
            tx.execute(delete(NodeUserRow).where(NodeUserRow.user_id == row.user_id))
            tx.execute(delete(MappingRequestRow).where(MappingRequestRow.user_id == row.user_id))
            own = select(GroupRow.group_id).where(GroupRow.user_id == row.user_id)
            tx.execute(delete(GroupNodeRow).where(GroupNodeRow.group_id.in_(own)))
            tx.execute(delete(GroupRow).where(GroupRow.user_id == row.user_id))
            tx.execute(delete(SharingRow).where(SharingRow.primary_user_id == row.user_id))
            tx.delete(row)
            self._logins.note(tx, Kind.ACCOUNT_DELETED, by.by, user_name)


def _known(tx: Session, user_name: str) -> UserRow:
    row = find(tx, user_name)
    if row is None:
        raise CloudError(Refusal.USER_UNKNOWN, "there is no user of this name")
    return row


def _mortal(tx: Session, user_name: str) -> UserRow:
    row = _known(tx, user_name)
    if row.user_id == LOCAL_ADMIN:
        raise CloudError(Refusal.LOCAL_ADMIN_STAYS, "the server's own account cannot be deleted")
    return row


def _member(row: UserRow) -> Member:
    return Member(row.user_id, row.user_name, Role(row.role), row.verified)
