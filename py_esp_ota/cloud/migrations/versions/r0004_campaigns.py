"""0004: campaigns: phases of a job and where each stands, groups, what is known of boards, webhooks."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

_Type = sa.types.TypeEngine[Any]

_ALL_AT_ONCE = {
    "phases": [],
    "gate": {"success": "90%", "hold": 0, "within": 0, "confirm": False},
    "abort": {"failed": "", "rolled_back": "", "no_answer": "", "least": 1},
    "answer_within": 0,
    "node_timeout": 0,
    "rate": 0,
    "start": 0,
}

_HTTP_SAID_NO = r"ESP_ERR_NOT_SUPPORTED|ESP_ERR_HTTP_(NOT_MODIFIED|RANGE_NOT_SAT\w*|REDIRECT_\w*)|ESP_ERR_INVALID_ARG"
_HTTP_SILENT = r"ESP_ERR_HTTP_(CONNECT\w*|EAGAIN|FETCH_HEADER|CONNECTING|WRITE_DATA)|ERROR\b|ESP_ERR_ESP_TLS\w*"
_BEGIN = r"(OTA|ESP HTTPS OTA|ESP MQTT OTA) Begin failed"
_PERFORM = r"OTA failed: (Error )?"

REASONS = (
    (r"^Firmware rolled back", "rolled_back"),
    (r"^MQTT did not connect within \d+ seconds|^Firmware verification failed", "never_connected"),
    (r"^TEST_ROLLBACK: ", "test_rollback"),
    (r"^Project Name mismatch", "wrong_project"),
    (r"^Same version received", "same_version"),
    (r"^Lower secure version received", "secure_version"),
    (r"^Chip revision mismatch", "wrong_chip"),
    (r"^Aborted\. .*memory allocation failed", "no_memory"),
    (r"^Aborted\. |Missing stream_id or filesize", "message"),
    (r"^OTA download window lapsed", "window_lapsed"),
    (r"^Invalid download window", "window_wrong"),
    # What an attempt says stands behind its number; before there were attempts it stood alone.
    (r"ESP_ERR_NO_MEM\b|ESP_ERR_HTTPS_OTA_NO_MEM", "no_memory"),
    (r"MQTT not connected", "mqtt_lost"),
    (rf"({_BEGIN}|Failed to read image description): ({_HTTP_SILENT})", "unreachable"),
    (rf"{_BEGIN}: ({_HTTP_SAID_NO})", "server_refused"),
    (rf"{_BEGIN}: ESP_ERR_INVALID_SIZE", "too_large"),
    (r"ESP_ERR_OTA_ROLLBACK_INVALID_STATE", "unconfirmed"),
    (_BEGIN, "not_begun"),
    (r"Failed to read image des?cription", "no_app"),
    (rf"{_PERFORM}ESP_ERR_INVALID_VERSI", "wrong_chip"),
    (rf"{_PERFORM}ESP_ERR_INVALID_SIZE", "too_large"),
    (rf"{_PERFORM}ESP_ERR_OTA_SPI_MODE_", "flash_mode"),
    (rf"{_PERFORM}ESP_ERR_OTA_ROLLBACK_", "unconfirmed"),
    (rf"{_PERFORM}ESP_ERR_OTA_VALIDATE_", "no_app"),
    (rf"{_PERFORM}ESP_ERR_(FLASH\w*|OTA_\w*|INVALID_STATE|INVALID_ARG|NOT_FOUND)", "not_written"),
    (rf"{_PERFORM}|Complete data was not received", "interrupted"),
    (r"Image validation failed|OTA finish failed: ESP_ERR_(OTA_VALIDATE|IMAGE)", "damaged"),
    (r"OTA finish failed", "not_written"),
    (r"^No result within \d+ s of its URL", "node_timed_out"),
    (r"^No result within \d+ s|^No result before the validity ended", "job_timed_out"),
    (r"^The node was removed", "removed"),
)
"""The words of firmware, as they are sorted since this revision."""
_ROLL_BACKS = ("rolled_back", "never_connected", "test_rollback")


def _column(name: str, type_: _Type) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=False)


def _filled(table_name: str, *columns: tuple[str, _Type, Any]) -> None:
    """Columns that the rows there are get a value in; those to come are given theirs."""
    with op.batch_alter_table(table_name) as table:
        for name, type_, value in columns:
            table.add_column(sa.Column(name, type_, nullable=False, server_default=value))
    with op.batch_alter_table(table_name) as table:
        for name, *_ in columns:
            table.alter_column(name, server_default=None)


def upgrade() -> None:
    """Every job there is becomes a campaign of one phase, which began when the job did."""
    _nodes()
    _jobs()
    _filled(
        "job_node",
        ("position", BIG, "0"),
        ("handed_out", BIG, "0"),
        ("held_back", sa.Boolean(), sa.false()),
        ("silent", sa.Boolean(), sa.false()),
        ("reason", TEXT, ""),
    )
    _order()
    _urls()
    _tallies()
    _groups()
    op.create_table(
        "webhook",
        sa.Column("number", BIG, autoincrement=True, nullable=False),
        _column("webhook_id", TEXT),
        _column("url", TEXT),
        _column("secret", TEXT),
        _column("kinds", sa.JSON()),
        _column("active", sa.Boolean()),
        _column("told", BIG),
        _column("tries", BIG),
        _column("next_try", BIG),
        _column("last_answer", TEXT),
        _column("created_timestamp", BIG),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("webhook_id"),
    )


def _nodes() -> None:
    """A node's project and chip stand in its config since ever; from now on they can be asked for."""
    _filled("node", *((name, TEXT, "") for name in ("project_name", "platform", "network_id")))
    node = sa.table(
        "node", sa.column("node_id"), sa.column("config", sa.JSON()), sa.column("project_name"), sa.column("platform")
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(node.c.node_id, node.c.config)).all():
        info = row.config.get("info", {}) if isinstance(row.config, dict) else {}
        said = {key: info.get(key) for key in ("project_name", "platform")}
        values = {key: value[:256] for key, value in said.items() if isinstance(value, str)}
        if values:
            connection.execute(node.update().where(node.c.node_id == row.node_id).values(**values))


