"""0003: roles of accounts and of users of nodes, who has claimed a node, what a login is, requests with a secret."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _filled(name: str, type_: sa.Text | sa.BigInteger, value: str) -> sa.Column[object]:
    """A column that the rows there are get a value in; those to come are given theirs."""
    return sa.Column(name, type_, nullable=False, server_default=value)


def upgrade() -> None:
    """Who was an admin becomes a super admin, every user of a node a primary one."""
    with op.batch_alter_table("user") as table:
        table.add_column(_filled("role", TEXT, "user"))
    user = sa.table("user", sa.column("role"), sa.column("admin", sa.Boolean()))
    op.execute(user.update().where(user.c.admin.is_(sa.true())).values(role="super_admin"))
    with op.batch_alter_table("user") as table:
        table.drop_column("admin")
        table.alter_column("role", server_default=None)
    with op.batch_alter_table("session") as table:
        for name, value in (("kind", "api"), ("address", ""), ("client", "")):
            table.add_column(_filled(name, TEXT, value))
        for name in ("started", "used"):
            table.add_column(_filled(name, BIG, "0"))
        table.add_column(sa.Column("expires", BIG, nullable=True))
    with op.batch_alter_table("session") as table:
        for name in ("kind", "address", "client", "started", "used"):
            table.alter_column(name, server_default=None)
    _text("node", "admin_id", "localadmin")
    op.create_index("ix_node_admin_id", "node", ["admin_id"])
    _text("node_user", "role", "primary")
    _text("mapping_request", "proof", "")
    op.create_table(
        "node_word",
        sa.Column("node_id", TEXT, nullable=False),
        sa.Column("proof", TEXT, nullable=False),
        sa.Column("reset", sa.Boolean(), nullable=False),
        sa.Column("timestamp", BIG, nullable=False),
        sa.PrimaryKeyConstraint("node_id"),
    )
    op.create_table(
        "sharing",
        sa.Column("number", BIG, autoincrement=True, nullable=False),
        sa.Column("request_id", TEXT, nullable=False),
        sa.Column("primary_user_id", TEXT, nullable=False),
        sa.Column("user_name", TEXT, nullable=False),
        sa.Column("node_ids", sa.JSON(), nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("request_timestamp", BIG, nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("request_id"),
    )
    op.create_index("ix_sharing_primary_user_id", "sharing", ["primary_user_id"])
    op.create_index("ix_sharing_user_name", "sharing", ["user_name"])


def _text(table_name: str, name: str, value: str) -> None:
    with op.batch_alter_table(table_name) as table:
        table.add_column(_filled(name, TEXT, value))
    with op.batch_alter_table(table_name) as table:
        table.alter_column(name, server_default=None)
