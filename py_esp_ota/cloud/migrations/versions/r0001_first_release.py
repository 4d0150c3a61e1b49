"""0001: the tables of 0.1.0, which stamped none of its databases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make all of them."""
    op.create_table(
        "blob",
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "job",
        sa.Column("number", BIG, autoincrement=True, nullable=False),
        sa.Column("ota_job_id", TEXT, nullable=False),
        sa.Column("ota_job_name", TEXT, nullable=False),
        sa.Column("ota_image_id", TEXT, nullable=False),
        sa.Column("fw_version", TEXT, nullable=False),
        sa.Column("nodes", sa.JSON(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("priority", BIG, nullable=False),
        sa.Column("timeout", BIG, nullable=False),
        sa.Column("force_push", sa.Boolean(), nullable=False),
        sa.Column("user_approval", sa.Boolean(), nullable=False),
        sa.Column("max_fetch_cycles", BIG, nullable=False),
        sa.Column("triggered_timestamp", BIG, nullable=False),
        sa.Column("deadline", BIG, nullable=False),
        sa.Column("cancelled_timestamp", BIG, nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("ota_job_id"),
    )
    op.create_index("ix_job_deadline", "job", ["deadline"])
    op.create_index("ix_job_ota_image_id", "job", ["ota_image_id"])
    op.create_table(
        "mapping_request",
        sa.Column("request_id", TEXT, nullable=False),
        sa.Column("node_id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("requested_timestamp", BIG, nullable=False),
        sa.PrimaryKeyConstraint("request_id"),
    )
    op.create_index("ix_mapping_request_node_id", "mapping_request", ["node_id"])
    op.create_table(
        "node",
        sa.Column("node_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("fw_version", TEXT, nullable=False),
        sa.Column("config", sa.JSON(), nullable=True),
        sa.Column("params", sa.JSON(), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("connected", sa.Boolean(), nullable=False),
        sa.Column("connectivity_timestamp", BIG, nullable=False),
        sa.Column("registration_timestamp", BIG, nullable=False),
        sa.PrimaryKeyConstraint("node_id"),
    )
    op.create_index("ix_node_connected", "node", ["connected"])
    op.create_index("ix_node_type", "node", ["type"])
    op.create_table(
        "setting",
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "upload",
        sa.Column("ota_image_id", TEXT, nullable=False),
        sa.Column("image_name", TEXT, nullable=False),
        sa.Column("expires", BIG, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("ota_image_id"),
    )
    op.create_table(
        "user",
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("user_name", TEXT, nullable=False),
        sa.Column("password", TEXT, nullable=False),
        sa.Column("admin", sa.Boolean(), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("code", TEXT, nullable=True),
        sa.Column("code_expires", BIG, nullable=False),
        sa.Column("code_tries", BIG, nullable=False),
        sa.PrimaryKeyConstraint("user_id"),
        sa.UniqueConstraint("user_name"),
    )
    op.create_table(
        "image",
        sa.Column("number", BIG, autoincrement=True, nullable=False),
        sa.Column("ota_image_id", TEXT, nullable=False),
        sa.Column("image_name", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("fw_version", TEXT, nullable=False),
        sa.Column("chip", TEXT, nullable=False),
        sa.Column("file_size", BIG, nullable=False),
        sa.Column("file_md5", TEXT, nullable=False),
        sa.Column("file_sha256", TEXT, nullable=False),
        sa.Column("upload_timestamp", BIG, nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["file_sha256"], ["blob.sha256"]),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("image_name"),
        sa.UniqueConstraint("ota_image_id"),
    )
    op.create_index("ix_image_file_sha256", "image", ["file_sha256"])
    op.create_table(
        "job_node",
        sa.Column("job", BIG, nullable=False),
        sa.Column("node_id", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("additional_info", TEXT, nullable=False),
        sa.Column("timestamp", BIG, nullable=False),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("failed_cycles", BIG, nullable=False),
        sa.Column("failing", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["job.number"]),
        sa.PrimaryKeyConstraint("job", "node_id"),
    )
    op.create_index("job_node_open", "job_node", ["node_id", "closed"])
    op.create_table(
        "node_tag",
        sa.Column("node_id", TEXT, nullable=False),
        sa.Column("tag", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.node_id"]),
        sa.PrimaryKeyConstraint("node_id", "tag"),
    )
    op.create_index("ix_node_tag_tag", "node_tag", ["tag"])
    op.create_table(
        "node_user",
        sa.Column("node_id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("mapping_timestamp", BIG, nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.node_id"]),
        sa.PrimaryKeyConstraint("node_id", "user_id"),
    )
    op.create_index("ix_node_user_user_id", "node_user", ["user_id"])
    op.create_table(
        "report",
        sa.Column("number", BIG, autoincrement=True, nullable=False),
        sa.Column("job", BIG, nullable=False),
        sa.Column("node_id", TEXT, nullable=False),
        sa.Column("by_node", sa.Boolean(), nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("additional_info", TEXT, nullable=False),
        sa.Column("timestamp", BIG, nullable=False),
        sa.Column("ts", BIG, nullable=True),
        sa.ForeignKeyConstraint(["job"], ["job.number"]),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("report_of", "report", ["job", "node_id"])
    op.create_table(
        "session",
        sa.Column("session_id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.user_id"]),
        sa.PrimaryKeyConstraint("session_id"),
    )
    op.create_index("ix_session_user_id", "session", ["user_id"])
