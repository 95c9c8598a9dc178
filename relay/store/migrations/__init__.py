"""Alembic migrations, packaged.  Owns: how a database of any earlier version becomes one of today."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

HERE = Path(__file__).parent


def config(connection: Connection) -> Config:
    """Return Alembic's configuration bound to an open connection."""
    found = Config()
    found.set_main_option("script_location", str(HERE).replace("%", "%%"))
    found.set_main_option("path_separator", "os")
    found.attributes["connection"] = connection
    return found


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest revision inside the caller's transaction."""
    command.upgrade(config(connection), "head")
