"""Heads of open recordings, once a minute: a chain that was cut short afterwards is noticed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both tables."""
    op.create_table(
        "head_entries",
        sa.Column("entry", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("entry", name=op.f("pk_head_entries")),
    )
    op.create_table(
        "heads",
        sa.Column("recording", sa.String(length=32), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.Column("leaf", sa.Integer(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("links", sa.Integer(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.Column("until_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["entry"], ["head_entries.entry"], name=op.f("fk_heads_entry")),
        sa.ForeignKeyConstraint(["recording"], ["recordings.recording"], name=op.f("fk_heads_recording")),
        sa.PrimaryKeyConstraint("recording", "entry", name=op.f("pk_heads")),
    )
    op.create_index(op.f("ix_heads_entry"), "heads", ["entry"])