def _jobs() -> None:
    job = sa.table(
        "job",
        sa.column("number"),
        sa.column("triggered_timestamp"),
        sa.column("counts", sa.JSON()),
        sa.column("closed"),
        *(sa.column(name, sa.JSON()) for name in ("plan", "sizes", "progress", "tallies")),
    )
    _filled(
        "job",
        ("notify", sa.Boolean(), sa.false()),
        ("continuous", sa.Boolean(), sa.false()),
        ("network_serialised", sa.Boolean(), sa.false()),
        ("any_chip", sa.Boolean(), sa.false()),
        ("admin_id", TEXT, ""),
        *((name, sa.JSON(), "{}") for name in ("plan", "sizes", "progress", "tallies")),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(job)).all():
        total = sum(row.counts.values())
        tally = {"counts": row.counts, "closed": row.closed, "missed": 0, "rolled_back": 0, "silent": 0}
        progress = {
            "released": total,
            "phase": 0,
            "phase_began": row.triggered_timestamp,
            "pace_from": [row.triggered_timestamp, total],
            "gate_met": 0,
            "paused": 0,
            "at_gate": False,
            "waived": -1,
            "why": "",
            "aborted": False,
            "ended": 0,
        }
        connection.execute(
            job.update()
            .where(job.c.number == row.number)
            .values(plan=_ALL_AT_ONCE, sizes=[total], progress=progress, tallies=[tally])
        )
    with op.batch_alter_table("job") as table:
        table.drop_column("counts")
        table.drop_column("closed")


