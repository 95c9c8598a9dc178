"""Whether a data folder holds a relay.

Owns: that question.  Must never know: keys, the database.
"""

from pathlib import Path

from relay.app.settings import Settings, settings_of
from relay.base.errors import Kind, TheirError


def is_installed(settings: Settings) -> bool:
    """Return whether the data folder holds a relay: keys, or a database."""
    names = ("keys/signing.pub", "keys/signing.key", "keys/kek.key", "relay.db")
    return any((settings.data / name).exists() for name in names)


def require_installation(settings: Settings) -> None:
    """Raises TheirError (NOT_FOUND) where the data folder holds no relay: no command but `init` and `restore` makes one."""
    if not is_installed(settings):
        folder = settings.data.resolve()
        raise TheirError(
            Kind.NOT_FOUND,
            f"there is no relay in {folder}: make one with `relay init --data {folder}`, or name the folder of one by --data",
        )


def installed_settings(config: Path | None, data: Path | None) -> Settings:
    """Return the settings as `settings_of` does; raises TheirError (NOT_FOUND) where the data folder holds no relay."""
    settings = settings_of(config, data)
    require_installation(settings)
    return settings
