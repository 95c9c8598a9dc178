"""First schema; the journal is append-only in the database itself (JRN-05)."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_APPEND_ONLY = (
    # The one change allowed is the purge after three years (JRN-03): body and salt to NULL, everything else as it was.
    "CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal "
    "WHEN NEW.body IS NOT NULL OR NEW.salt IS NOT NULL OR NEW.leaf IS NOT OLD.leaf OR NEW.at_ns IS NOT OLD.at_ns "
    "OR NEW.operation IS NOT OLD.operation OR NEW.leaf_hash IS NOT OLD.leaf_hash "
    "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END",
    "CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END",
)


def upgrade() -> None:
    """Make every table, then the journal's guards."""
    _cameras()
    _checkpoints()
    _interventions()
    _journal()
    _users()
    _views()
    _participants()
    _recordings()
    _sessions()
    _exports()
    _gaps()
    _holds()
    _segments()
    for statement in _APPEND_ONLY:
        op.execute(statement)


def _cameras() -> None:
    op.create_table(
        "cameras",
        sa.Column("camera", sa.String(length=40), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("regime", sa.String(length=20), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("commune", sa.Text(), nullable=False),
        sa.Column("original", sa.String(length=10), nullable=False),
        sa.Column("live_audio", sa.Boolean(), nullable=False),
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("enrolled_ns", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("camera", name=op.f("pk_cameras")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_cameras_token_digest")),
    )


def _checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_checkpoints")),
    )


def _interventions() -> None:
    op.create_table(
        "interventions",
        sa.Column("intervention", sa.String(length=32), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("closed_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("intervention", name=op.f("pk_interventions")),
    )
    with op.batch_alter_table("interventions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_interventions_closed_ns"), ["closed_ns"], unique=False)


def _journal() -> None:
    op.create_table(
        "journal",
        sa.Column("leaf", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("operation", sa.String(length=20), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("leaf", name=op.f("pk_journal")),
    )
    with op.batch_alter_table("journal", schema=None) as batch_op:
        batch_op.create_index("ix_journal_at_ns", ["at_ns"], unique=False)


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("user", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("communes", sa.Text(), nullable=True),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("must_change", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("valid_from_ns", sa.BigInteger(), nullable=False),
        sa.Column("valid_to_ns", sa.BigInteger(), nullable=True),
        sa.Column("granted_by", sa.String(length=40), nullable=False),
        sa.Column("act_ref", sa.Text(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user", name=op.f("pk_users")),
    )


def _views() -> None:
    op.create_table(
        "views",
        sa.Column("view", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("user", sa.String(length=40), nullable=False),
        sa.Column("camera", sa.String(length=40), nullable=False),
        sa.Column("recording", sa.String(length=32), nullable=True),
        sa.Column("intervention", sa.String(length=32), nullable=True),
        sa.Column("motive", sa.Text(), nullable=False),
        sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.Column("leased_ns", sa.BigInteger(), nullable=False),
        sa.Column("first_ns", sa.BigInteger(), nullable=True),
        sa.Column("last_ns", sa.BigInteger(), nullable=True),
        sa.Column("closed_ns", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("view", name=op.f("pk_views")),
    )
    with op.batch_alter_table("views", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_views_closed_ns"), ["closed_ns"], unique=False)


def _participants() -> None:
    op.create_table(
        "participants",
        sa.Column("intervention", sa.String(length=32), nullable=False),
        sa.Column("user", sa.String(length=40), nullable=False),
        sa.Column("motive", sa.Text(), nullable=False),
        sa.Column("joined_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["intervention"], ["interventions.intervention"], name=op.f("fk_participants_intervention")),
        sa.PrimaryKeyConstraint("intervention", "user", name=op.f("pk_participants")),
    )


def _recordings() -> None:
    op.create_table(
        "recordings",
        sa.Column("recording", sa.String(length=32), nullable=False),
        sa.Column("camera", sa.String(length=40), nullable=False),
        sa.Column("camera_label", sa.Text(), nullable=False),
        sa.Column("regime", sa.String(length=20), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("commune", sa.Text(), nullable=False),
        sa.Column("original", sa.String(length=10), nullable=False),
        sa.Column("bearer", sa.Text(), nullable=True),
        sa.Column("intervention", sa.String(length=32), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("threat", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=32), nullable=True),
        sa.Column("started_ns", sa.BigInteger(), nullable=False),
        sa.Column("ended_ns", sa.BigInteger(), nullable=True),
        sa.Column("expires_on", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("recovered", sa.Boolean(), nullable=False),
        sa.Column("links", sa.Integer(), nullable=False),
        sa.Column("gaps", sa.Integer(), nullable=False),
        sa.Column("duration_ns", sa.BigInteger(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=True),
        sa.Column("erased_ns", sa.BigInteger(), nullable=True),
        sa.Column("late_seconds", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["intervention"], ["interventions.intervention"], name=op.f("fk_recordings_intervention")),
        sa.PrimaryKeyConstraint("recording", name=op.f("pk_recordings")),
    )
    with op.batch_alter_table("recordings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_recordings_camera"), ["camera"], unique=False)
        batch_op.create_index(batch_op.f("ix_recordings_expires_on"), ["expires_on"], unique=False)
        batch_op.create_index(batch_op.f("ix_recordings_intervention"), ["intervention"], unique=False)
        batch_op.create_index(batch_op.f("ix_recordings_started_ns"), ["started_ns"], unique=False)
        batch_op.create_index(batch_op.f("ix_recordings_state"), ["state"], unique=False)


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=40), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["users.user"], name=op.f("fk_sessions_user"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sessions")),
    )
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sessions_expires_ns"), ["expires_ns"], unique=False)
        batch_op.create_index(batch_op.f("ix_sessions_user"), ["user"], unique=False)


def _exports() -> None:
    op.create_table(
        "exports",
        sa.Column("export", sa.String(length=32), nullable=False),
        sa.Column("recording", sa.String(length=32), nullable=False),
        sa.Column("from_ns", sa.BigInteger(), nullable=False),
        sa.Column("to_ns", sa.BigInteger(), nullable=False),
        sa.Column("motive", sa.Text(), nullable=False),
        sa.Column("legal_basis", sa.String(length=30), nullable=False),
        sa.Column("requesting_agent", sa.Text(), nullable=False),
        sa.Column("requesting_service", sa.Text(), nullable=False),
        sa.Column("procedure_no", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.String(length=40), nullable=False),
        sa.Column("requested_ns", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("delivered_ns", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["recording"], ["recordings.recording"], name=op.f("fk_exports_recording")),
        sa.PrimaryKeyConstraint("export", name=op.f("pk_exports")),
    )
    with op.batch_alter_table("exports", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_exports_recording"), ["recording"], unique=False)


def _gaps() -> None:
    op.create_table(
        "gaps",
        sa.Column("recording", sa.String(length=32), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("length_ns", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["recording"], ["recordings.recording"], name=op.f("fk_gaps_recording")),
        sa.PrimaryKeyConstraint("recording", "start_ns", name=op.f("pk_gaps")),
    )


def _holds() -> None:
    op.create_table(
        "holds",
        sa.Column("hold", sa.String(length=32), nullable=False),
        sa.Column("recording", sa.String(length=32), nullable=False),
        sa.Column("procedure_type", sa.String(length=20), nullable=False),
        sa.Column("procedure_no", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("opened_by", sa.String(length=40), nullable=False),
        sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.Column("review_on", sa.String(length=10), nullable=False),
        sa.Column("released_by", sa.String(length=40), nullable=True),
        sa.Column("released_ns", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["recording"], ["recordings.recording"], name=op.f("fk_holds_recording")),
        sa.PrimaryKeyConstraint("hold", name=op.f("pk_holds")),
    )
    with op.batch_alter_table("holds", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_holds_recording"), ["recording"], unique=False)


def _segments() -> None:
    op.create_table(
        "segments",
        sa.Column("recording", sa.String(length=32), nullable=False),
        sa.Column("segment", sa.Integer(), nullable=False),
        sa.Column("first_link", sa.Integer(), nullable=False),
        sa.Column("last_link", sa.Integer(), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["recording"], ["recordings.recording"], name=op.f("fk_segments_recording")),
        sa.PrimaryKeyConstraint("recording", "segment", name=op.f("pk_segments")),
    )
