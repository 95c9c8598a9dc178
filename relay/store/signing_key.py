"""The long-term signing key (Ed25519, RFC 8032): opening it, making it at the first start, and its succession.

Owns: `<data>/keys/signing.key`, `signing.pub`, `signing.next`, `signing.old` and `successions`.
Must never know: what is signed with it, day keys and recording keys.

Rotation, each step durable before the next:

    signing.next written → succession, signed by both keys, written → signing.key renamed signing.old
    → signing.next renamed signing.key → signing.old destroyed → signing.pub replaced

The next opening does the steps that are left.  Without its succession a `signing.next` is destroyed: the old key stays.
"""

from relay.base.errors import Kind, OurError, TheirError
from relay.evidence.seal import CERTIFICATE, MemorySigner, Signer, new_session
from relay.evidence.statement import predecessors, read_succession, sign_succession, succession_line, successions_in
from relay.evidence.wire import encode
from relay.store.key_files import KeyFiles
from relay.store.long_term_keys import LongTermKeys


class SigningKey:
    """The signing key in force, and the successions by which earlier keys are trusted through it."""

    def __init__(self, files: KeyFiles, long_term: LongTermKeys) -> None:
        """Open the key, finish or undo an interrupted rotation, or make the key at the first start.

        Raises OurError where the key is missing although its public half is there, is damaged, or the token refuses.
        """
        self._files = files
        self._long_term = long_term
        self._current, self._public, self._next, self._old = (
            files.root / f"signing.{name}" for name in ("key", "pub", "next", "old")
        )
        self._successions = files.root / "successions"
        self._signer = self._open()
        files.ensure_content(self._public, self._signer.public_key)

    @property
    def signer(self) -> Signer:
        """Signs with the key in force."""
        return self._signer

    def successions(self) -> list[bytes]:
        """Return the encoded successions (FORMAT.md §6), oldest first; raises OurError where the file is damaged."""
        try:
            return successions_in(self._successions.read_bytes()) if self._successions.exists() else []
        except TheirError as error:
            raise OurError(f"keys/successions is damaged ({error.detail}): put it back (relay/OPERATING.md)") from error

    def earlier_keys(self) -> list[bytes]:
        """Return the public keys before the one in force, the latest first."""
        return predecessors(self._signer.public_key, self.successions())

    def issue_session(self, role: str, index: int, not_before_ns: int, not_after_ns: int) -> tuple[bytes, bytes]:
        """Return a new session key: (private seed of 32 bytes, encoded certificate)."""
        session = new_session(self._signer, role=role, index=index, not_before_ns=not_before_ns, not_after_ns=not_after_ns)
        assert isinstance(session.signer, MemorySigner)
        return session.signer.private_bytes, encode(CERTIFICATE, session.certificate)

    def rotate(self, at_ns: int, reason: str) -> None:
        """Let a new key, made where the settings say, take over; destroy the old one.

        A rotation that the disk interrupted in this process is finished first.  Raises OurError, OSError, and
        TheirError(INVALID) where the reason is too long or there are too many successions.
        """
        self._signer = self._open()
        self._files.ensure_content(self._public, self._signer.public_key)
        content = self._long_term.make_signing([self._current.read_bytes()])
        encoded = self._succession_to(self._long_term.signer_of(content), at_ns, reason)
        self._files.write(self._next, content)
        self._files.write(self._successions, encoded)
        self._finish_rotation()
        self._signer = self._long_term.signer_of(self._current.read_bytes())
        self._files.ensure_content(self._public, self._signer.public_key)
        self._long_term.retry_destructions()

    def _succession_to(self, upcoming: Signer, at_ns: int, reason: str) -> bytes:
        """Return the content of `successions` with one more."""
        successions = self.successions()
        if upcoming.public_key in (self._signer.public_key, *self.earlier_keys()):
            raise OurError("the other signing key of this label in the token was replaced before: remove it or relabel it")
        try:
            successions.append(sign_succession(self._signer, upcoming, at_ns=at_ns, reason=reason))
            encoded = b"".join(map(succession_line, successions))
            successions_in(encoded)
        except ValueError as error:
            raise TheirError(Kind.INVALID, f"succession: {error}") from error
        return encoded

    def _open(self) -> Signer:
        self._finish_rotation()
        if not self._current.exists():
            if self._public.exists():
                raise OurError("keys/signing.key is missing, but its public key was pinned: put it back (relay/OPERATING.md)")
            self._files.write(self._current, self._long_term.make_signing())
        return self._long_term.signer_of(self._current.read_bytes())

    def _finish_rotation(self) -> None:
        if self._next.exists():
            if self._has_succession():
                if self._current.exists():
                    self._files.rename(self._current, self._old)
                self._files.rename(self._next, self._current)
            else:
                self._files.shred(self._next)
        if self._current.exists():
            self._long_term.retire("signing", self._old)

    def _has_succession(self) -> bool:
        upcoming = self._long_term.signer_of(self._next.read_bytes()).public_key
        return upcoming in [read_succession(each).new_key for each in self.successions()]
