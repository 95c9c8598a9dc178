"""Replaced keys that their token has not destroyed yet: written down, and tried again each time the keyring is opened.

Owns: `<data>/keys/leftover`, one key a line: `signing pkcs11:<id>` or `kek pkcs11:<id>`; references, no secret.
Must never know: how a key is destroyed.
"""

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from relay.base.errors import RelayError
from relay.store.vault import FileOps, write_file

logger = logging.getLogger(__name__)

NAMES = {"signing": "signing key", "kek": "key-encryption key"}


class UndestroyedKeys:
    """The list on disk.  Every method blocks, and is used under the keyring's lock."""

    def __init__(self, path: Path, ops: FileOps) -> None:
        self._path = path
        self._ops = ops

    def all(self) -> list[tuple[str, bytes]]:
        """Return kind (`signing`, `kek`) and reference of each key, the oldest first."""
        lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        found = [line.partition(b" ") for line in lines]
        return [(kind.decode("ascii", "replace"), reference) for kind, _, reference in found]

    def of(self, kind: str) -> list[bytes]:
        """Return the references of one kind: a rotation must not take such a key for a new one."""
        return [reference for each, reference in self.all() if each == kind]

    def add(self, kind: str, reference: bytes) -> None:
        """Write a key down, durably; idempotent.  Raises OSError."""
        keys = self.all()
        if (kind, reference.strip()) not in keys:
            self._write([*keys, (kind, reference.strip())])

    def retry(self, destroy: Callable[[str, bytes], None]) -> None:
        """Try to destroy each key.  A refusal is logged and the key stays on the list; no error is raised."""
        keys = self.all()
        left = [key for key in keys if not _destroyed(destroy, *key)]
        if left != keys:
            try:
                self._write(left)
            except OSError:
                # Destroying a key twice does no harm.
                logger.exception("keys/leftover could not be written: tried again at the next opening")

    def _write(self, keys: list[tuple[str, bytes]]) -> None:
        if keys:
            write_file(self._ops, self._path, b"".join(kind.encode() + b" " + reference + b"\n" for kind, reference in keys))
        else:
            # Another process that opens the keyring at this moment may have removed the file.
            with contextlib.suppress(FileNotFoundError):
                self._ops.unlink(self._path)
            self._ops.fsync_dir(self._path.parent)


def _destroyed(destroy: Callable[[str, bytes], None], kind: str, reference: bytes) -> bool:
    try:
        destroy(kind, reference)
    except RelayError as error:
        details = {"key": kind, "reference": reference.decode("ascii", "replace"), "why": error.detail}
        logger.error("a replaced key is still in the token: destroy it there; the relay tries again", extra=details)
        return False
    return True
