"""A recording knows the recorder that it was begun on, so that control believes no other one about it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what was recorded before knows no recorder."""
    op.add_column("recordings", sa.Column("recorder", sa.Integer(), nullable=True))