def _order() -> None:
    """The order of a job's nodes was that of their ids."""
    job_node = sa.table("job_node", sa.column("job"), sa.column("node_id"), sa.column("position"))
    connection = op.get_bind()
    for job in connection.scalars(sa.select(job_node.c.job).distinct()).all():
        of_job = job_node.c.job == job
        names = connection.scalars(sa.select(job_node.c.node_id).where(of_job).order_by(job_node.c.node_id)).all()
        for position, node_id in enumerate(names):
            connection.execute(job_node.update().where(of_job, job_node.c.node_id == node_id).values(position=position))


def _urls() -> None:
    """When the URL last went to a node is in the log; why a node went without the update, in its words."""
    connection = op.get_bind()
    connection.execute(
        sa.text(
            "UPDATE job_node SET handed_out = coalesce((SELECT max(event.time) FROM event JOIN job"
            " ON job.ota_job_id = event.ota_job_id WHERE job.number = job_node.job"
            " AND event.node_id = job_node.node_id AND event.kind = 'url_sent'), 0)"
        )
    )
    job_node = sa.table("job_node", *(sa.column(name) for name in ("job", "status", "additional_info", "reason")))
    in_vain = job_node.c.status.in_(["failed", "rejected"])
    for words in connection.scalars(sa.select(job_node.c.additional_info).where(in_vain).distinct()).all():
        said = in_vain & (job_node.c.additional_info == words)
        connection.execute(job_node.update().where(said).values(reason=_reason(words)))


def _reason(words: str) -> str:
    return next((reason for pattern, reason in REASONS if re.search(pattern, words[:192])), "other")


def _tallies() -> None:
    """How many went without the update, and how many of those went back from it."""
    job = sa.table("job", sa.column("number"), sa.column("tallies", sa.JSON()))
    names = ("job", "status", "closed", "reason")
    job_node = sa.table("job_node", *(sa.column(name) for name in names))
    missed = sa.and_(job_node.c.closed, job_node.c.status != "success")
    went_back = sa.func.count().filter(job_node.c.reason.in_(_ROLL_BACKS))
    counted = sa.select(job_node.c.job, sa.func.count(), went_back).where(missed).group_by(job_node.c.job)
    connection = op.get_bind()
    for number, count, rolled_back in connection.execute(counted).all():
        of_job = job.c.number == number
        (tally,) = connection.scalars(sa.select(job.c.tallies).where(of_job)).one()
        tallies = [tally | {"missed": count, "rolled_back": rolled_back}]
        connection.execute(job.update().where(of_job).values(tallies=tallies))


def _groups() -> None:
    op.create_table(
        "board",
        _column("node_id", TEXT),
        _column("facts", sa.JSON()),
        _column("noted_timestamp", BIG),
        sa.PrimaryKeyConstraint("node_id"),
    )
    op.create_table(
        "node_group",
        sa.Column("number", BIG, autoincrement=True, nullable=False),
        *(_column(name, TEXT) for name in ("group_id", "group_name", "user_id", "parent_group_id")),
        *(_column(name, TEXT) for name in ("type", "description")),
        *(_column(name, sa.Boolean()) for name in ("mutually_exclusive", "is_matter")),
        *(_column(name, sa.JSON()) for name in ("group_query", "custom_data", "group_metadata")),
        _column("created_timestamp", BIG),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("group_id"),
    )
    op.create_index("ix_node_group_group_name", "node_group", ["group_name"])
    op.create_index("ix_node_group_user_id", "node_group", ["user_id"])
    op.create_table(
        "node_group_member",
        _column("group_id", TEXT),
        _column("node_id", TEXT),
        sa.ForeignKeyConstraint(["group_id"], ["node_group.group_id"]),
        sa.PrimaryKeyConstraint("group_id", "node_id"),
    )
    op.create_index("ix_node_group_member_node_id", "node_group_member", ["node_id"])
