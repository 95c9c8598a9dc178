"""Keys in a token that were followed and that the token has not destroyed: debts, tried again at each opening of the keyring.

What this file owns: `<data>/keys/leftover`, one a line: `signing pkcs11:<id>` or `kek pkcs11:<id>`; references, nothing secret.
What it must never know: how a key is destroyed.
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
    """The file of debts; blocks, and is used under the keyring's lock."""

    def __init__(self, path: Path, ops: FileOps) -> None:
        self._path = path
        self._ops = ops

    def all(self) -> list[tuple[str, bytes]]:
        """Return kind (`signing`, `kek`) and reference of each, the oldest first."""
        lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        found = [line.partition(b" ") for line in lines]
        return [(kind.decode("ascii", "replace"), reference) for kind, _, reference in found]

    def of(self, kind: str) -> list[bytes]:
        """Return the references of one kind: a rotation must not take such a key for a new one."""
        return [reference for each, reference in self.all() if each == kind]

    def owe(self, kind: str, reference: bytes) -> None:
        """Write a debt down, durably; idempotent.  Raises OSError."""
        debts = self.all()
        if (kind, reference.strip()) not in debts:
            self._write([*debts, (kind, reference.strip())])

    def pay(self, destroy: Callable[[str, bytes], None]) -> None:
        """Try to destroy each; what a token refuses stays a debt, and is told to the log.  Stops no relay."""
        debts = self.all()
        left = [debt for debt in debts if not _destroyed(destroy, *debt)]
        if left != debts:
            try:
                self._write(left)
            except OSError:
                # To destroy twice does no harm.
                logger.exception("keys/leftover could not be written: tried again at the next opening")

    def _write(self, debts: list[tuple[str, bytes]]) -> None:
        if debts:
            write_file(self._ops, self._path, b"".join(kind.encode() + b" " + reference + b"\n" for kind, reference in debts))
        else:
            # Another process that opens the keyring now may have been faster.
            with contextlib.suppress(FileNotFoundError):
                self._ops.unlink(self._path)
            self._ops.fsync_dir(self._path.parent)


def _destroyed(destroy: Callable[[str, bytes], None], kind: str, reference: bytes) -> bool:
    try:
        destroy(kind, reference)
    except RelayError as error:
        what = {"key": kind, "reference": reference.decode("ascii", "replace"), "why": error.detail}
        logger.error("a key that was followed is still in the token: destroy it there; it is tried again", extra=what)
        return False
    return True
