"""The data folder is for the relay's user alone.

Owns: the modes of the data folder and of the files that an administrator or an older version left in it.  Must never know: what
is in them.
"""

import logging
import stat
from pathlib import Path

from relay.base.errors import OurError
from relay.runtime.cage import code_folders

logger = logging.getLogger(__name__)

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_WITHIN = ("settings.toml", "relay.db*", "run", "keys", "vault", "journal", "journal/*")


def make_private(data: Path) -> None:
    """Make the data folder, or close it and what lies at its top to group and others.

    Raises OurError where the folder is open and belongs to somebody else, and where it is part of the program's own folders,
    which every process of the relay may read.
    """
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    real = data.resolve()
    if any(real.is_relative_to(folder) for folder in code_folders()):
        raise OurError(f"{data} lies among the program's own files, which its workers may read: choose another data folder")
    try:
        _close(data)
    except OSError as error:
        raise OurError(
            f"{data}: others can open the data folder, and it cannot be closed to them ({error.strerror}): run chmod 700 on it"
        ) from error
    for pattern in _WITHIN:
        for path in data.glob(pattern):
            try:
                _close(path)
            except OSError as error:
                logger.warning("open to others; only the data folder's mode protects it", extra={"file": path.name})
                logger.debug("chmod failed", extra={"detail": str(error)})


def _close(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        path.chmod(mode & ~_OTHERS)
        logger.warning("was open to others: closed", extra={"file": path.name})
