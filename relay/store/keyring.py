"""The relay's keys on disk, `<data>/keys`: long-term keys, day keys and wrapped recording keys (VAULT.md, invariant I5).

Owns: the lock under which keys change, the order in which a folder of keys is opened, and `dtls.pem`.  Each kind
of key has an owner of its own: `key_encryption_key`, `signing_key`, `day_keys`, `recording_keys`; `long_term_keys` knows files
and tokens.  Must never know: recordings' folders, the clock, the database (a key that was deleted there was found again
in its write-ahead log).

Wrapping is AES-256-GCM with a random 96-bit nonce and a context as associated data, so that a wrapped key that was moved to
another name or day does not open.  Every method blocks (fsync, perhaps a token): callers on a loop use a thread.
"""

import secrets
import threading
from pathlib import Path

from relay.evidence.seal import Signer
from relay.store.day_keys import DayKeys, check_day, is_day
from relay.store.dtls_certificate import make_dtls_pem
from relay.store.key_cache import KeyCache
from relay.store.key_encryption_key import KeyEncryptionKey
from relay.store.key_files import KeyFiles
from relay.store.long_term_keys import LongTermKeys, Places
from relay.store.recording_keys import RecordingKeys
from relay.store.signing_key import SigningKey
from relay.store.vault import FileOps


class Keyring:
    """All keys of one installation.  Only control opens it; workers and recorders are given their keys at their start."""

    def __init__(
        self, root: Path, ops: FileOps | None = None, places: Places | None = None, cache: KeyCache | None = None
    ) -> None:
        """Open `<data>/keys`, and make the missing files at the first start.

        Raises OurError where a key file is damaged, where one is missing although others depend on it, and where a token
        refuses.
        """
        # Two cameras may start recording at once on a new day: only one of them makes the day's key.
        self._changing = threading.RLock()
        self._cache = KeyCache() if cache is None else cache
        self._files = KeyFiles(root, ops or FileOps())
        self._files.ensure_folder(root)
        self._long_term = LongTermKeys(self._files, places or Places())
        self._days = DayKeys(self._files)
        self._kek = KeyEncryptionKey(self._files, self._long_term, self._days)
        self._recordings = RecordingKeys(self._files, self._kek, self._days, self._cache)
        self._signing = SigningKey(self._files, self._long_term)
        self._long_term.retry_destructions()

    # --- long-term keys -----------------------------------------------------------------------------------------------

    @property
    def signer(self) -> Signer:
        """Signs with the long-term key: session certificates, journal checkpoints, interval statements."""
        return self._signing.signer

    @property
    def public_key(self) -> bytes:
        """The 32 bytes to pin as `evidence.public_key`."""
        return self._signing.signer.public_key

    def successions(self) -> list[bytes]:
        """Return the encoded successions of signing keys, oldest first; raises OurError where the file is damaged."""
        return self._signing.successions()

    def earlier_keys(self) -> list[bytes]:
        """Return the public signing keys before this one, the latest first."""
        return self._signing.earlier_keys()

    def undestroyed(self) -> dict[str, str]:
        """Return the replaced keys that are still in the token: reference to the kind of key, in words."""
        return self._long_term.undestroyed()

    def issue_session(self, role: str, index: int, not_before_ns: int, not_after_ns: int) -> tuple[bytes, bytes]:
        """Return a new session key for one process: (private seed of 32 bytes, encoded certificate), for its configuration."""
        return self._signing.issue_session(role, index, not_before_ns, not_after_ns)

    def rotate_kek(self) -> int:
        """Wrap every day key under a new key-encryption key and destroy the old one; return the number of day keys.

        No media is touched.  The next opening finishes a rotation that a crash interrupted.  Raises OurError, OSError.
        """
        with self._changing:
            try:
                return self._kek.rotate()
            finally:
                self._cache.forget_all()

    def rotate_signing(self, at_ns: int, reason: str) -> None:
        """Let a new signing key take over; the old one is destroyed.

        A crash before the succession is durable leaves the old key; the next opening finishes a rotation interrupted later.
        Raises OurError, OSError, TheirError(INVALID) where the reason is too long or there are too many successions.
        """
        with self._changing:
            self._signing.rotate(at_ns, reason)

    def browser_key(self) -> bytes:
        """Return the key under which known browsers are recognised, 32 bytes; made where there is none.

        It protects no recording: without it, browsers of before are strangers until their next sign-in.  No backup holds it.
        """
        path = self._files.root / "browsers.key"
        if not path.exists() or len(path.read_bytes()) != 32:
            self._files.write(path, secrets.token_bytes(32))
        return path.read_bytes()

    def dtls_pem(self) -> Path:
        """Return the file with the workers' DTLS certificate and key (P-256, PEM, one after the other), made once."""
        path = self._files.root / "dtls.pem"
        if not path.exists():
            self._files.write(path, make_dtls_pem())
        return path

    # --- recording keys -----------------------------------------------------------------------------------------------

    def create_recording_key(self, recording: str, expires_on: str) -> bytes:
        """Make a recording's key (32 bytes), durable under its expiry day (ISO) before it is returned.

        Raises TheirError(INVALID) for a malformed id or day, TheirError(CONFLICT) where the recording has a key already.
        """
        with self._changing:
            return self._recordings.create(recording, expires_on)

    def recording_key(self, recording: str) -> bytes:
        """Return a recording's key; raises TheirError(GONE) where it is destroyed or never was, OurError where damaged."""
        return self._recordings.get(recording)

    def forget_old_keys(self) -> None:
        """Forget keys that were unwrapped 30 s ago or longer; to be called about as often."""
        self._cache.forget_old()

    @property
    def keys_in_memory(self) -> int:
        """Number of unwrapped recording keys in memory."""
        return len(self._cache)

    def expires_on(self, recording: str) -> str | None:
        """Return the ISO day under which a recording's key is wrapped, None where it has none."""
        return self._recordings.expires_on(recording)

    def recordings(self) -> dict[str, str]:
        """Return every recording that has a wrapped key, with its expiry day (ISO)."""
        return self._recordings.all()

    def broken(self) -> dict[str, str]:
        """Unwrap every key once; return those that do not open: recording, or day (ISO) where all fail, to the cause."""
        return self._recordings.broken()

    def rewrap(self, recording: str, day: str) -> None:
        """Wrap a recording's key under another day; the new file is durable before the old one goes.  Raises TheirError."""
        with self._changing:
            self._recordings.rewrap(recording, day)

    def destroy_recording(self, recording: str) -> None:
        """Destroy one recording's key, durably; idempotent.  Raises OSError."""
        with self._changing:
            self._recordings.destroy(recording)

    # --- day keys -----------------------------------------------------------------------------------------------------

    def days(self) -> list[str]:
        """Return the days (ISO) that have a key or wrapped keys, oldest first: retention walks through them."""
        return sorted(name for name in self._day_names() if is_day(name))

    def foreign_entries(self) -> list[str]:
        """Return the names beside the days that are no days: the relay puts none there, and touches none."""
        return sorted(name for name in self._day_names() if not is_day(name))

    def destroy_day(self, day: str) -> list[str]:
        """Destroy a day's key and all that is wrapped under it; return the recordings that became unreadable; idempotent.

        Raises TheirError(INVALID) for a malformed day, OSError.
        """
        check_day(day)
        with self._changing:
            try:
                self._days.destroy(day)
                return self._recordings.destroy_day(day)
            finally:
                self._cache.forget_all()

    def _day_names(self) -> set[str]:
        return self._days.names() | self._recordings.folder_names()
