"""A view knows the sign-in behind it, so that a restarted control can end it with that."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what is open already knows no sign-in and lasts until its person claims it or leaves."""
    op.add_column("views", sa.Column("session", sa.String(length=64), nullable=True))
    op.add_column("views", sa.Column("expires_ns", sa.BigInteger(), nullable=True))
    op.add_column("views", sa.Column("valid_to_ns", sa.BigInteger(), nullable=True))
