"""The schema, once: SQLAlchemy Core tables.  Alembic's migrations must produce exactly this (a test compares).

Owns: names and columns.  Must never know: who reads them.  Times are UTC nanoseconds; days are ISO text; ids are UUIDv7 hex.
No media, no key and no plain token ever stands in a table (I5).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

users = Table(
    "users",
    metadata,
    Column("user", String(40), primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", String(20), nullable=False),
    Column("service", Text, nullable=False),
    Column("communes", Text),  # JSON list; NULL: every commune of the service
    Column("password", Text, nullable=False),  # Argon2id, PHC string
    Column("must_change", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("valid_from_ns", BigInteger, nullable=False),
    Column("valid_to_ns", BigInteger),
    Column("granted_by", String(40), nullable=False),
    Column("act_ref", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
)

sign_ins = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("user", String(40), ForeignKey("users.user", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False, index=True),
)

cameras = Table(
    "cameras",
    metadata,
    Column("camera", String(40), primary_key=True),
    Column("label", Text, nullable=False),
    Column("regime", String(20), nullable=False),
    Column("service", Text, nullable=False),
    Column("commune", Text, nullable=False),
    Column("original", String(10), nullable=False),
    Column("live_audio", Boolean, nullable=False),
    Column("token_digest", String(64), nullable=False, unique=True),
    Column("enrolled_ns", BigInteger, nullable=False),
    Column("revoked_ns", BigInteger),
)

interventions = Table(
    "interventions",
    metadata,
    Column("intervention", String(32), primary_key=True),
    Column("label", Text, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("opened_ns", BigInteger, nullable=False),
    Column("closed_by", Text),
    Column("closed_ns", BigInteger, index=True),
)

participants = Table(
    "participants",
    metadata,
    Column("intervention", String(32), ForeignKey("interventions.intervention"), primary_key=True),
    Column("user", String(40), primary_key=True),
    Column("motive", Text, nullable=False),
    Column("joined_ns", BigInteger, nullable=False),
)

recordings = Table(
    "recordings",
    metadata,
    Column("recording", String(32), primary_key=True),
    Column("camera", String(40), nullable=False, index=True),
    Column("camera_label", Text, nullable=False),
    Column("regime", String(20), nullable=False),
    Column("service", Text, nullable=False),
    Column("commune", Text, nullable=False),
    Column("original", String(10), nullable=False),
    Column("bearer", Text),
    Column("intervention", String(32), ForeignKey("interventions.intervention"), nullable=False, index=True),
    Column("trigger", Text, nullable=False),
    Column("threat", Text, nullable=False),
    Column("previous", String(32)),
    Column("started_ns", BigInteger, nullable=False, index=True),
    Column("ended_ns", BigInteger),
    Column("expires_on", String(10), nullable=False, index=True),
    Column("state", String(12), nullable=False, index=True),  # open | closed | erased
    Column("reason", Text),
    Column("recovered", Boolean, nullable=False),
    Column("links", Integer, nullable=False),
    Column("gaps", Integer, nullable=False),
    Column("duration_ns", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("head", LargeBinary),
    Column("erased_ns", BigInteger),
    Column("late_seconds", Integer),
    Column("recorder", Integer),  # number of the recorder that it was begun on; NULL: not known
)

segments = Table(
    "segments",
    metadata,
    Column("recording", String(32), ForeignKey("recordings.recording"), primary_key=True),
    Column("segment", Integer, primary_key=True),
    Column("first_link", Integer, nullable=False),
    Column("last_link", Integer, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
)

gaps = Table(
    "gaps",
    metadata,
    Column("recording", String(32), ForeignKey("recordings.recording"), primary_key=True),
    Column("start_ns", BigInteger, primary_key=True),
    Column("length_ns", BigInteger, nullable=False),
    Column("cause", Text, nullable=False),
)

head_entries = Table(
    "head_entries",
    metadata,
    Column("entry", BigInteger, primary_key=True, autoincrement=False),  # leaf number in the journal
    Column("leaves", LargeBinary, nullable=False),  # the leaf hashes of its heads, 32 bytes each, in order
)

heads = Table(
    "heads",
    metadata,
    Column("recording", String(32), ForeignKey("recordings.recording"), primary_key=True),
    Column("entry", BigInteger, ForeignKey("head_entries.entry"), primary_key=True, autoincrement=False, index=True),
    Column("leaf", Integer, nullable=False),  # which of the entry's leaves
    Column("head", LargeBinary, nullable=False),
    Column("records", Integer, nullable=False),
    Column("links", Integer, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("until_ns", BigInteger, nullable=False),
)

holds = Table(
    "holds",
    metadata,
    Column("hold", String(32), primary_key=True),
    Column("recording", String(32), ForeignKey("recordings.recording"), nullable=False, index=True),
    Column("procedure_type", String(20), nullable=False),
    Column("procedure_no", Text, nullable=False),
    Column("authority", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("opened_by", String(40), nullable=False),
    Column("opened_ns", BigInteger, nullable=False),
    Column("review_on", String(10), nullable=False),
    Column("released_by", String(40)),
    Column("released_ns", BigInteger),
)

views = Table(
    "views",
    metadata,
    Column("view", String(32), primary_key=True),
    Column("kind", String(10), nullable=False),  # live | playback
    Column("user", String(40), nullable=False),
    Column("camera", String(40), nullable=False),
    Column("recording", String(32)),
    Column("intervention", String(32)),
    Column("motive", Text, nullable=False),
    Column("opened_ns", BigInteger, nullable=False),
    Column("leased_ns", BigInteger, nullable=False),
    Column("first_ns", BigInteger),
    Column("last_ns", BigInteger),
    Column("closed_ns", BigInteger, index=True),
    Column("reason", Text),
    Column("session", String(64)),  # digest of the sign-in behind it
    Column("expires_ns", BigInteger),
    Column("valid_to_ns", BigInteger),
)

exports = Table(
    "exports",
    metadata,
    Column("export", String(32), primary_key=True),
    Column("recording", String(32), ForeignKey("recordings.recording"), nullable=False, index=True),
    Column("from_ns", BigInteger, nullable=False),
    Column("to_ns", BigInteger, nullable=False),
    Column("motive", Text, nullable=False),
    Column("legal_basis", String(30), nullable=False),
    Column("requesting_agent", Text, nullable=False),
    Column("requesting_service", Text, nullable=False),
    Column("procedure_no", Text, nullable=False),
    Column("requested_by", String(40), nullable=False),
    Column("requested_ns", BigInteger, nullable=False),
    Column("state", String(12), nullable=False),  # working | ready | failed | delivered | erased
    Column("progress", Float, nullable=False),
    Column("detail", Text, nullable=False),
    Column("sha256", String(64)),
    Column("delivered_ns", BigInteger),
)

journal = Table(
    "journal",
    metadata,
    Column("leaf", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("operation", String(20), nullable=False),
    Column("salt", LargeBinary),  # NULL with `body` after the three years of JRN-03
    Column("body", LargeBinary),
    Column("leaf_hash", LargeBinary, nullable=False),
    Index("ix_journal_at_ns", "at_ns"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
)
