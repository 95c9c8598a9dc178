"""What the relay's own processes and commands show each other at their sockets: one key, and a pass for each door made from it.

Owns: `<data>/keys/processes.key` and the names of the doors.  Must never know: sockets, what is asked behind a door.

All processes run under one user, so neither the mode of a socket nor the peer's user id tells them apart.  Only the supervisor,
control and the commands can open `keys/`; a worker or recorder is handed the passes of its own doors at its start.  The same
key gives the same passes, so that the next supervisor and the next control reach the processes that run.
"""

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Final

from relay.base.errors import OurError
from relay.store.key_files import KeyFiles
from relay.store.vault import FileOps

NAME: Final = "processes.key"
_KEY_BYTES: Final = 32
CONSOLE: Final = "console"
"""The door of the commands: control's Unix socket."""
KEPT: Final = "sessions that workers keep"
"""No door: the key by which control knows again what it gave a worker to keep."""


def control_of(process: str) -> str:
    """Return the door by which control enters a worker or recorder (`worker-0`)."""
    return f"control of {process}"


def tap_of(index: int) -> str:
    """Return the door by which a worker enters the recorder beside it."""
    return f"tap of recorder-{index}"


class Passes:
    """Makes passes of 32 bytes; a pass says nothing about the key or another pass."""

    def __init__(self, root: Path, ops: FileOps | None = None) -> None:
        """Read the key in `<data>/keys`, or make it; raises OurError where it is damaged, OSError where it cannot be made."""
        if not (root / NAME).exists():
            files = KeyFiles(root, ops or FileOps())
            files.ensure_folder(root)
            files.write(root / NAME, secrets.token_bytes(_KEY_BYTES))
        self._key = _read(root)

    def of(self, door: str) -> bytes:
        """Return the pass of a door."""
        return _pass(self._key, door)


def console_pass(root: Path) -> bytes:
    """Return the pass of the console; raises OurError where the caller may not read `<data>/keys`, or the relay never ran."""
    return _pass(_read(root), CONSOLE)


def _read(root: Path) -> bytes:
    try:
        key = (root / NAME).read_bytes()
    except OSError as error:
        raise OurError(f"{root / NAME}: {error.strerror}; run the command as the relay's own user") from error
    if len(key) != _KEY_BYTES:
        raise OurError(f"{root / NAME} is damaged: stop the relay and remove it; the next start makes another")
    return key


def _pass(key: bytes, door: str) -> bytes:
    return hmac.digest(key, door.encode(), hashlib.sha256)
