"""The key-encryption key (KEK): opening it, making it at the first start, and replacing it.

Owns: `<data>/keys/kek.key`, `kek.next`, `kek.old`.  Must never know: recordings, the signing key.

Rotation, each step durable before the next:

    kek.next written → each day key wrapped under it → kek.key renamed kek.old → kek.next renamed kek.key → kek.old destroyed

While `kek.next` exists, a day key is under `kek.next` or under `kek.key`.  The next opening does the steps that are left.
"""

from relay.base.errors import OurError
from relay.store.day_keys import DayKeys
from relay.store.key_files import KeyFiles
from relay.store.long_term_keys import LongTermKeys
from relay.store.wrapping import Kek


class KeyEncryptionKey:
    """The key-encryption key in force; itself a `Kek`, so that its users need not notice a rotation."""

    def __init__(self, files: KeyFiles, long_term: LongTermKeys, days: DayKeys) -> None:
        """Open the key, finish an interrupted rotation, or make the key at the first start.

        Raises OurError where the key is missing and day keys depend on it, is damaged, or the token refuses.
        """
        self._files = files
        self._long_term = long_term
        self._days = days
        self._current, self._next, self._old = (files.root / f"kek.{name}" for name in ("key", "next", "old"))
        self._kek = self._open()

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """Return nonce ‖ ciphertext ‖ tag."""
        return self._kek.wrap(secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the secret; raises OurError where it does not open."""
        return self._kek.unwrap(wrapped, context)

    def rotate(self) -> int:
        """Wrap every day key under a new key and destroy the old one; return the number of day keys.  Raises OurError, OSError.

        The new key is made where the settings say, so a rotation also moves the key into a token or out of one.  A rotation
        that the disk interrupted in this process is finished first: day keys are under its `kek.next` already.
        """
        self._kek = self._open()
        self._files.write(self._next, self._long_term.make_kek([self._current.read_bytes()]))
        self._kek = self._finish_rotation()
        self._long_term.retry_destructions()
        return len(self._days.names())

    def _open(self) -> Kek:
        if self._next.exists():
            return self._finish_rotation()
        if self._current.exists():
            self._long_term.retire("kek", self._old)
        elif self._days.names():
            # A new key would hide the loss, and with the old key every recording would be lost.
            raise OurError("keys/kek.key is missing, but keys wrapped by it are there: put it back (relay/OPERATING.md)")
        else:
            self._files.write(self._current, self._long_term.make_kek())
        return self._long_term.kek_of(self._current.read_bytes())

    def _finish_rotation(self) -> Kek:
        after = self._long_term.kek_of(self._next.read_bytes())
        if self._current.exists():
            self._days.rewrap_all(self._long_term.kek_of(self._current.read_bytes()), after)
            self._files.rename(self._current, self._old)
        self._files.rename(self._next, self._current)
        self._long_term.retire("kek", self._old)
        return after
